"""Is every server of a Gateway served? Of two that cannot share a port, the older Gateway's is, and the other is not."""

from collections.abc import Iterable, Iterator

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.analyzers.gateway_conflicts import same_workloads
from mizzen.analysis.objects import spec_of
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import Gateway
from mizzen.derive.age import age
from mizzen.derive.gateways import Conflict, GatewayServer, Refused, merge
from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database, Index

_MOST_COMPARED = 256  # Gateways of one port: merging more takes too long
_MOST_HOSTS = 5  # that are named


def _ports(_key: ResourceKey, resource: Resource[object]) -> Iterator[int]:
    if isinstance(resource.spec, Gateway):
        yield from {server.port.number for server in resource.spec.servers}


BY_PORT = Index("gateway_by_port", RESOURCES, _ports)


@analyzer("Gateway", codes="MZ0203")
def gateway_servers(db: Database, resource: Resource[Gateway]) -> Findings:
    for number in sorted({server.port.number for server in resource.spec.servers}):
        for refused in merge(_servers(number, _sharing(db, resource, number))).refused:
            if refused.server.key == resource.key:
                yield _finding(refused)


def _sharing(db: Database, resource: Resource[Gateway], number: int) -> list[Resource[Gateway]]:
    """The Gateways with a server on a port whose workloads run this one, too: the oldest first."""
    selector = resource.spec.selector
    keys = [
        key
        for key in BY_PORT(db, number)[:_MOST_COMPARED]
        if key == resource.key or same_workloads(db, selector, spec_of(db, key, Gateway))
    ]
    return sorted((found for key in keys if (found := RESOURCES(db, key)) is not None), key=age)


def _servers(number: int, gateways: Iterable[Resource[Gateway]]) -> Iterator[tuple[int, GatewayServer]]:
    for gateway in gateways:
        for index, server in enumerate(gateway.spec.servers):
            if server.port.number == number:
                yield number, GatewayServer(gateway.key, index, server)


def _finding(refused: Refused) -> Finding:
    winner, server = refused.winner, refused.server.server
    theirs = winner.server.port.protocol
    other = f"servers[{winner.index}]"
    if winner.key != refused.server.key:
        other = f"{other} of {winner.key}, which is older,"
    reasons = {
        Conflict.PROTOCOL: f"speaks {theirs} there, and this one {server.port.protocol}",
        Conflict.HOST: f"has {', '.join(refused.hosts[:_MOST_HOSTS])} there",
        Conflict.STREAM: f"takes every {theirs} connection there",
    }
    hints = {
        Conflict.PROTOCOL: "give one of them another port",
        Conflict.HOST: "name each host in one server, with one certificate",
        Conflict.STREAM: "give one of them another port",
    }
    message = f"it is not served on port {server.port.number}: {other} {reasons[refused.conflict]}"
    path = ("spec", "servers", refused.server.index)
    return Finding("MZ0203", path, message, hints[refused.conflict])
