"""When to recompute: at once after a quiet time, and no more often than it takes in a storm."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mizzen.config.resource import ResourceKey
from mizzen.incremental import Database, Observed


class Revisions(Protocol):
    """A database, and what waits to become its next revision (`Store`, `LiveAnalysis`)."""

    @property
    def db(self) -> Database: ...

    def commit(self) -> Sequence[ResourceKey]:
        """Make one revision of what was collected. Returns the objects that it changes."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one refresh, in seconds of the refresher's clock: when the oldest of its changes came, when it began and ended."""

    received: float
    began: float
    ended: float


TakeIn = Callable[[Sequence[Observed], Sequence[ResourceKey], Timing], None]
"""Told of each refresh: the observed queries that have another value, and the objects whose change did it."""

# A step of a recomputation: long enough to be worth it, short enough for keepalives.
SLICE_SECONDS = 0.005
# However long a recomputation took, the next one does not wait longer than this.
LONGEST_REST_SECONDS = 1.0


class Refresher:
    """Commits what was collected, and refreshes the database: one revision at a time.

    The first change of a quiet mesh is taken in at once. After a refresh that took t seconds the next one waits t: a
    storm of changes is batched by the load that it makes, and costs at most half of the processor. Changes that arrive
    meanwhile wait where they are collected.
    """

    def __init__(
        self,
        revisions: Revisions,
        take_in: TakeIn,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._revisions = revisions
        self._take_in = take_in
        self._clock = clock
        self._sleep = sleep
        self._wanted = asyncio.Event()
        self._requested_at: float | None = None  # the oldest change that is not committed yet

    def request(self) -> None:
        if self._requested_at is None:
            self._requested_at = self._clock()
        self._wanted.set()

    @property
    def waiting_seconds(self) -> float:
        """How long the oldest change has waited to be committed."""
        return 0.0 if self._requested_at is None else self._clock() - self._requested_at

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            began = self._clock()
            received, self._requested_at = self._requested_at, None
            assert received is not None, "it was wanted"
            objects = self._revisions.commit()
            observed = await self._refresh()
            self._take_in(observed, objects, Timing(received, began, self._clock()))
            await self._sleep(min(self._clock() - began, LONGEST_REST_SECONDS))

    async def _refresh(self) -> tuple[Observed, ...]:
        """In slices, between which the event loop runs."""
        slice_ends = self._clock() + SLICE_SECONDS
        slices = self._revisions.db.refresh_slices(lambda: self._clock() >= slice_ends)
        while True:
            try:
                next(slices)
            except StopIteration as end:
                changed: tuple[Observed, ...] = end.value
                return changed
            await self._sleep(0)
            slice_ends = self._clock() + SLICE_SECONDS
