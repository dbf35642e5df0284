"""Python's collector of cyclic garbage, kept out of the way of the work.

Reference counts free nearly everything, what a connection had included (tests/wire/test_pressure.py). Left to itself the collector
looks at all objects whenever a quarter of them is new: a second in which nothing else happens, in the middle of a storm of
connections. Here what survived is set aside (frozen), so that the next collections look only at what came later; and everything is
looked at when nothing waits, so seldom that it takes a thousandth of the time.
"""

import asyncio
import ctypes
import gc
import logging
from collections.abc import Callable

_log = logging.getLogger(__name__)

_YOUNG = 20_000  # allocations without a deallocation before the youngest are looked at: milliseconds
_MIDDLE = 10  # of these, before those that survived one are: some tens of milliseconds, in a storm
_NEVER = 1_000_000_000
_SET_ASIDE_EVERY_SECONDS = 10.0
# Of the time, for full collections: one of a quarter of a second every four minutes, of 50 ms every minute.
_MOST_OF_THE_TIME = 0.001
_FIRST_FULL_SECONDS = 60.0


class Collector:
    """`is_quiet` says whether a pause would delay anything."""

    def __init__(self, is_quiet: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._is_quiet = is_quiet
        self._clock = clock
        self._next_full = clock() + _FIRST_FULL_SECONDS
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone

    def begin(self) -> None:
        """What stands after start-up stays."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(_SET_ASIDE_EVERY_SECONDS)
            self.tidy()

    def tidy(self) -> None:
        """Set aside what has survived; a full collection, if it is time for one and nothing waits. Give back what is free."""
        began = self._clock()
        if began >= self._next_full and self._is_quiet():
            gc.unfreeze()
            found = gc.collect()
            took = self._clock() - began
            self._next_full = self._clock() + max(took / _MOST_OF_THE_TIME, _SET_ASIDE_EVERY_SECONDS)
            _log.debug("collected %d objects in %.3f s", found, took)
        else:
            gc.collect(1)  # what is garbage already must not be set aside
        gc.freeze()
        self._give_back()

    def _give_back(self) -> None:
        """Free memory between what is in use goes back to the system. Files are decoded in threads, each of which has a heap of
        its own with glibc: without this they keep what their largest moment took, and the daemon grows for hours.
        """
        if self._trim is not None:
            self._trim(0)
