"""Which outbound listeners a scope has: the claims of all visible services, merged by address and port.

Source: Istio's rules for what shares a listener. HTTP and streams on one port are told apart by sniffing. Of claims that
cannot be told apart the oldest service's holds; age and then name decide, so that the order of arrival plays no part.
The egress listeners of a Sidecar come in their order: what one of them has, no later one shares.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import CaptureMode
from mizzen.derive.age import age
from mizzen.derive.destination_rules import RuleKeys, rules_for
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.protocols import port_protocol
from mizzen.derive.sidecars import EgressListener, egress_listeners
from mizzen.derive.virtual_services import stream_virtual_services
from mizzen.derive.visibility import visible_ports, visible_services
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import Protocol, ServiceRef
from mizzen.translate import names
from mizzen.translate.dynamic_dns import resolves_names
from mizzen.translate.listeners.network import ANY_ADDRESS, LOOPBACK, UNIX_PREFIX
from mizzen.translate.listeners.outbound.claims import Claim, claims
from mizzen.translate.unknown import UnknownTraffic, unknown_traffic

# Here the server speaks first: a connection that waits for the client's first bytes waits for ever (Istio's rule).
_SERVER_FIRST = frozenset({Protocol.MONGO, Protocol.MYSQL})


@dataclass(frozen=True, slots=True)
class Stream:
    """A claim that is carried as a stream, and all else on which its filter chains depend. The scope is part of it only
    where some VirtualService has routes for it: without, its chains are the same for all callers with equal rules.
    """

    claim: Claim
    rules: RuleKeys
    scope: OutboundScope | None = None


@dataclass(frozen=True, slots=True)
class ListenerKey:
    """The whole input of an outbound listener."""

    address: str  # or a unix socket, after "unix://"
    port: int  # 0: of a unix socket
    unknown: UnknownTraffic  # what becomes of what no chain takes
    route: str = ""  # route configuration of its HTTP; "": it takes none
    streams: tuple[Stream, ...] = ()
    grpc_web: bool = False  # some service of the port speaks gRPC-Web
    dynamic_dns: bool = False  # the hosts of some requests are resolved when they come
    is_bound: bool = False  # it has a socket of its own; else it takes what is captured


@dataclass(frozen=True, slots=True)
class PlannedListener:
    """A listener, and whose its routes are: of a scope; there, of one service alone (`sniffed`), or of all ports, as an
    HTTP proxy's.
    """

    key: ListenerKey
    scope: OutboundScope
    sniffed: ServiceRef | None = None
    all_ports: bool = False


Place = tuple[str, int]
"""Address and port."""


@query
def planned_listeners(db: Database, scope: OutboundScope) -> tuple[PlannedListener, ...]:
    """The listeners of a scope: one per port for all HTTP, one per address and port for the rest."""
    blank = ListenerKey("", 0, unknown_traffic(db, scope), dynamic_dns=resolves_names(db, scope))
    planned: dict[Place, PlannedListener] = {}
    for egress in egress_listeners(db, scope):
        fresh: dict[Place, list[Claim]] = {}
        for place, claim in _claimed(db, egress):
            if place not in planned:
                fresh.setdefault(place, []).append(claim)
        for place in sorted(fresh):
            planned[place] = _planned(db, egress, blank, place, fresh[place])
        if egress.is_http_proxy:
            place = _place(egress, ANY_ADDRESS, egress.port)
            planned.setdefault(place, _http_proxy(egress, blank, place))
    return tuple(planned.values())


def _claimed(db: Database, egress: EgressListener) -> Iterator[tuple[Place, Claim]]:
    """What the services that an egress listener imports claim, where the listener puts it."""
    if egress.is_http_proxy:
        return
    port = egress.settings.port
    protocol = port_protocol("", port.protocol) if port else None
    for ref in visible_services(db, egress.scope):
        for found in visible_ports(db, egress.scope, ref):
            for claim in claims(db, ref, found.number, protocol or found.protocol):
                yield _place(egress, claim.address, claim.port), claim


def _place(egress: EgressListener, address: str, port: int) -> Place:
    # Istio: what has a socket of its own has it on the loopback, where its Sidecar names no address.
    bind = egress.settings.bind or (LOOPBACK if _is_bound(egress) else address)
    return (bind, 0 if bind.startswith(UNIX_PREFIX) else port)


def _is_bound(egress: EgressListener) -> bool:
    """Whether its listeners have sockets of their own: what is sent to them is not captured."""
    settings = egress.settings
    return settings.capture_mode is CaptureMode.NONE or settings.bind.startswith(UNIX_PREFIX)


def _http_proxy(egress: EgressListener, blank: ListenerKey, place: Place) -> PlannedListener:
    address, port = place
    route = names.route(port) if port else address
    key = replace(blank, address=address, port=port, route=route, is_bound=_is_bound(egress))
    return PlannedListener(key, egress.scope, all_ports=True)


@dataclass(slots=True)
class _Merged:
    """The claims to one address and port that hold, in their order."""

    http: bool = False
    streams: list[Claim] = field(default_factory=list)
    protocols: set[Protocol] = field(default_factory=set)

    def add(self, claim: Claim) -> None:
        if self._conflicts(claim.protocol):
            return
        if claim.protocol.is_tcp and not (claim.protocol is Protocol.AUTO and self.http):
            self.streams.append(claim)
        self.http = self.http or claim.protocol.is_http or claim.protocol is Protocol.AUTO
        self.protocols.add(claim.protocol)

    def _conflicts(self, protocol: Protocol) -> bool:
        """Whether sharing the listener would make a protocol wait in which the server speaks first."""
        others = self.protocols - {protocol}
        return bool(others and (protocol in _SERVER_FIRST or others & _SERVER_FIRST))


def _planned(
    db: Database, egress: EgressListener, blank: ListenerKey, place: Place, claimed: list[Claim]
) -> PlannedListener:
    address, port = place
    merged = _Merged()
    for claim in _oldest_first(db, claimed):
        merged.add(claim)
    first = next((claim.service for claim in merged.streams if claim.protocol is Protocol.AUTO), None)
    # At an address of its own that says which service is meant, whatever host its callers name.
    sniffed = first if egress.settings.bind == "" and address != ANY_ADDRESS else None
    key = replace(
        blank,
        address=address,
        port=port,
        streams=tuple(_streams(db, egress.scope, merged.streams)),
        grpc_web=Protocol.GRPC_WEB in merged.protocols,
        is_bound=_is_bound(egress),
    )
    if merged.http:
        shared = names.route(port) if port else address
        key = replace(key, route=names.sniffed_route(sniffed.host, port) if sniffed else shared)
    return PlannedListener(key, egress.scope, sniffed, all_ports=not port)


def _oldest_first(db: Database, claimed: list[Claim]) -> list[Claim]:
    if len(claimed) == 1 or all(claim.protocol.is_http for claim in claimed):
        return claimed  # the order says nothing
    return sorted(claimed, key=lambda claim: (_age(db, claim.service.source), claim.service.host))


@query
def _age(db: Database, source: ResourceKey) -> tuple[bool, str]:
    resource = RESOURCES(db, source)
    return age(resource)[:2] if resource is not None else (True, "")


def _streams(db: Database, scope: OutboundScope, claimed: Iterable[Claim]) -> Iterator[Stream]:
    for claim in claimed:
        routed = stream_virtual_services(db, scope, claim.service.host)
        yield Stream(claim, rules_for(db, scope, claim.service), scope if routed else None)
