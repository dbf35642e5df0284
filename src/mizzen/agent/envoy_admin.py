"""Envoy's admin interface, over its unix socket: a few plain HTTP calls, and what the agent reads from them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CALL_SECONDS: Final = 5.0
_LARGEST_BODY: Final = 64 << 20  # the metrics of a proxy with very many peers
_LINE_BYTES: Final = 64 << 10


class AdminError(Exception):
    """Envoy did not answer (it is starting, or gone); the message is one line."""


@dataclass(frozen=True, slots=True)
class EnvoyAdmin:
    socket: Path

    async def get(self, target: str) -> bytes:
        return await self._call("GET", target)

    async def post(self, target: str) -> bytes:
        return await self._call("POST", target)

    async def stats(self, pattern: str) -> Mapping[str, int]:
        """Counters and gauges whose names contain what the regular expression matches."""
        text = (await self.get(f"/stats?filter={pattern}")).decode()
        pairs = (line.partition(": ") for line in text.splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdecimal()}

    async def _call(self, method: str, target: str) -> bytes:
        """The body of a 200. Raises AdminError."""
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self.socket, limit=_LINE_BYTES)
                try:
                    writer.write(
                        f"{method} {target} HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n".encode()
                    )
                    return await _response(reader)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise AdminError(f"Envoy did not answer {target} within {_CALL_SECONDS:g} s") from None
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise AdminError(f"Envoy's admin interface does not answer: {error}") from None


async def _response(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status_line, _, headers = head.partition(b"\r\n")
    body = await (_chunks(reader) if b"transfer-encoding: chunked" in headers else reader.read(_LARGEST_BODY))
    if status_line.split()[1] != b"200":
        raise AdminError(f"Envoy's admin interface answered {status_line.decode()}: {body[:200].decode()}")
    return body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    total = 0
    while size := int(await reader.readuntil(b"\r\n"), 16):
        total += size
        if total > _LARGEST_BODY:
            raise AdminError(f"Envoy's answer is longer than {_LARGEST_BODY} bytes")
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    return b"".join(parts)
