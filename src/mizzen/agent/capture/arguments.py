"""The options of capture on a command line: the agent's, and that of `python -m mizzen.agent.capture`."""

import argparse
import grp
import ipaddress
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from mizzen.agent import ports
from mizzen.agent.capture import AGENT_MARK, Backend
from mizzen.agent.capture.options import (
    EVERY,
    NEVER_INBOUND,
    TPROXY_MARK,
    TPROXY_TABLE,
    Address,
    CaptureOptions,
    Every,
    parse_cidrs,
    parse_cidrs_or_every,
    parse_ports,
    parse_ports_or_every,
    parse_words,
    resolv_conf_servers,
)
from mizzen.agent.capture.routing import has_ipv6

_T = TypeVar("_T")

RESOLV_CONF: Final = Path("/etc/resolv.conf")
_OPTIONS: Final = (
    "include_inbound_ports",
    "exclude_inbound_ports",
    "include_outbound_ports",
    "exclude_outbound_ports",
    "include_outbound_cidrs",
    "exclude_outbound_cidrs",
    "exclude_interfaces",
    "virtual_interfaces",
    "include_owner_groups",
    "exclude_owner_groups",
    "exclude_uids",
    "dns_servers",
    "drop_invalid",
    "tproxy_table",
    "outbound_port",
    "inbound_port",
)


def add_capture_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that `take_capture_options` reads. Their defaults capture everything."""
    group = parser.add_argument_group(
        "capture", "Istio's options; lists have commas, * is everything, '' nothing"
    )
    add = group.add_argument
    add(
        "--capture-backend", type=Backend, choices=list(Backend), default=Backend.AUTO,
        metavar="auto|nftables|iptables", help="default: nf_tables, or where the kernel has none iptables",
    )  # fmt: skip
    add("--include-inbound-ports", type=_told(parse_ports_or_every), default=EVERY, metavar="PORTS")
    add("--exclude-inbound-ports", type=_told(parse_ports), default=(), metavar="PORTS")
    add("--include-outbound-ports", type=_told(parse_ports), default=(), metavar="PORTS",
        help="captured whatever the address")  # fmt: skip
    add("--exclude-outbound-ports", type=_told(parse_ports), default=(), metavar="PORTS")
    add("--include-outbound-cidrs", type=_told(parse_cidrs_or_every), default=EVERY, metavar="CIDRS")
    add("--exclude-outbound-cidrs", type=_told(parse_cidrs), default=(), metavar="CIDRS")
    add("--exclude-interfaces", type=parse_words, default=(), metavar="NAMES")
    add("--virtual-interfaces", type=parse_words, default=(), metavar="NAMES",
        help="of virtual machines: what they send is outbound")  # fmt: skip
    add("--include-gids", dest="include_owner_groups", type=_told(_gids_or_every), default=EVERY,
        metavar="GROUPS", help="whose processes' outbound traffic is captured: numbers or names")  # fmt: skip
    add("--exclude-gids", dest="exclude_owner_groups", type=_told(_gids), default=(), metavar="GROUPS")
    add("--exclude-uids", type=_told(_uids), default=(), metavar="USERS")
    add("--capture-dns", dest="dns_servers", type=_told(_servers), default=EVERY,
        metavar="resolv.conf|IPS", help="the DNS servers in whose place the agent answers")  # fmt: skip
    add("--capture-ipv6", choices=("auto", "on", "off"), default="auto",
        help="default: where the network namespace has an address of IPv6")  # fmt: skip
    add("--drop-invalid", action="store_true", help="drop TCP packets that belong to no connection")
    add(
        "--outbound-port",
        type=int,
        default=ports.OUTBOUND,
        metavar="PORT",
        help="where Envoy takes what is sent",
    )
    add(
        "--inbound-port",
        type=int,
        default=ports.INBOUND,
        metavar="PORT",
        help="where Envoy takes what arrives",
    )
    add("--tproxy-table", type=int, default=TPROXY_TABLE, metavar="N", help="the route table of TPROXY")


def take_capture_options(values: dict[str, Any], *, tproxy: bool, mark: int, uid: int) -> CaptureOptions:
    """What was parsed, taken out of `values`. Envoy is told by `mark`, or (0) by `uid`. Raises ValueError."""
    wanted = values.pop("capture_ipv6")
    options = {name: values.pop(name) for name in _OPTIONS}
    options["exclude_inbound_ports"] = (*NEVER_INBOUND, *options["exclude_inbound_ports"])
    if tproxy and mark == TPROXY_MARK:
        raise ValueError(f"--mark {mark} is TPROXY's own: take another")
    return CaptureOptions(
        tproxy=tproxy,
        ipv6=has_ipv6() if wanted == "auto" else wanted == "on",
        proxy_uids=() if mark else (uid,),
        proxy_mark=mark,
        # By TPROXY Envoy's calls to the application look like the callers' own: its user would bring them back to it.
        pass_marks=(AGENT_MARK, TPROXY_MARK) if tproxy else (AGENT_MARK,),
        **options,
    )


def _told(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """With argparse's own exception, whose words reach the user."""

    def parsed(text: str) -> _T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _gids(text: str) -> tuple[int, ...]:
    return tuple(_number(name, lambda name: grp.getgrnam(name).gr_gid) for name in parse_words(text))


def _gids_or_every(text: str) -> tuple[int, ...] | Every:
    return EVERY if text.strip() == EVERY else _gids(text)


def _uids(text: str) -> tuple[int, ...]:
    return tuple(_number(name, lambda name: pwd.getpwnam(name).pw_uid) for name in parse_words(text))


def _number(text: str, look_up: Callable[[str], int]) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return look_up(text)
    except KeyError:
        raise ValueError(f"{text!r} is neither a number nor a name that this machine knows") from None


def _servers(text: str) -> tuple[Address, ...] | Every:
    match text:
        case "*":
            return EVERY
        case "resolv.conf":
            return resolv_conf_servers(RESOLV_CONF.read_text()) if RESOLV_CONF.exists() else ()
    return tuple(ipaddress.ip_address(server) for server in parse_words(text))
