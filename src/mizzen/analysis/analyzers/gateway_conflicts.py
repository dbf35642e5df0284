"""Do two Gateways open one port for one host on the same workloads? The second is refused."""

from collections.abc import Iterator

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.objects import spec_of
from mizzen.analysis.selectors import selector_text
from mizzen.analysis.workloads import selected
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import Gateway, Server
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.workloads import covers
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, Index


def _claims(_key: ResourceKey, resource: Resource[object]) -> Iterator[tuple[int, str, str]]:
    """(port, bind, host) of every server."""
    if isinstance(resource.spec, Gateway):
        for server in resource.spec.servers:
            yield from _server_claims(server)


def _server_claims(server: Server) -> Iterator[tuple[int, str, str]]:
    for host in server.hosts:
        yield server.port.number, server.bind, host


_MOST_NAMED = 5
_MOST_COMPARED = 256  # Gateways for one port and host: comparing more with one another takes quadratic time

BY_CLAIM = Index("gateway_by_port_bind_host", RESOURCES, _claims)


@analyzer("Gateway", codes="IST0145")
def gateway_conflicts(db: Database, resource: Resource[Gateway]) -> Findings:
    selector = resource.spec.selector
    for index, server in enumerate(resource.spec.servers):
        claims = (BY_CLAIM(db, claim)[:_MOST_COMPARED] for claim in _server_claims(server))
        claimants = {key for keys in claims for key in keys} - {resource.key}
        rivals = sorted(key for key in claimants if same_workloads(db, selector, spec_of(db, key, Gateway)))
        if rivals:
            names = " and ".join(map(str, rivals[:_MOST_NAMED]))
            message = (
                f"{names} open{'s' if len(rivals) == 1 else ''} port {server.port.number} for"
                f" {', '.join(server.hosts)} on the same workloads ({selector_text(selector)}) too"
            )
            yield Finding(
                "IST0145", ("spec", "servers", index), message, "merge the servers, or tell the hosts apart"
            )


def same_workloads(db: Database, selector: FrozenMap[str, str], other: Gateway | None) -> bool:
    """Whether the selectors are the same, or one is narrower and picks a workload (which then has both)."""
    if other is None:
        return False
    if selector == other.selector:
        return True
    narrow = max(selector, other.selector, key=len)
    wide = other.selector if narrow is selector else selector
    return covers(wide, narrow) and bool(selected(db, "", narrow))
