"""The PROXY protocol in front of a connection (haproxy.org/download/2.9/doc/proxy-protocol.txt)."""

import asyncio
import ipaddress
import struct

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_TCP4 = 0x2111


async def read(reader: asyncio.StreamReader) -> tuple[str, str]:
    """The version and the caller's address. Raises ValueError where there is no such header."""
    start = await reader.readexactly(len(_SIGNATURE))
    if start == _SIGNATURE:
        kind, length = struct.unpack(">HH", await reader.readexactly(4))
        rest = await reader.readexactly(length)
        return "2", str(ipaddress.IPv4Address(rest[:4])) if kind == _V2_TCP4 else ""
    if not start.startswith(b"PROXY "):
        raise ValueError("there is no PROXY protocol")
    words = (start + await reader.readline()).split()
    return "1", words[2].decode() if len(words) > 2 else ""


def build(version: int, source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """For IPv4 over TCP."""
    if version == 1:
        return f"PROXY TCP4 {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()
    addresses = b"".join(ipaddress.IPv4Address(one[0]).packed for one in (source, destination))
    return (
        _SIGNATURE
        + struct.pack(">HH", _V2_TCP4, 12)
        + addresses
        + struct.pack(">HH", source[1], destination[1])
    )
