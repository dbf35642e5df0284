"""What proxies needed that have left, kept for a minute.

Most who leave come back, after a cut connection within seconds (agent.bootstrap), after a new start within a minute: what they
need is then still there, up to date, and costs no query. And what is known of a mesh in which somebody always comes and goes
stays in its place in memory.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Final

KEPT_SECONDS: Final = 60.0
_EVERY_SECONDS: Final = 5.0

Release = Callable[[], None]


class Departures:
    """At most one departure is kept of each who left: so many in all as the mesh has proxies and agents."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[Hashable, tuple[float, Release]] = {}  # the oldest first

    def left(self, who: Hashable, release: Release) -> None:
        """`release` gives up what `who` held; it is called in a minute, or when `who` leaves again."""
        earlier = self._kept.pop(who, None)
        self._kept[who] = self._clock() + KEPT_SECONDS, release
        if earlier is not None:
            earlier[1]()

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            self.release_due()

    def release_due(self) -> None:
        now = self._clock()
        while self._kept:
            who, (due, release) = next(iter(self._kept.items()))
            if due > now:
                return
            del self._kept[who]
            release()
