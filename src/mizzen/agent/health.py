"""Tells the daemons whether this workload may get traffic: at every change, and every 30 s for a daemon that is new."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mizzen.agent.credentials import Credentials
from mizzen.agent.daemon import Daemon, DaemonError
from mizzen.processes import BackOff
from mizzen.proto.api import HealthReport, HealthReportResponse

_METHOD: Final = "/mizzen.v1.AgentService/ReportHealth"
_REPORT_SECONDS: Final = 30.0
_RETRY: Final = BackOff(first_seconds=0.2, max_seconds=10.0)

_log = logging.getLogger("mizzen.agent")


@dataclass(frozen=True, slots=True)
class Health:
    """`reason` says why it is not healthy; empty where it is."""

    healthy: bool
    reason: str = ""


DRAINING: Final = Health(healthy=False, reason="draining")


class HealthReporter:
    """Reports to one daemon what `set` was given last. States that are replaced before they were reported are never sent.

    `on_answer` gets the probe of the application that the daemon tells with each answer, as JSON; "" for none.
    """

    def __init__(
        self,
        daemon: Daemon,
        node_id: str,
        credentials: Callable[[], Credentials | None],
        *,
        on_answer: Callable[[str], None] = lambda _probe: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._daemon = daemon
        self._node_id = node_id
        self._credentials = credentials
        self._on_answer = on_answer
        self._chance = chance
        self._changed = asyncio.Event()
        self.health = Health(healthy=False, reason="starting")

    def set(self, health: Health) -> None:
        if health != self.health:
            self.health = health
            self._changed.set()

    async def run(self) -> None:
        """Run until cancelled. Begins with the first change: a workload that is starting has nothing to report."""
        await self._changed.wait()
        failures = 0
        while True:
            self._changed.clear()
            pause = _REPORT_SECONDS
            try:
                await self.report()
                failures = 0
            except DaemonError as error:
                failures += 1
                pause = _RETRY.delay_seconds(failures, self._chance())
                level = logging.WARNING if failures == 1 else logging.DEBUG
                _log.log(level, "the daemon does not know this workload's health: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause)

    async def report(self) -> None:
        """Report now. Raises DaemonError."""
        report = HealthReport(node_id=self._node_id, healthy=self.health.healthy, reason=self.health.reason)
        answer = await self._daemon.call(
            _METHOD, report, HealthReportResponse, credentials=self._credentials()
        )
        self._on_answer(answer.probe)


class HealthReporters:
    """Tells every daemon: the proxies of one that has not heard would go on calling. None waits for another."""

    def __init__(self, each: Iterable[HealthReporter]) -> None:
        """`each` has one at least."""
        self._each = tuple(each)

    @property
    def health(self) -> Health:
        return self._each[0].health

    def set(self, health: Health) -> None:
        for reporter in self._each:
            reporter.set(health)

    async def run(self) -> None:
        """Run until cancelled."""
        await asyncio.gather(*(reporter.run() for reporter in self._each))

    async def report(self) -> None:
        """Report now, to all. Raises DaemonError where one has not heard."""
        ended = await asyncio.gather(*(reporter.report() for reporter in self._each), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error
