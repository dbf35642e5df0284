"""Make before break: a cluster with its endpoints, then who names it, then what is gone."""

from mizzen.xds.delivery import Waits
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from mizzen.xds.server import DiscoveryLimits
from tests.support.discovery import bodies_of, client, discovery, resource, snapshot, until

OLD = snapshot(
    1,
    resource(CLUSTER, "old"),
    resource(ENDPOINT, "old"),
    resource(LISTENER, "in"),
    resource(ROUTE, "80", "to old"),
    resource(SECRET, "key"),
)
NEW = snapshot(
    2,
    resource(CLUSTER, "new"),
    resource(ENDPOINT, "new"),
    resource(LISTENER, "in", "2"),
    resource(ROUTE, "80", "to new"),
    resource(SECRET, "key"),
    like=OLD,
)


def _but(of, *types):
    """All resources of a snapshot but those of these types."""
    return [
        each
        for type_url, mapping in of.resources.items()
        if type_url not in types
        for each in mapping.values()
    ]


async def connect(proxy):
    """As an Envoy begins: each type when the one before is in."""
    await proxy.subscribe(CLUSTER)
    clusters = await proxy.receive(CLUSTER)
    await proxy.subscribe(ENDPOINT, "old")
    assert await proxy.take(ENDPOINT) == ["old"]
    await proxy.ack(clusters)
    await proxy.subscribe(LISTENER)
    listeners = await proxy.receive(LISTENER)
    await proxy.subscribe(ROUTE, "80")
    await proxy.ack(listeners)
    assert await proxy.take(ROUTE) == ["80"]


async def test_a_whole_change_in_order():
    async with discovery(OLD) as (server, catalog, events, _), client(server.port) as proxy:
        await connect(proxy)
        catalog.set(NEW)
        clusters = await proxy.receive(CLUSTER)
        assert [each.name for each in clusters.resources] == ["new"]
        assert not clusters.removed_resources
        await proxy.silent()  # listeners and routes wait, for the clusters
        await proxy.subscribe(ENDPOINT, "new")
        endpoints = await proxy.receive(ENDPOINT)  # at once, though the clusters are not ACKed
        await proxy.ack(clusters)
        await proxy.silent()  # and for the endpoints
        await proxy.ack(endpoints)
        listeners, routes = await proxy.receive(LISTENER), await proxy.receive(ROUTE)
        await proxy.ack(listeners)
        await proxy.silent()  # what is gone waits for both
        assert events.of("settled") == [(1,)]
        await proxy.ack(routes)
        assert await proxy.take(CLUSTER) == ["-old"]
        assert await proxy.take(ENDPOINT) == ["old"]  # empty now
        await until(lambda: events.of("settled") == [(1,), (2,)])


async def test_a_changed_cluster_brings_its_unchanged_endpoints_at_once():
    """Envoy warms the cluster, withholds the ACK until endpoints come, and does not ask for them."""
    changed = snapshot(2, resource(CLUSTER, "old", "2"), *_but(OLD, CLUSTER), like=OLD)
    async with discovery(OLD) as (server, catalog, *_), client(server.port) as proxy:
        await connect(proxy)
        catalog.set(changed)
        clusters = await proxy.receive(CLUSTER)
        assert await proxy.take(ENDPOINT) == ["old"]
        await proxy.ack(clusters)
        await proxy.silent()


async def test_endpoints_alone_wait_for_nobody():
    """Not even for a roll-out that waits for its clusters."""
    async with discovery(OLD) as (server, catalog, *_), client(server.port) as proxy:
        await connect(proxy)
        catalog.set(NEW)
        await proxy.receive(CLUSTER)
        catalog.set(snapshot(3, resource(ENDPOINT, "old", "moved"), *_but(NEW, ENDPOINT), like=NEW))
        assert await proxy.take(ENDPOINT) == ["old"]


async def test_endpoints_in_use_are_not_emptied_before_the_routes_have_left():
    async with discovery(OLD) as (server, catalog, *_), client(server.port) as proxy:
        await connect(proxy)
        catalog.set(NEW)
        clusters = await proxy.receive(CLUSTER)
        await proxy.silent()
        await proxy.ack(clusters)
        assert await proxy.take(LISTENER) == ["in"]
        routes = await proxy.receive(ROUTE)
        await proxy.silent()
        await proxy.ack(routes)
        assert await proxy.take(CLUSTER) == ["-old"]


async def test_who_asks_again_for_endpoints_in_use_gets_them_though_they_are_gone_by_now():
    async with discovery(OLD) as (server, catalog, *_), client(server.port) as proxy:
        await connect(proxy)
        catalog.set(snapshot(2, resource(CLUSTER, "old", "2"), *_but(OLD, CLUSTER), like=OLD))
        clusters = await proxy.receive(CLUSTER)
        catalog.set(snapshot(3, *_but(OLD, CLUSTER, ENDPOINT), like=OLD))  # before the cluster is warm
        await proxy.take(ENDPOINT)
        await proxy.subscribe(ENDPOINT, "old")
        assert bodies_of(await proxy.receive(ENDPOINT)) == {"old": "old=1"}
        await proxy.ack(clusters)


async def test_who_asks_for_endpoints_that_are_going_is_answered_at_once():
    async with discovery(OLD) as (server, catalog, *_), client(server.port) as proxy:
        await connect(proxy)
        catalog.set(NEW)
        await proxy.receive(CLUSTER)
        await proxy.subscribe(ENDPOINT, "old")
        assert await proxy.take(ENDPOINT) == ["old"]


async def test_listeners_wait_for_endpoints_that_became_due_meanwhile():
    changed = snapshot(
        3,
        resource(CLUSTER, "old", "2"),
        resource(ENDPOINT, "old", "2"),
        resource(LISTENER, "in", "2"),
        like=OLD,
    )
    async with discovery(OLD) as (server, catalog, *_), client(server.port) as proxy:
        await connect(proxy)
        catalog.set(snapshot(2, resource(ENDPOINT, "old", "2"), *_but(OLD, ENDPOINT), like=OLD))
        before = await proxy.receive(ENDPOINT)
        catalog.set(changed)
        await proxy.ack(before)
        clusters = await proxy.receive(CLUSTER)
        await proxy.ack(clusters)
        endpoints = await proxy.receive(ENDPOINT)
        await proxy.silent()
        await proxy.ack(endpoints)
        assert await proxy.take(LISTENER) == ["in"]


async def test_listeners_wait_for_endpoints_that_an_isolation_has_sent_for():
    """The clusters of a refused response are sent again one by one, and warm again."""
    others = (resource(CLUSTER, "bad"), resource(LISTENER, "in", "2"), resource(ROUTE, "80"))
    changed = snapshot(2, resource(CLUSTER, "old", "2"), resource(ENDPOINT, "old"), *others, like=OLD)
    moved = snapshot(3, resource(CLUSTER, "old", "2"), resource(ENDPOINT, "old", "3"), *others, like=changed)
    async with discovery(OLD) as (server, catalog, *_), client(server.port) as proxy:
        await connect(proxy)
        catalog.set(changed)
        clusters = await proxy.receive(CLUSTER)
        assert await proxy.take(ENDPOINT) == ["old"]
        catalog.set(moved)
        endpoints = await proxy.receive(ENDPOINT)
        await proxy.nack(clusters, "bad is wrong")
        await proxy.nack(await proxy.receive(CLUSTER))
        assert await proxy.take(CLUSTER) == ["old"]
        await proxy.ack(endpoints)
        endpoints = await proxy.receive(ENDPOINT)
        await proxy.silent()
        await proxy.ack(endpoints)
        assert await proxy.take(LISTENER) == ["in"]


async def test_routes_alone_go_at_once():
    changed = snapshot(2, resource(ROUTE, "80", "2"), *_but(OLD, ROUTE), like=OLD)
    async with discovery(OLD) as (server, catalog, *_), client(server.port) as proxy:
        await connect(proxy)
        catalog.set(changed)
        assert await proxy.take(ROUTE) == ["80"]


async def test_secrets_wait_for_nobody_as_clusters_may_wait_for_them():
    changed = snapshot(
        2, resource(CLUSTER, "tls"), resource(SECRET, "key", "2"), *_but(OLD, CLUSTER, SECRET), like=OLD
    )
    async with discovery(OLD) as (server, catalog, *_), client(server.port) as proxy:
        await connect(proxy)
        await proxy.subscribe(SECRET, "key")
        assert await proxy.take(SECRET) == ["key"]
        await proxy.silent()
        catalog.set(changed)
        await proxy.receive(CLUSTER)
        assert await proxy.take(SECRET) == ["key"]


async def test_a_listener_leaves_with_the_change_and_its_routes_after_it():
    gone = snapshot(2, *_but(OLD, LISTENER, ROUTE), resource(LISTENER, "other"), like=OLD)
    async with discovery(OLD) as (server, catalog, *_), client(server.port) as proxy:
        await connect(proxy)
        catalog.set(gone)
        listeners = await proxy.receive(LISTENER)
        assert ([each.name for each in listeners.resources], listeners.removed_resources) == (
            ["other"],
            ["in"],
        )
        await proxy.silent()
        await proxy.ack(listeners)
        assert await proxy.take(ROUTE) == ["80"]


async def test_no_wait_is_for_ever():
    async with (
        discovery(OLD, DiscoveryLimits(Waits(ack=0.2))) as (server, catalog, events, _),
        client(server.port) as proxy,
    ):
        await connect(proxy)
        catalog.set(NEW)
        clusters = await proxy.receive(CLUSTER)  # never answered
        assert await proxy.take(LISTENER) == ["in"]
        assert await proxy.take(ROUTE) == ["80"]
        assert {type_url for type_url, _ in events.of("stalled")} == {CLUSTER}
        assert events.of("settled") == [(1,)]
        await proxy.ack(clusters)
        assert await proxy.take(CLUSTER) == ["-old"]
        assert await proxy.take(ENDPOINT) == ["old"]
        await until(lambda: events.of("settled") == [(1,), (2,)])


async def test_nothing_has_settled_before_the_last_removal_is_acked():
    no_endpoints = snapshot(2, *_but(OLD, ENDPOINT), like=OLD)
    async with discovery(OLD) as (server, catalog, events, _), client(server.port) as proxy:
        await connect(proxy)
        await until(lambda: events.of("settled") == [(1,)])
        catalog.set(no_endpoints)
        emptied = await proxy.receive(ENDPOINT)
        await proxy.silent()
        assert events.of("settled") == [(1,)]
        await proxy.ack(emptied)
        await until(lambda: events.of("settled") == [(1,), (2,)])
