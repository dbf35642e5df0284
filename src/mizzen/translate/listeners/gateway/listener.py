"""The listeners of a gateway: one for each address and port, and one by QUIC where HTTP/3 is offered."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mizzen.config.types.proxy import ProxyProtocolConfiguration, Topology
from mizzen.derive.gateways import Carries, GatewayPort, merged_gateway
from mizzen.derive.inbound import InboundScope
from mizzen.derive.mesh import mesh_config
from mizzen.incremental import Database, query
from mizzen.model.proxy import Binding
from mizzen.proto.api import (
    FilterChain,
    FilterChainMatch,
    Listener,
    ListenerFilter,
    ProxyProtocol,
    QuicDownstreamTransport,
    TransportSocket,
)
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, ResourceRef, built, pack
from mizzen.translate.clusters.sni_dnat import passage_refs, passages
from mizzen.translate.gateway_routes import RouteTable, gateway_routes, route_name
from mizzen.translate.listeners.gateway.chains import (
    filter_chains,
    gateway_scope,
    opens,
    server_match,
    server_origin,
)
from mizzen.translate.listeners.gateway.http import Front, http_manager
from mizzen.translate.listeners.network import ANY_ADDRESS, socket_address, tls_inspector
from mizzen.translate.listeners.server_tls import server_context
from mizzen.xds.resource import LISTENER, ROUTE

QUIC = "envoy.transport_sockets.quic"
HTTP3_ALPN = ("h3",)


@dataclass(frozen=True, slots=True)
class Socket:
    """Where a gateway listens, and what stands before it: with its scope the whole input of a listener."""

    number: int
    bind: str
    binding: Binding | None
    topology: Topology

    @property
    def address(self) -> str:
        return self.bind or (self.binding.address if self.binding else ANY_ADDRESS)


@query
def gateway_refs(
    db: Database, scope: InboundScope, binding: Binding | None, own_topology: Topology | None
) -> tuple[ResourceRef, ...]:
    """What the servers of a gateway are made of: listeners, routes, and the clusters of those that pass TLS on.

    `own_topology` is what the workload's annotation says of what stands before it; None: as the mesh has it.
    """
    topology = own_topology or mesh_config(db).default_config.gateway_topology or Topology()
    refs: list[ResourceRef] = []
    for port in merged_gateway(db, scope).ports:
        if opens(db, scope, port.number, port.bind):
            socket = Socket(port.number, port.bind, binding, topology)
            refs += _port_refs(db, scope, port, socket)
    return tuple(refs)


def _port_refs(db: Database, scope: InboundScope, port: GatewayPort, socket: Socket) -> Iterator[ResourceRef]:
    name = names.listener(socket.address, port.number)
    yield ResourceRef(LISTENER, name, gateway_listener, (scope, socket))
    if any(found.offers_http3 for found in port.servers):
        name = names.udp_listener(socket.address, port.number)
        yield ResourceRef(LISTENER, name, quic_listener, (scope, socket))
    for table in _tables(port):
        name = route_name(db, scope, table)
        number = port.servers[0].server.port.number
        yield ResourceRef(ROUTE, name, gateway_routes, (scope, table), port=number)
    for found in port.of(Carries.AUTO_PASSTHROUGH):
        for passage in passages(db, gateway_scope(db, scope), found.hosts):
            yield from passage_refs(passage)


def _tables(port: GatewayPort) -> Iterator[RouteTable]:
    if port.of(Carries.HTTP):
        yield RouteTable(port.number, port.bind)
    for found in port.of(Carries.HTTPS):
        yield RouteTable(port.number, port.bind, (found.key, found.index))


@query
def gateway_listener(db: Database, scope: InboundScope, socket: Socket) -> Built:
    """<address>_<port>: all servers of a port."""
    port = _port(db, scope, socket)
    speaks_tls = any(found.carries.is_tls for found in port.servers)
    listener = Listener(
        name=names.listener(socket.address, port.number),
        address=socket_address(socket.address, port.number),
        # Istio's choice: to a gateway's proxy everything it forwards is outbound.
        traffic_direction="OUTBOUND",
        listener_filters=_listener_filters(socket.topology, speaks_tls=speaks_tls),
    )
    front = Front(f"outbound_{listener.name}", socket.topology)
    return built(LISTENER, listener, _add_chains(listener, filter_chains(db, scope, port, front)))


@query
def quic_listener(db: Database, scope: InboundScope, socket: Socket) -> Built:
    """udp_<address>_<port>: the HTTPS servers of a port by HTTP/3."""
    port = _port(db, scope, socket)
    listener = Listener(
        name=names.udp_listener(socket.address, port.number),
        address={"socket_address": {"protocol": "UDP", "address": socket.address, "port_value": port.number}},
        traffic_direction="OUTBOUND",
        udp_listener_config={"quic_options": {}, "downstream_socket_config": {"prefer_gro": {"value": True}}},
    )
    front = Front(f"outbound_{listener.name}", socket.topology)
    return built(LISTENER, listener, _add_chains(listener, _quic_chains(db, scope, port, front)))


def _port(db: Database, scope: InboundScope, socket: Socket) -> GatewayPort:
    port = merged_gateway(db, scope).port(socket.number, socket.bind)
    if port is None:
        raise LookupError(f"nothing is served on port {socket.number}")
    return port


def _add_chains(
    listener: Listener, chains: Iterable[tuple[FilterChain, tuple[Origin, ...]]]
) -> tuple[Origin, ...]:
    """Returns the origins: of the listener as a whole where one chain is all, else of each chain."""
    made = list(chains)
    listener.filter_chains.extend(chain for chain, _ in made)
    if len(made) == 1:
        return made[0][1]
    return tuple(
        Origin(f"filter_chains[{index}]", origin.key, origin.path)
        for index, (_, origins) in enumerate(made)
        for origin in origins
    )


def _quic_chains(
    db: Database, scope: InboundScope, port: GatewayPort, front: Front
) -> Iterator[tuple[FilterChain, tuple[Origin, ...]]]:
    for found in port.servers:
        if not found.offers_http3 or found.server.tls is None:
            continue
        table = RouteTable(port.number, port.bind, (found.key, found.index))
        context = server_context(mesh_config(db), found.server.tls, HTTP3_ALPN)
        transport = QuicDownstreamTransport(downstream_tls_context=context)
        yield (
            FilterChain(
                filter_chain_match=FilterChainMatch(server_names=server_match(found).server_names),
                filters=[http_manager(db, scope, table, front, http3=True)],
                transport_socket=TransportSocket(name=QUIC, typed_config=pack(transport)),
            ),
            (server_origin(found),),
        )


def _listener_filters(topology: Topology, *, speaks_tls: bool) -> list[ListenerFilter]:
    filters: list[ListenerFilter] = []
    if topology.proxy_protocol is not None:
        filters.append(_proxy_protocol(topology.proxy_protocol))
    if speaks_tls:
        filters.append(tls_inspector())
    return filters


def _proxy_protocol(settings: ProxyProtocolConfiguration) -> ListenerFilter:
    """Callers' addresses from the PROXY protocol's header, version 1 or 2; without one they are refused."""
    del settings  # it has no fields
    return ListenerFilter(name="envoy.filters.listener.proxy_protocol", typed_config=pack(ProxyProtocol()))
