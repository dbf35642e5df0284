"""When to recompute: at once after a quiet time, and no more often than it takes in a storm."""

import asyncio
from collections.abc import Callable, Iterable

from mizzen.incremental import Database, Observed

# A step of a recomputation: long enough to be worth it, short enough for keepalives.
SLICE_SECONDS = 0.005
# However long a recomputation took, the next one does not wait longer than this.
LONGEST_REST_SECONDS = 1.0


class Refresher:
    """Turns requests to recompute into refreshes of the database, one at a time.

    The first change of a quiet mesh is taken in at once. After a refresh that took t seconds the next one waits t: a
    storm of changes is batched by the load that it makes, and costs at most half of the processor. Changes that arrive
    meanwhile are in the database's own queue, one entry per input.
    """

    def __init__(
        self, db: Database, take_in: Callable[[Iterable[Observed]], None], clock: Callable[[], float]
    ) -> None:
        self._db = db
        self._take_in = take_in
        self._clock = clock
        self._wanted = asyncio.Event()
        self.refreshes = 0

    def request(self) -> None:
        self._wanted.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            started = self._clock()
            self._take_in(await self._refresh())
            self.refreshes += 1
            await asyncio.sleep(min(self._clock() - started, LONGEST_REST_SECONDS))

    async def _refresh(self) -> tuple[Observed, ...]:
        slices = self._db.refresh_slices()
        slice_started = self._clock()
        while True:
            try:
                next(slices)
            except StopIteration as end:
                changed: tuple[Observed, ...] = end.value
                return changed
            if self._clock() - slice_started > SLICE_SECONDS:
                await asyncio.sleep(0)
                slice_started = self._clock()
