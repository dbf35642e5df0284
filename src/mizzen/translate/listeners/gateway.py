"""Gateways: listeners for callers outside the mesh, and the routes behind each port."""

from collections.abc import Iterable, Iterator
from itertools import chain

from mizzen.config.resource import ResourceKey
from mizzen.derive.gateways import GatewayServer, bind_port, gateway_servers
from mizzen.derive.hosts import matches
from mizzen.derive.mesh import mesh_config
from mizzen.derive.scope import outbound_scope
from mizzen.derive.virtual_services import gateway_virtual_services
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import Binding, ProxyKind
from mizzen.proto.api import Listener, Route, RouteConfiguration, VirtualHost
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, built
from mizzen.translate.listeners.network import (
    ANY_ADDRESS,
    ads_routes,
    http_connection_manager,
    outbound_http_filters,
)
from mizzen.translate.route_action import DEFAULT_RETRY, RouteContext
from mizzen.translate.route_match import is_catch_all_route
from mizzen.translate.routes import cluster_name, hashing, virtual_service_routes
from mizzen.translate.telemetry import source_metrics
from mizzen.xds.resource import LISTENER, ROUTE

_HTTP = frozenset({"HTTP", "HTTP2", "GRPC"})


@query
def http_gateway_ports(db: Database, labels: FrozenMap[str, str]) -> tuple[int, ...]:
    """The ports on which a gateway workload serves plain HTTP. (FIXME: TLS and TCP servers, row T5.)"""
    return tuple(number for number, servers in gateway_servers(db, labels).items() if _http_servers(servers))


def _http_servers(servers: tuple[GatewayServer, ...]) -> list[GatewayServer]:
    return [found for found in servers if found.server.port.protocol.upper() in _HTTP]


@query
def gateway_listener(
    db: Database, namespace: str, labels: FrozenMap[str, str], port: int, binding: Binding | None
) -> Built:
    """<address>_<port>: the HTTP servers of one port."""
    address = binding.address if binding else ANY_ADDRESS
    number = bind_port(db, namespace, labels, port)
    manager = http_connection_manager(
        mesh_config(db),
        f"outbound_{names.listener(address, number)}",
        ads_routes(names.gateway_route(port)),
        outbound_http_filters(),
        metrics=[source_metrics("http")],
        edge=True,
        client_certificate="SANITIZE_SET",
    )
    listener = Listener(
        name=names.listener(address, number),
        address={"socket_address": {"address": address, "port_value": number}},
        # Istio's choice: to a gateway's proxy everything it forwards is outbound.
        traffic_direction="OUTBOUND",
        filter_chains=[{"filters": [manager]}],
    )
    servers = _http_servers(gateway_servers(db, labels).get(port, ()))
    return built(LISTENER, listener, tuple(_server_origin(found) for found in servers))


def _server_origin(found: GatewayServer) -> Origin:
    return Origin("", found.key, ("spec", "servers", found.index))


@query
def gateway_routes(db: Database, namespace: str, labels: FrozenMap[str, str], port: int) -> Built:
    """RouteConfiguration "http.<port>". Several VirtualServices for one host are merged, the oldest first."""
    config = RouteConfiguration(
        name=names.gateway_route(port),
        validate_clusters={"value": False},
        ignore_port_in_host_matching=True,
        max_direct_response_body_size_bytes={"value": 1 << 20},
    )
    hosts: dict[str, VirtualHost] = {}
    routes: dict[str, dict[tuple[str, ResourceKey], list[_Traced]]] = {}
    scope = outbound_scope(db, ProxyKind.GATEWAY, namespace, labels)
    context = RouteContext(
        cluster=lambda destination: cluster_name(db, scope, destination, port),
        hashing=lambda destination: hashing(db, scope, destination, port),
        port=port,
        retry_default=mesh_config(db).default_http_retry_policy or DEFAULT_RETRY,
    )
    for found in _http_servers(gateway_servers(db, labels).get(port, ())):
        for key, virtual_hosts in gateway_virtual_services(db, namespace, found.gateway):
            for domain in _admitted(found, key.namespace, virtual_hosts):
                hosts.setdefault(domain, _virtual_host(domain, port, found))
                # A VirtualService that two servers of a Gateway admit to one host counts once.
                routes.setdefault(domain, {})[found.gateway, key] = [
                    (route, key, path)
                    for route, path in virtual_service_routes(db, context, key, found.gateway, scope, port)
                ]
    origins: list[Origin] = []
    for domain in sorted(hosts):
        merged = _catch_all_last(chain.from_iterable(routes[domain].values()))
        for index, (route, key, path) in enumerate(merged):
            origins.append(Origin(f"virtual_hosts[{domain}].routes[{index}]", key, path))
            hosts[domain].routes.append(route)
        config.virtual_hosts.append(hosts[domain])
    if not hosts:
        config.virtual_hosts.add(name=f"blackhole:{port}", domains=["*"])
    return built(ROUTE, config, tuple(origins))


_Traced = tuple[Route, ResourceKey, tuple[str | int, ...]]


def _catch_all_last(routes: Iterable[_Traced]) -> list[_Traced]:
    """What one VirtualService leaves to all must not hide what the next one says (Istio's order of merged routes)."""
    return sorted(routes, key=lambda traced: is_catch_all_route(traced[0]))


def _virtual_host(domain: str, port: int, found: GatewayServer) -> VirtualHost:
    host = VirtualHost(name=f"{domain}:{port}", domains=[domain], include_request_attempt_count=True)
    if found.server.tls is not None and found.server.tls.https_redirect:
        host.require_tls = VirtualHost.TlsRequirementType.ALL
    return host


def _admitted(found: GatewayServer, owner: str, hosts: tuple[str, ...]) -> Iterator[str]:
    """The hosts that both the server and the VirtualService name: the narrower of each pair."""
    seen: set[str] = set()
    for pattern in found.admits(owner):
        for host in hosts:
            narrower = host if matches(pattern, host) else pattern if matches(host, pattern) else None
            if narrower is not None and narrower not in seen:
                seen.add(narrower)
                yield narrower
