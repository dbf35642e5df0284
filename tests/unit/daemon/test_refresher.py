"""When the database is refreshed: at once in a quiet mesh, seldom in a storm, and never for long at a stretch."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from mizzen.config.decode import decode
from mizzen.daemon.refresher import LONGEST_REST_SECONDS, SLICE_SECONDS, Refresher, Timing
from mizzen.daemon.store import Store
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.workloads import workload_key
from mizzen.incremental import Database, query
from mizzen.sources.change import Change

KEY = workload_key("shop", "cart-0")


def entry(weight: int) -> Change:
    text = f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: cart-0, namespace: shop}}
spec: {{address: 10.0.0.1, weight: {weight}}}
"""
    return Change(upserts=decode(text, "w.yaml").located)


class World:
    """A clock that only work moves on, rests that end when the test says so, and a log of what was taken in."""

    def __init__(self) -> None:
        self.now = 0.0
        self.work_seconds = 0.0
        self.rests: list[float] = []
        self.rested = asyncio.Event()
        self.yields = 0
        self.taken: list[tuple[int, tuple]] = []
        self.timings: list[Timing] = []
        self.store = Store(Database())
        self.refresher = Refresher(self.store, self._take_in, lambda: self.now, self._rest)

        @query
        def weight(db):
            self.now += self.work_seconds
            found = RESOURCES(db, KEY)
            return found.spec.weight if found else 0

        self.weight = weight
        self.store.db.observe(weight)

    def _take_in(self, observed, objects, timing):
        self.timings.append(timing)
        self.taken.append((self.store.db.value(self.weight), objects))

    async def _rest(self, seconds):
        if seconds == 0:
            self.yields += 1
            await asyncio.sleep(0)
            return
        self.rests.append(seconds)
        self.rested.clear()
        await self.rested.wait()

    def change(self, weight: int) -> None:
        self.store.apply(entry(weight))
        self.refresher.request()

    async def turns(self) -> None:
        """Let everything that can go on go on."""
        for _ in range(200):
            await asyncio.sleep(0)

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.refresher.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def world():
    return World()


async def test_the_first_change_of_a_quiet_mesh_is_taken_in_at_once(world):
    async with world.running():
        await world.turns()
        assert world.taken == []
        world.change(1)
        await world.turns()
        assert world.taken == [(1, (KEY,))]
        assert world.rests == []  # it took no time: no rest


async def test_a_storm_is_batched_by_what_a_refresh_takes(world):
    world.work_seconds = 0.25
    async with world.running():
        world.change(1)
        await world.turns()
        assert world.rests == [0.25]
        for weight in range(2, 100):
            world.change(weight)
            await world.turns()
        assert [weight for weight, _ in world.taken] == [1]
        world.rested.set()
        await world.turns()
        assert world.taken == [(1, (KEY,)), (99, (KEY,))]


async def test_the_rest_is_bounded_however_long_a_refresh_took(world):
    world.work_seconds = 30.0
    async with world.running():
        world.change(1)
        await world.turns()
        assert world.rests == [LONGEST_REST_SECONDS]


async def test_the_event_loop_runs_between_two_slices(world):
    @query
    def part(db, number):
        world.now += SLICE_SECONDS / 2
        return (number, RESOURCES(db, KEY))

    for number in range(20):
        world.store.db.observe(part, number)
    async with world.running():
        world.change(1)
        await world.turns()
    assert len(world.taken) == 1
    assert 8 <= world.yields <= 12  # two queries to a slice


async def test_what_arrives_during_a_refresh_belongs_to_the_next(world):
    @query
    def slow(db):
        world.now += 2 * SLICE_SECONDS
        return RESOURCES(db, KEY)

    world.store.db.observe(slow)
    async with world.running():
        world.change(1)
        while world.yields == 0:
            await asyncio.sleep(0)
        assert world.taken == []
        world.change(2)
        await world.turns()
        assert world.taken == [(1, (KEY,))]
        world.rested.set()
        await world.turns()
        assert world.taken == [(1, (KEY,)), (2, (KEY,))]


async def test_it_tells_how_long_changes_waited_and_how_long_it_took(world):
    world.work_seconds = 0.25
    async with world.running():
        world.change(1)
        await world.turns()
        world.change(2)
        world.now += 1.0
        world.rested.set()
        await world.turns()
    assert world.timings == [Timing(0.0, 0.0, 0.25), Timing(0.25, 1.25, 1.5)]
