"""Do Gateways of the same workloads share a certificate? A client then reuses one connection for hosts of both (HTTP/2),
and asks the wrong Gateway: 404.
"""

from collections.abc import Iterator

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.objects import spec_of
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import Gateway, ServerTLSSettings
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.workloads import covers
from mizzen.incremental import Database, Index


def _certificate(tls: ServerTLSSettings | None) -> tuple[str, ...]:
    """What names a certificate: the secret, or the files; () where there is none."""
    if tls is None:
        return ()
    if tls.credential_name:
        return (tls.credential_name,)
    return (tls.server_certificate, tls.private_key) if tls.server_certificate and tls.private_key else ()


def _certificates(_key: ResourceKey, resource: Resource[object]) -> Iterator[tuple[str, ...]]:
    if isinstance(resource.spec, Gateway):
        yield from (name for server in resource.spec.servers if (name := _certificate(server.tls)))


_MOST_TOLD = 16  # rivals that are worth a finding each
_MOST_COMPARED = 256  # Gateways with one certificate: comparing more with one another takes quadratic time

BY_CERTIFICATE = Index("gateway_by_certificate", RESOURCES, _certificates)


@analyzer("Gateway", codes="IST0138")
def gateway_certificates(db: Database, resource: Resource[Gateway]) -> Findings:
    told = 0
    for index, server in enumerate(resource.spec.servers):
        name = _certificate(server.tls)
        for key in BY_CERTIFICATE(db, name)[:_MOST_COMPARED] if name else ():
            other = spec_of(db, key, Gateway)
            # The wider selector reports: the narrower one's workloads run both.
            if key == resource.key or other is None or not covers(resource.spec.selector, other.selector):
                continue
            told += 1
            if told > _MOST_TOLD:
                return
            message = f'{key} serves the same certificate "{name[0]}" on the same workloads'
            hint = "put the hosts into one Gateway, or give each its own certificate"
            yield Finding("IST0138", ("spec", "servers", index, "tls"), message, hint)
