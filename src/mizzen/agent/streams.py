"""A TCP server for the agent's small protocols: so many connections and no more, all ended when it closes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

_LINE_BYTES: Final = 8 << 10

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class StreamServer:
    """`serve` handles one connection; that its client leaves, breaks off or is late is no error of ours."""

    def __init__(self, serve: Serve, most_connections: int) -> None:
        """More than `most_connections` at a time are closed unanswered."""
        self._serve = serve
        self._most = most_connections
        self._serving: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, host: str, port: int) -> None:
        """Raises OSError."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=_LINE_BYTES)

    async def start_on(self, listener: socket.socket) -> None:
        """On a bound unix socket."""
        self._server = await asyncio.start_unix_server(self._connected, sock=listener, limit=_LINE_BYTES)

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._serving) >= self._most:
            writer.transport.abort()
            return
        self._serving.add(task)
        # `drain` waits until the kernel has all: what is closed then keeps nothing here for a client that does not read.
        writer.transport.set_write_buffer_limits(0)
        done = False
        try:
            # TimeoutError is an OSError. Only `close` cancels.
            with suppress(OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
                await self._serve(reader, writer)
                done = True
        finally:
            self._serving.discard(task)
            if done:
                writer.close()
            else:
                writer.transport.abort()
