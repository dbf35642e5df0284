"""Does a DestinationRule that speaks TLS verify whom it speaks to?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, Resource
from mizzen.config.types.networking import ClientTLSMode, ClientTLSSettings, DestinationRule
from mizzen.incremental import Database

_ORIGINATING = (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL)
_HINT = "set caCertificates to the file with the server's roots"


@analyzer("DestinationRule", codes="IST0128 IST0129")
def destination_rule_certificates(_db: Database, resource: Resource[DestinationRule]) -> Findings:
    policy = resource.spec.traffic_policy
    if policy is None:
        return
    host, path = resource.spec.host, ("spec", "trafficPolicy")
    if _unverified(resource.spec, policy.tls):
        yield _finding("IST0128", policy.tls, f'"{host}"', (*path, "tls"))
    for index, setting in enumerate(policy.port_level_settings):
        if _unverified(resource.spec, setting.tls):
            where = f'port {setting.port.number if setting.port else "?"} of "{host}"'
            yield _finding("IST0129", setting.tls, where, (*path, "portLevelSettings", index, "tls"))


def _finding(code: str, tls: ClientTLSSettings | None, server: str, path: Path) -> Finding:
    mode = tls.mode.value if tls else ""
    message = f"TLS ({mode}) without caCertificates: the certificate of {server} is not verified"
    return Finding(code, path, message, _HINT)


def _unverified(spec: DestinationRule, tls: ClientTLSSettings | None) -> bool:
    if tls is None or tls.mode not in _ORIGINATING or tls.ca_certificates:
        return False
    # A secret holds the roots too; sidecars can only have it where the rule says whose.
    return not (tls.credential_name and spec.workload_selector is not None)
