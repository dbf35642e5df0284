"""The smallest HTTP client: a GET to a server of the lab's own, on its address or its unix socket."""

import asyncio
from pathlib import Path

_LIMIT_BYTES = 4 << 20
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def get(where: tuple[str, int] | Path, path: str, timeout_seconds: float) -> tuple[int, bytes] | None:
    """Status and body, or None where nobody answers in time."""
    try:
        async with asyncio.timeout(timeout_seconds):
            if isinstance(where, Path):
                connection = await asyncio.open_unix_connection(str(where))
            else:
                connection = await asyncio.open_connection(*where)
            return await _exchange(connection, path)
    except (OSError, ValueError, IndexError):  # TimeoutError is an OSError
        return None


async def _exchange(connection: Connection, path: str) -> tuple[int, bytes]:
    reader, writer = connection
    try:
        # HTTP/1.0: the server closes at the end, and never sends chunks.
        writer.write(f"GET {path} HTTP/1.0\r\nHost: mizzen\r\n\r\n".encode())
        answer = b""
        while (part := await reader.read(1 << 16)) and len(answer) < _LIMIT_BYTES:
            answer += part
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(maxsplit=2)[1]), body
