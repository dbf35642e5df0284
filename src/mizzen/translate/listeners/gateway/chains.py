"""The filter chains of a gateway's port: one for all its HTTP servers; one for each server that ends TLS, and for each
route of those that do not, by server name.

Source: Istio's gateway filter chains. What has nothing bound to it has no chain: its connections are closed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mizzen.derive.gateways import Carries, GatewayPort, GatewayServer, merged_gateway
from mizzen.derive.inbound import InboundScope
from mizzen.derive.scope import outbound_scope
from mizzen.derive.virtual_services import gateway_virtual_services
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope, ProxyKind
from mizzen.proto.api import FilterChain, NetworkFilter, TransportSocket
from mizzen.translate.built import Origin
from mizzen.translate.gateway_routes import RouteTable
from mizzen.translate.listeners.gateway.auto_passthrough import passthrough_services
from mizzen.translate.listeners.gateway.http import Front, gateway_reporting, http_manager
from mizzen.translate.listeners.server_tls import server_socket
from mizzen.translate.listeners.tcp import stream_filters
from mizzen.translate.security import stream_security
from mizzen.translate.stream_routes import (
    Cell,
    StreamMatch,
    StreamRoute,
    filter_chain_match,
    tcp_routes,
    tls_routes,
    untaken,
)
from mizzen.translate.tls import MESH_ALPN

_EVERY_NAME = "*"


@dataclass(frozen=True, slots=True)
class Chain:
    """A filter chain to be: what it matches, what it does, and the fields that made it."""

    match: StreamMatch
    filters: tuple[NetworkFilter, ...]
    origins: tuple[Origin, ...]
    socket: TransportSocket | None = None  # None: TLS is passed on, or there is none
    protocols: tuple[str, ...] = ()  # that the caller must offer


@query
def opens(db: Database, scope: InboundScope, number: int, bind: str) -> bool:
    """Whether anything at all is served on a port: Envoy takes no listener without a chain."""
    port = merged_gateway(db, scope).port(number, bind)
    if port is None:
        return False
    if port.of(Carries.HTTP, Carries.HTTPS):
        return True
    return any(True for found in port.servers for _ in _stream_chains(db, scope, found))


def filter_chains(
    db: Database, scope: InboundScope, port: GatewayPort, front: Front
) -> Iterator[tuple[FilterChain, tuple[Origin, ...]]]:
    """The chains of all servers of a port. No two match the same connections: Envoy would refuse the listener."""
    taken: set[Cell] = set()
    for chain in _chains(db, scope, port, front):
        for match in untaken(chain.match, taken):
            conditions = filter_chain_match(match)
            conditions.application_protocols.extend(chain.protocols)
            made = FilterChain(filters=chain.filters, transport_socket=chain.socket)
            if conditions.ByteSize():
                made.filter_chain_match.CopyFrom(conditions)
            yield made, chain.origins


def _chains(db: Database, scope: InboundScope, port: GatewayPort, front: Front) -> Iterator[Chain]:
    plain = port.of(Carries.HTTP)
    if plain:
        manager = http_manager(db, scope, RouteTable(port.number, port.bind), front)
        yield Chain(StreamMatch(), (manager,), tuple(map(server_origin, plain)))
        return
    for found in port.servers:
        if found.carries is Carries.HTTPS:
            table = RouteTable(port.number, port.bind, (found.key, found.index))
            manager = http_manager(db, scope, table, front)
            assert found.server.tls is not None
            socket = server_socket(db, found.server.tls, http=True)
            yield Chain(server_match(found), (manager,), (server_origin(found),), socket)
        else:
            yield from _stream_chains(db, scope, found)


def server_match(found: GatewayServer) -> StreamMatch:
    """The server names of a server that ends TLS itself."""
    return StreamMatch(() if _EVERY_NAME in found.hosts else found.hosts)


def _stream_chains(db: Database, scope: InboundScope, found: GatewayServer) -> Iterator[Chain]:
    """The chains of a server that does not read what it carries."""
    policies = stream_security(db, scope.namespace, scope.labels)
    if found.carries is Carries.AUTO_PASSTHROUGH:
        for name, proxy, origin in passthrough_services(
            db, gateway_scope(db, scope), found, gateway_reporting(db, scope)
        ):
            origins = (server_origin(found), origin)
            yield Chain(StreamMatch((name,)), (*policies, proxy), origins, protocols=MESH_ALPN)
        return
    ends_tls = found.carries is Carries.TERMINATED
    assert found.server.tls is not None or not ends_tls
    socket = server_socket(db, found.server.tls, http=False) if ends_tls and found.server.tls else None
    if found.carries is not Carries.PASSTHROUGH:
        route = next(_routes(db, scope, found, tls=False), None)
        if route is not None:
            match = server_match(found) if ends_tls else StreamMatch()
            yield _routed(db, scope, found, replace(route, match=match), socket)
    if found.carries is not Carries.TCP:
        for route in _routes(db, scope, found, tls=True):
            yield _routed(db, scope, found, route, socket)


def _routed(
    db: Database,
    scope: InboundScope,
    found: GatewayServer,
    route: StreamRoute,
    socket: TransportSocket | None,
) -> Chain:
    port = found.server.port.number
    carried = stream_filters(
        db, gateway_scope(db, scope), route.destinations, port, gateway_reporting(db, scope)
    )
    # At a gateway the address that the caller chose is the gateway's own: subnets say nothing (Istio's rule).
    match = StreamMatch(route.match.server_names)
    origins = (server_origin(found), Origin("", route.key, route.path))
    return Chain(match, (*stream_security(db, scope.namespace, scope.labels), *carried), origins, socket)


def _routes(db: Database, scope: InboundScope, found: GatewayServer, *, tls: bool) -> Iterator[StreamRoute]:
    """The TLS or the TCP routes of the VirtualServices that are bound to a server."""
    routes = tls_routes if tls else tcp_routes
    outbound = gateway_scope(db, scope)
    for key, hosts in gateway_virtual_services(db, scope.namespace, found.gateway):
        if found.admitted(key.namespace, hosts):
            yield from routes(db, key, found.gateway, outbound, found.server.port.number)


def gateway_scope(db: Database, scope: InboundScope) -> OutboundScope:
    """What a gateway sees of the mesh."""
    return outbound_scope(db, ProxyKind.GATEWAY, scope.namespace, scope.labels)


def server_origin(found: GatewayServer) -> Origin:
    return Origin("", found.key, ("spec", "servers", found.index))
