"""A proxy comes back with what it holds: only what changed is sent, what is gone is removed."""

from mizzen.xds.delivery import Waits
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from mizzen.xds.server import DiscoveryLimits
from tests.support.discovery import client, discovery, names_of, resource, snapshot, until

A, B = resource(CLUSTER, "a"), resource(CLUSTER, "b")
EA, EB = resource(ENDPOINT, "a"), resource(ENDPOINT, "b")
IN, WEB = resource(LISTENER, "in"), resource(ROUTE, "80")
STATE = snapshot(1, A, B, EA, EB, IN, WEB)
SOON = DiscoveryLimits(Waits(after_reconnect=0.05))


def holding(*resources):
    return {each.name: each.version for each in resources}


async def come_back(proxy, clusters=(A, B), endpoints=(EA, EB), listeners=(IN,), routes=(WEB,)):
    """All types in Envoy's order, without waiting for answers."""
    await proxy.subscribe(CLUSTER, held=holding(*clusters))
    await proxy.subscribe(ENDPOINT, *holding(*endpoints), held=holding(*endpoints))
    await proxy.subscribe(LISTENER, held=holding(*listeners))
    await proxy.subscribe(ROUTE, *holding(*routes), held=holding(*routes))


async def test_nothing_is_sent_again_when_nothing_changed():
    async with discovery(STATE, SOON) as (server, _, events, _), client(server.port) as proxy:
        await come_back(proxy)
        await until(lambda: events.of("settled") == [(1,)])
        assert events.of("pushed") == []


async def test_an_endpoint_that_changed_meanwhile_comes_alone():
    async with discovery(STATE, SOON) as (server, *_), client(server.port) as proxy:
        await come_back(proxy, endpoints=(EA, resource(ENDPOINT, "b", "old")))
        assert await proxy.take(ENDPOINT) == ["b"]
        await proxy.silent()


async def test_a_changed_cluster_brings_endpoints_that_the_proxy_holds_already():
    async with discovery(STATE, SOON) as (server, *_), client(server.port) as proxy:
        await come_back(proxy, clusters=(A, resource(CLUSTER, "b", "old")))
        clusters = await proxy.receive(CLUSTER)
        assert names_of(clusters) == ["b"]
        assert await proxy.take(ENDPOINT) == ["b"]
        await proxy.ack(clusters)
        await proxy.silent()


async def test_that_holds_when_the_endpoints_are_named_late():
    async with discovery(STATE, SOON) as (server, *_), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER, held=holding(A, resource(CLUSTER, "b", "old")))
        assert names_of(await proxy.receive(CLUSTER)) == ["b"]
        await proxy.subscribe(ENDPOINT, "a", "b", held=holding(EA, EB))
        assert await proxy.take(ENDPOINT) == ["b"]


async def test_what_is_gone_is_removed_after_the_routes_have_left():
    gone, old_web = resource(CLUSTER, "gone"), resource(ROUTE, "80", "to gone")
    async with discovery(STATE, SOON) as (server, _, events, _), client(server.port) as proxy:
        await come_back(
            proxy, clusters=(A, B, gone), listeners=(IN, resource(LISTENER, "out")), routes=(old_web,)
        )
        assert await proxy.take(ROUTE) == ["80"]
        assert await proxy.take(LISTENER) == ["-out"]
        assert await proxy.take(CLUSTER) == ["-gone"]
        await until(lambda: events.of("settled") == [(1,)])


async def test_removals_wait_for_the_types_that_are_named_last():
    async with discovery(STATE, SOON) as (server, *_), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER, held=holding(A, B, resource(CLUSTER, "gone")))
        await proxy.subscribe(LISTENER, held=holding(IN))
        await proxy.subscribe(ROUTE, "80", held=holding(resource(ROUTE, "80", "to gone")))
        assert await proxy.take(ROUTE) == ["80"]
        assert await proxy.take(CLUSTER) == ["-gone"]


async def test_endpoints_that_went_meanwhile_become_empty():
    async with discovery(STATE, SOON) as (server, *_), client(server.port) as proxy:
        await come_back(proxy, endpoints=(EA, EB, resource(ENDPOINT, "gone")))
        response = await proxy.receive(ENDPOINT)
        assert names_of(response) == ["gone"]
        assert response.resources[0].version == "absent"


async def test_an_empty_resource_that_it_holds_is_not_sent_again():
    async with discovery(STATE, SOON) as (server, _, events, _), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER, held=holding(A, B))
        await proxy.subscribe(LISTENER, held=holding(IN))
        await proxy.subscribe(ENDPOINT, "nobody", held={"nobody": "absent"})
        await until(lambda: events.of("settled") == [(1,)])
        assert events.of("pushed") == []


async def test_a_session_ends_with_its_stream():
    async with discovery(STATE) as (server, catalog, events, service):
        async with client(server.port) as proxy:
            await proxy.subscribe(CLUSTER)
            await proxy.take(CLUSTER)
        await until(lambda: events.of("disconnected"))
        assert catalog.sessions[0].closed == 1
        assert service.status() == ()
