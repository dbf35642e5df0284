"""Stand-ins for what a scrape asks: an application that has metrics, and Envoy's admin interface."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Answering:
    """Answers every request with `answer` as soon as `let` is set, and keeps what it was asked."""

    answer: bytes
    heard: list[bytes] = field(default_factory=list)
    let: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heard.append(await reader.readuntil(b"\r\n\r\n"))
            self.waiting += 1
            await self.let.wait()
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone
        finally:
            writer.close()


def ok(body: bytes, content_type: str = "text/plain; version=0.0.4") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def answering(answer: bytes, *, at_once: bool = True, host: str = "127.0.0.1", path=None, **options):
    """On a free port, or on the unix socket `path`."""
    one = Answering(answer)
    if at_once:
        one.let.set()
    if path is None:
        server = await asyncio.start_server(one.serve, host, 0, **options)
        one.port = server.sockets[0].getsockname()[1]
    else:
        server = await asyncio.start_unix_server(one.serve, path)
    try:
        yield one
    finally:
        one.let.set()
        server.close()
        await asyncio.sleep(0.01)  # until the connections have ended, too
