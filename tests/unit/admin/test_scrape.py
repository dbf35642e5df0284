"""Agents are asked for their counters; those that do not answer delay nobody and are asked less and less."""

import asyncio
import gc
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from mizzen.admin.scrape import FREE_FAILURES, ScrapeSettings, TrafficScraper, agent_url

SERIES = (
    'istio_requests_total{reporter="source",source_workload="a",source_workload_namespace="n",'
    'destination_workload="b",destination_workload_namespace="n",destination_service="b.n",response_code="200"}'
)


class Clock:
    def __init__(self):
        self.seconds = 50.0

    def monotonic(self):
        return self.seconds

    def now(self):
        return self.seconds + 1_000_000


class Agent:
    """An agent's metrics page. `count` is what its counter says; while `stuck` it never answers."""

    def __init__(self):
        self.count = 0
        self.asked = 0
        self.status = 200
        self.body = None
        self.stuck = False
        self.released = asyncio.Event()

    async def answer(self, _):
        self.asked += 1
        if self.stuck:
            await self.released.wait()
        return web.Response(text=self.body or f"{SERIES} {self.count}\n", status=self.status)

    @asynccontextmanager
    async def serving(self):
        app = web.Application()
        app.add_routes([web.get("/stats/proxy", self.answer)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            self.released.set()
            await runner.cleanup()


class Scene:
    """Agents, a clock and a scraper with an open session."""

    def __init__(self, stack, settings):
        self.clock = Clock()
        self.targets = {}
        self.stack = stack
        self.scraper = TrafficScraper(
            lambda: self.targets,
            lambda workload: [],
            monotonic=self.clock.monotonic,
            now=self.clock.now,
            settings=settings,
        )

    async def agent(self, name):
        agent = Agent()
        self.targets[name] = await self.stack.enter_async_context(agent.serving())
        return agent

    async def rounds(self, count=1):
        for _ in range(count):
            await self.scraper.scrape_once(self.session)
            self.clock.seconds += 1.0

    def rate(self):
        return self.scraper.report().requests_per_second


@pytest.fixture
async def scene(request):
    timeout = getattr(request, "param", 10.0)
    async with AsyncExitStack() as stack:
        one = Scene(stack, ScrapeSettings(timeout_seconds=timeout, max_bytes=10_000, concurrency=4))
        one.session = await stack.enter_async_context(one.scraper.open_session())
        yield one


async def test_counters_become_rates(scene):
    agent = await scene.agent("n/a")
    await scene.rounds()
    agent.count = 30
    await scene.rounds()
    report = scene.scraper.report()
    # The clock stands two seconds after the first sample.
    assert report.requests_per_second == 15.0
    assert [edge.source for edge in report.edges] == ["n/a"]


@pytest.mark.parametrize("scene", [0.3], indirect=True, ids=["short-timeout"])
async def test_dead_agents_disturb_nobody_and_are_asked_less_often(scene):
    agent, stuck = await scene.agent("n/a"), await scene.agent("n/stuck")
    stuck.stuck = True
    scene.targets["n/dead"] = "http://127.0.0.1:1"
    await scene.rounds(FREE_FAILURES + 8)
    agent.count = 30
    await scene.rounds()
    assert agent.asked == FREE_FAILURES + 9, "every round"
    assert FREE_FAILURES < stuck.asked < FREE_FAILURES + 5, "less and less often"
    assert scene.rate() > 0


async def test_dead_agents_leave_no_garbage(scene):
    """The daemon collects seldom: what holds itself would stay for minutes."""
    for number in range(20):
        scene.targets[f"n/dead{number}"] = f"http://127.0.0.1:{number + 1}"
    await scene.rounds()
    gc.collect()
    gc.disable()
    try:
        await scene.rounds()
        errors = [one for one in gc.get_objects() if isinstance(one, aiohttp.ClientConnectorError)]
        assert errors == []
    finally:
        gc.enable()


async def test_an_agent_that_comes_back_is_read_every_round_again(scene):
    agent = await scene.agent("n/a")
    agent.status = 500
    await scene.rounds(FREE_FAILURES + 2)
    agent.status, asked = 200, agent.asked
    scene.clock.seconds += 60
    await scene.rounds(3)
    assert agent.asked == asked + 3


async def test_an_endless_answer_is_refused(scene):
    agent = await scene.agent("n/a")
    agent.body = "x" * 20_000
    await scene.rounds(2)
    assert scene.scraper.report().edges == ()


async def test_a_workload_that_is_gone_leaves_the_report(scene):
    agent = await scene.agent("n/a")
    agent.count = 5
    await scene.rounds(2)
    assert scene.scraper.report().edges
    scene.targets.clear()
    await scene.rounds()
    assert scene.scraper.report().edges == ()


async def test_run_scrapes_until_cancelled(scene):
    agent = await scene.agent("n/a")
    task = asyncio.create_task(scene.scraper.run())
    async with asyncio.timeout(5):
        while not agent.asked:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_agents_url():
    assert agent_url("10.0.0.1") == "http://10.0.0.1:15020"
    assert agent_url("fd00::1") == "http://[fd00::1]:15020"
