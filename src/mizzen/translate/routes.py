"""Route configurations of sidecars: by HTTP port, shared by all proxies that no route tells apart."""

from collections.abc import Iterable, Iterator, Sequence
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
from mizzen.proto.api import Route, RouteConfiguration, VirtualHost
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, encode
from mizzen.translate.route_action import DEFAULT_RETRY, RouteContext, default_route, http_route
from mizzen.translate.traffic_policy import effective_policy
from mizzen.translate.unknown import REFUSED, unknown_hosts, unknown_traffic
from mizzen.translate.virtual_hosts import SidecarHost, http_ports, own_domains, sidecar_hosts
from mizzen.xds.encoding import bytes_field, string_field
from mizzen.xds.resource import ROUTE, discovery_resource

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


class EncodedHost(NamedTuple):
    """A virtual host without its name and domains, which stand first on the wire: what it has in common with those of the same
    host by other names. No bytes: it has no routes, and there is no host.
    """

    rest: bytes
    origins: tuple[Origin, ...]


# Fields of RouteConfiguration and of VirtualHost.
_NAME, _VIRTUAL_HOSTS, _DOMAINS = 1, 2, 2


@query
def sidecar_routes(db: Database, scope: OutboundScope, port: int, namespace: str) -> Built:
    """RouteConfiguration "<port>": every host of that port, then whatever the mesh allows. `namespace` is that of the
    callers: by its short names they call what is theirs, also where their scope is everybody's.
    """
    hosts = _hosts_of_port(db, scope, port)
    if namespace != scope.namespace:
        renamed = own_domains(db, scope, port, namespace)
        hosts = tuple(
            each._replace(field=_host_field(each.host, port, renamed[each.host], each.encoded.rest))
            if each.host in renamed
            else each
            for each in hosts
        )
    # Istio lists every host with and without port; Envoy can ignore the port itself.
    return _configuration(
        names.route(port), hosts, unknown_hosts(unknown_traffic(db, scope)), ignore_port=True
    )


class _PlacedHost(NamedTuple):
    """A virtual host as a field of its route configuration."""

    host: str
    field: bytes
    encoded: EncodedHost


@query
def _hosts_of_port(db: Database, scope: OutboundScope, port: int) -> tuple[_PlacedHost, ...]:
    return tuple(
        placed
        for host in sidecar_hosts(db, scope, port)
        for placed in _placed(db, scope, host, host.domains, port)
    )


@query
def sniffed_routes(db: Database, scope: OutboundScope, ref: ServiceRef, port: int) -> Built:
    """RouteConfiguration "<host>:<port>": of one service, which is called at an address of its own, whatever host its
    callers name.
    """
    host = SidecarHost(ref.host, ("*",), ref, mesh_virtual_service(db, scope, ref.host))
    placed = _placed(db, scope, host, host.domains, port)
    return _configuration(names.sniffed_route(ref.host, port), placed, ignore_port=True)


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
    hosts: list[_PlacedHost] = []
    taken: set[str] = set()
    for scope, port in ((each, port) for each in scopes for port in http_ports(db, each)):
        for host in sidecar_hosts(db, scope, port):
            plain = host.domains if port == _DEFAULT_PORT else ()
            domains = [*(f"{domain}:{port}" for domain in host.domains), *plain]
            fresh = [domain for domain in domains if domain not in taken]
            taken.update(fresh)
            hosts += _placed(db, scope, host, fresh, port)
    # What is left has no original destination to pass through to: its name must be resolved, or it is refused.
    unknown = unknown_traffic(db, scopes[0])
    return _configuration(name, hosts, unknown_hosts(unknown if unknown.resolves_names else REFUSED))


def _configuration(
    name: str, hosts: Iterable[_PlacedHost], last: VirtualHost | None = None, *, ignore_port: bool = False
) -> Built:
    """A route configuration of hosts that are encoded: its name, the hosts, and the settings that all have. In the order of
    the fields' numbers, as a message is serialised.
    """
    settings = route_configuration("")
    settings.ignore_port_in_host_matching = ignore_port
    placed = tuple(hosts)
    fields = [each.field for each in placed]
    if last is not None:
        fields.append(bytes_field(_VIRTUAL_HOSTS, encode(last)))
    body = b"".join((string_field(_NAME, name), *fields, encode(settings)))
    parts = tuple((f"virtual_hosts[{index}]", each.encoded.origins) for index, each in enumerate(placed))
    return Built(discovery_resource(ROUTE, name, body), parts=parts)


def _placed(
    db: Database, scope: OutboundScope, host: SidecarHost, domains: Sequence[str], port: int
) -> list[_PlacedHost]:
    """A virtual host with its routes: those of the VirtualService that decides, if any can hold for these callers, else
    one to the service (Istio's rule). Without either there is no host.
    """
    encoded = encoded_host(db, scope, host.service, host.virtual_service, port)
    if not encoded.rest or not domains:
        return []
    return [_PlacedHost(host.host, _host_field(host.host, port, domains, encoded.rest), encoded)]


def _host_field(host: str, port: int, domains: Iterable[str], rest: bytes) -> bytes:
    head = string_field(_NAME, f"{host}:{port}")
    return bytes_field(
        _VIRTUAL_HOSTS, b"".join((head, *(string_field(_DOMAINS, domain) for domain in domains), rest))
    )


@query
def encoded_host(
    db: Database, scope: OutboundScope, service: ServiceRef | None, decides: ResourceKey | None, port: int
) -> EncodedHost:
    """The routes of a service, or of a VirtualService without one."""
    made = VirtualHost(include_request_attempt_count=True)
    origins: list[Origin] = []
    for index, (route, key, path) in enumerate(_routes(db, scope, service, decides, port)):
        made.routes.append(route)
        origins.append(Origin(f"routes[{index}]" if path else "", key, path))
    return EncodedHost(encode(made) if origins else b"", tuple(origins))


def _routes(
    db: Database, scope: OutboundScope, service: ServiceRef | None, decides: ResourceKey | None, port: int
) -> list[TracedRoute]:
    context = route_context(db, scope, port)
    if decides is not None:
        routes = list(virtual_service_routes(db, context, decides, MESH_GATEWAY, scope, port))
        if routes:
            return routes
    if service is None:
        return []
    direct = Destination(host=service.host, port=PortSelector(number=port))
    return [TracedRoute(default_route(context, direct), service.source, ())]


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
