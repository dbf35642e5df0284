"""Traffic capture: the rules that bring a workload's traffic to its Envoy, in the current network namespace.

`options` says what is captured, `rules` is the pure function from there to tables of rules, `by_nftables` and
`by_iptables` put them into the kernel. They end with the namespace. `python -m mizzen.agent.capture` does so without the
rest of the agent. docs/capture.md has the rules in words.
"""

from enum import Enum
from typing import Final

from mizzen.agent.capture import by_iptables, by_nftables
from mizzen.agent.capture.options import CaptureOptions
from mizzen.agent.capture.routing import add_loopback_address, route_marked_to_this_machine
from mizzen.agent.capture.rules import INBOUND_SOURCES, capture_tables
from mizzen.agent.nftables import MissingError
from mizzen.errors import UserError

AGENT_MARK: Final = (
    0x6D7A  # on the agent's own connections: the daemon and other DNS servers are not captured
)


class Backend(Enum):
    """`auto` is nf_tables, or where the kernel has none iptables."""

    AUTO = "auto"
    NFTABLES = "nftables"
    IPTABLES = "iptables"


def capture(options: CaptureOptions, backend: Backend = Backend.AUTO) -> None:
    """Put the rules in force here, instead of those of an earlier call.

    Needs CAP_NET_ADMIN; raises UserError where the kernel refuses or has not what is needed.
    """
    tables = capture_tables(options)
    if backend is Backend.IPTABLES:
        by_iptables.put_in_force(tables, ipv6=options.ipv6)
    else:
        try:
            by_nftables.put_in_force(tables, ipv6=options.ipv6)
        except MissingError as missing:
            if backend is Backend.NFTABLES:
                raise
            _without_nftables(options, missing)
    if options.tproxy:
        route_marked_to_this_machine(options.tproxy_mark, options.tproxy_table, ipv6=options.ipv6)
    if options.ipv6:
        add_loopback_address(INBOUND_SOURCES[1])


def _without_nftables(options: CaptureOptions, missing: MissingError) -> None:
    try:
        by_iptables.put_in_force(capture_tables(options), ipv6=options.ipv6)
    except UserError as error:
        raise UserError(f"{missing}; nor by iptables: {error}") from None
