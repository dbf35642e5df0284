"""Draining: the daemon is told, callers are asked to leave, and the end comes in any case."""

import asyncio

import pytest

from mizzen.agent.drain import Drain, inbound_connections
from mizzen.agent.envoy_admin import AdminError
from mizzen.agent.settings import parse

REQUIRED = ["--name", "w", "--address", "10.0.0.2", "--daemon", "h:1", "--root-cert", "r", "--state-dir", "s"]
STATS = {
    "listener.0.0.0.0_15006.downstream_cx_active": 1,
    "listener.0.0.0.0_15006.worker_0.downstream_cx_active": 1,
    "listener.0.0.0.0_15001.downstream_cx_active": 10,
    "listener.10.0.0.2_9080.downstream_cx_active": 100,
    "listener.10.0.0.2_15002.downstream_cx_active": 1000,
    "listener.admin.downstream_cx_active": 10_000,
    "http.inbound_0.0.0.0_9080.downstream_cx_active": 100_000,
}


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ([], 1),
        (["--interception", "none", "--http-proxy-port", "15002"], 100),
        (["--kind", "gateway"], 1111),
    ],
)
def test_which_connections_count(arguments, count):
    assert inbound_connections(STATS, parse([*REQUIRED, *arguments])) == count


class Story:
    """An Envoy whose connections end one by one, a daemon, and a clock that only sleeping moves."""

    def __init__(self, *connections: int, envoy: bool = True, daemon: bool = True) -> None:
        self.connections = list(connections)
        self.envoy = envoy
        self.daemon = daemon
        self.now = 0.0
        self.told: list[str] = []

    async def post(self, target: str) -> bytes:
        self.told.append(target)
        if not self.envoy:
            raise AdminError("no Envoy")
        return b"OK"

    async def stats(self, _pattern: str):
        if not self.envoy:
            raise AdminError("no Envoy")
        left = self.connections.pop(0) if len(self.connections) > 1 else self.connections[0]
        return {"listener.0.0.0.0_15006.downstream_cx_active": left}

    async def report(self) -> None:
        self.told.append("daemon")
        if not self.daemon:
            raise RuntimeError("the daemon cannot be reached")

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    async def drain(self, *arguments: str) -> float:
        settings = parse([*REQUIRED, "--drain-min-seconds", "1", "--drain-seconds", "5", *arguments])
        await Drain(settings, self, self.report, sleep=self.sleep, monotonic=lambda: self.now).run()
        return self.now


async def test_it_ends_when_the_connections_have():
    story = Story(*[2] * 40, 0)
    assert 1.9 < await story.drain() < 2.1
    assert sorted(story.told) == ["/drain_listeners?graceful&skip_exit&inboundonly", "daemon"]


async def test_not_before_callers_can_have_heard():
    assert 1.0 <= await Story(0).drain() < 1.1


async def test_a_connection_that_stays_is_cut_at_the_limit(caplog):
    assert 5.0 <= await Story(3).drain() < 5.1
    assert "3 connections did not end within 5.0 s, they are cut" in caplog.messages


@pytest.mark.parametrize("broken", [{"envoy": False}, {"daemon": False}])
async def test_the_end_comes_whatever_fails(broken):
    assert 1.0 <= await Story(0, **broken).drain() < 1.1


async def test_a_gateway_drains_every_listener():
    story = Story(0)
    await story.drain("--kind", "gateway")
    assert "/drain_listeners?graceful&skip_exit" in story.told
