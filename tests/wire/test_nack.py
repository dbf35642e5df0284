"""A refused resource is found, named and held back; everything else goes on."""

from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.support.discovery import bodies_of, client, discovery, names_of, resource, snapshot, until


def listeners(revision, like=None, **contents):
    return snapshot(
        revision, *(resource(LISTENER, name, content) for name, content in contents.items()), like=like
    )


async def refuse_bad(proxy, type_url, rounds, error="{} is bad"):
    """Answer as Envoy does: a response with something bad in it is refused. Returns the names in each response."""
    seen = []
    for _ in range(rounds):
        response = await proxy.receive(type_url)
        seen.append(sorted(names_of(response)))
        bad = [name for name, body in bodies_of(response).items() if "bad" in body]
        await (proxy.nack(response, error.format(*bad)) if bad else proxy.ack(response))
    return seen


async def test_the_culprit_is_tried_alone_and_held_back():
    async with (
        discovery(listeners(1, left="1", mid="bad", right="1")) as (server, catalog, events, service),
        client(server.port) as proxy,
    ):
        await proxy.subscribe(LISTENER)
        assert await refuse_bad(proxy, LISTENER, 3) == [
            ["left", "mid", "right"],
            ["mid"],
            ["left", "right"],
        ]
        await proxy.silent()
        version = resource(LISTENER, "mid", "bad").version
        assert events.of("rejected") == [(LISTENER, "mid", version, "mid is bad")]
        await until(lambda: events.of("settled") == [(1,)])
        assert service.status()[0].types[0].state == "rejected"

        catalog.set(listeners(2, left="2", mid="bad", right="1"))
        assert await proxy.take(LISTENER) == ["left"]
        assert events.of("recovered") == []

        catalog.set(listeners(3, left="2", mid="good", right="1"))
        assert await proxy.take(LISTENER) == ["mid"]
        await until(lambda: events.of("recovered") == [(LISTENER, "mid")])
        assert service.status()[0].types[0].state == "synced"


async def test_debug_lines_tell_each_response_and_each_answer(caplog):
    caplog.set_level("DEBUG", logger="mizzen.xds")
    async with (
        discovery(listeners(1, left="1", mid="1")) as (server, _, events, _),
        client(server.port, "cart") as proxy,
    ):
        await proxy.subscribe(LISTENER)
        await proxy.take(LISTENER)
        await until(lambda: events.of("settled"))
    lines = [(record.message, record.fields) for record in caplog.records if hasattr(record, "fields")]
    (sent, of_push), (taken, of_ack) = lines
    assert sent == f"cart is sent 2 and loses 0 of {LISTENER}, of revision 1"
    assert taken == f"cart has taken {LISTENER}"
    assert (
        of_push.items()
        >= {"proxy": "cart", "type": LISTENER, "revision": 1, "nonce": of_ack["nonce"]}.items()
    )


async def test_words_that_name_nobody_are_no_obstacle():
    names = [f"l{number}" for number in range(16)]
    first = listeners(1, **{name: "bad" if name in ("l3", "l12") else "1" for name in names})
    async with discovery(first) as (server, _, events, _), client(server.port) as proxy:
        await proxy.subscribe(LISTENER)
        responses = 0
        while len(events.of("rejected")) < 2 or not events.of("settled"):
            await refuse_bad(proxy, LISTENER, 1, error="something is wrong")
            responses += 1
            await until(lambda sent=responses: events.of("settled") or len(events.of("pushed")) > sent)
        await proxy.silent()
        assert responses <= 2 * len(names)
        assert {name for _, name, *_ in events.of("rejected")} == {"l3", "l12"}
        assert [len(pushed[2]) for pushed in events.of("pushed")][-1] < 16
        held = {name for name in names if name in proxy.held[LISTENER]}
        assert held == set(names) - {"l3", "l12"}


async def test_words_that_accuse_the_innocent_convict_nobody():
    async with (
        discovery(listeners(1, left="1", mid="bad", right="1")) as (server, _, events, _),
        client(server.port) as proxy,
    ):
        await proxy.subscribe(LISTENER)
        assert await refuse_bad(proxy, LISTENER, 5, error="left is bad") == [
            ["left", "mid", "right"],
            ["left"],
            ["mid", "right"],
            ["mid"],
            ["right"],
        ]
        assert [name for _, name, *_ in events.of("rejected")] == ["mid"]


async def test_while_it_is_held_back_the_proxy_keeps_the_last_good_one():
    first = listeners(1, left="1")
    async with discovery(first) as (server, catalog, events, _), client(server.port) as proxy:
        await proxy.subscribe(LISTENER)
        await proxy.take(LISTENER)
        catalog.set(listeners(2, left="bad"))
        await refuse_bad(proxy, LISTENER, 1)
        await proxy.subscribe(LISTENER, "left")  # and who asks again is answered with it
        good = await proxy.receive(LISTENER)
        assert bodies_of(good) == {"left": "left=1"}
        await proxy.ack(good)
        await proxy.silent()
        assert events.of("recovered") == []


async def test_who_asks_again_before_refusing_is_answered_too():
    async with discovery(listeners(1, left="1")) as (server, catalog, *_), client(server.port) as proxy:
        await proxy.subscribe(LISTENER)
        await proxy.take(LISTENER)
        catalog.set(listeners(2, left="bad"))
        response = await proxy.receive(LISTENER)
        await proxy.subscribe(LISTENER, "left")
        await proxy.nack(response)
        assert bodies_of(await proxy.receive(LISTENER)) == {"left": "left=1"}


async def test_going_back_to_the_last_good_one_is_recovery():
    async with (
        discovery(listeners(1, left="1")) as (server, catalog, events, _),
        client(server.port) as proxy,
    ):
        await proxy.subscribe(LISTENER)
        await proxy.take(LISTENER)
        catalog.set(listeners(2, left="bad"))
        await refuse_bad(proxy, LISTENER, 1)
        catalog.set(listeners(3, left="1"))
        await until(lambda: events.of("recovered") == [(LISTENER, "left")])
        await proxy.silent()


async def test_removing_what_was_never_taken_is_recovery():
    async with (
        discovery(listeners(1, left="1", mid="bad")) as (server, catalog, events, _),
        client(server.port) as proxy,
    ):
        await proxy.subscribe(LISTENER)
        await refuse_bad(proxy, LISTENER, 3)
        catalog.set(listeners(2, left="1"))
        await until(lambda: events.of("recovered") == [(LISTENER, "mid")])
        await proxy.silent()


async def test_a_second_bad_version_is_told_anew():
    async with (
        discovery(listeners(1, left="bad")) as (server, catalog, events, _),
        client(server.port) as proxy,
    ):
        await proxy.subscribe(LISTENER)
        await refuse_bad(proxy, LISTENER, 1)
        catalog.set(listeners(2, left="bad too"))
        await refuse_bad(proxy, LISTENER, 1, error="worse: {}")
        await until(lambda: len(events.of("rejected")) == 2)
        assert events.of("rejected")[1][-1] == "worse: left"
        await proxy.silent()


async def test_a_change_during_isolation_is_what_is_sent():
    async with (
        discovery(listeners(1, left="1", mid="bad")) as (server, catalog, events, _),
        client(server.port) as proxy,
    ):
        await proxy.subscribe(LISTENER)
        response = await proxy.receive(LISTENER)
        catalog.set(listeners(2, left="2", mid="2"))
        await proxy.nack(response, "mid is bad")
        bodies = {}
        while bodies != {"left": "left=2", "mid": "mid=2"}:
            response = await proxy.receive(LISTENER)
            bodies.update(bodies_of(response))
            bad = "mid=bad" in bodies_of(response).values()
            await (proxy.nack(response, "mid is bad") if bad else proxy.ack(response))
        await until(lambda: events.of("settled")[-1:] == [(2,)])


async def test_a_bad_cluster_holds_up_nothing_else():
    first = snapshot(
        1,
        resource(CLUSTER, "good"),
        resource(CLUSTER, "rotten", "bad"),
        resource(ENDPOINT, "good"),
        resource(LISTENER, "in"),
        resource(ROUTE, "80"),
    )
    async with discovery(first) as (server, _, events, _), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER)
        await proxy.subscribe(LISTENER)
        await proxy.subscribe(ROUTE, "80")
        assert await refuse_bad(proxy, CLUSTER, 3) == [["good", "rotten"], ["rotten"], ["good"]]
        assert await proxy.take(LISTENER) == ["in"]
        assert await proxy.take(ROUTE) == ["80"]
        await until(lambda: events.of("settled") == [(1,)])


async def test_an_answer_to_an_older_response_is_no_answer():
    async with (
        discovery(listeners(1, left="1")) as (server, catalog, events, _),
        client(server.port) as proxy,
    ):
        await proxy.subscribe(LISTENER)
        first = await proxy.receive(LISTENER)
        await proxy.ack(first)
        catalog.set(listeners(2, left="2"))
        second = await proxy.receive(LISTENER)
        await proxy.nack(first)
        catalog.set(listeners(3, left="3"))
        await proxy.silent()  # the second is still outstanding
        await proxy.ack(second)
        assert bodies_of(await proxy.receive(LISTENER)) == {"left": "left=3"}
        assert events.of("rejected") == []


async def test_recovery_is_told_once_though_the_response_beside_it_is_refused():
    async with (
        discovery(listeners(1, left="1")) as (server, catalog, events, _),
        client(server.port) as proxy,
    ):
        await proxy.subscribe(LISTENER)
        await proxy.take(LISTENER)
        catalog.set(listeners(2, left="bad"))
        await refuse_bad(proxy, LISTENER, 1)
        catalog.set(listeners(3, left="1", right="bad"))
        await refuse_bad(proxy, LISTENER, 1)
        await until(lambda: len(events.of("rejected")) == 2)
        await proxy.silent()
        assert events.of("recovered") == [(LISTENER, "left")]
