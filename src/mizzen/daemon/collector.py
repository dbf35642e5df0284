"""Python's collector of cyclic garbage, kept out of the way of the work.

Reference counts free nearly everything. Left to itself the collector looks at all objects whenever a quarter of them is new: a
second in which nothing else happens, in the middle of a storm of connections. Here full collections are made when nothing
waits, and what survives one is set aside (frozen), so that the next looks only at what came later.
"""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)

_YOUNG = 50_000  # allocations without a deallocation before the youngest are looked at: milliseconds
_MIDDLE = 20  # of these, before the middle generation is
_NEVER = 1_000_000_000
INTERVAL_SECONDS = 10.0
# Middle collections since the last full one that make another worth it: about a million new objects each.
_DUE = 3
# So many connections have ended that what they leave behind in what was set aside is worth the longest pause.
_ENDED_CONNECTIONS = 1_000


class Collector:
    """`is_quiet` says whether a pause would delay anything; `ended` how many connections have ended since the start."""

    def __init__(
        self,
        is_quiet: Callable[[], bool],
        ended: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._is_quiet = is_quiet
        self._ended = ended
        self._sleep = sleep
        self._ended_before = 0

    def begin(self) -> None:
        """What stands after start-up stays."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._sleep(INTERVAL_SECONDS)
            if self._is_quiet():
                self.collect()

    def collect(self) -> None:
        """A full collection, if one is due."""
        ended = self._ended()
        thaw = ended >= self._ended_before + _ENDED_CONNECTIONS
        if not thaw and gc.get_count()[2] < _DUE:
            return
        if thaw:
            self._ended_before = ended
            gc.unfreeze()
        found = gc.collect()
        gc.freeze()
        _log.debug("collected %d objects, %d are set aside", found, gc.get_freeze_count())
