"""The filter chains of a service's port that is carried as a stream: TLS by server name, all else by address."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mizzen.derive.virtual_services import MESH_GATEWAY, stream_virtual_services
from mizzen.incremental import Database
from mizzen.proto.api import NetworkFilter
from mizzen.translate.built import Origin
from mizzen.translate.listeners.network import ANY_ADDRESS
from mizzen.translate.listeners.outbound.plan import Stream
from mizzen.translate.listeners.tcp import direct_filters, stream_filters
from mizzen.translate.stream_routes import StreamMatch, StreamRoute, server_name, tcp_routes, tls_routes
from mizzen.translate.telemetry.reporting import Reporting


@dataclass(frozen=True, slots=True)
class StreamChain:
    """A filter chain to be: what it matches, what it does, and the field that made it, if not the service itself."""

    match: StreamMatch
    filters: list[NetworkFilter]
    origin: Origin | None = None


def stream_chains(db: Database, stream: Stream, reporting: Reporting) -> Iterator[StreamChain]:
    """The chains of a claim, in the order of precedence.

    Source: Istio: for TLS the routes of VirtualServices replace the one to the service itself; for other streams they
    stand before it, and the first that takes everything ends the list.
    """
    is_tls = stream.claim.protocol.is_tls
    routed = False
    for route in _routes(db, stream):
        routed = True
        yield _routed(db, stream, route, reporting)
        if not is_tls and route.match.is_everything:
            return
    if not (is_tls and routed):
        yield _direct(db, stream, reporting)


def _routes(db: Database, stream: Stream) -> Iterator[StreamRoute]:
    claim, scope = stream.claim, stream.scope
    if scope is None:
        return
    routes = tls_routes if claim.protocol.is_tls else tcp_routes
    for key in stream_virtual_services(db, scope, claim.service.host):
        yield from routes(db, key, MESH_GATEWAY, scope, claim.port)


def _routed(db: Database, stream: Stream, route: StreamRoute, reporting: Reporting) -> StreamChain:
    assert stream.scope is not None
    # A VirtualService's own subnets have precedence over the service's.
    match = route.match if route.match.subnets else replace(route.match, subnets=stream.claim.subnets)
    filters = stream_filters(db, stream.scope, route.destinations, stream.claim.port, reporting)
    return StreamChain(match, filters, Origin("", route.key, route.path))


def _direct(db: Database, stream: Stream, reporting: Reporting) -> StreamChain:
    """Straight to the service. TLS at an address that several services share is told apart by the server name."""
    claim = stream.claim
    told_apart = claim.protocol.is_tls and claim.address == ANY_ADDRESS
    match = StreamMatch(server_name(claim.service.host) if told_apart else (), claim.subnets)
    return StreamChain(match, direct_filters(db, stream.rules, claim.service, claim.port, reporting))
