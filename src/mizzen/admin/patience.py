"""Slow clients of the admin server: aiohttp waits for ever for the end of a request's head, and for who does not read."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class AdminLimits:
    """A connection that has had no request under way for `idle_seconds` is closed, whatever it sends or does not read; so
    are those beyond `connections`.
    """

    connections: int = 256
    idle_seconds: float = 30.0
    look_seconds: float = 1.0


class Patience:
    def __init__(self, limits: AdminLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        # Since when a connection has been idle; never while a request of its is being answered.
        self._idle_since: dict[Any, float] = {}

    def middleware(self) -> Any:
        @web.middleware
        async def note(request: web.Request, handler: _Handler) -> web.StreamResponse:
            self._idle_since[request.protocol] = math.inf
            try:
                return await handler(request)
            finally:
                # What remains is to send the answer.
                self._idle_since[request.protocol] = self._clock()

        return note

    async def run(self, server: web.Server) -> None:
        """Look until cancelled."""
        while True:
            self.look(server)
            await asyncio.sleep(self._limits.look_seconds)

    def look(self, server: web.Server) -> None:
        now = self._clock()
        connections = list(server.connections)
        since = self._idle_since
        self._idle_since = {each: since.get(each, now) for each in connections}
        for number, connection in enumerate(connections):
            idle_seconds = now - self._idle_since[connection]
            if idle_seconds > self._limits.idle_seconds or number >= self._limits.connections:
                if connection.transport is not None:
                    connection.transport.abort()
                connection.force_close()
