"""Before somebody is authenticated: what a client without a certificate may cost, and what half-sent messages may."""

import asyncio
import struct

import pytest
from grpclib.client import Channel, StreamStreamMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from h2.exceptions import StreamClosedError

from mizzen.daemon.settings import Settings
from mizzen.proto.api import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from mizzen.rpc.server import RpcLimits
from mizzen.xds.resource import CLUSTER
from tests.support.daemon import _named, identity, running_daemon
from tests.support.discovery import client, until
from tests.support.wire_certificates import Authority
from tests.wire.test_overload import METHOD, contexts, held_by, raw, serving

__all__ = ["contexts"]  # a fixture
KIB, MIB = 2**10, 2**20


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


async def half_send(sender, calls, length=4 * MIB - 64 * KIB):
    """Begin a long message on each call, and go on with all of them as far as the server lets; end none."""
    left = dict.fromkeys(calls, length)
    for call in calls:
        sender.http2.send_data(call, b"\0" + struct.pack(">I", length + 1))
    sender.flush()
    reading = asyncio.create_task(read_all(sender))
    for _ in range(400):
        for call in [call for call, rest in left.items() if rest]:
            try:
                while size := min(left[call], sender.http2.local_flow_control_window(call), 16_000):
                    sender.http2.send_data(call, b"x" * size)
                    left[call] -= size
            except StreamClosedError:  # refused
                left[call] = 0
        sender.flush()
        if not any(left.values()):
            break
        await asyncio.sleep(0.002)
    reading.cancel()


async def answer(opened, *names):
    async with opened as proxy:
        await proxy.subscribe(CLUSTER, *names)
        return await proxy.receive()


async def read_all(sender):
    while not sender.ended:
        await sender.read()


async def test_messages_that_are_never_finished_are_kept_for_no_more_than_one_call():
    limits = RpcLimits()
    async with serving(rpc=limits) as (server, *_):
        async with raw(server.port) as greedy:
            await half_send(greedy, [greedy.open_call() for _ in range(20)])
            assert 0 < server.received.kept_bytes == held_by(server)
            assert held_by(server) <= limits.message_bytes + 2 * limits.window_bytes
        await until(lambda: server.connections == 0)
        assert server.received.kept_bytes == 0


async def test_all_connections_together_have_a_bound_and_who_sends_whole_messages_is_served():
    limits = RpcLimits(received_bytes=5 * MIB)
    async with serving(rpc=limits) as (server, *_), raw(server.port) as one, raw(server.port) as other:
        for sender in (one, other):
            await half_send(sender, [sender.open_call()])
        assert server.received.kept_bytes <= limits.received_bytes + 2 * limits.window_bytes
        async with client(server.port) as proxy:
            await proxy.subscribe(CLUSTER)
            assert await proxy.take(CLUSTER) == ["c"]


async def test_a_stranger_may_not_send_what_a_workload_may(authority, contexts):
    long = [f"name-{number}" for number in range(20_000)]
    async with serving(tls=lambda: contexts[0]) as (server, *_):
        with pytest.raises(GRPCError, match="at most 65536 are taken"):
            await answer(client(server.port, ssl=authority.client_context()), *long)
        known = authority.client_context(authority.issue("web", uris=("spiffe://cluster.local/ns/a/sa/b",)))
        async with client(server.port, ssl=known) as workload:
            await workload.subscribe(CLUSTER, *long)
            assert await workload.receive(CLUSTER)


async def test_a_stranger_has_a_minute_and_a_workload_has_not(authority, contexts):
    known = authority.client_context(authority.issue("web", uris=("spiffe://cluster.local/ns/a/sa/b",)))
    limits = RpcLimits(stranger_seconds=0.05)
    async with (
        serving(rpc=limits, tls=lambda: contexts[0]) as (server, *_),
        client(server.port, ssl=known) as workload,
        client(server.port, ssl=authority.client_context()) as stranger,
    ):
        await workload.subscribe(CLUSTER)
        assert await workload.take(CLUSTER) == ["c"]
        with pytest.raises((StreamTerminatedError, OSError)):
            await served_to_the_end(stranger)
        await workload.silent()


async def served_to_the_end(proxy):
    await proxy.subscribe(CLUSTER)
    while True:
        await proxy.receive()


async def test_strangers_beyond_their_number_are_closed_and_keep_no_workload_out(authority, contexts):
    known = authority.client_context(authority.issue("web", uris=("spiffe://cluster.local/ns/a/sa/b",)))
    async with serving(rpc=RpcLimits(strangers=2), tls=lambda: contexts[0]) as (server, _, _, sheds):
        writers = []
        for number in range(4):
            opened = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=authority.client_context(), server_hostname="localhost"
            )
            writers.append(opened[1])
            await until(lambda number=number: len(writers) == number + 1 and not server._handshakes)
        await until(lambda: len(server._connections) == 2)
        assert sheds == 2 * [("connections", "crowd")]
        async with client(server.port, ssl=known) as workload:
            await workload.subscribe(CLUSTER)
            assert await workload.take(CLUSTER) == ["c"]
        for writer in writers:
            writer.transport.abort()


WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: cart, namespace: shop}
spec: {address: 10.0.0.1, serviceAccount: cart}
"""


@pytest.fixture
async def daemon(tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    (config / "cart.yaml").write_text(WORKLOAD)
    async with running_daemon(Settings(config=(config,), state_dir=tmp_path / "state", listen_port=0)) as one:
        yield one


async def test_of_a_strangers_stream_nothing_is_read(daemon):
    """It is refused at its headers: no message has been sent yet."""
    with pytest.raises(GRPCError) as caught:
        await headers_alone(daemon)
    assert caught.value.status is Status.UNAUTHENTICATED
    assert caught.value.message == "a client certificate of the mesh is needed"


async def headers_alone(daemon):
    channel = Channel("127.0.0.1", daemon.port, ssl=daemon.context(), config=_named())
    method = StreamStreamMethod(channel, METHOD, DeltaDiscoveryRequest, DeltaDiscoveryResponse)
    async with channel, method.open() as stream:
        await stream.send_request()
        await asyncio.wait_for(stream.recv_message(), 5)


async def test_a_node_that_says_too_much_is_refused_unread(daemon):
    cart = await daemon.join(identity("shop", "cart"))
    claims = {"LABELS": {f"label-{number}": "x" for number in range(50_000)}}
    with pytest.raises(GRPCError, match="bytes of itself: at most 65536 are taken"):
        await answer(daemon.proxy(cart, "shop/cart", metadata=claims))
