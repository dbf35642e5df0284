"""Several daemons over one configuration and one shared folder: to proxies and agents they are one."""

import asyncio
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from mizzen.agent.daemon import Daemon as DaemonCalls
from mizzen.agent.daemon import Daemons
from mizzen.agent.health import Health, HealthReporter, HealthReporters
from mizzen.agent.name_discovery import NameDiscovery
from mizzen.agent.settings import HostPort
from mizzen.daemon.settings import Settings
from mizzen.daemon.wiring import Daemon
from mizzen.xds.resource import CLUSTER, ENDPOINT
from tests.support.daemon import Reached, identity, node_id, running_daemon
from tests.support.discovery import until
from tests.wire.test_daemon import (
    CART,
    GROUP,
    ROUTES,
    SERVICE,
    WORKLOAD,
    World,
    addresses,
    refusal,
    synced,
    take_all,
)

SEARCH = identity("shop", "search")
EXTERNAL = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}.example.com]
  ports: [{{name: tcp, number: 5432, protocol: TCP}}]
  resolution: STATIC
  endpoints: [{{address: 192.0.2.9}}]
"""


class Mesh(World):
    """`a` and `b` have a state folder each, and everything else in common."""

    def settings_of(self, name: str) -> Settings:
        folder = self.config.parent
        return replace(self.settings, state_dir=folder / name, shared_dir=folder / "shared")

    @asynccontextmanager
    async def running(self, name: str):
        async with running_daemon(self.settings_of(name)) as daemon:
            yield daemon


@pytest.fixture
def mesh(tmp_path) -> Mesh:
    return Mesh(tmp_path)


@pytest.fixture
async def both(mesh):
    async with mesh.running("a") as a, mesh.running("b") as b:
        mesh.daemon = a
        yield a, b


async def everything(daemon: Reached, workload: str = "shop/cart-0") -> dict[str, bytes]:
    """What its proxy gets, byte by byte."""
    got = {}
    async with daemon.proxy(await daemon.join(CART), workload) as proxy:
        await proxy.subscribe(CLUSTER)
        for type_url in (CLUSTER, ENDPOINT):
            response = await proxy.receive(type_url)
            got |= {each.name: each.SerializeToString() for each in response.resources}
            await proxy.ack(response)
            if type_url == CLUSTER:
                await proxy.subscribe(ENDPOINT, *(name for name in got if name.startswith("outbound|")))
    return got


async def test_a_daemon_with_a_past_and_a_new_one_serve_the_same_bytes(mesh):
    async with mesh.running("a") as a:
        mesh.daemon = a
        for number in range(3):  # addresses are allocated of a pool, one after the other
            mesh.write(f"external-{number}.yaml", EXTERNAL.format(name=f"db{number}"))
            await mesh.change(f"ServiceEntry shop/db{number}")
        routes = ROUTES.format(namespace="shop", host="search", export_to="*", timeout="3s")
        mesh.write("routes.yaml", routes)
        mesh.write("search-0.yaml", WORKLOAD.format(name="search", namespace="shop", address="10.7.7.7"))
        await mesh.change("WorkloadEntry shop/search-0")
        (mesh.config / "external-0.yaml").unlink()
        # The newest: an older one tells of its creation.
        await mesh.until(lambda status: status["changes"][0]["objects"] == ["ServiceEntry shop/db0"])
        async with a.proxy(await a.join(CART), "shop/cart-0") as proxy:
            await take_all(proxy)
            held = proxy.held
        async with mesh.running("b") as b:
            assert await everything(a) == await everything(b)
            before = await b.sent_bytes()
            async with b.proxy(await a.join(CART), "shop/cart-0") as proxy:
                await take_all(proxy, held)
                mesh.daemon = b
                await mesh.until(lambda status: synced(status, "shop/cart-0"))
            assert await b.sent_bytes() == before


async def test_a_certificate_of_one_and_a_token_of_the_shared_key_are_good_at_the_other(mesh, both):
    a, b = both
    for there, here in ((a, b), (b, a)):
        async with here.proxy(await there.join(CART), "shop/cart-0") as proxy:
            await proxy.subscribe(CLUSTER)
            assert await proxy.take(CLUSTER)
    assert not (a.state_dir / "ca").exists()
    assert a.token(CART) == b.token(CART)


async def test_daemons_that_are_built_at_once_have_one_root_and_one_key(mesh):
    settings = [mesh.settings_of(f"daemon-{number}") for number in range(4)]
    await asyncio.gather(*(asyncio.to_thread(Daemon, each) for each in settings))
    async with AsyncExitStack() as running:
        daemons = [await running.enter_async_context(running_daemon(each)) for each in settings]
        context = await daemons[0].join(CART)
        for daemon in daemons:
            assert await daemon.join(CART)
            async with daemon.proxy(context, "shop/cart-0") as proxy:
                await proxy.subscribe(CLUSTER)
                assert await proxy.take(CLUSTER)


async def test_processes_that_start_at_once_on_an_empty_folder_serve_with_one_root(mesh):
    folder = mesh.config.parent
    options = ["--config", str(mesh.config), "--listen", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"]
    words = [sys.executable, "-m", "mizzen.daemon", *options, "--shared-dir", str(folder / "shared")]
    processes = [
        await asyncio.create_subprocess_exec(
            *words, "--state-dir", str(folder / name), stdout=asyncio.subprocess.PIPE
        )
        for name in ("a", "b")
    ]
    try:
        async with asyncio.timeout(60):
            assert [await each.stdout.readline() for each in processes] == [b"ready\n"] * 2
        shared = {path.name for path in (folder / "shared").iterdir()}
        assert shared == {"ca", "join-token.key", "workloads", "shared.lock"}
        assert (folder / "shared").stat().st_mode & 0o777 == 0o700
        for name in ("a", "b"):
            assert {path.name for path in (folder / name).iterdir()} == {"daemon.lock", "admin.sock"}
    finally:
        for each in processes:
            each.terminate()
        await asyncio.gather(*(each.communicate() for each in processes))


async def test_a_registration_with_one_is_one_with_the_other(mesh, both):
    a, b = both
    mesh.write("group.yaml", GROUP)
    await mesh.change("WorkloadGroup shop/search")
    member, metadata = "shop/search-10-0-0-1", {"WORKLOAD_GROUP": "search"}
    context = await a.join(SEARCH)
    mesh.daemon = a
    assert "it is joining" in (await refusal(mesh, context, member, metadata)).message
    mesh.daemon = b
    await mesh.until(lambda status: member in {one["name"] for one in status["workloads"]})
    async with b.proxy(context, member, metadata=metadata) as proxy, mesh.proxy() as caller:
        await proxy.subscribe(CLUSTER)
        assert await proxy.take(CLUSTER)
        lists = a.shared / "presence"
        await until(lambda: any("search-10-0-0-1" in path.read_text() for path in lists.glob("*")), 10)
        await b.report_health(context, member, healthy=True)
        response = await caller.receive(ENDPOINT)
        await caller.ack(response)
        assert sorted(addresses(response)) == ["10.0.0.1", "10.0.0.2"]


async def test_who_moved_to_the_other_is_not_forgotten_and_who_left_is(mesh, monkeypatch):
    for name, seconds in (("ROUND", 0.02), ("AWAY", 1.0), ("RETURN", 1.0)):
        monkeypatch.setattr(f"mizzen.daemon.presence.{name}_SECONDS", seconds)
    mesh.write("group.yaml", GROUP)
    moves, leaves = "shop/search-moves", "shop/search-leaves"
    entry = mesh.config.parent / "shared" / "workloads" / "shop~search-moves.yaml"
    async with mesh.running("a") as a, mesh.running("b") as b, AsyncExitStack() as here:
        context = await a.join(SEARCH)
        mesh.daemon = a
        async with AsyncExitStack() as there:
            for member in (moves, leaves):
                await refusal(mesh, context, member, {"WORKLOAD_GROUP": "search"})
                await mesh.until(lambda status, name=member: name in names_in(status))
                await connected(there, a, context, member)
            written = entry.stat().st_ctime_ns
            mesh.daemon = b
            await mesh.until(lambda status: moves in names_in(status))
            await connected(here, b, context, moves)
        for mesh.daemon in (a, b):
            status = await mesh.until(lambda status: leaves not in names_in(status))
            assert moves in names_in(status)
        await until(lambda: not list(entry.parent.glob("*leaves*")), 10)
        assert entry.stat().st_ctime_ns == written, "it was not even put aside for a moment"


async def connected(until_closed: AsyncExitStack, daemon: Reached, context, workload: str) -> None:
    proxy = await until_closed.enter_async_context(daemon.proxy(context, workload))
    await proxy.subscribe(CLUSTER)
    assert await proxy.take(CLUSTER)


def names_in(status) -> set[str]:
    return {one["name"] for one in status["workloads"]}


def calls(daemon: Reached) -> DaemonCalls:
    """As an agent makes them."""
    return DaemonCalls(HostPort("127.0.0.1", daemon.port), daemon.root_cert)


async def test_a_health_report_reaches_both_and_the_proxies_of_each(mesh, both):
    a, b = both
    credentials = await a.credentials(SEARCH)
    node = node_id("shop/search-0")
    reporters = HealthReporters(HealthReporter(calls(each), node, lambda: credentials) for each in both)
    running = asyncio.create_task(reporters.run())
    async with (
        a.proxy(await a.join(CART), "shop/cart-0") as one,
        b.proxy(await b.join(CART), "shop/cart-0") as two,
    ):
        for proxy in (one, two):
            await take_all(proxy)
        for healthy, expected in ((False, []), (True, ["10.0.0.2"])):
            reporters.set(Health(healthy=healthy, reason="" if healthy else "draining"))
            for proxy in (one, two):
                response = await proxy.receive(ENDPOINT)
                await proxy.ack(response)
                assert addresses(response) == expected
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_names_go_on_at_the_other_daemon_and_are_not_sent_again(mesh):
    async with mesh.running("b") as b:
        async with mesh.running("a") as a:
            daemons = Daemons((calls(a), calls(b)), lambda: 0.0)
            names = NameDiscovery(daemons, node_id("shop/cart-0"), "shop", captures_ipv6=True)
            names.use(await a.credentials(CART))
            running = asyncio.create_task(names.run())
            await until(lambda: names.table is not None and names.table.find("search"))
            assert await b.sent_bytes() == 0
        mesh.daemon = b
        await mesh.until(lambda status: synced(status, "shop/cart-0"))
        assert await b.sent_bytes() == 0
        mesh.write("new.yaml", SERVICE.format(name="new", namespace="shop"))
        await until(lambda: names.table.find("new"))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
