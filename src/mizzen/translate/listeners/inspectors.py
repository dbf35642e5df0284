"""Listener filters that look at what a client sends first, and the ports at which they must not.

An inspector waits for the client to speak. At a port whose chains do not ask for what it finds out it would only delay
clients that wait for the server, so it is disabled there (Istio's rule).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mizzen.proto.api import FilterChain, ListenerFilter
from mizzen.translate.listeners.network import http_inspector, tls_inspector

_ANY_PORT = 0  # all ports that have no chain of their own


def inspectors(chains: Sequence[FilterChain]) -> Iterator[ListenerFilter]:
    """The inspectors that filter chains need, each at the ports where they need it."""
    for inspector, asks in ((tls_inspector(), _asks_for_tls), (http_inspector(), _asks_for_http)):
        ports = _ports(chains, asks)
        if any(ports.values()):
            yield _limited(inspector, ports)


def _asks_for_tls(chain: FilterChain) -> bool:
    return chain.filter_chain_match.transport_protocol == "tls"


def _asks_for_http(chain: FilterChain) -> bool:
    match = chain.filter_chain_match
    return bool(match.application_protocols) and match.transport_protocol != "tls"


def _ports(chains: Iterable[FilterChain], asks: Callable[[FilterChain], bool]) -> Mapping[int, bool]:
    """Which ports need an inspector."""
    ports: dict[int, bool] = {_ANY_PORT: False}
    for chain in chains:
        port = chain.filter_chain_match.destination_port.value
        ports[port] = ports.get(port, False) or asks(chain)
    return ports


def _limited(inspector: ListenerFilter, ports: Mapping[int, bool]) -> ListenerFilter:
    """An inspector that is disabled at the ports that do not need it."""
    enabled = ports[_ANY_PORT]
    exceptions = sorted(port for port, needed in ports.items() if needed != enabled)
    if exceptions:
        ranges = [{"destination_port_range": {"start": port, "end": port + 1}} for port in exceptions]
        # Envoy wants two rules or more in an or_match.
        among = ranges[0] if len(ranges) == 1 else {"or_match": {"rules": ranges}}
        disabled = among if enabled else {"not_match": among}
        inspector.MergeFrom(ListenerFilter(filter_disabled=disabled))
    return inspector
