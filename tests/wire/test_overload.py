"""More than the daemon can serve: it is shed early, counted and told, costs a bounded memory, and delays no neighbour."""

import asyncio
import gc
import socket
import struct
import weakref
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from mizzen.daemon import health
from mizzen.proto.api import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from mizzen.rpc.admission import Limits
from mizzen.rpc.server import RpcLimits, RpcServer, send
from mizzen.rpc.tls import server_context
from mizzen.xds.resource import CLUSTER, ENDPOINT
from mizzen.xds.server import DiscoveryLimits, DiscoveryService
from tests.support.discovery import FakeCatalog, RecordedEvents, client, resource, snapshot, until
from tests.support.wire_certificates import Authority
from tests.wire.test_daemon import CART, World

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "daemon"),
    (":path", METHOD),
    ("content-type", "application/grpc+proto"),
    ("te", "trailers"),
]


class CountedEvents(RecordedEvents):
    """`pushes`: how many responses each proxy was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.pushes = Counter()

    def pushed(self, session, *_details):
        self.pushes[session.name] += 1


FIRST = snapshot(1, resource(CLUSTER, "c"))


class Sheds(list):
    """What was shed, as (work, reason)."""

    def __call__(self, work, reason):
        self.append((work, reason))


@asynccontextmanager
async def serving(first=FIRST, limits=None, rpc=None, tls=None):
    """(server, catalog, service, what was shed)."""
    sheds, catalog = Sheds(), FakeCatalog(first)
    service = DiscoveryService(catalog, CountedEvents(), limits, sheds)
    server = RpcServer([service], tls, limits=rpc, shed=sheds)
    await server.start()
    try:
        yield server, catalog, service, sheds
    finally:
        await server.close()


class RawClient:
    """Speaks HTTP/2 as badly as a test wants."""

    def __init__(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer
        self.http2 = H2Connection(H2Configuration(client_side=True))
        self.http2.initiate_connection()
        self.ended = False

    def flush(self):
        self.writer.write(self.http2.data_to_send())

    async def read(self):
        data = await self.reader.read(2**16)
        self.ended = not data
        self.http2.receive_data(data)
        self.flush()

    def open_windows(self):
        """For what a server sends: as wide as HTTP/2 allows."""
        self.http2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        self.http2.increment_flow_control_window(2**31 - 2**16)

    def open_call(self):
        stream = self.http2.get_next_available_stream_id()
        self.http2.send_headers(stream, HEADERS)
        return stream


@asynccontextmanager
async def raw(port, ssl=None):
    connection = socket.socket()
    connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, 2**12
    )  # the kernel keeps little for who does not read
    connection.connect(("127.0.0.1", port))
    connection.setblocking(False)
    named = {"server_hostname": "localhost"} if ssl else {}
    raw = RawClient(*await asyncio.open_connection(sock=connection, ssl=ssl, **named))
    try:
        raw.flush()
        await raw.read()
        yield raw
    finally:
        raw.writer.transport.abort()
        await asyncio.sleep(0)


def framed(**fields) -> bytes:
    message = DeltaDiscoveryRequest(**fields).SerializeToString()
    return b"\0" + struct.pack(">I", len(message)) + message


def held_by(server) -> int:
    """The bytes that a server keeps for its clients: received and not read, written and not sent."""
    return sum(
        connection._transport.get_write_buffer_size()
        + sum(len(stream.buffer._data) for stream in connection.processor.streams.values())
        for connection in server._connections
    )


# --- connections


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def contexts(authority):
    """The daemon's, and a client's."""
    own = authority.issue("daemon", dns=("localhost",))
    return server_context(own.chain, own.key, authority.pem), authority.client_context()


def connections(port, number):
    """Made by the kernel alone: nobody has accepted them yet."""
    for _ in range(number):
        made = socket.create_connection(("127.0.0.1", port))
        made.setblocking(False)
        yield made


async def test_a_storm_of_connections_is_served_twenty_handshakes_at_a_time(contexts):
    at_once = []

    def newest():  # asked at the beginning of each handshake
        at_once.append(len(server._handshakes))
        return contexts[0]

    async def greeted(connection):
        reader, writer = await asyncio.open_connection(
            sock=connection, ssl=contexts[1], server_hostname="localhost"
        )
        try:
            return await reader.read(1)
        finally:
            writer.transport.abort()

    limits = RpcLimits(handshakes=20, patience_seconds=60)
    async with serving(rpc=limits, tls=newest) as (server, _, _, sheds):
        storm = list(connections(server.port, 300))
        await until(lambda: len(server._handshakes) == 20)
        async with asyncio.timeout(60):
            assert len(await asyncio.gather(*map(greeted, storm))) == 300
        assert len(at_once) == 300
        assert max(at_once) == 20
        assert not sheds
        await until(lambda: server.connections == 0)
        assert not server._quick


async def test_silent_connections_keep_nobody_out_for_longer_than_their_patience(contexts):
    limits = RpcLimits(handshakes=2, patience_seconds=0.01)
    async with serving(rpc=limits, tls=lambda: contexts[0]) as (server, *_), AsyncExitStack() as stack:
        for silent in connections(server.port, 9):
            stack.callback(silent.close)
        proxy = await stack.enter_async_context(client(server.port, ssl=contexts[1]))
        await proxy.subscribe(CLUSTER)
        assert await proxy.take(CLUSTER) == ["c"]
        assert len(server._handshakes) == 9
    assert not server._handshakes


async def test_a_connection_too_many_is_counted():
    async with serving(rpc=RpcLimits(connections=1)) as (server, _, _, sheds):
        _, first = await asyncio.open_connection("127.0.0.1", server.port)
        await until(lambda: server.connections == 1)
        reader, second = await asyncio.open_connection("127.0.0.1", server.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert sheds == [("connections", "crowd")]
        first.transport.abort()
        second.transport.abort()


async def test_a_connection_has_so_many_calls_at_most():
    async with (
        serving(rpc=RpcLimits(calls=3)) as (server, *_),
        raw(server.port) as greedy,
        asyncio.timeout(5),
    ):
        while greedy.http2.remote_settings.max_concurrent_streams != 3:
            await greedy.read()
        greedy.http2.remote_settings.max_concurrent_streams = 99  # it does not keep to it
        greedy.http2.remote_settings.acknowledge()
        for _ in range(4):
            greedy.open_call()
        greedy.flush()
        while not greedy.ended:
            await greedy.read()
        await until(lambda: server.connections == 0)


# --- what a connection may cost


async def test_who_asks_on_and_on_and_reads_nothing_is_dropped():
    limits = RpcLimits(unsent_bytes=2**16)
    async with serving(rpc=limits) as (server, _, _, sheds), raw(server.port) as deaf:
        pings = 500 * bytes((0, 0, 8, 6, *[0] * 13))
        for _ in range(2**12):
            if server.connections == 0:
                break
            deaf.writer.write(pings)
            assert held_by(server) < 2**16 + 2**18  # and what one read of the socket may cause
            await asyncio.sleep(0)
        assert sheds == [("connections", "unread")]


class Busy:
    """A service that has other things to do than to read."""

    async def _busy(self, stream):
        await asyncio.Event().wait()

    def __mapping__(self):
        kind = Cardinality.STREAM_STREAM
        return {METHOD: Handler(self._busy, kind, DeltaDiscoveryRequest, DeltaDiscoveryResponse)}


class Talker:
    """A service that has much to say."""

    async def _talk(self, stream):
        await send(stream, bytes(2**22))

    def __mapping__(self):
        kind = Cardinality.STREAM_STREAM
        return {METHOD: Handler(self._talk, kind, DeltaDiscoveryRequest, DeltaDiscoveryResponse)}


async def test_little_waits_encrypted_for_who_does_not_read(contexts):
    """The buffer that it waits in keeps its size for as long as the connection lives."""
    server = RpcServer([Talker()], lambda: contexts[0])
    await server.start()
    async with raw(server.port, contexts[1]) as deaf:
        deaf.open_windows()
        deaf.open_call()
        deaf.flush()
        await until(lambda: any(not each.connection.write_ready.is_set() for each in server._connections))
        assert 0 < held_by(server) < 2**17
    await server.close()


@pytest.mark.parametrize("encrypted", [True, False])
async def test_no_part_of_a_connection_that_is_gone_waits_for_the_collector(contexts, encrypted):
    server = RpcServer([Busy()], (lambda: contexts[0]) if encrypted else None)
    await server.start()
    gc.collect()
    gc.disable()
    try:
        async with raw(server.port, contexts[1] if encrypted else None) as brief:
            brief.open_call()
            brief.flush()
            await until(lambda: any(each.processor.streams for each in server._connections))
            (connection,) = server._connections
            parts = [weakref.ref(connection), weakref.ref(connection._socket_transport)]
            del connection
        await until(lambda: not server.connections)
        await until(lambda: not any(part() for part in parts))
    finally:
        gc.enable()
        await server.close()


async def test_frames_of_no_length_and_of_one_byte_cost_no_more_than_their_bytes():
    server = RpcServer([Busy()])
    await server.start()
    async with raw(server.port) as petty:
        stream = petty.open_call()
        for _ in range(5000):
            petty.http2.send_data(stream, b"")
            petty.http2.send_data(stream, b"x")
        petty.flush()
        await until(lambda: held_by(server) == 5000)
        (connection,) = server._connections
        assert connection.processor.streams[stream].buffer._unacked.empty()
    await server.close()


async def test_what_nobody_reads_is_no_more_than_the_window():
    server = RpcServer([Busy()], limits=RpcLimits(window_bytes=100_000))
    await server.start()
    async with raw(server.port) as eager:
        async with asyncio.timeout(5):
            while eager.http2.remote_settings.initial_window_size != 100_000:
                await eager.read()
        stream = eager.open_call()
        while window := eager.http2.local_flow_control_window(stream):
            eager.http2.send_data(stream, b"x" * min(window, 16_000))
        eager.flush()
        await until(lambda: held_by(server) == 100_000)
        assert eager.http2.local_flow_control_window(stream) == 0
    await server.close()


async def test_a_call_that_ends_in_the_middle_of_a_message_is_told_so():
    async with serving() as (server, *_), raw(server.port) as broken:
        stream = broken.open_call()
        broken.http2.send_data(stream, b"\0\0\0", end_stream=True)
        broken.flush()
        seen = b""
        while b"in%20the%20middle" not in seen and b"the middle" not in seen:
            data = await asyncio.wait_for(broken.reader.read(2**16), 5)
            events = broken.http2.receive_data(data)
            seen += repr(events).encode()


# --- streams


async def refusal(server, name, ssl=None) -> GRPCError:
    async def ask():
        async with client(server.port, name, ssl=ssl) as proxy:
            await proxy.subscribe(CLUSTER)
            await proxy.receive()

    with pytest.raises(GRPCError) as caught:
        await ask()
    return caught.value


async def test_new_streams_wait_in_a_bounded_queue_and_what_is_beyond_is_told_to_come_again():
    limits = DiscoveryLimits(streams=Limits(waiting=3, wait_seconds=60))
    async with serving(limits=limits) as (server, catalog, service, sheds), AsyncExitStack() as stack:
        await service._admission._turn.acquire()  # as if a stream before them took long
        proxies = [await stack.enter_async_context(client(server.port, f"p{n}")) for n in range(3)]
        for proxy in proxies:
            await proxy.subscribe(CLUSTER)
        await until(lambda: service._admission._waiting == 3)
        for name in ("p3", "p4"):
            crowded = await refusal(server, name)
            assert crowded.status is Status.UNAVAILABLE
            assert crowded.message == (
                "too many streams are being asked for at once: try again in some seconds"
            )
        assert sheds == [("streams", "crowd")] * 2
        assert catalog.asked == []
        service._admission._turn.release()
        for proxy in proxies:
            assert await proxy.take(CLUSTER) == ["c"]
        again = await stack.enter_async_context(client(server.port, "p3"))
        await again.subscribe(CLUSTER)
        assert await again.take(CLUSTER) == ["c"]


async def test_a_stream_that_waited_for_too_long_is_told_to_come_again():
    limits = DiscoveryLimits(streams=Limits(wait_seconds=0.01))
    async with serving(limits=limits) as (server, _, service, sheds):
        await service._admission._turn.acquire()
        assert (await refusal(server, "p")).status is Status.UNAVAILABLE
        assert sheds == [("streams", "crowd")]


async def test_a_client_that_connects_in_a_loop_uses_up_its_own_allowance(authority, contexts):
    limits = DiscoveryLimits(streams=Limits(burst=5, per_second=0))
    uri = "spiffe://cluster.local/ns/shop/sa/looping"
    looping = authority.client_context(authority.issue("looping", uris=(uri,)))
    async with (
        serving(limits=limits, tls=lambda: contexts[0]) as (server, catalog, _, sheds),
        client(server.port, "other", ssl=contexts[1]) as other,
    ):
        await other.subscribe(CLUSTER)
        assert await other.take(CLUSTER) == ["c"]
        for _ in range(5):
            async with client(server.port, ssl=looping) as proxy:
                await proxy.subscribe(CLUSTER)
                await proxy.take(CLUSTER)
        for _ in range(4):
            refused = await refusal(server, "proxy", looping)
            assert refused.status is Status.RESOURCE_EXHAUSTED
            assert refused.message == f"{uri} asks for streams too often: try again in some seconds"
        assert sheds == [("streams", "caller")] * 4
        assert len(catalog.asked) == 1 + 5
        catalog.set(snapshot(2, resource(CLUSTER, "c", "2")))
        assert await other.take(CLUSTER) == ["c"]
        async with client(server.port, "another", ssl=contexts[1]) as another:
            await another.subscribe(CLUSTER)
            assert await another.take(CLUSTER) == ["c"]


async def test_a_proxy_has_so_many_streams_at_most_and_room_is_made_again():
    limits = DiscoveryLimits(streams_of_proxy=2)
    async with serving(limits=limits) as (server, catalog, service, sheds), AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        for held in (first, stack):
            proxy = await held.enter_async_context(client(server.port, "greedy"))
            await proxy.subscribe(CLUSTER)
            await proxy.take(CLUSTER)

        async def another(name="greedy"):
            async with client(server.port, name) as proxy:
                await proxy.subscribe(CLUSTER)
                return await proxy.take(CLUSTER)

        refused = await refusal(server, "greedy")
        assert refused.status is Status.RESOURCE_EXHAUSTED
        assert refused.message == "greedy has 2 streams already: close some"
        assert sheds == [("streams", "proxy")]
        assert await another("modest") == ["c"]
        await first.aclose()
        await until(lambda: len(service.status()) == 1)
        assert await another() == ["c"]
        await until(lambda: len(service.status()) == 1)
        assert service._streams == {"greedy": 1}
        assert all(session.closed == (session is not catalog.sessions[1]) for session in catalog.sessions)


# --- requests


async def test_who_floods_is_read_slowly_and_a_neighbour_is_sent_its_changes():
    limits = DiscoveryLimits(request_burst=10, requests_per_second=50)
    async with (
        serving(limits=limits) as (server, catalog, service, sheds),
        client(server.port, "neighbour") as neighbour,
        raw(server.port) as flooding,
    ):
        await neighbour.subscribe(CLUSTER)
        await neighbour.take(CLUSTER)
        stream = flooding.open_call()
        flooding.http2.send_data(stream, framed(node={"id": "flood"}, type_url=ENDPOINT))
        flooding.flush()
        await until(lambda: len(service.status()) == 2)
        request = framed(type_url=ENDPOINT, resource_names_subscribe=["a"], resource_names_unsubscribe=["a"])
        sent = 0
        while flooding.http2.local_flow_control_window(stream) > len(request):
            flooding.http2.send_data(stream, request)
            sent += 1
        flooding.flush()
        (conversation,) = (each for each in service._conversations if each.session.name == "flood")
        await until(lambda: sheds)
        for revision in range(2, 12):
            catalog.set(snapshot(revision, resource(CLUSTER, "c", str(revision))))
            assert await neighbour.take(CLUSTER) == ["c"]
        assert sent > 1000
        assert set(sheds) == {("requests", "slowed")}
        read = conversation._stream._messages_received
        assert read < sent / 2, "the rest waits in the buffer, or with the client"
        assert held_by(server) <= server.limits.window_bytes


async def test_many_names_make_a_request_dear():
    limits = DiscoveryLimits(request_burst=60, requests_per_second=10)
    names = [f"n{number}" for number in range(50_000)]
    async with serving(limits=limits) as (server, _, _, sheds), client(server.port) as proxy:
        await proxy.subscribe(ENDPOINT, *names)
        await proxy.take(ENDPOINT)
        assert not sheds
        await proxy.subscribe(ENDPOINT, "one more")
        await until(lambda: sheds == [("requests", "slowed")])


# --- proxies that are stuck


async def test_a_stuck_proxy_changes_nothing_for_its_neighbours_and_holds_little():
    big = snapshot(1, *(resource(CLUSTER, f"c{number}", "x" * 100_000) for number in range(200)))
    limits = DiscoveryLimits(write_seconds=0.3)
    async with serving(big, limits) as (server, catalog, service, sheds), AsyncExitStack() as stack:

        async def connected(name):
            proxy = await stack.enter_async_context(client(server.port, name))
            await proxy.subscribe(CLUSTER)
            return proxy

        deaf = await connected("deaf")
        deaf.stop_reading()
        await until(lambda: _pushes(service) == {"deaf": 1})
        catalog.current = FIRST
        mute, *neighbours = [await connected(name) for name in ("mute", "n1", "n2")]
        await mute.receive(CLUSTER)
        for neighbour in neighbours:
            await neighbour.take(CLUSTER)
        for revision in range(2, 22):
            catalog.set(snapshot(revision, resource(CLUSTER, "c", str(revision))))
            for neighbour in neighbours:
                assert await neighbour.take(CLUSTER) == ["c"]
            assert held_by(server) < 2**18
        assert _pushes(service) == {"deaf": 1, "mute": 1, "n1": 21, "n2": 21}
        await until(lambda: "deaf" not in _pushes(service))
        assert sheds == [("connections", "unread")]
        assert len(service.status()) == 3


def _pushes(service) -> dict[str, int]:
    """By connected proxy, how many responses it was sent."""
    return {each.session.name: service._events.pushes[each.session.name] for each in service._conversations}


async def test_clients_that_reset_their_calls_at_once_leave_nothing_behind():
    async with serving() as (server, catalog, *_), raw(server.port) as resetting:
        for _ in range(20):
            for _ in range(50):
                resetting.http2.reset_stream(resetting.open_call())
            resetting.flush()
            await asyncio.sleep(0.001)
        async with client(server.port) as neighbour:
            await neighbour.subscribe(CLUSTER)
            assert await neighbour.take(CLUSTER) == ["c"]
            await until(lambda: sum(len(each.processor.streams) for each in server._connections) == 1)
            assert len(catalog.asked) == 1


async def test_the_daemon_counts_what_it_sheds_and_tells_the_agent(tmp_path, monkeypatch):
    monkeypatch.setattr(health, "LIMITS", Limits(burst=1, per_second=0.001))
    world = World(tmp_path)
    async with world.serving():
        context = await world.daemon.join(CART)
        await world.daemon.report_health(context, "shop/cart-0", healthy=True)
        with pytest.raises(GRPCError, match="shop/cart-0 asks for reports too often") as refused:
            await world.daemon.report_health(context, "shop/cart-0", healthy=True)
        assert refused.value.status is Status.RESOURCE_EXHAUSTED
        metrics = await world.daemon._get("metrics")
        assert 'mizzen_shed_total{reason="caller",work="reports"} 1.0' in metrics
