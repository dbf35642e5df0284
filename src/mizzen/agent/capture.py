"""Traffic capture: the rules that bring a workload's traffic to its Envoy, in the current network namespace.

They are Istio's REDIRECT rules (its `istio-output`, `istio-inbound` chains), so that what leaves the application
goes to 15001, what arrives goes to 15006, and questions to any DNS server go to the agent. IPv4 only. The rules end
with the namespace. `python -m mizzen.agent.capture` puts them in force without the rest of the agent.
"""

import argparse
import sys
from dataclasses import dataclass
from typing import Final

from mizzen.agent import ports
from mizzen.agent.nftables import (
    Chain,
    Part,
    Table,
    destination_address,
    destination_port,
    destination_port_not,
    jump,
    leave,
    mark,
    output_interface,
    redirect,
    replace_table,
    rule,
    socket_uid,
    source_address,
    transport,
)
from mizzen.errors import UserError

AGENT_MARK: Final = (
    0x6D7A  # on the agent's own connections: the daemon and other DNS servers are not captured
)
_INBOUND_SOURCE: Final = "127.0.0.6"  # from here Envoy calls the application behind it
_LOCALHOST: Final = "127.0.0.1"
_DNS: Final = 53
_SSH: Final = 22  # whoever administers a host must not be locked out by a STRICT policy
_NOT_CAPTURED_INBOUND: Final = (
    _SSH,
    ports.HBONE,
    ports.STATUS,
    ports.READINESS,
    ports.ENVOY_METRICS,
)


@dataclass(frozen=True, slots=True)
class EnvoyTraffic:
    """How Envoy's own connections are told from the application's: by the mark on them, or (mark 0) by Envoy's uid."""

    uid: int
    mark: int

    def matches(self) -> Part:
        return mark(self.mark) if self.mark else socket_uid(self.uid)

    def matches_not(self) -> Part:
        return mark(self.mark, negate=True) if self.mark else socket_uid(self.uid, negate=True)


def capture_table(envoy: EnvoyTraffic) -> Table:
    """The rules. The order within a chain matters."""
    return Table(
        "mizzen",
        (
            Chain("redirect-out", (rule(transport("tcp"), redirect(ports.OUTBOUND)),)),
            Chain("redirect-in", (rule(transport("tcp"), redirect(ports.INBOUND)),)),
            Chain(
                "inbound",
                (
                    *(
                        rule(transport("tcp"), destination_port(port), leave())
                        for port in _NOT_CAPTURED_INBOUND
                    ),
                    rule(transport("tcp"), jump("redirect-in")),
                ),
                hook="prerouting",
            ),
            Chain(
                "outbound",
                (
                    rule(mark(AGENT_MARK), leave()),
                    rule(output_interface("lo"), source_address(_INBOUND_SOURCE), leave()),
                    # Envoy calls a service whose endpoint is this very workload: in by the front door.
                    rule(
                        output_interface("lo"),
                        destination_address(_LOCALHOST, negate=True),
                        transport("tcp"),
                        destination_port_not(_DNS, ports.HBONE),
                        envoy.matches(),
                        jump("redirect-in"),
                    ),
                    # The application calls itself.
                    rule(
                        output_interface("lo"),
                        transport("tcp"),
                        destination_port_not(_DNS),
                        envoy.matches_not(),
                        leave(),
                    ),
                    rule(envoy.matches(), leave()),
                    rule(transport("udp"), destination_port(_DNS), redirect(ports.DNS)),
                    rule(transport("tcp"), destination_port(_DNS), redirect(ports.DNS)),
                    rule(destination_address(_LOCALHOST), leave()),
                    rule(jump("redirect-out")),
                ),
                hook="output",
            ),
        ),
    )


def capture(envoy: EnvoyTraffic) -> None:
    """Put the rules in force here. Needs CAP_NET_ADMIN; raises UserError where the kernel refuses."""
    replace_table(capture_table(envoy))


def main() -> None:
    parser = argparse.ArgumentParser(prog="mizzen.agent.capture", description=__doc__)
    parser.add_argument("--envoy-uid", type=int, default=1337, metavar="UID")
    parser.add_argument("--mark", type=int, default=0, metavar="N")
    parser.add_argument("--print", action="store_true", help="print the rules and change nothing")
    arguments = parser.parse_args()
    envoy = EnvoyTraffic(arguments.envoy_uid, arguments.mark)
    if arguments.print:
        sys.stdout.write(f"{capture_table(envoy)}\n")
        return
    try:
        capture(envoy)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
