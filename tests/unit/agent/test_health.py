"""Health reports: the newest state, at every change, until the daemon has heard it."""

import asyncio

import pytest

from mizzen.agent.daemon import DaemonError
from mizzen.agent.health import DRAINING, Health, HealthReporter, HealthReporters
from mizzen.proto.api import HealthReportResponse
from tests.support.agent_mesh import until

READY = Health(healthy=True)


class StandIn:
    def __init__(self) -> None:
        self.heard: list[tuple[bool, str]] = []
        self.away = 0
        self.probe = ""

    async def call(self, _method, report, _reply, *, credentials):
        if self.away:
            self.away -= 1
            raise DaemonError("the daemon cannot be reached")
        assert (report.node_id, credentials) == ("node", None)
        self.heard.append((report.healthy, report.reason))
        return HealthReportResponse(probe=self.probe)


async def reporting(daemon: StandIn):
    reporter = HealthReporter(daemon, "node", lambda: None, chance=lambda: 0.0)
    return reporter, asyncio.create_task(reporter.run())


async def ended(task) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_changes_are_reported_and_sameness_is_not():
    daemon = StandIn()
    reporter, task = await reporting(daemon)
    await asyncio.sleep(0)
    assert daemon.heard == []
    for health in (READY, READY, DRAINING):
        reporter.set(health)
        await until(lambda expected=health: daemon.heard[-1:] == [(expected.healthy, expected.reason)])
    assert daemon.heard == [(True, ""), (False, "draining")]
    await ended(task)


async def test_a_daemon_that_was_away_hears_the_newest_state(caplog):
    daemon = StandIn()
    daemon.away = 2
    reporter, task = await reporting(daemon)
    reporter.set(READY)
    await until(lambda: daemon.away < 2)
    reporter.set(DRAINING)
    await until(lambda: daemon.heard)
    assert daemon.heard == [(False, "draining")]
    assert len([message for message in caplog.messages if "cannot be reached" in message]) == 1
    await ended(task)


async def test_each_answer_tells_how_the_application_is_to_be_asked():
    daemon, told = StandIn(), []
    daemon.probe = '{"tcpSocket": {"port": 80}}'
    reporter = HealthReporter(daemon, "node", lambda: None, on_answer=told.append)
    await reporter.report()
    assert told == [daemon.probe]


async def test_every_daemon_hears_it_and_none_waits_for_one_that_is_away():
    here, away = StandIn(), StandIn()
    away.away = 2
    reporters = HealthReporters(
        HealthReporter(daemon, "node", lambda: None, chance=lambda: 0.0) for daemon in (away, here)
    )
    task = asyncio.create_task(reporters.run())
    reporters.set(READY)
    await until(lambda: here.heard)
    assert (away.heard, reporters.health) == ([], READY)
    await until(lambda: away.heard)
    assert here.heard == away.heard == [(True, "")]
    await ended(task)


async def test_the_last_report_reaches_the_others_of_a_daemon_that_is_away():
    here, away = StandIn(), StandIn()
    away.away = 1
    reporters = HealthReporters(HealthReporter(daemon, "node", lambda: None) for daemon in (away, here))
    reporters.set(DRAINING)
    with pytest.raises(DaemonError, match="cannot be reached"):
        await reporters.report()
    assert here.heard == [(False, "draining")]
