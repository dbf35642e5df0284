"""Route configurations of sidecars: one per HTTP port, shared by all proxies that no route tells apart."""

from collections.abc import Iterator

from msgspec.structs import replace

from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import (
    ConsistentHashLB,
    Destination,
    HTTPMatchRequest,
    HTTPRoute,
    PortSelector,
)
from mizzen.derive.addresses import virtual_addresses
from mizzen.derive.destination_rules import rules_for
from mizzen.derive.hosts import aliases, qualified
from mizzen.derive.mesh import mesh_config
from mizzen.derive.sidecars import egress_listeners
from mizzen.derive.virtual_services import (
    MESH_GATEWAY,
    gateway_name,
    mesh_virtual_service,
    virtual_service,
)
from mizzen.derive.visibility import destination_port, visible_hosts, visible_ports, visible_services
from mizzen.derive.workloads import covers
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import ServiceRef
from mizzen.proto.api import Route, RouteConfiguration, VirtualHost
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, built
from mizzen.translate.route_action import DEFAULT_RETRY, RouteContext, default_route, http_route
from mizzen.translate.traffic_policy import effective_policy
from mizzen.xds.resource import ROUTE


@query
def http_services(db: Database, scope: OutboundScope, port: int) -> tuple[ServiceRef, ...]:
    """The services visible in a scope that speak HTTP on a port."""
    return tuple(
        ref
        for ref in visible_services(db, scope)
        if any(found.number == port and found.protocol.is_http for found in visible_ports(db, scope, ref))
    )


@query
def http_ports(db: Database, scope: OutboundScope) -> tuple[int, ...]:
    """The ports on which some service visible in a scope speaks HTTP."""
    found = (port for ref in visible_services(db, scope) for port in visible_ports(db, scope, ref))
    return tuple(sorted({port.number for port in found if port.protocol.is_http}))


@query
def sidecar_routes(db: Database, scope: OutboundScope, port: int) -> Built:
    """RouteConfiguration "<port>": every HTTP service of that port, then whatever the mesh allows."""
    config = RouteConfiguration(
        name=names.route(port),
        validate_clusters={"value": False},
        max_direct_response_body_size_bytes={"value": 1 << 20},
        # Istio lists every host with and without port; Envoy can ignore the port itself.
        ignore_port_in_host_matching=True,
    )
    origins: list[Origin] = []
    taken: set[str] = set()
    for ref in http_services(db, scope, port):
        domains = _fresh(_domains(db, ref, scope.namespace), taken)
        if domains:
            host = config.virtual_hosts.add(
                name=f"{ref.host}:{port}", domains=domains, include_request_attempt_count=True
            )
            _fill(db, host, scope, ref, port, origins, len(config.virtual_hosts) - 1)
    config.virtual_hosts.append(_rest(db))
    return built(ROUTE, config, tuple(origins))


@query
def http_proxy_routes(db: Database, scope: OutboundScope) -> Built:
    """RouteConfiguration "http_proxy", for proxies that capture nothing: every HTTP service of every port, told apart
    by the port in the request's authority.
    """
    config = RouteConfiguration(
        name=names.HTTP_PROXY,
        validate_clusters={"value": False},
        max_direct_response_body_size_bytes={"value": 1 << 20},
    )
    origins: list[Origin] = []
    taken: set[str] = set()
    listeners = [listener.scope for listener in egress_listeners(db, scope)]
    for seen, port in ((s, port) for s in listeners for port in http_ports(db, s)):
        for ref in http_services(db, seen, port):
            plain = _domains(db, ref, scope.namespace)
            domains = _fresh([f"{domain}:{port}" for domain in plain] + (plain if port == 80 else []), taken)
            if domains:
                name = f"{ref.host}:{port}"
                host = config.virtual_hosts.add(
                    name=name, domains=domains, include_request_attempt_count=True
                )
                _fill(db, host, seen, ref, port, origins, len(config.virtual_hosts) - 1)
    # Nothing else can be reached: without capture there is no original destination to pass through to.
    config.virtual_hosts.append(_blocked())
    return built(ROUTE, config, tuple(origins))


def _fresh(domains: list[str], taken: set[str]) -> list[str]:
    """Envoy refuses a domain that stands twice: the first service keeps it."""
    fresh = [domain for domain in dict.fromkeys(domains) if domain not in taken]
    taken.update(fresh)
    return fresh


def _domains(db: Database, ref: ServiceRef, namespace: str) -> list[str]:
    addresses = (f"[{a}]" if ":" in a else a for a in virtual_addresses(db, ref))
    return [*aliases(ref.host, namespace), *addresses]


def _fill(
    db: Database,
    host: VirtualHost,
    scope: OutboundScope,
    ref: ServiceRef,
    port: int,
    origins: list[Origin],
    index: int,
) -> None:
    """The routes of one virtual host: the VirtualService's that decides, else one to the service."""
    context = RouteContext(
        cluster=lambda destination: cluster_name(db, scope, destination, port),
        hashing=lambda destination: hashing(db, scope, destination, port),
        retry_default=mesh_config(db).default_http_retry_policy or DEFAULT_RETRY,
    )
    part = f"virtual_hosts[{index}]"
    key = mesh_virtual_service(db, scope, ref.host)
    if key is not None:
        for route, path in virtual_service_routes(db, context, key, MESH_GATEWAY, scope, port):
            origins.append(Origin(f"{part}.routes[{len(host.routes)}]", key, path))
            host.routes.append(route)
        if virtual_service_has_http(db, key):
            return
    origins.append(Origin(part, ref.source))
    host.routes.append(default_route(context, Destination(host=ref.host, port=PortSelector(number=port))))


def virtual_service_has_http(db: Database, key: ResourceKey) -> bool:
    spec = virtual_service(db, key)
    return spec is not None and bool(spec.http)


def virtual_service_routes(
    db: Database, context: RouteContext, key: ResourceKey, gateway: str, scope: OutboundScope, port: int
) -> Iterator[tuple[Route, tuple[str | int, ...]]]:
    """The Envoy routes of a VirtualService, in its order, each with the field that made it.

    A match that asks for other callers, gateways or ports than these is left out; what follows a catch-all cannot be
    reached and is left out too.
    """
    spec = virtual_service(db, key)
    for index, settings in enumerate(spec.http if spec else ()):
        path: tuple[str | int, ...] = ("spec", "http", index)
        qualified_settings = _qualify(settings, key.namespace)
        if not settings.match:
            yield http_route(context, qualified_settings, None), path
            return
        for match_index, match in enumerate(settings.match):
            if applies(match, key, gateway, scope, port):
                yield http_route(context, qualified_settings, match), (*path, "match", match_index)
                if _matches_everything(match):
                    return


def _qualify(settings: HTTPRoute, namespace: str) -> HTTPRoute:
    """Destinations by full host: short names mean the VirtualService's namespace."""

    def full(destination: Destination) -> Destination:
        return replace(destination, host=qualified(destination.host, namespace))

    return replace(
        settings,
        route=tuple(replace(item, destination=full(item.destination)) for item in settings.route),
        mirror=full(settings.mirror) if settings.mirror else None,
        mirrors=tuple(replace(item, destination=full(item.destination)) for item in settings.mirrors),
    )


def applies(match: HTTPMatchRequest, key: ResourceKey, gateway: str, scope: OutboundScope, port: int) -> bool:
    """Whether a match can hold at all for these callers, at this gateway, on this port."""
    if match.gateways and gateway not in (gateway_name(name, key.namespace) for name in match.gateways):
        return False
    if match.port and match.port != port:
        return False
    if match.source_namespace and match.source_namespace != scope.namespace:
        return False
    return covers(match.source_labels, scope.labels)


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


@query
def cluster_name(db: Database, scope: OutboundScope, destination: Destination, port: int) -> str:
    """The cluster of a destination."""
    number = _port_number(db, scope, destination, port)
    return names.outbound_cluster(number, destination.subset, destination.host)


def _port_number(db: Database, scope: OutboundScope, destination: Destination, port: int) -> int:
    """The port of a destination: the one that it names, the service's only port, else the caller's port."""
    if destination.port and destination.port.number:
        return destination.port.number
    return destination_port(db, scope, destination.host) or port


@query
def hashing(
    db: Database, scope: OutboundScope, destination: Destination, port: int
) -> ConsistentHashLB | None:
    """The consistent hashing that a destination's rules ask for."""
    ref = visible_hosts(db, scope.whole).get(destination.host)
    if ref is None:
        return None
    number = _port_number(db, scope, destination, port)
    settings = effective_policy(db, rules_for(db, scope, ref), destination.subset, number).load_balancer
    return settings.consistent_hash if settings else None


def _rest(db: Database) -> VirtualHost:
    """Requests to hosts that the mesh does not know: through, or 502 (Istio's allow_any and block_all)."""
    if mesh_config(db).outbound_traffic_policy.mode.value == "REGISTRY_ONLY":
        return _blocked()
    route = Route(
        name="allow_any", match={"prefix": "/"}, route={"cluster": names.PASSTHROUGH, "timeout": {}}
    )
    return VirtualHost(name="allow_any", domains=["*"], routes=[route], include_request_attempt_count=True)


def _blocked() -> VirtualHost:
    route = Route(name="block_all", match={"prefix": "/"}, direct_response={"status": 502})
    return VirtualHost(name="block_all", domains=["*"], routes=[route], include_request_attempt_count=True)
