"""Slow proxies, many proxies: nobody waits for the slowest, nothing piles up, nothing is encoded twice."""

import asyncio
import contextlib
import gc
import weakref
from contextlib import AsyncExitStack

import pytest
from grpclib.config import Configuration
from grpclib.exceptions import GRPCError, StreamTerminatedError

from mizzen.proto.api import DeltaDiscoveryRequest
from mizzen.xds import encoding
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER
from mizzen.xds.server import DiscoveryLimits
from mizzen.xds.turns import Turns
from tests.support.discovery import bodies_of, client, discovery, names_of, resource, snapshot, until


async def test_a_proxy_that_does_not_ack_gets_only_the_newest_when_it_does():
    async with (
        discovery(snapshot(1, resource(ENDPOINT, "a", "1"))) as (server, catalog, events, _),
        client(server.port) as proxy,
    ):
        await proxy.subscribe(ENDPOINT, "a")
        first = await proxy.receive(ENDPOINT)
        for revision in range(2, 30):
            catalog.set(snapshot(revision, resource(ENDPOINT, "a", str(revision))))
            await asyncio.sleep(0)
        await proxy.silent()
        await proxy.ack(first)
        assert bodies_of(await proxy.receive(ENDPOINT)) == {"a": "a=29"}
        assert len([pushed for pushed in events.of("pushed") if pushed[0] == ENDPOINT]) == 2


async def test_a_proxy_that_does_not_read_disturbs_nobody_and_is_dropped():
    big = snapshot(1, *(resource(CLUSTER, f"c{number}", "x" * 100_000) for number in range(200)))
    limits = DiscoveryLimits(write_seconds=0.5, long_turns=1)
    async with discovery(big, limits) as (server, catalog, events, service), AsyncExitStack() as stack:
        for number in range(3):  # the first is deaf to TCP, the others to HTTP/2
            window = 2**31 - 1 if number == 0 else 2**16
            config = Configuration(http2_connection_window_size=window, http2_stream_window_size=window)
            deaf = await stack.enter_async_context(client(server.port, f"deaf{number}", config=config))
            await deaf.subscribe(CLUSTER)
            if number == 0:
                deaf.stop_reading()
        await until(lambda: len(events.of("pushed")) == 3)
        catalog.current = snapshot(1, resource(CLUSTER, "small"))
        good = await stack.enter_async_context(client(server.port, "good"))
        await good.subscribe(CLUSTER)
        assert await good.take(CLUSTER) == ["small"]
        await until(lambda: len(events.of("disconnected")) == 3)
        assert [status.session.name for status in service.status()] == ["good"]
        await until(lambda: server.connections == 1)


async def test_a_hundred_proxies_share_bytes_and_differences(monkeypatch):
    encoded = []
    head = encoding.resource_head
    monkeypatch.setattr(encoding, "resource_head", lambda *args: encoded.append(args[1]) or head(*args))
    first = snapshot(
        1, *(resource(CLUSTER, f"c{n}") for n in range(50)), *(resource(LISTENER, f"l{n}") for n in range(5))
    )
    async with discovery(first) as (server, catalog, _, service), AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(client(server.port, f"p{n}")) for n in range(100)]
        for proxy in proxies:
            await proxy.subscribe(CLUSTER)
        for proxy in proxies:
            assert len(await proxy.take(CLUSTER)) == 50
        change = snapshot(
            2,
            *first.of(CLUSTER).values(),
            resource(CLUSTER, "c0", "2"),
            *first.of(LISTENER).values(),
            like=first,
        )
        catalog.set(change)
        for proxy in proxies:
            assert await proxy.take(CLUSTER) == ["c0"]
        assert len(encoded) == 55 + 1
        assert service._shared.differences.computed == 2


async def test_names_are_shared_by_proxies_that_ask_for_the_same():
    names = [f"c{n}" for n in range(50)]
    async with discovery(snapshot(1, *(resource(ENDPOINT, name) for name in names))) as (
        server,
        _,
        _,
        service,
    ):
        async with AsyncExitStack() as stack:
            for number in range(5):
                proxy = await stack.enter_async_context(client(server.port, f"p{number}"))
                await proxy.subscribe(ENDPOINT, *names[:25])
                await proxy.subscribe(ENDPOINT, *names[25:])
                taken = await proxy.take(ENDPOINT)
                assert sorted(taken + (await proxy.take(ENDPOINT) if len(taken) < 50 else [])) == sorted(
                    names
                )
            held = {id(c.delivery._subscriptions[ENDPOINT].names) for c in service._conversations}
            assert len(held) == 1
        await until(lambda: not service.status())


async def test_a_long_turn_ends_before_its_holder_does():
    turns = Turns(long_turns=1, patience_seconds=0.01)
    release = asyncio.Event()

    async def slow():
        async with turns.long_turn():
            await release.wait()

    waiting = asyncio.create_task(slow())
    await asyncio.sleep(0)
    async with asyncio.timeout(5), turns.long_turn():
        assert not waiting.done()
    release.set()
    await waiting
    async with asyncio.timeout(5), turns.long_turn():
        pass
    assert turns._free._value == 1


async def test_who_wants_many_turns_delays_nobody_by_more_than_one():
    turns, taken = Turns(), []

    class Taker:
        def __init__(self, name, wants):
            self.name, self.wants = name, wants

        def take_turn(self):
            taken.append(self.name)
            self.wants -= 1
            if self.wants:
                turns.want(self)
                turns.want(self)

    for name, wants in (("greedy", 50), ("modest", 1), ("other", 2)):
        turns.want(Taker(name, wants))
    await until(lambda: not len(turns))
    assert taken[:5] == ["greedy", "modest", "other", "greedy", "other"]
    assert taken.count("greedy") == 50


async def test_turns_leave_the_event_loop_its_own():
    now, log, waited = [0.0], [], []
    turns = Turns(clock=lambda: now[0], waited=waited.append)

    class Taker:
        def take_turn(self):
            now[0] += 0.002
            log.append("turn")

    for _ in range(9):
        turns.want(Taker())
    asyncio.get_running_loop().call_soon(log.append, "something else")
    await until(lambda: not len(turns))
    assert log == ["turn"] * 3 + ["something else"] + ["turn"] * 6
    assert waited == pytest.approx([0.002 * before for before in range(9)])


async def test_a_large_state_in_one_response():
    many = snapshot(1, *(resource(CLUSTER, f"outbound|80||service-{n}", "x" * 1000) for n in range(2000)))
    async with discovery(many) as (server, *_), client(server.port) as proxy:
        await proxy.subscribe(CLUSTER)
        response = await proxy.receive(CLUSTER)
        assert len(names_of(response)) == 2000


async def leaves(proxy, service, session):
    """By itself: `client` cancels its stream."""


async def is_cut_off(proxy, service, session):
    proxy._stream._stream._transport.abort()


async def is_sent_away(proxy, service, session):
    service.end(session, "the workload is gone")
    with pytest.raises(GRPCError, match="is gone"):
        await proxy.receive()


async def misbehaves(proxy, service, session):
    await proxy._stream.send_message(DeltaDiscoveryRequest())
    with pytest.raises(GRPCError, match="no type_url"):
        await proxy.receive()


@pytest.mark.parametrize("how", [leaves, is_cut_off, is_sent_away, misbehaves])
async def test_who_is_gone_leaves_nothing_to_the_collector(how):
    """What a connection had is freed at once: a full collection stops the daemon, and is made seldom."""
    async with discovery(snapshot(1, resource(CLUSTER, "a"))) as (server, catalog, events, service):
        gc.collect()
        gc.disable()
        try:
            with contextlib.suppress(GRPCError, StreamTerminatedError):
                async with client(server.port) as proxy:
                    await proxy.subscribe(CLUSTER)
                    await proxy.take(CLUSTER)
                    (conversation,) = map(weakref.ref, service._conversations)
                    (connection,) = map(weakref.ref, server._connections)
                    await how(proxy, service, catalog.sessions[0])
            await until(lambda: not server.connections)
            catalog.sessions.clear()
            events.log.clear()
            await until(lambda: conversation() is None and connection() is None)
        finally:
            gc.enable()
