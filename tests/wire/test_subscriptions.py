"""What is asked for is answered: wildcards, names, unknown names, resubscriptions, changes."""

import pytest

from mizzen.proto.api import ClusterLoadAssignment, RouteConfiguration
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from tests.support.discovery import bodies_of, client, discovery, names_of, resource, snapshot, until

A, B = resource(CLUSTER, "a"), resource(CLUSTER, "b")
EA, EB = resource(ENDPOINT, "a"), resource(ENDPOINT, "b")
ONE = snapshot(1, A, B, EA, EB, resource(LISTENER, "in"), resource(ROUTE, "80"), resource(SECRET, "key"))


@pytest.mark.parametrize("names", [(), ("*",)])
async def test_a_wildcard_gets_everything_of_its_type(names):
    async with discovery(ONE) as (server, *_), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER, *names)
        response = await proxy.receive(CLUSTER)
        assert bodies_of(response) == {"a": "a=1", "b": "b=1"}
        assert {each.version for each in response.resources} == {A.version, B.version}
        assert response.system_version_info == "1"
        assert response.resources[0].resource.type_url == CLUSTER


async def test_a_wildcard_is_told_that_there_is_nothing():
    """Envoy starts none of its listeners before it has heard of all of them: a gateway without a Gateway is ready too."""
    async with discovery(snapshot(1, A, EA)) as (server, catalog, *_), client(server.port) as proxy:
        await proxy.subscribe(LISTENER)
        assert await proxy.take(LISTENER) == []
        catalog.set(snapshot(2, A, EA, resource(LISTENER, "in")))
        assert await proxy.take(LISTENER) == ["in"]
        catalog.set(snapshot(3, A, EA))
        assert await proxy.take(LISTENER) == ["-in"]


async def test_an_empty_first_request_of_a_named_type_asks_for_nothing():
    async with discovery(ONE) as (server, *_), client(server.port) as proxy:
        await proxy.subscribe(ENDPOINT)
        await proxy.silent()
        await proxy.subscribe(ENDPOINT, "b")
        assert await proxy.take(ENDPOINT) == ["b"]


async def test_names_come_and_go():
    async with discovery(ONE) as (server, catalog, *_), client(server.port) as proxy:
        await proxy.subscribe(ENDPOINT, "a")
        assert await proxy.take(ENDPOINT) == ["a"]
        await proxy.subscribe(ENDPOINT, "b", unsubscribe=["a"])
        assert await proxy.take(ENDPOINT) == ["b"]
        catalog.set(snapshot(2, A, B, resource(ENDPOINT, "a", "2"), EB))
        await proxy.silent()
        catalog.set(snapshot(3, A, B, resource(ENDPOINT, "a", "3"), resource(ENDPOINT, "b", "3")))
        assert await proxy.take(ENDPOINT) == ["b"]


async def test_a_name_subscribed_again_is_answered_again():
    async with discovery(ONE) as (server, *_), client(server.port) as proxy:
        await proxy.subscribe(ENDPOINT, "a", "b")
        assert sorted(await proxy.take(ENDPOINT)) == ["a", "b"]
        await proxy.subscribe(ENDPOINT, "a")
        assert await proxy.take(ENDPOINT) == ["a"]


async def test_unknown_endpoints_and_routes_are_answered_by_empty_ones():
    async with discovery(ONE) as (server, *_), client(server.port) as proxy:
        await proxy.subscribe(ENDPOINT, "nobody")
        response = await proxy.receive(ENDPOINT)
        (assignment,) = response.resources
        assert ClusterLoadAssignment.FromString(assignment.resource.value) == ClusterLoadAssignment(
            cluster_name="nobody"
        )
        await proxy.ack(response)
        await proxy.subscribe(ROUTE, "nowhere")
        (routes,) = (await proxy.receive(ROUTE)).resources
        assert RouteConfiguration.FromString(routes.resource.value) == RouteConfiguration(name="nowhere")


@pytest.mark.parametrize(
    "type_url", [CLUSTER, SECRET, "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"]
)
async def test_unknown_names_of_other_types_are_answered_as_removed(type_url):
    async with discovery(ONE) as (server, *_), client(server.port) as proxy:
        await proxy.subscribe(type_url, "nobody")
        assert await proxy.take(type_url) == ["-nobody"]
        await proxy.silent()


async def test_endpoints_that_go_become_empty_and_come_back():
    async with discovery(ONE) as (server, catalog, *_), client(server.port) as proxy:
        await proxy.subscribe(ENDPOINT, "a", "b")
        await proxy.take(ENDPOINT)
        catalog.set(snapshot(2, A, B, EB))
        gone = await proxy.receive(ENDPOINT)
        assert (names_of(gone), gone.resources[0].version) == (["a"], "absent")
        await proxy.silent()
        await proxy.ack(gone)
        catalog.set(snapshot(3, A, B, EA, EB))
        assert bodies_of(await proxy.receive(ENDPOINT)) == {"a": "a=1"}


async def test_a_removed_cluster_is_removed():
    async with discovery(ONE) as (server, catalog, *_), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER)
        await proxy.take(CLUSTER)
        catalog.set(snapshot(2, B, EB))
        assert await proxy.take(CLUSTER) == ["-a"]


async def test_on_demand_clusters_are_named_not_wild():
    async with discovery(ONE) as (server, catalog, *_), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER, "a")
        assert await proxy.take(CLUSTER) == ["a"]
        await proxy.subscribe(CLUSTER, "later")
        assert await proxy.take(CLUSTER) == ["-later"]
        catalog.set(snapshot(2, A, B, resource(CLUSTER, "later")))
        assert await proxy.take(CLUSTER) == ["later"]


async def test_a_wildcard_added_to_names_brings_the_rest():
    async with discovery(ONE) as (server, catalog, *_), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER, "a")
        await proxy.take(CLUSTER)
        await proxy.subscribe(CLUSTER, "*")
        assert await proxy.take(CLUSTER) == ["b"]
        await proxy.subscribe(CLUSTER, unsubscribe=["*"])
        catalog.set(snapshot(2, resource(CLUSTER, "a", "2"), resource(CLUSTER, "b", "2")))
        assert await proxy.take(CLUSTER) == ["a"]


async def test_a_name_dropped_from_under_a_wildcard_is_sent_with_all_the_others():
    """The client forgets it, and only an answer tells it that it is still to be had."""
    async with discovery(ONE) as (server, *_), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER, "*", "a")
        await proxy.take(CLUSTER)
        await proxy.subscribe(CLUSTER, unsubscribe=["a"])
        assert await proxy.take(CLUSTER) == ["a"]


async def test_a_name_dropped_before_it_was_answered_is_owed_no_more():
    async with discovery(ONE) as (server, _, events, _), client(server.port) as proxy:
        await proxy.subscribe(LISTENER)
        await proxy.take(LISTENER)
        await proxy.subscribe(CLUSTER, "a")
        response = await proxy.receive(CLUSTER)
        await proxy.subscribe(CLUSTER, "*")
        await proxy.subscribe(CLUSTER, unsubscribe=["*"])
        await proxy.ack(response)
        await until(lambda: events.of("settled") == [(1,)])


async def test_only_what_changed_is_sent_and_nothing_when_nothing_did():
    async with discovery(ONE) as (server, catalog, *_), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER)
        await proxy.take(CLUSTER)
        catalog.set(snapshot(2, A, B, EA, EB))  # new mappings, equal resources
        await proxy.silent()
        catalog.set(snapshot(3, resource(CLUSTER, "a", "3"), B, EA, EB))
        assert await proxy.take(CLUSTER) == ["a"]


async def test_events_tell_the_way_of_a_revision():
    async with discovery(snapshot(7, A, EA)) as (server, _, events, service), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER)
        response = await proxy.receive(CLUSTER)
        assert [(s.state, s.resources, s.acked_revision) for s in service.status()[0].types] == [
            ("pending", 0, None)
        ]
        await proxy.ack(response)
        await until(lambda: events.of("settled"))
        assert [(s.state, s.resources, s.acked_revision) for s in service.status()[0].types] == [
            ("synced", 1, 7)
        ]
    assert 0 < events.of("pushed")[0][-1] < 5, "the seconds that it took to make"
    assert [event[:5] for event in events.log] == [
        ("pushed", CLUSTER, 7, ("a",), response.ByteSize()),
        ("acked", CLUSTER, 7),
        ("settled", 7),
        ("disconnected",),
    ]
