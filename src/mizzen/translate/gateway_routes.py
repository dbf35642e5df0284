"""Route configurations of gateways: one for all plain HTTP servers of a port, one for each HTTPS server.

Source: Istio's gateway routes. Several VirtualServices for one host are merged: their routes follow one another, the
oldest VirtualService's first; those that take every request come last, so that none hides another VirtualService.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from mizzen.config.resource import ResourceKey
from mizzen.derive.gateway_objects import gateway_identity
from mizzen.derive.gateways import Carries, GatewayServer, merged_gateway
from mizzen.derive.inbound import InboundScope
from mizzen.derive.scope import outbound_scope
from mizzen.derive.virtual_services import gateway_virtual_services
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope, ProxyKind
from mizzen.proto.api import VirtualHost
from mizzen.translate import names
from mizzen.translate.built import Built, Origin, built
from mizzen.translate.route_match import is_catch_all_route
from mizzen.translate.routes import TracedRoute, route_configuration, route_context, virtual_service_routes
from mizzen.xds.resource import ROUTE

_ADVERTISED_SECONDS = 86400  # how long a client remembers that HTTP/3 is served (Istio's)


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Which routes: those of the plain HTTP servers of a port, or of one HTTPS server there (its Gateway, its index)."""

    number: int
    bind: str = ""
    server: tuple[ResourceKey, int] | None = None


def route_servers(db: Database, scope: InboundScope, table: RouteTable) -> tuple[GatewayServer, ...]:
    """The servers whose routes stand in a table."""
    port = merged_gateway(db, scope).port(table.number, table.bind)
    if port is None:
        return ()
    if table.server is None:
        return port.of(Carries.HTTP)
    return tuple(found for found in port.servers if (found.key, found.index) == table.server)


def route_name(db: Database, scope: InboundScope, table: RouteTable) -> str:
    if table.server is None:
        return names.gateway_route(table.number, table.bind)
    (found,) = route_servers(db, scope, table)
    port = found.server.port
    return names.gateway_tls_route(port.number, port.name, *gateway_identity(found.key))


@query
def gateway_routes(db: Database, scope: InboundScope, table: RouteTable) -> Built:
    """RouteConfiguration "http.<port>" or "https.<port>.<port name>.<gateway>.<namespace>"."""
    servers = route_servers(db, scope, table)
    config = route_configuration(route_name(db, scope, table))
    config.ignore_port_in_host_matching = True
    origins: list[Origin] = []
    for domain, host in sorted(_hosts(db, scope, servers).items()):
        index = len(config.virtual_hosts)
        config.virtual_hosts.append(host.build(domain))
        for number, traced in enumerate(host.merged):
            origins.append(Origin(f"virtual_hosts[{index}].routes[{number}]", traced.key, traced.path))
    if not config.virtual_hosts:
        port = servers[0].server.port.number if servers else table.number
        config.virtual_hosts.add(name=f"blackhole:{port}", domains=["*"])
    if table.server is not None and servers and servers[0].offers_http3:
        port = servers[0].server.port.number
        advertised = f'h3=":{port}"; ma={_ADVERTISED_SECONDS}'
        config.response_headers_to_add.add(header={"key": "alt-svc", "value": advertised})
    return built(ROUTE, config, tuple(origins))


class _Host:
    """A virtual host as it is put together. It bears the port of the first server that has it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.redirects = False  # to HTTPS
        # A VirtualService that two servers of a Gateway admit to one host counts once.
        self.routes: dict[tuple[str, ResourceKey], tuple[TracedRoute, ...]] = {}

    @property
    def merged(self) -> list[TracedRoute]:
        """What one VirtualService leaves to all must not hide what the next one says."""
        return _catch_all_last(chain.from_iterable(self.routes.values()))

    def build(self, domain: str) -> VirtualHost:
        host = VirtualHost(name=f"{domain}:{self.port}", domains=[domain], include_request_attempt_count=True)
        host.routes.extend(traced.route for traced in self.merged)
        if self.redirects:
            host.require_tls = VirtualHost.TlsRequirementType.ALL
        return host


def _catch_all_last(routes: Iterable[TracedRoute]) -> list[TracedRoute]:
    return sorted(routes, key=lambda traced: is_catch_all_route(traced.route))


def _hosts(db: Database, scope: InboundScope, servers: Iterable[GatewayServer]) -> dict[str, _Host]:
    """The virtual hosts of servers by domain: those that a VirtualService binds, and those that redirect anyway."""
    outbound = outbound_scope(db, ProxyKind.GATEWAY, scope.namespace, scope.labels)
    hosts: dict[str, _Host] = {}
    for found in servers:
        port, tls = found.server.port.number, found.server.tls
        redirects = tls is not None and tls.https_redirect
        for key, named in gateway_virtual_services(db, scope.namespace, found.gateway):
            admitted = found.admitted(key.namespace, named)
            routes = _routes(db, outbound, found, key) if admitted else ()
            for domain in admitted if routes else ():
                host = hosts.setdefault(domain, _Host(port))
                host.routes[found.gateway, key] = routes
                host.redirects = host.redirects or redirects
        for domain in found.hosts if redirects else ():
            hosts.setdefault(domain, _Host(port)).redirects = True
    return hosts


def _routes(
    db: Database, scope: OutboundScope, found: GatewayServer, key: ResourceKey
) -> tuple[TracedRoute, ...]:
    port = found.server.port.number
    context = route_context(db, scope, port)
    return tuple(virtual_service_routes(db, context, key, found.gateway, scope, port))
