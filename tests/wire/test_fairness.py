"""A namespace whose objects change all the time delays no other: counted in revisions, responses and turns, not in time."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from mizzen.config.resource import ResourceKey
from mizzen.daemon.catalog import MeshCatalog
from mizzen.daemon.delivery import DeliveryLog
from mizzen.daemon.store import Store
from mizzen.xds.resource import CLUSTER, ENDPOINT
from tests.support.daemon import identity
from tests.wire.test_daemon import SERVICE, WORKLOAD, World

NOISY_SERVICES = 40
NOISY_PROXIES = 3
CHANGES = 8
QUIET = ResourceKey("WorkloadEntry", "quiet", "calm-0")
SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default, namespace: {namespace}}}
spec: {{egress: [{{hosts: ["./*"]}}]}}
"""


class Record:
    """What the daemon did, in order: "found" and "committed" (the quiet change), "commit" (others), "woken" (the quiet
    proxy), and each response by the name of its proxy.
    """

    def __init__(self) -> None:
        self.events: list[str] = []

    def between(self, first: str, last: str) -> list[list[str]]:
        """For each quiet change, what happened from `first` to `last`."""
        found, begun = [], None
        for at, event in enumerate(self.events):
            if event == first:
                begun = at
            if event == last and begun is not None:
                found.append(self.events[begun + 1 : at])
                begun = None
        return found


@pytest.fixture
def record(monkeypatch):
    record = Record()
    apply, commit, take_in, pushed = Store.apply, Store.commit, MeshCatalog.take_in, DeliveryLog.pushed

    def applied(store, change, **options):
        if any(located.resource.key == QUIET for located in change.upserts):
            record.events.append("found")
        return apply(store, change, **options)

    def committed(store):
        objects = commit(store)
        record.events.append("committed" if QUIET in objects else "commit")
        return objects

    def taken_in(catalog, observed):
        concerned = take_in(catalog, observed)
        if any(session.name.startswith("quiet/") for session in concerned):
            record.events.append("woken")
        return concerned

    def sent(log, session, *details):
        record.events.append(session.name)
        return pushed(log, session, *details)

    monkeypatch.setattr(Store, "apply", applied)
    monkeypatch.setattr(Store, "commit", committed)
    monkeypatch.setattr(MeshCatalog, "take_in", taken_in)
    monkeypatch.setattr(DeliveryLog, "pushed", sent)
    return record


class Noise:
    """Endpoints of the noisy namespace that move without a pause, and the proxies there that follow them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.written = 0
        self.taken = 0

    async def write(self) -> None:
        while True:
            number, move = self.written % NOISY_SERVICES, self.written // NOISY_SERVICES % 250
            self._world.write(f"loud{number}-0.yaml", noisy_workload(number, move))
            self.written += 1
            await asyncio.sleep(0.001)

    async def follow(self, proxy) -> None:
        await proxy.subscribe(CLUSTER)
        await proxy.take(CLUSTER)
        await proxy.subscribe(
            ENDPOINT, *(f"outbound|80||loud{n}.noisy.svc.cluster.local" for n in range(NOISY_SERVICES))
        )
        while True:
            await proxy.take(ENDPOINT)
            self.taken += 1


def noisy_workload(number: int, move: int) -> str:
    return WORKLOAD.format(name=f"loud{number}", namespace="noisy", address=f"10.1.{move}.{number}")


def calm(move: int) -> str:
    return WORKLOAD.format(name="calm", namespace="quiet", address=f"10.2.0.{move}")


def a_world(folder) -> World:
    world = World(folder)
    for number in range(NOISY_SERVICES):
        world.write(f"loud{number}.yaml", SERVICE.format(name=f"loud{number}", namespace="noisy"))
        world.write(f"loud{number}-0.yaml", noisy_workload(number, 0))
    world.write("calm.yaml", SERVICE.format(name="calm", namespace="quiet"))
    world.write("calm-0.yaml", calm(1))
    for namespace in ("noisy", "quiet"):
        world.write(f"{namespace}.yaml", SIDECAR.format(namespace=namespace))
    return world


@asynccontextmanager
async def background(*works):
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
        assert not any(task.done() for task in tasks), "the noise goes on to the end"
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_noisy_namespace_delays_a_quiet_ones_change_by_no_revision_and_no_second_turn(
    tmp_path, record
):
    world = a_world(tmp_path)
    async with world.serving(), AsyncExitStack() as stack:
        noise = Noise(world)
        proxies = []
        for number in range(NOISY_PROXIES):
            name = f"loud{number}"
            context = await world.daemon.join(identity("noisy", name))
            proxies.append(await stack.enter_async_context(world.daemon.proxy(context, f"noisy/{name}-0")))
        context = await world.daemon.join(identity("quiet", "calm"))
        quiet = await stack.enter_async_context(world.daemon.proxy(context, "quiet/calm-0"))
        await quiet.subscribe(CLUSTER)
        await quiet.take(CLUSTER)
        await quiet.subscribe(ENDPOINT, "outbound|80||calm.quiet.svc.cluster.local")
        await quiet.take(ENDPOINT)
        record.events.clear()
        async with background(noise.write(), *map(noise.follow, proxies)):
            for change in range(CHANGES):
                before = noise.written, noise.taken
                world.write("calm-0.yaml", calm(2 + change))
                assert await quiet.take(ENDPOINT) == ["outbound|80||calm.quiet.svc.cluster.local"]
                while noise.written < before[0] + 20 or noise.taken < before[1] + NOISY_PROXIES:
                    await asyncio.sleep(0.005)  # so that there is noise before each
    # Found while a revision is computed, it is in the next one.
    waited = record.between("found", "committed")
    assert len(waited) == CHANGES
    assert all("commit" not in events for events in waited)
    # It is sent when that revision has been computed, and before anything of a later one.
    assert all("commit" not in events for events in record.between("committed", "woken"))
    sent = record.between("woken", "quiet/calm-0")
    assert len(sent) == CHANGES
    for events in sent:
        assert "commit" not in events
        assert all(events.count(f"noisy/loud{number}-0") <= 1 for number in range(NOISY_PROXIES))
    # What another namespace does is not its business.
    assert record.events.count("quiet/calm-0") == CHANGES


async def test_what_a_noisy_namespace_has_waiting_takes_no_more_room_than_its_objects(tmp_path, record):
    world = a_world(tmp_path)
    async with world.serving():
        noise, most = Noise(world), 0
        async with background(noise.write()):
            while noise.written < 10 * NOISY_SERVICES:
                metrics = await world.daemon._get("metrics")
                (line,) = (
                    line for line in metrics.splitlines() if line.startswith("mizzen_waiting_changes ")
                )
                most = max(most, int(float(line.split()[-1])))
        assert most <= NOISY_SERVICES
