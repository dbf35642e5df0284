"""Turns for those who push, so that a change that concerns a thousand proxies does not stop the event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Pacer:
    """A few push at a time, and the loop runs between any two.

    A turn is for the CPU, not for the client: whoever is still in it after `patience_seconds` waits for a slow reader,
    goes on waiting, but no longer keeps others from theirs.
    """

    def __init__(self, turns: int = 8, patience_seconds: float = 0.05) -> None:
        self._free = asyncio.Semaphore(turns)
        self._patience_seconds = patience_seconds

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
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
