"""The ingress: what connects to the host's socket is relayed to the gateway inside the lab."""

import asyncio
import contextlib
import socket

_BLOCK_BYTES = 64 << 10
MAX_CONNECTIONS = 512  # when all are in use, new ones wait in the socket's queue


class Relay:
    """Relays TCP connections, each direction ending by itself."""

    def __init__(self, listener: socket.socket, address: str, port: int) -> None:
        self._listener = listener
        self._target = (address, port)
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._connections: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Accept until cancelled; then the connections end too."""
        self._listener.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._places.acquire()
                client, _ = await loop.sock_accept(self._listener)
                task = asyncio.create_task(self._relay(client))
                self._connections.add(task)
                task.add_done_callback(self._ended)
        finally:
            for task in self._connections:
                task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._places.release()

    async def _relay(self, client: socket.socket) -> None:
        outside: asyncio.StreamWriter | None = None
        inside: asyncio.StreamWriter | None = None
        try:
            from_client, outside = await asyncio.open_connection(sock=client)
            from_mesh, inside = await asyncio.open_connection(*self._target)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(from_client, inside))
                both.create_task(_pump(from_mesh, outside))
        except* OSError:
            pass  # one side is gone; so is the other, below
        finally:
            for writer in (outside, inside):
                if writer is not None:
                    writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(_BLOCK_BYTES):
        writer.write(block)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
