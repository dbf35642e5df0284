"""Routes of connections that are not read: VirtualService `tls[]` by server name, `tcp[]` by addresses.

Source: Istio: a match's conditions on the caller, the gateway and the port are decided here; addresses and server names
are left to Envoy's filter chains. Sidecars and gateways share these rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import product
from typing import Any

from msgspec.structs import replace

from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import L4MatchAttributes, RouteDestination
from mizzen.config.validation.hosts import is_partial_wildcard, is_subnet
from mizzen.derive.hosts import qualified
from mizzen.derive.virtual_services import can_match, virtual_service
from mizzen.incremental import Database
from mizzen.model.proxy import OutboundScope
from mizzen.proto.api import FilterChainMatch

_ANY = ("",)
Cell = tuple[str, str, str]
"""One subnet, server name and source: two filter chains with a cell in common make Envoy refuse the listener."""


@dataclass(frozen=True, slots=True)
class StreamMatch:
    """What Envoy asks of a connection; an empty condition holds for all."""

    server_names: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()  # that hold the address that the caller chose
    sources: tuple[str, ...] = ()  # subnets that hold the caller

    @property
    def is_everything(self) -> bool:
        return not (self.server_names or self.subnets or self.sources)


@dataclass(frozen=True, slots=True)
class StreamRoute:
    """One rule: its match, its destinations by full host, and the field that made it."""

    match: StreamMatch
    destinations: tuple[RouteDestination, ...]
    key: ResourceKey
    path: tuple[str | int, ...]


def tcp_routes(
    db: Database, key: ResourceKey, gateway: str, scope: OutboundScope, port: int
) -> Iterator[StreamRoute]:
    """A VirtualService's TCP routes for these callers at a gateway and port, in its order. What follows one that takes
    everything cannot be reached.
    """
    spec = virtual_service(db, key)
    for index, route in enumerate(spec.tcp if spec else ()):
        for match in route.match or (L4MatchAttributes(),):
            if can_match(match, key, gateway, scope, port):
                sources = (match.source_subnet,) if match.source_subnet else ()
                found = StreamMatch((), _subnets(match.destination_subnets), _subnets(sources))
                destinations = _destinations(route.route, key.namespace)
                yield StreamRoute(found, destinations, key, ("spec", "tcp", index))
                if found.is_everything:
                    return


def tls_routes(
    db: Database, key: ResourceKey, gateway: str, scope: OutboundScope, port: int
) -> Iterator[StreamRoute]:
    """A VirtualService's routes of TLS that is passed through, likewise."""
    spec = virtual_service(db, key)
    for index, route in enumerate(spec.tls if spec else ()):
        for match in route.match:
            names = _server_names(match.sni_hosts)
            if names is not None and can_match(match, key, gateway, scope, port):
                found = StreamMatch(names, _subnets(match.destination_subnets))
                yield StreamRoute(
                    found, _destinations(route.route, key.namespace), key, ("spec", "tls", index)
                )


def server_name(host: str) -> tuple[str, ...]:
    """The server names of a service's host; () where it is a pattern for which Envoy has no match."""
    return _server_names((host,)) or ()


def _server_names(sni_hosts: tuple[str, ...]) -> tuple[str, ...] | None:
    """Server names as Envoy compares them; () for any, None where Envoy could match none of them."""
    if "*" in sni_hosts:
        return ()
    names = tuple(name.lower() for name in sni_hosts if name and not is_partial_wildcard(name))
    return names or None


def _subnets(given: tuple[str, ...]) -> tuple[str, ...]:
    """In one form, without the bits that say nothing: Envoy takes equal ones for a conflict."""
    return tuple(dict.fromkeys(str(ip_network(text, strict=False)) for text in given if is_subnet(text)))


def _destinations(given: tuple[RouteDestination, ...], namespace: str) -> tuple[RouteDestination, ...]:
    """A weight of 0 gets nothing; where none is given, there is one destination."""
    weighted = [item for item in given if item.weight > 0] or given[:1]
    return tuple(
        replace(item, destination=replace(item.destination, host=qualified(item.destination.host, namespace)))
        for item in weighted
    )


def untaken(match: StreamMatch, taken: set[Cell]) -> Iterator[StreamMatch]:
    """What of a match no earlier one has: all of it, or by subnet and source what is left of its server names."""
    cells = list(product(match.subnets or _ANY, match.server_names or _ANY, match.sources or _ANY))
    free = [cell for cell in cells if cell not in taken]
    taken.update(cells)
    if len(free) == len(cells):
        yield match
        return
    left: dict[tuple[str, str], list[str]] = {}
    for subnet, name, source in free:
        left.setdefault((subnet, source), []).append(name)
    for (subnet, source), names in left.items():
        yield StreamMatch(
            tuple(name for name in names if name), (subnet,) if subnet else (), (source,) if source else ()
        )


def filter_chain_match(match: StreamMatch) -> FilterChainMatch:
    return FilterChainMatch(
        server_names=match.server_names,
        prefix_ranges=[_prefix(subnet) for subnet in match.subnets],
        source_prefix_ranges=[_prefix(subnet) for subnet in match.sources],
    )


def _prefix(subnet: str) -> dict[str, Any]:
    network = ip_network(subnet)
    return {"address_prefix": str(network.network_address), "prefix_len": {"value": network.prefixlen}}
