"""Which filter chain takes a connection: Envoy's FilterChainMatch.

Criteria are asked one after the other, in Envoy's order; at each, the chains of the most specific value that matches go on
and all others are out for good. There is no way back: a chain that a later criterion would have wanted is gone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network

from mizzen.proto.api import FilterChain, FilterChainMatch, Listener
from tests.support.simulation.listeners import Connection

ANY = ""
_Values = Callable[[FilterChainMatch], Iterable[str]]


def matching_chains(listener: Listener, connection: Connection) -> Sequence[FilterChain]:
    """The chains that match: one, none (the connection is closed), or several, with which Envoy refuses the listener."""
    chains: Sequence[FilterChain] = list(listener.filter_chains)
    for values, wanted in (
        (_destination_port, [str(connection.port), ANY]),
        (_networks, _containing(chains, connection.address)),
        (_server_names, [*_names(connection.server_name), ANY]),
        (_transport_protocol, [connection.transport_protocol, ANY]),
        (_application_protocols, [*connection.application_protocols, ANY]),
        (_sources, [ANY]),
    ):
        chains = _narrowed(chains, values, wanted)
    if not chains and listener.HasField("default_filter_chain"):
        return [listener.default_filter_chain]
    return chains


def _narrowed(chains: Sequence[FilterChain], values: _Values, wanted: Sequence[str]) -> Sequence[FilterChain]:
    """The chains that name the first wanted value that any of them names; ANY stands for those that name none."""
    named = [(chain, set(values(chain.filter_chain_match)) or {ANY}) for chain in chains]
    for value in wanted:
        found = [chain for chain, own in named if value in own]
        if found:
            return found
    return []


def _destination_port(match: FilterChainMatch) -> list[str]:
    return [str(match.destination_port.value)] if match.HasField("destination_port") else []


def _networks(match: FilterChainMatch) -> Iterator[str]:
    for prefix in match.prefix_ranges:
        yield str(ip_network(f"{prefix.address_prefix}/{prefix.prefix_len.value}", strict=False))


def _containing(chains: Sequence[FilterChain], address: str) -> list[str]:
    """All networks of the chains that hold an address, the narrowest first."""
    networks = {ip_network(text) for chain in chains for text in _networks(chain.filter_chain_match)}
    holding = [network for network in networks if ip_address(address) in network]
    return [str(found) for found in sorted(holding, key=lambda network: -network.prefixlen)] + [ANY]


def _server_names(match: FilterChainMatch) -> list[str]:
    return [name.lower() for name in match.server_names]


def _names(server_name: str) -> Iterator[str]:
    """The patterns that match a server name: itself, then "*.<parent>" from the nearest parent on."""
    if server_name:
        yield server_name
    labels = server_name.split(".")
    for index in range(1, len(labels)):
        yield "*." + ".".join(labels[index:])


def _transport_protocol(match: FilterChainMatch) -> list[str]:
    return [match.transport_protocol] if match.transport_protocol else []


def _application_protocols(match: FilterChainMatch) -> list[str]:
    return list(match.application_protocols)


def _sources(match: FilterChainMatch) -> list[str]:
    """What no simulated caller has: an address of its own by which a chain could tell it."""
    told = (match.source_prefix_ranges, match.direct_source_prefix_ranges, match.source_ports)
    return ["told"] if any(told) or match.source_type else []
