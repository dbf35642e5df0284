"""Which listener takes a connection, and what its listener filters learn about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from mizzen.proto.api import Listener, ListenerFilter
from tests.support.simulation.call import Application, Call, Direction

ORIGINAL_DST = "envoy.filters.listener.original_dst"
TLS_INSPECTOR = "envoy.filters.listener.tls_inspector"
HTTP_INSPECTOR = "envoy.filters.listener.http_inspector"

_CLEAR_TEXT_ALPN = {Application.HTTP: "http/1.1", Application.HTTP2: "h2c"}


@dataclass(frozen=True)
class Connection:
    """What filter chain matching sees of a connection."""

    address: str
    port: int
    transport_protocol: str = "raw_buffer"
    server_name: str = ""
    application_protocols: tuple[str, ...] = ()


def listener_for(listeners: Sequence[Listener], call: Call) -> Listener | None:
    """The listener that handles a connection.

    Captured connections arrive at the socket of the proxy's own port; one with `use_original_dst` hands them to the listener
    of the original destination: its very address first, then the wildcard of its family.
    """
    if call.direction is Direction.INBOUND:
        return next((found for found in listeners if _captures(found, "INBOUND")), None)
    if call.direction is Direction.GATEWAY:
        bound = [found for found in listeners if _binds(found)]
        return _by_destination(bound, call)
    capturing = next((found for found in listeners if _captures(found, "OUTBOUND")), None)
    if capturing is None:
        return None
    return _by_destination([found for found in listeners if found is not capturing], call) or capturing


def _binds(listener: Listener) -> bool:
    return not listener.HasField("bind_to_port") or listener.bind_to_port.value


def _captures(listener: Listener, direction: str) -> bool:
    """Whether captured connections of a direction arrive here: outbound ones are handed on, inbound ones are not."""
    restored = any(found.name == ORIGINAL_DST for found in listener.listener_filters)
    found = "OUTBOUND" if listener.use_original_dst.value else "INBOUND" if restored else ""
    return found == direction


def _by_destination(listeners: Sequence[Listener], call: Call) -> Listener | None:
    wildcard = "0.0.0.0" if ip_address(call.address).version == 4 else "::"
    table: dict[tuple[str, int], Listener] = {}
    for listener in listeners:
        for address in _addresses(listener):
            table.setdefault(address, listener)
    return table.get((call.address, call.port)) or table.get((wildcard, call.port))


def _addresses(listener: Listener) -> list[tuple[str, int]]:
    found = [listener.address, *(more.address for more in listener.additional_addresses)]
    sockets = [address.socket_address for address in found if address.HasField("socket_address")]
    return [
        (str(ip_address(socket.address)), socket.port_value) for socket in sockets if socket.protocol == 0
    ]


def inspected(listener: Listener, call: Call) -> Connection:
    """The connection as the listener filters leave it."""
    active = {found.name for found in listener.listener_filters if not disabled(found, call.port)}
    connection = Connection(call.address, call.port)
    if not call.is_plaintext and TLS_INSPECTOR in active:
        return Connection(call.address, call.port, "tls", call.sni.lower(), call.alpn)
    if call.is_plaintext and call.is_http and HTTP_INSPECTOR in active:
        return Connection(
            call.address, call.port, application_protocols=(_CLEAR_TEXT_ALPN[call.application],)
        )
    return connection


def disabled(found: ListenerFilter, port: int) -> bool:
    """Whether a listener filter is out of action for a destination port."""
    return found.HasField("filter_disabled") and _holds(found.filter_disabled, port)


def _holds(predicate: Any, port: int) -> bool:
    """A ListenerFilterChainMatchPredicate, asked about a destination port."""
    match rule := predicate.WhichOneof("rule"):
        case "any_match":
            return True
        case "destination_port_range":
            return predicate.destination_port_range.start <= port < predicate.destination_port_range.end
        case "not_match":
            return not _holds(predicate.not_match, port)
        case "or_match":
            return any(_holds(one, port) for one in predicate.or_match.rules)
        case "and_match":
            return all(_holds(one, port) for one in predicate.and_match.rules)
    raise NotImplementedError(f"listener filters are disabled by {rule}")
