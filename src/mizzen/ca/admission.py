"""Who may have the CA sign now: no caller too often, and one signature at a time between two turns of the event loop."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime


class BusyError(Exception):
    """Come again later; the message says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A caller is an identity, which replicas share: the burst has to hold a restart of all of them."""

    burst: int = 500
    per_second: float = 10.0
    waiting: int = 1024
    remembered_callers: int = 4096


@dataclass(slots=True)
class _Allowance:
    left: float
    counted_at: datetime


class Admission:
    """A token bucket for each caller, and a bounded queue in front of the signature.

    When the queue is full, the caller is told to come again. When more callers than `remembered_callers` come, the
    one that was silent longest is forgotten and starts with a full allowance again.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, caller: str, now: datetime) -> AsyncIterator[None]:
        """Wait for the caller's turn. Raises BusyError."""
        if self._waiting >= self._limits.waiting:
            raise BusyError("too many certificates are being asked for at once")
        self._spend(caller, now)
        self._waiting += 1
        try:
            async with self._turn:
                yield
                await asyncio.sleep(0)  # a thousand callers at once must not hold up discovery's keepalives
        finally:
            self._waiting -= 1

    def _spend(self, caller: str, now: datetime) -> None:
        allowance = self._allowances.pop(caller, None) or _Allowance(self._limits.burst, now)
        elapsed_seconds = max(0.0, (now - allowance.counted_at).total_seconds())
        left = min(self._limits.burst, allowance.left + elapsed_seconds * self._limits.per_second)
        self._allowances[caller] = _Allowance(left - 1 if left >= 1 else left, now)
        if len(self._allowances) > self._limits.remembered_callers:
            self._allowances.popitem(last=False)
        if left < 1:
            raise BusyError(f"{caller} asks for certificates too often")
