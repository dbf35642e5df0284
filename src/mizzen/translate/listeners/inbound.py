"""Inbound listeners: what arrives for the application, by port and by whether the caller proved an identity.

Source: ENVOY-FACTS and Istio's inbound filter chains. No chain may be the listener's default: a default would take
what the chains of a STRICT port refuse. What no chain takes is closed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from mizzen.config.types.mesh import MeshConfig
from mizzen.config.types.networking import ServerTLSSettings
from mizzen.derive.authentication import mutual_tls_mode, mutual_tls_policy
from mizzen.derive.authorization import policies_for
from mizzen.derive.inbound import (
    InboundPort,
    InboundScope,
    inbound_port,
    inbound_ports,
    ingress,
    own_address,
    own_tls,
)
from mizzen.derive.mesh import mesh_config, trust_domains
from mizzen.derive.services import service
from mizzen.derive.telemetry import Side, observed
from mizzen.incremental import Database, query
from mizzen.model.service import Protocol
from mizzen.model.workload import Family
from mizzen.proto.api import (
    FilterChain,
    Listener,
    ListenerFilter,
    NetworkFilter,
    OriginalDst,
    OriginalSrc,
    RouteConfiguration,
)
from mizzen.translate import names
from mizzen.translate.audit import audit_logs
from mizzen.translate.built import Built, Origin, built, pack
from mizzen.translate.clusters.inbound import TPROXY_MARK
from mizzen.translate.http_filters.cors import cors_filter
from mizzen.translate.http_filters.fault import fault_filter
from mizzen.translate.http_filters.grpc_web import grpc_web_filter
from mizzen.translate.listeners.inbound_chains import Chain, Content, chains_for
from mizzen.translate.listeners.inspectors import inspectors
from mizzen.translate.listeners.network import (
    ANY_ADDRESS,
    http_connection_manager,
    inline_routes,
    socket_address,
    tcp_proxy,
)
from mizzen.translate.listeners.server_tls import server_socket
from mizzen.translate.security import http_security, stream_security
from mizzen.translate.telemetry.metrics import Served, denied_metrics, service_names
from mizzen.translate.telemetry.reporting import Reporting, server_reporting
from mizzen.translate.tls import mesh_server
from mizzen.xds.resource import LISTENER

DETECTION_TIMEOUT = timedelta(seconds=1)
"""How long an inspector waits for the client to speak, unless the mesh says otherwise (Istio's limit for inbound traffic).
Then it goes on as with a stream that nobody knows: a server that speaks first is heard a second late, not never."""


@query
def virtual_inbound(
    db: Database, scope: InboundScope, families: tuple[Family, ...], transparent: bool
) -> Built:
    """virtualInbound: every port of a workload whose traffic is captured.

    By TPROXY its socket takes connections that are addressed to others (`transparent`), and the application is called
    from the caller's own address.
    """
    mesh = mesh_config(db)
    first, *more = families
    chains = [
        FilterChain(
            name="virtualInbound-blackhole",
            filter_chain_match=_to_port(mesh.proxy_inbound_listen_port),
            filters=[tcp_proxy(Reporting(), names.BLACK_HOLE, names.BLACK_HOLE)],
        )
    ]
    for port in inbound_ports(db, scope):
        if not own_address(db, port):
            chains += _port_chains(db, scope, port, _to_port(port.number))
    chains += _undeclared_chains(db, scope)
    listener = _listener(
        mesh, names.VIRTUAL_INBOUND, first.any_address, mesh.proxy_inbound_listen_port, chains
    )
    for family in more:
        listener.additional_addresses.add(
            address=socket_address(family.any_address, mesh.proxy_inbound_listen_port)
        )
    if transparent:
        listener.transparent.value = True
        source = OriginalSrc(mark=TPROXY_MARK)
        caller = ListenerFilter(name="envoy.filters.listener.original_src", typed_config=pack(source))
        listener.listener_filters.insert(0, caller)
    original = ListenerFilter(name="envoy.filters.listener.original_dst", typed_config=pack(OriginalDst()))
    listener.listener_filters.insert(0, original)
    return built(LISTENER, listener, _origins(db, scope))


@query
def bound_inbound(db: Database, scope: InboundScope, number: int, address: str) -> Built:
    """<address>_<port>: one port that the proxy binds itself, because nothing captures what is sent there."""
    port = inbound_port(db, scope, number)
    name = names.listener(address, number)
    chains = list(_port_chains(db, scope, port, {}))
    return built(LISTENER, _listener(mesh_config(db), name, address, number, chains), _origins(db, scope))


def _listener(mesh: MeshConfig, name: str, address: str, port: int, chains: list[FilterChain]) -> Listener:
    timeout = mesh.protocol_detection_timeout  # 0: the mesh wants no limit
    return Listener(
        name=name,
        address=socket_address(address, port),
        traffic_direction="INBOUND",
        listener_filters=inspectors(chains),
        listener_filters_timeout=DETECTION_TIMEOUT if timeout is None else timeout,
        continue_on_listener_filters_timeout=True,
        filter_chains=chains,
    )


def _origins(db: Database, scope: InboundScope) -> tuple[Origin, ...]:
    policies = policies_for(db, scope.namespace, scope.labels)
    keys = [port.source for port in inbound_ports(db, scope)]
    keys += [key for found in policies.values() for key in found]
    return tuple(Origin("", key) for key in dict.fromkeys(keys))


# --- the chains of a port -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the chains of a port lead. `port` is 0 for those that nothing declares."""

    name: str
    cluster: str
    port: int
    protocol: Protocol
    match: Mapping[str, Any]
    served: Served


def _to_port(number: int) -> Mapping[str, Any]:
    return {"destination_port": {"value": number}}


def _port_chains(
    db: Database, scope: InboundScope, port: InboundPort, match: Mapping[str, Any]
) -> Iterator[FilterChain]:
    """The chains of a port that a service or a Sidecar declares."""
    opened = ingress(db, port)
    mode = mutual_tls_mode(db, scope.namespace, scope.labels, port.number)
    address = (opened.bind if opened else "") or ANY_ADDRESS
    name, cluster = names.listener(address, port.number), names.inbound_cluster(port.number)
    target = _Target(name, cluster, port.number, port.protocol, match, _served(db, port))
    tls = own_tls(db, scope, port)
    if tls is not None:
        yield _own_tls_chain(db, scope, target, tls)
        return
    for chain in chains_for(mode, Content.of(port.protocol)):
        yield _filter_chain(db, scope, target, chain)


def _own_tls_chain(
    db: Database, scope: InboundScope, target: "_Target", tls: ServerTLSSettings
) -> FilterChain:
    """A port at which the proxy ends TLS with certificates of the workload's own, and takes nothing else."""
    http = target.protocol.is_http or target.protocol is Protocol.HTTPS  # which is HTTP, once TLS is ended
    made = _filter_chain(db, scope, target, Chain("tls", http=http))
    made.transport_socket.CopyFrom(server_socket(db, tls, http=http))
    return made


def _undeclared_chains(db: Database, scope: InboundScope) -> Iterator[FilterChain]:
    """Ports that nothing declares: sniffed, and held to the workload's own mTLS mode and authorization.

    A port that has only a setting of its own in PeerAuthentication is held to that.
    """
    mode, modes = mutual_tls_policy(db, scope.namespace, scope.labels)
    declared = {port.number for port in inbound_ports(db, scope)}
    exceptions = [(own, _to_port(number)) for number, own in sorted(modes.items()) if number not in declared]
    for own, match in (*exceptions, (mode, {})):
        target = _Target(
            names.VIRTUAL_INBOUND, names.INBOUND_PASSTHROUGH, 0, Protocol.AUTO, match, _UNDECLARED
        )
        for chain in chains_for(own, Content.SNIFFED):
            yield _filter_chain(db, scope, target, chain)


def _filter_chain(db: Database, scope: InboundScope, target: "_Target", chain: Chain) -> FilterChain:
    made = FilterChain(
        name=f"{names.VIRTUAL_INBOUND}-catchall-http" if chain.http and not target.port else target.name,
        filter_chain_match={
            **target.match,
            "transport_protocol": chain.transport,
            "application_protocols": chain.alpn,
        },
        filters=_filters(db, scope, target, chain),
    )
    if chain.mutual:
        made.transport_socket.CopyFrom(
            mesh_server(trust_domains(db), http=chain.http, config=mesh_config(db).mesh_mtls)
        )
    return made


_UNDECLARED = Served(service_names("", names.INBOUND_PASSTHROUGH, ""))


def _served(db: Database, port: InboundPort) -> Served:
    """The service for which a port is called; of several the first."""
    found = service(db, port.service) if port.service is not None else None
    return (
        Served(service_names(found.host, found.name, found.ref.namespace)) if found is not None else Served()
    )


def _filters(db: Database, scope: InboundScope, target: "_Target", chain: Chain) -> list[NetworkFilter]:
    seen = observed(db, scope.namespace, scope.labels, Side.SERVER)
    reporting = server_reporting(db, seen, replace(target.served, mutual=chain.mutual))
    if chain.http:
        return _http_filters(db, scope, target, reporting)
    # Before the handshake nobody knows who opens the connection.
    settings = _AFTER_HANDSHAKE if chain.mutual and reporting.is_counted else {}
    return _stream_filters(db, scope, target, reporting, settings)


_AFTER_HANDSHAKE: Mapping[str, Any] = {
    "upstream_connect_mode": "ON_DOWNSTREAM_TLS_HANDSHAKE",
    "max_early_data_bytes": {"value": 16384},
}


def _http_filters(
    db: Database, scope: InboundScope, target: "_Target", reporting: Reporting
) -> list[NetworkFilter]:
    route = {
        "name": "default",
        "match": {"prefix": "/"},
        "route": {"cluster": target.cluster, "timeout": {"seconds": 0}},
    }
    host = {"name": f"inbound|http|{target.port}", "domains": ["*"], "routes": [route]}
    routes = RouteConfiguration(name=target.cluster, virtual_hosts=[host], validate_clusters={"value": False})
    security = http_security(db, scope.namespace, scope.labels)
    grpc_web = [grpc_web_filter()] if target.protocol is Protocol.GRPC_WEB else []
    manager = http_connection_manager(
        mesh_config(db),
        f"inbound_{ANY_ADDRESS}_{target.port}",
        inline_routes(routes),
        [*security, *grpc_web, cors_filter(), fault_filter()],
        reporting,
        logs=[denied_metrics(), *audit_logs(db, scope.namespace, scope.labels, http=True)],
        # Istio's setting: the caller's certificate is appended to what a gateway in front forwarded.
        client_certificate="APPEND_FORWARD",
    )
    return [manager]


def _stream_filters(
    db: Database, scope: InboundScope, target: "_Target", reporting: Reporting, settings: Mapping[str, Any]
) -> list[NetworkFilter]:
    security = stream_security(db, scope.namespace, scope.labels)
    audits = audit_logs(db, scope.namespace, scope.labels, http=False)
    return [*security, tcp_proxy(reporting, target.cluster, target.cluster, settings=settings, logs=audits)]
