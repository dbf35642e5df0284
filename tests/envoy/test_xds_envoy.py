"""Delta discovery to a real Envoy: what the scripted client believes about it, Envoy confirms."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from mizzen.rpc.server import RpcServer
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from mizzen.xds.server import DiscoveryService
from tests.support.ads_envoy import backend, cluster, endpoints, envoy, free_port, get, listener, routes
from tests.support.discovery import FakeCatalog, RecordedEvents, discovery, snapshot, until

pytestmark = pytest.mark.envoy


class Scene:
    """Two backends, a discovery server, an Envoy; `port` is where Envoy listens."""

    def __init__(self, one, two):
        self.one, self.two, self.port = one, two, free_port()

    def first(self, to="a"):
        return snapshot(
            1, cluster("a"), endpoints("a", self.one), listener("in", self.port, "80"), routes("80", to)
        )

    async def answers(self, expected, port=None):
        """Wait until requests are answered so."""
        async with asyncio.timeout(10):
            while (got := await get(port or self.port)) != expected:
                await asyncio.sleep(0.02)
        return got


@pytest.fixture
async def scene():
    async with backend("one") as one, backend("two") as two:
        yield Scene(one, two)


async def settled(events, revision):
    await until(lambda: (revision,) in events.of("settled"), seconds=10)


async def test_everything_arrives_and_carries_a_request(scene):
    async with discovery(scene.first()) as (server, _, events, service), envoy(server.port):
        await settled(events, 1)
        assert await scene.answers((200, "one")) == (200, "one")
        assert {t for t, *_ in events.of("pushed")} == {CLUSTER, ENDPOINT, LISTENER, ROUTE}
        assert events.of("rejected") == []
        await until(lambda: {s.state for s in service.status()[0].types} == {"synced"})


async def test_a_changed_cluster_is_in_force_though_its_endpoints_did_not_change(scene):
    first = scene.first()
    async with discovery(first) as (server, catalog, events, _), envoy(server.port) as proxy:
        await settled(events, 1)
        unchanged = [*first.of(ENDPOINT).values(), *first.of(LISTENER).values(), *first.of(ROUTE).values()]
        catalog.set(snapshot(2, cluster("a", connect_timeout_s=7), *unchanged, like=first))
        await settled(events, 2)
        assert (await proxy.clusters_in_force())["a"]["connect_timeout"] == "7s"
        assert await get(scene.port) == (200, "one")
        assert events.of("stalled") == []


async def test_an_endpoint_moves(scene):
    first = scene.first()
    async with discovery(first) as (server, catalog, events, _), envoy(server.port):
        await settled(events, 1)
        others = [*first.of(CLUSTER).values(), *first.of(LISTENER).values(), *first.of(ROUTE).values()]
        catalog.set(snapshot(2, endpoints("a", scene.two), *others, like=first))
        await scene.answers((200, "two"))
        assert [pushed[0] for pushed in events.of("pushed") if pushed[1] == 2] == [ENDPOINT]


async def test_endpoints_and_routes_that_do_not_exist(scene):
    async with discovery(scene.first()) as (server, catalog, events, _), envoy(server.port):
        await settled(events, 1)
        catalog.set(snapshot(2, cluster("a"), listener("in", scene.port, "80"), routes("80", "a")))
        await scene.answers((503, "no healthy upstream"))
        other = free_port()
        catalog.set(snapshot(3, listener("other", other, "nowhere")))
        await scene.answers((404, ""), other)
        await settled(events, 3)


async def test_a_bad_listener_is_isolated_and_the_others_go_on(scene):
    async with discovery(scene.first()) as (server, catalog, events, _), envoy(server.port):
        await settled(events, 1)
        ports = [free_port() for _ in range(3)]
        shared = [
            cluster("a"),
            endpoints("a", scene.one),
            routes("80", "a"),
            listener("in", scene.port, "80"),
        ]
        good = [listener("left", ports[0], "80"), listener("right", ports[2], "80")]
        bad = listener("mid", ports[1], "80", stat_prefix="")
        catalog.set(snapshot(2, *shared, *good, bad))
        await settled(events, 2)
        ((type_url, name, version, error),) = events.of("rejected")
        assert (type_url, name, version) == (LISTENER, "mid", bad.version)
        assert "StatPrefix" in error
        await scene.answers((200, "one"), ports[0])
        await scene.answers((200, "one"), ports[2])
        assert await get(ports[1]) == (0, "")
        catalog.set(snapshot(3, *shared, *good, listener("mid", ports[1], "80")))
        await scene.answers((200, "one"), ports[1])
        await until(lambda: events.of("recovered") == [(LISTENER, "mid")])


async def test_a_rejected_change_leaves_the_last_good_one_in_force(scene):
    first = scene.first()
    async with discovery(first) as (server, catalog, events, _), envoy(server.port):
        await settled(events, 1)
        bad = listener("in", scene.port, "80", stat_prefix="")
        catalog.set(snapshot(2, cluster("a"), endpoints("a", scene.two), bad, routes("80", "a"), like=first))
        await scene.answers((200, "two"))  # everything else goes on
        await until(lambda: events.of("rejected"))
        assert await get(scene.port) == (200, "two")


async def test_no_request_fails_while_routes_move_to_new_clusters(scene):
    """Each change makes a cluster, moves the routes to it and removes the old one."""
    async with discovery(scene.first()) as (server, catalog, events, _), envoy(server.port):
        await settled(events, 1)
        await scene.answers((200, "one"))
        statuses = []

        async def load():
            while True:
                statuses.append((await get(scene.port))[0])

        loading = asyncio.create_task(load())
        for revision in range(2, 12):
            name, like = f"c{revision}", catalog.current
            made = [cluster(name), endpoints(name, scene.one), listener("in", scene.port, "80")]
            catalog.set(snapshot(revision, *made, routes("80", name), like=like))
            await settled(events, revision)
            seen = len(statuses)
            await until(lambda seen=seen: len(statuses) > seen + 2)
        loading.cancel()
        await asyncio.wait([loading])
        assert set(statuses) == {200}


async def test_a_server_that_comes_back_sends_only_what_changed(scene):
    first = scene.first()
    async with AsyncExitStack() as stack:
        server, _, events, _ = await stack.enter_async_context(discovery(first))
        port = server.port
        await stack.enter_async_context(envoy(port))
        await settled(events, 1)
        await server.close()
        assert await scene.answers((200, "one"))  # without a server, traffic goes on
        others = [*first.of(CLUSTER).values(), *first.of(LISTENER).values(), *first.of(ROUTE).values()]
        anew = RecordedEvents()
        again = RpcServer(
            [DiscoveryService(FakeCatalog(snapshot(9, endpoints("a", scene.two), *others)), anew)]
        )
        await again.start("127.0.0.1", port)
        stack.push_async_callback(again.close)
        await scene.answers((200, "two"))
        await settled(anew, 9)
        assert [(t, names) for t, _, names, *_ in anew.of("pushed")] == [(ENDPOINT, ("a",))]
