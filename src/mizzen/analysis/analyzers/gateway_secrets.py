"""Does every secret that a Gateway names exist where its workloads run, and does it hold a certificate?"""

from collections.abc import Iterator

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.analyzers.gateway_ports import no_workload
from mizzen.analysis.certificates import in_secret
from mizzen.analysis.inputs import TODAY
from mizzen.analysis.selectors import selector_text
from mizzen.analysis.workloads import selected
from mizzen.config.credentials import CA_SUFFIX
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, Resource, ResourceKey
from mizzen.config.types.networking import Gateway, ServerTLSMode, ServerTLSSettings
from mizzen.derive.secrets import trust, trust_key
from mizzen.incremental import Database

_CHECKING = frozenset({ServerTLSMode.MUTUAL, ServerTLSMode.OPTIONAL_MUTUAL})


@analyzer("Gateway", codes="IST0101 IST0161")
def gateway_secrets(db: Database, resource: Resource[Gateway]) -> Findings:
    """Certificates, and the roots by which callers are checked."""
    named = [
        (name, (*path, *member))
        for index, server in enumerate(resource.spec.servers)
        if server.tls is not None
        for path in [("spec", "servers", index, "tls")]
        for name, member in _names(server.tls)
    ]
    workloads = selected(db, "", resource.spec.selector)
    if not workloads:
        yield no_workload(selector_text(resource.spec.selector))
        return
    # Gateways read secrets of the namespace that they run in.
    namespaces = dict.fromkeys(workload.namespace for workload in workloads)
    for name, path in named:
        yield from _secret(db, name, path, tuple(namespaces))
    for index, server in enumerate(resource.spec.servers):
        if server.tls is not None:
            yield from _roots(db, server.tls, ("spec", "servers", index, "tls"), tuple(namespaces))


def _names(tls: ServerTLSSettings) -> Iterator[tuple[str, Path]]:
    if tls.credential_name:
        yield tls.credential_name, ("credentialName",)
    for index, name in enumerate(tls.credential_names):
        yield name, ("credentialNames", index)


def _secret(db: Database, name: str, path: Path, namespaces: tuple[str, ...]) -> Findings:
    found = [
        held
        for namespace in namespaces
        if (held := in_secret(db, ResourceKey("Secret", namespace, name))) is not None
    ]
    if not found:
        where = " or ".join(namespaces)
        hint = "create it in the namespace of the gateway's workloads, or correct the name"
        yield Finding("IST0101", path, f'there is no secret "{name}" in {where}', hint)
        return
    today = TODAY(db, "today")
    problem = next((held.problem(today) for held in found if held.problem(today)), "")
    if problem:
        yield Finding("IST0161", path, f'the secret "{name}" is not usable: {problem}')


def _roots(db: Database, tls: ServerTLSSettings, path: Path, namespaces: tuple[str, ...]) -> Findings:
    """MUTUAL and OPTIONAL_MUTUAL need roots: in a secret of their own, or beside the certificate."""
    own = tls.ca_cert_credential_name
    beside = next((name for name, _ in _names(tls)), "")
    if tls.mode not in _CHECKING or tls.insecure_skip_verify or not (own or beside):
        return
    keys = [ResourceKey("Secret", namespace, own or beside + CA_SUFFIX) for namespace in namespaces]
    if any(trust(db, trust_key(db, key)) is not None for key in keys):
        return
    member = "caCertCredentialName" if own else "mode"
    where = f'the secret "{own}"' if own else f'the secret "{beside}" or "{beside}{CA_SUFFIX}"'
    message = f"{tls.mode.value} checks callers, and {where} holds no usable roots (ca.crt or cacert)"
    yield Finding("IST0161", (*path, member), message, "add the roots of the callers' certificates")
