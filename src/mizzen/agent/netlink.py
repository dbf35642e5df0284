"""Netlink: how the kernel is told about rules, routes and addresses. Messages are made of attributes.

The kernel is spoken to directly: pyroute2 takes 0.4 s to import, as much as the agent has to become ready. Source of the
numbers: linux/netlink.h.
"""

import os
import socket
import struct
from collections.abc import Sequence
from typing import Final

ROUTE_FAMILY: Final = 0
NETFILTER_FAMILY: Final = 12

REQUEST, ACKNOWLEDGE = 0x1, 0x4
EXCLUSIVE, CREATE, APPEND = 0x200, 0x400, 0x800
_ERROR: Final = 2
_NESTED: Final = 0x8000
_REPLY_SECONDS: Final = 5.0


def exchange(family: int, messages: Sequence[bytes]) -> None:
    """Send the messages as one, of which exactly one asks to be acknowledged, and wait for that.

    (Errors are reported in any case; as many acknowledgements as there may be rules would not fit into the socket's
    buffer.) Raises OSError with the first error that the kernel reports; TimeoutError if it says nothing.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as netlink:
        netlink.settimeout(_REPLY_SECONDS)
        netlink.bind((0, 0))
        netlink.send(b"".join(messages))
        while True:
            replies = netlink.recv(1 << 16)
            while replies:
                length, kind = struct.unpack_from("=IH", replies)
                if kind == _ERROR:
                    (code,) = struct.unpack_from("=i", replies, 16)
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    return
                replies = replies[_aligned(length) :]


def message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (_aligned(length) - length)


def nested(kind: int, body: bytes) -> bytes:
    return attribute(kind | _NESTED, body)


def string(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """A number as netfilter's attributes have it: 32 bits, the network's order."""
    return attribute(kind, struct.pack(">i", value))


def _aligned(length: int) -> int:
    return (length + 3) & ~3
