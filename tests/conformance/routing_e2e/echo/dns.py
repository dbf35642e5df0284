"""Asks a DNS server by UDP or TCP, for both kinds of address."""

import asyncio
import contextlib
import ipaddress
import os
import socket
import struct
from pathlib import Path

from tests.conformance.routing_e2e.echo.wire import DnsQuestion

_A, _AAAA = 1, 28
_PORT = 53
_RECURSION_DESIRED = 0x0100
_NO_ERROR = 0


async def resolve(question: DnsQuestion) -> tuple[str, ...]:
    """The addresses. Raises OSError where nobody answers, or where the answer is an error."""
    server = question.server or _resolver()
    ask = _ask_tcp if question.transport == "tcp" else _ask_udp
    found: list[str] = []
    for kind in (_A, _AAAA):
        found += _addresses(await ask(server, _build(question.name, kind)))
    return tuple(found)


def _resolver() -> str:
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("nameserver"))


def _build(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.strip(".").split("."))
    header = struct.pack(">HHHHHH", int.from_bytes(os.urandom(2)), _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack(">HH", kind, 1)


async def _ask_tcp(server: str, message: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, _PORT)
    try:
        writer.write(len(message).to_bytes(2) + message)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
    finally:
        writer.close()


async def _ask_udp(server: str, message: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.connect((server, _PORT))
        await loop.sock_sendall(asking, message)
        return await loop.sock_recv(asking, 1 << 16)


def _addresses(message: bytes) -> list[str]:
    _, flags, questions, answers = struct.unpack_from(">HHHH", message)
    if flags & 0xF != _NO_ERROR:
        raise OSError(f"DNS error {flags & 0xF}")
    at = 12
    for _ in range(questions):
        at = _behind_name(message, at) + 4
    found = []
    for _ in range(answers):
        at = _behind_name(message, at)
        kind, _, _, length = struct.unpack_from(">HHIH", message, at)
        data = message[at + 10 : at + 10 + length]
        at += 10 + length
        with contextlib.suppress(ValueError):
            if kind in {_A, _AAAA}:
                found.append(str(ipaddress.ip_address(data)))
    return found


def _behind_name(message: bytes, at: int) -> int:
    while (length := message[at]) & 0xC0 != 0xC0:
        at += 1 + length
        if not length:
            return at
    return at + 2
