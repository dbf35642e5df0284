"""`python -m mizzen.agent.capture`: puts the rules of capture in force here, or prints them."""

import argparse
import sys

from mizzen.agent import capture
from mizzen.agent.capture import Backend, by_iptables, by_nftables
from mizzen.agent.capture.arguments import add_capture_arguments, take_capture_options
from mizzen.agent.capture.options import CaptureOptions
from mizzen.agent.capture.rules import capture_tables
from mizzen.errors import UserError


def main() -> None:
    parser = argparse.ArgumentParser(prog="mizzen.agent.capture", description=capture.__doc__)
    parser.add_argument("--envoy-uid", type=int, default=1337, metavar="UID")
    parser.add_argument("--mark", type=int, default=0, metavar="N", help="tell Envoy's traffic by SO_MARK N")
    parser.add_argument("--tproxy", action="store_true", help="bring inbound traffic by TPROXY, not REDIRECT")
    parser.add_argument("--print", action="store_true", help="print the rules and change nothing")
    add_capture_arguments(parser)
    values = vars(parser.parse_args())
    try:
        options = take_capture_options(
            values, tproxy=values["tproxy"], mark=values["mark"], uid=values["envoy_uid"]
        )
    except ValueError as error:
        parser.error(str(error))
    backend = values["capture_backend"]
    if values["print"]:
        sys.stdout.write(rules_text(options, backend))
        return
    try:
        capture.capture(options, backend)
    except UserError as error:
        sys.exit(str(error))


def rules_text(options: CaptureOptions, backend: Backend) -> str:
    """The rules as `nft` and `iptables-save` write them."""
    tables = capture_tables(options)
    if backend is not Backend.IPTABLES:
        return "".join(f"{table}\n" for table in by_nftables.as_nftables(tables, ipv6=options.ipv6))
    versions = (4, 6) if options.ipv6 else (4,)
    return "".join(f"# IPv{version}\n{by_iptables.restore_text(tables, version)}" for version in versions)


if __name__ == "__main__":
    main()
