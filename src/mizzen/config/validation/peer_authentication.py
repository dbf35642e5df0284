"""PeerAuthentication."""

from mizzen.config.resource import Resource
from mizzen.config.types.security import PeerAuthentication
from mizzen.config.validation import hosts, references
from mizzen.config.validation.rules import Findings, invalid


def validate(resource: Resource[PeerAuthentication]) -> Findings:
    spec = resource.spec
    yield from references.attachment(spec)
    path = ("spec", "portLevelMtls")
    if spec.port_level_mtls and not (spec.selector and spec.selector.match_labels):
        yield invalid(
            path, "ports are those of workloads, so a selector is needed", "add selector.matchLabels"
        )
    for port in spec.port_level_mtls:
        if not hosts.is_port(port):
            yield invalid((*path, port), f'"{port}" is no port: ports are 1 to 65535')
