"""One HTTP exchange on a stream that is open: with Envoy's admin interface, and with the application. (aiohttp: 15 MB.)"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LINE_BYTES: Final = 64 << 10  # the longest head, and the most that is buffered of a body
_PART_BYTES: Final = 64 << 10


class TooLongError(Exception):
    """There is more of a body than is taken."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`reason` is the status line's own words, `content_type` "" where there is none."""

    status: int
    reason: str
    content_type: str
    body: bytes


async def ask(
    stream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    method: str,
    target: str,
    headers: Mapping[str, str],
    *,
    most_bytes: int,
) -> Answer:
    """Send the request and read its answer, whatever its status; the connection is gone then. `target` and `headers` hold
    no line end. There is no limit of time: use `asyncio.timeout`.

    Raises TooLongError, and OSError, EOFError, ValueError or asyncio.LimitOverrunError where the answer is no HTTP or has
    no end.
    """
    reader, writer = stream
    try:
        sent = {**headers, "Connection": "close"}
        lines = (f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()))
        writer.write("\r\n".join((*lines, "", "")).encode())
        return await _answer(reader, most_bytes)
    finally:
        writer.transport.abort()


async def _answer(reader: asyncio.StreamReader, most_bytes: int) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    _, status, *reason = status_line.split(maxsplit=2)
    body = await _body(reader, headers, most_bytes)
    return Answer(int(status), " ".join(reason), headers.get("content-type", ""), body)


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str], most_bytes: int) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader, most_bytes)
    if "content-length" in headers:
        length = int(headers["content-length"])
        _require_at_most(most_bytes, length)
        return await reader.readexactly(length)
    body = bytearray()
    while part := await reader.read(_PART_BYTES):
        body += part
        _require_at_most(most_bytes, len(body))
    return bytes(body)


async def _chunks(reader: asyncio.StreamReader, most_bytes: int) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        _require_at_most(most_bytes, len(body) + size)
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    return bytes(body)


def _require_at_most(most_bytes: int, length: int) -> None:
    if length > most_bytes:
        raise TooLongError(f"longer than {most_bytes} bytes")


def unverified_tls() -> ssl.SSLContext:
    """For the application beside the agent, as Kubernetes probes it and Prometheus is mostly told to: its certificate is
    its own affair.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
