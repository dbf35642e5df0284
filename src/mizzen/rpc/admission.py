"""Who may have work done now: no caller too often, and one piece at a time between two turns of the event loop.

What is refused here has cost next to nothing yet. The two answers tell a caller what to do: RESOURCE_EXHAUSTED that it
alone asks for too much, so that no other daemon would serve it either; UNAVAILABLE that this daemon has too much to do.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from grpclib.const import Status
from grpclib.exceptions import GRPCError

Shed = Callable[[str, str], None]
"""Told of what the daemon would not do: the work, and why (both as labels of a metric)."""

ANONYMOUS = "who shows no certificate"
"""All callers without one: they share an allowance."""


def untold(work: str, reason: str) -> None:
    """For who does not count what is shed."""
    del work, reason


@dataclass(frozen=True, slots=True)
class Limits:
    """A caller is an identity, which replicas share: the burst has to hold a restart of all of them."""

    burst: int = 500
    per_second: float = 10.0
    waiting: int = 1024
    wait_seconds: float = 5.0
    remembered_callers: int = 4096


@dataclass(slots=True)
class _Allowance:
    left: float
    counted_at: float


class Admission:
    """A token bucket for each caller, and a bounded queue in front of the work ("certificates", for example).

    When the queue is full, or does not move, the caller is told to come again. When more callers than
    `remembered_callers` come, the one that was silent longest is forgotten and starts with a full allowance again.
    """

    def __init__(self, work: str, limits: Limits | None = None, shed: Shed = untold) -> None:
        self._work = work
        self._limits = limits or Limits()
        self._shed = shed
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, caller: str, now: float) -> AsyncIterator[None]:
        """Wait for the caller's turn, at the time `now` in seconds. Raises GRPCError."""
        if self._waiting >= self._limits.waiting:
            raise self._crowded()
        self.spend(caller, now)
        self._waiting += 1
        try:
            await self._wait()
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._waiting -= 1

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise self._crowded() from None
        try:
            await asyncio.sleep(0)  # a thousand callers at once must not hold up discovery's keepalives
        except asyncio.CancelledError:
            self._turn.release()
            raise

    def spend(self, caller: str, now: float) -> None:
        """Of the caller's allowance, for what is done at once. Raises GRPCError where nothing is left."""
        allowance = self._allowances.pop(caller, None) or _Allowance(self._limits.burst, now)
        elapsed_seconds = max(0.0, now - allowance.counted_at)
        left = min(self._limits.burst, allowance.left + elapsed_seconds * self._limits.per_second)
        self._allowances[caller] = _Allowance(left - 1 if left >= 1 else left, now)
        if len(self._allowances) > self._limits.remembered_callers:
            self._allowances.popitem(last=False)
        if left < 1:
            self._shed(self._work, "caller")
            words = f"{caller} asks for {self._work} too often: try again in some seconds"
            raise GRPCError(Status.RESOURCE_EXHAUSTED, words)

    def _crowded(self) -> GRPCError:
        self._shed(self._work, "crowd")
        words = f"too many {self._work} are being asked for at once: try again in some seconds"
        return GRPCError(Status.UNAVAILABLE, words)


class Pace:
    """How fast one client may go: a burst, then so many units a second. Nothing is refused: what goes beyond takes longer."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._slack_seconds = burst / per_second
        self._per_second = per_second
        self._paid_until = 0.0

    def delay_seconds(self, units: float, now: float) -> float:
        """Count some more units. How long their doer has to wait before it goes on."""
        self._paid_until = max(self._paid_until, now) + units / self._per_second
        return max(0.0, self._paid_until - now - self._slack_seconds)
