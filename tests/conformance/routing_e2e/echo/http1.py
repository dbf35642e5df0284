"""HTTP/1 by hand: what is sent and seen is exactly what stands here, as no library would have it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tests.conformance.routing_e2e.echo.wire import Headers

MAX_HEAD_BYTES = 256 << 10


class HttpError(Exception):
    """What arrived is not HTTP."""


@dataclass(frozen=True)
class Head:
    """The first line in its three parts, and the headers as they came."""

    first: tuple[str, str, str]
    headers: Headers

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


async def read_head(reader: asyncio.StreamReader, begun: bytes = b"") -> Head | None:
    """`begun`: its first line, where that was read already. None where the connection ended before anything came. Raises HttpError, asyncio.IncompleteReadError."""
    lines = []
    total = 0
    while True:
        line, begun = begun or await reader.readline(), b""
        total += len(line)
        if not line and not lines:
            return None
        if not line.endswith(b"\n") or total > MAX_HEAD_BYTES:
            raise asyncio.IncompleteReadError(line, None)
        if not line.strip():
            if lines:
                break
            continue
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    first = lines[0].split(" ", 2)
    if len(first) < 2:
        raise HttpError(f"malformed HTTP: {lines[0]!r}")
    pairs = [line.partition(":") for line in lines[1:]]
    headers = tuple((key.strip(), value.strip()) for key, _, value in pairs)
    return Head((first[0], first[1], first[2] if len(first) == 3 else ""), headers)


async def read_body(reader: asyncio.StreamReader, head: Head, *, to_the_end: bool) -> bytes:
    """`to_the_end`: without a length the body ends with the connection, as that of a response does."""
    if "chunked" in head.header("transfer-encoding").lower():
        return await _read_chunks(reader)
    length = head.header("content-length")
    if length:
        return await reader.readexactly(int(length))
    return await reader.read(-1) if to_the_end else b""


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return body


def build(first: str, headers: Sequence[tuple[str, str]], body: bytes = b"") -> bytes:
    lines = [first, *(f"{key}: {value}" for key, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
