"""What capture needs besides rules: a route for marked packets, and an address for Envoy's calls by IPv6.

Source of the numbers: linux/rtnetlink.h, linux/fib_rules.h, linux/if_addr.h.
"""

import errno
import socket
import struct
from contextlib import suppress
from ipaddress import IPv6Network
from pathlib import Path
from typing import Final

from mizzen.agent.netlink import (
    ACKNOWLEDGE,
    CREATE,
    EXCLUSIVE,
    REQUEST,
    ROUTE_FAMILY,
    attribute,
    exchange,
    message,
)
from mizzen.errors import UserError

_NEW_ADDRESS, _NEW_ROUTE, _NEW_RULE = 20, 24, 32
_ROUTE_OUT, _ROUTE_TABLE = 4, 15
_RULE_PRIORITY, _RULE_MARK, _RULE_TABLE = 6, 10, 15
_PRIORITY: Final = 32765  # before the main table; said, so that the kernel knows the rule when it comes again
_ADDRESS, _LOCAL_ADDRESS = 1, 2
_BY_TABLE: Final = 1
_LOCAL_ROUTE: Final = 2
_BOOT, _HOST_SCOPE = 3, 254
_WITHOUT_TEST: Final = 2  # no duplicate address detection
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}

_GLOBAL_SCOPE: Final = 0


def route_marked_to_this_machine(mark: int, table: int, *, ipv6: bool) -> None:
    """Packets with the mark are for this machine, whatever their address: `ip rule add fwmark MARK lookup TABLE` and
    `ip route add local default dev lo table TABLE`. Raises UserError.
    """
    loopback = struct.pack("=I", socket.if_nametoindex("lo"))
    number = struct.pack("=I", table)
    for family in [_FAMILIES[version] for version in (4, 6) if version == 4 or ipv6]:
        rule = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, 0, 0, _BY_TABLE, 0)
        rule += attribute(_RULE_PRIORITY, struct.pack("=I", _PRIORITY))
        rule += attribute(_RULE_MARK, struct.pack("=I", mark)) + attribute(_RULE_TABLE, number)
        _add(_NEW_RULE, rule)
        route = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 0, _BOOT, _HOST_SCOPE, _LOCAL_ROUTE, 0)
        route += attribute(_ROUTE_OUT, loopback) + attribute(_ROUTE_TABLE, number)
        _add(_NEW_ROUTE, route)


def add_loopback_address(network: IPv6Network) -> None:
    """An address of this machine that nobody else has. (Of IPv4, all of 127.0.0.0/8 are there.) Raises UserError."""
    packed = network.network_address.packed
    index = socket.if_nametoindex("lo")
    body = struct.pack("=BBBBI", socket.AF_INET6, network.prefixlen, _WITHOUT_TEST, _HOST_SCOPE, index)
    _add(_NEW_ADDRESS, body + attribute(_LOCAL_ADDRESS, packed) + attribute(_ADDRESS, packed))


def has_ipv6(interfaces: Path = Path("/proc/net/if_inet6")) -> bool:
    """Whether this network namespace has an IPv6 address by which others can reach it. Istio's rule: none that is the
    loopback's or the link's alone.
    """
    with suppress(OSError):
        return any(
            int(fields[3], 16) == _GLOBAL_SCOPE and fields[5] != "lo"
            for fields in map(str.split, interfaces.read_text().splitlines())
        )
    return False


def _add(kind: int, body: bytes) -> None:
    try:
        exchange(ROUTE_FAMILY, [message(kind, REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE, body)])
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno in {errno.EPERM, errno.EACCES}:
            what_to_do = "run as root, or without capture: --interception none"
        else:
            what_to_do = "capture by --interception redirect, and IPv4 alone"
        raise UserError(
            f"the kernel refused a route that capture needs: {error.strerror}", what_to_do
        ) from None
