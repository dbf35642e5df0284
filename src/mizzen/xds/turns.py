"""Turns for those who push, so that a change that concerns a thousand proxies does not stop the event loop."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

# As long as a turn of the event loop may take: keepalives and ACKs come in between.
_SLICE_SECONDS = 0.005


class Taker(Protocol):
    def take_turn(self) -> None:
        """Do one short thing. Must not raise; whoever has more to do wants another turn."""


class Turns:
    """Everybody who wants a turn gets one, first come, first served, and waits in the queue at most once: who wants many
    delays nobody by more than one turn. Some turns are taken in each turn of the event loop.

    Long turns are for what must wait for its client: a few at a time. Whoever is still in one after `patience_seconds`
    waits for a slow reader, goes on waiting, but no longer keeps others from theirs.
    """

    def __init__(
        self,
        long_turns: int = 8,
        patience_seconds: float = 0.05,
        clock: Callable[[], float] = time.monotonic,
        waited: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`waited` is told how long each waited for its turn."""
        self._queue: OrderedDict[Taker, float] = OrderedDict()  # since when
        self._scheduled = False
        self._clock = clock
        self._waited = waited
        self._free = asyncio.Semaphore(long_turns)
        self._patience_seconds = patience_seconds

    def want(self, taker: Taker) -> None:
        self._queue.setdefault(taker, self._clock())
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._give)

    def forget(self, taker: Taker) -> None:
        self._queue.pop(taker, None)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    def _give(self) -> None:
        now = self._clock()
        ends = now + _SLICE_SECONDS
        while self._queue and now < ends:
            taker, since = self._queue.popitem(last=False)
            self._waited(now - since)
            taker.take_turn()
            now = self._clock()
        self._scheduled = bool(self._queue)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._give)

    @asynccontextmanager
    async def long_turn(self) -> AsyncIterator[None]:
        await self._free.acquire()
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                self._free.release()

        impatience = asyncio.get_running_loop().call_later(self._patience_seconds, give_back)
        try:
            yield
            await asyncio.sleep(0)
        finally:
            impatience.cancel()
            give_back()
