"""Route configurations of sidecars: by HTTP port, shared by all proxies that no route tells apart."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import (
    ConsistentHashLB,
    Destination,
    HTTPMatchRequest,
    PortSelector,
)
from mizzen.derive.destination_rules import RuleKeys, rules_for
from mizzen.derive.http_rules import http_rules
from mizzen.derive.mesh import mesh_config
from mizzen.derive.sidecars import egress_listeners
from mizzen.derive.virtual_services import (
    MESH_GATEWAY,
    can_match,
    mesh_virtual_service,
)
from mizzen.derive.visibility import destination_port, target_host, visible_host
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import ServiceRef
from mizzen.proto.api import Route, RouteConfiguration
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, built
from mizzen.translate.route_action import DEFAULT_RETRY, RouteContext, default_route, http_route
from mizzen.translate.traffic_policy import effective_policy
from mizzen.translate.unknown import REFUSED, unknown_hosts, unknown_traffic
from mizzen.translate.virtual_hosts import SidecarHost, http_ports, sidecar_hosts
from mizzen.xds.resource import ROUTE

_DEFAULT_PORT = 80


class TracedRoute(NamedTuple):
    """A route, and the object and field that made it."""

    route: Route
    key: ResourceKey
    path: tuple[str | int, ...]


def route_configuration(name: str) -> RouteConfiguration:
    """A route configuration without hosts yet, with the settings that all have."""
    return RouteConfiguration(
        name=name,
        validate_clusters={"value": False},
        max_direct_response_body_size_bytes={"value": 1 << 20},
    )


@query
def sidecar_routes(db: Database, scope: OutboundScope, port: int) -> Built:
    """RouteConfiguration "<port>": every host of that port, then whatever the mesh allows."""
    config = route_configuration(names.route(port))
    # Istio lists every host with and without port; Envoy can ignore the port itself.
    config.ignore_port_in_host_matching = True
    origins: list[Origin] = []
    for host in sidecar_hosts(db, scope, port):
        _add_host(db, config, scope, host, host.domains, port, origins)
    config.virtual_hosts.append(unknown_hosts(unknown_traffic(db, scope)))
    return built(ROUTE, config, tuple(origins))


@query
def sniffed_routes(db: Database, scope: OutboundScope, ref: ServiceRef, port: int) -> Built:
    """RouteConfiguration "<host>:<port>": of one service, which is called at an address of its own, whatever host its
    callers name.
    """
    config = route_configuration(names.sniffed_route(ref.host, port))
    config.ignore_port_in_host_matching = True
    host = SidecarHost(ref.host, ("*",), ref, mesh_virtual_service(db, scope, ref.host))
    origins: list[Origin] = []
    _add_host(db, config, scope, host, host.domains, port, origins)
    return built(ROUTE, config, tuple(origins))


@query
def http_proxy_routes(db: Database, scope: OutboundScope) -> Built:
    """RouteConfiguration "http_proxy": every HTTP service of every port that some egress listener imports."""
    scopes = tuple(listener.scope for listener in egress_listeners(db, scope))
    return all_ports_routes(db, names.HTTP_PROXY, scopes)


@query
def all_ports_routes(db: Database, name: str, scopes: tuple[OutboundScope, ...]) -> Built:
    """The services of every port, told apart by the port in the request's authority: of a listener that is no port of
    theirs.
    """
    config = route_configuration(name)
    origins: list[Origin] = []
    taken: set[str] = set()
    for scope, port in ((each, port) for each in scopes for port in http_ports(db, each)):
        for host in sidecar_hosts(db, scope, port):
            plain = host.domains if port == _DEFAULT_PORT else ()
            domains = [*(f"{domain}:{port}" for domain in host.domains), *plain]
            fresh = [domain for domain in domains if domain not in taken]
            taken.update(fresh)
            _add_host(db, config, scope, host, fresh, port, origins)
    # What is left has no original destination to pass through to: its name must be resolved, or it is refused.
    unknown = unknown_traffic(db, scopes[0])
    config.virtual_hosts.append(unknown_hosts(unknown if unknown.resolves_names else REFUSED))
    return built(ROUTE, config, tuple(origins))


def _add_host(
    db: Database,
    config: RouteConfiguration,
    scope: OutboundScope,
    host: SidecarHost,
    domains: Sequence[str],
    port: int,
    origins: list[Origin],
) -> None:
    """A virtual host with its routes: those of the VirtualService that decides, if any can hold for these callers, else
    one to the service (Istio's rule). Without either there is no host.
    """
    routes = _routes(db, scope, host, port)
    if not routes or not domains:
        return
    part = f"virtual_hosts[{len(config.virtual_hosts)}]"
    made = config.virtual_hosts.add(
        name=f"{host.host}:{port}", domains=domains, include_request_attempt_count=True
    )
    for index, (route, key, path) in enumerate(routes):
        made.routes.append(route)
        origins.append(Origin(f"{part}.routes[{index}]" if path else part, key, path))


def _routes(db: Database, scope: OutboundScope, host: SidecarHost, port: int) -> list[TracedRoute]:
    context = route_context(db, scope, port)
    key = host.virtual_service
    if key is not None:
        routes = list(virtual_service_routes(db, context, key, MESH_GATEWAY, scope, port))
        if routes:
            return routes
    if host.service is None:
        return []
    direct = Destination(host=host.service.host, port=PortSelector(number=port))
    return [TracedRoute(default_route(context, direct), host.service.source, ())]


def route_context(db: Database, scope: OutboundScope, port: int) -> RouteContext:
    """What the routes of a port have in common for callers of a scope."""
    return RouteContext(
        cluster=lambda destination: cluster_name(db, scope, destination, port),
        hashing=lambda destination: hashing(db, scope, destination, port),
        port=port,
        retry_default=mesh_config(db).default_http_retry_policy or DEFAULT_RETRY,
    )


def virtual_service_routes(
    db: Database, context: RouteContext, key: ResourceKey, gateway: str, scope: OutboundScope, port: int
) -> Iterator[TracedRoute]:
    """The Envoy routes of a VirtualService and its delegates, in its order, each with the field that made it.

    A match that asks for other callers, gateways or ports than these is left out; what follows a catch-all cannot be
    reached and is left out too.
    """
    for rule in http_rules(db, key):
        if not rule.settings.match:
            yield TracedRoute(http_route(context, rule.settings, None), rule.key, rule.path)
            return
        for index, match in enumerate(rule.settings.match):
            if can_match(match, key, gateway, scope, port):
                # Matches of delegates are made of two, and have no field of their own.
                path = (*rule.path, "match", index) if rule.key == key else rule.path
                yield TracedRoute(http_route(context, rule.settings, match), rule.key, path)
                if _matches_everything(match):
                    return


def _matches_everything(match: HTTPMatchRequest) -> bool:
    others = (
        match.headers,
        match.without_headers,
        match.query_params,
        match.method,
        match.authority,
        match.scheme,
    )
    uri = match.uri
    return not any(others) and (uri is None or uri.prefix == "/" or uri.regex == ".*")


def cluster_name(db: Database, scope: OutboundScope, destination: Destination, port: int) -> str:
    """The cluster of a destination."""
    number = port_number(db, scope, destination, port)
    return names.outbound_cluster(number, destination.subset, target_host(db, scope, destination.host))


def port_number(db: Database, scope: OutboundScope, destination: Destination, port: int) -> int:
    """The port of a destination: the one that it names, the service's only port, else the caller's port."""
    if destination.port and destination.port.number:
        return destination.port.number
    return destination_port(db, scope, destination.host) or port


def hashing(
    db: Database, scope: OutboundScope, destination: Destination, port: int
) -> ConsistentHashLB | None:
    """The consistent hashing that a destination's rules ask for."""
    ref = visible_host(db, scope, target_host(db, scope, destination.host))
    rules = rules_for(db, scope, ref) if ref else ()
    if not rules:
        return None
    return _hashing_of(db, rules, destination.subset, port_number(db, scope, destination, port))


@query
def _hashing_of(db: Database, rules: RuleKeys, subset: str, port: int) -> ConsistentHashLB | None:
    """Apart from the rest of the policy: a changed connection pool re-runs no route."""
    settings = effective_policy(db, rules, subset, port).load_balancer
    return settings.consistent_hash if settings else None
