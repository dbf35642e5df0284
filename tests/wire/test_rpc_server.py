"""The gRPC seam: who the peer is, what rotates, what a client may cost."""

import asyncio
import os
import socket
import ssl
import stat
from contextlib import asynccontextmanager

import pytest
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from mizzen.proto.api import HealthReport, HealthReportResponse
from mizzen.rpc.server import ListenError, RpcLimits, RpcServer, peer_of
from mizzen.rpc.tls import server_context
from tests.support.wire_certificates import Authority

SPIFFE = "spiffe://cluster.local/ns/shop/sa/cart"


class Echo:
    """Remembers its peers; `hold` keeps calls open until told."""

    def __init__(self):
        self.peers = []
        self.reports = []
        self.hold = None
        self.cancelled = 0

    async def report(self, stream):
        self.reports.append(await stream.recv_message())
        self.peers.append(peer_of(stream))
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        await stream.send_message(HealthReportResponse().SerializeToString())

    def __mapping__(self):
        return {
            "/t.T/Report": Handler(self.report, Cardinality.UNARY_UNARY, HealthReport, HealthReportResponse)
        }


@asynccontextmanager
async def serving(tls=None, limits=None, **where):
    echo = Echo()
    server = RpcServer([echo], tls, limits=limits)
    await server.start(**where)
    try:
        yield server, echo
    finally:
        await server.close()


async def call(port=None, context=None, message="hello", **where):
    channel = Channel("127.0.0.1", port, ssl=context) if port else Channel(**where)
    try:
        method = UnaryUnaryMethod(channel, "/t.T/Report", HealthReport, HealthReportResponse)
        return await asyncio.wait_for(method(HealthReport(node_id=message)), 5)
    finally:
        channel.close()
        await asyncio.sleep(0)


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def contexts(authority):
    """A rotatable list whose last context is the one in force."""
    issued = authority.issue("server", dns=("mizzen.mizzen-system.svc",))
    return [server_context(issued.chain, issued.key, authority.pem)]


async def test_plaintext_peer_has_an_address_and_no_identity():
    async with serving() as (server, echo):
        await call(server.port)
    (peer,) = echo.peers
    assert peer.identity is None
    assert peer.address.startswith("127.0.0.1:")


async def test_the_certificate_gives_identity_serial_and_end(authority, contexts):
    client = authority.issue("client", uris=(SPIFFE,))
    async with serving(lambda: contexts[-1]) as (server, echo):
        await call(server.port, authority.client_context(client))
    (peer,) = echo.peers
    assert peer.identity == SPIFFE
    assert int(peer.serial, 16) == client.serial
    assert peer.not_after == int(client.not_after.timestamp())


async def test_no_certificate_is_let_in_without_identity(authority, contexts):
    async with serving(lambda: contexts[-1]) as (server, echo):
        await call(server.port, authority.client_context())
    assert echo.peers[0].identity is None


@pytest.mark.parametrize("uris", [(), (SPIFFE, SPIFFE + "2")])
async def test_a_certificate_that_does_not_name_one_identity_names_none(authority, contexts, uris):
    client = authority.issue("client", uris=uris, dns=("x",))
    async with serving(lambda: contexts[-1]) as (server, echo):
        await call(server.port, authority.client_context(client))
    assert echo.peers[0].identity is None
    assert echo.peers[0].serial


async def test_a_strangers_certificate_is_refused(tmp_path, authority, contexts):
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger").issue("client", uris=(SPIFFE,))
    async with serving(lambda: contexts[-1]) as (server, echo):
        with pytest.raises((ssl.SSLError, ConnectionError, StreamTerminatedError)):
            await call(server.port, authority.client_context(stranger))
        await until(lambda: server.connections == 0)
    assert echo.peers == []


async def test_no_session_is_resumed(authority, contexts):
    """The verification of the client's certificate would be skipped."""
    context = authority.client_context(authority.issue("client", uris=(SPIFFE,)))
    async with serving(lambda: contexts[-1]) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        await reader.read(1)  # a ticket would have come before
        assert not writer.get_extra_info("ssl_object").session.has_ticket
        writer.close()


async def test_tls_1_2_is_refused_since_its_sessions_are_resumed_by_id(authority, contexts):
    context = authority.client_context(authority.issue("client", uris=(SPIFFE,)))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(lambda: contexts[-1]) as (server, echo):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await call(server.port, context)
    assert echo.peers == []


async def test_certificate_and_roots_rotate_without_restart(tmp_path, authority, contexts):
    (tmp_path / "new").mkdir()
    renewed = Authority(tmp_path / "new", "renewed")
    old_client, new_client = authority.issue("c", uris=(SPIFFE,)), renewed.issue("c", uris=(SPIFFE,))
    async with serving(lambda: contexts[-1]) as (server, echo):
        await call(server.port, authority.client_context(old_client))
        issued = renewed.issue("server")
        contexts.append(server_context(issued.chain, issued.key, renewed.pem))
        await call(server.port, renewed.client_context(new_client))
        with pytest.raises(ssl.SSLCertVerificationError):
            await call(server.port, authority.client_context(old_client))
    assert len(echo.peers) == 2


async def test_tls_1_1_is_refused(authority, contexts):
    old = authority.client_context()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(lambda: contexts[-1]) as (server, _):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await call(server.port, old)


async def test_a_silent_handshake_ends(contexts):
    async with serving(lambda: contexts[-1], RpcLimits(handshake_seconds=0.05)) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await until(lambda: server.connections == 1)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await until(lambda: server.connections == 0)


async def test_connections_beyond_the_cap_are_closed_and_room_is_made_again():
    async with serving(limits=RpcLimits(connections=1)) as (server, echo):
        _, first = await asyncio.open_connection("127.0.0.1", server.port)
        await until(lambda: server.connections == 1)
        reader, second = await asyncio.open_connection("127.0.0.1", server.port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        first.close()
        second.close()
        await until(lambda: server.connections == 0)
        await call(server.port)
        assert len(echo.peers) == 1


async def test_a_message_too_long_is_refused_and_the_connection_lives():
    async with serving(limits=RpcLimits(message_bytes=1000)) as (server, echo):
        channel = Channel("127.0.0.1", server.port)
        method = UnaryUnaryMethod(channel, "/t.T/Report", HealthReport, HealthReportResponse)
        with pytest.raises(GRPCError) as refused:
            await method(HealthReport(node_id="x" * 2000))
        assert refused.value.status is Status.RESOURCE_EXHAUSTED
        await method(HealthReport(node_id="x"))
        channel.close()
        assert len(echo.reports) == 1


async def test_garbage_costs_only_its_own_connection(caplog):
    async with serving() as (server, _):
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(300)):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(garbage)
            await asyncio.wait_for(reader.read(), 5)
            writer.close()
        await call(server.port)
    assert not caplog.records


async def test_close_cancels_calls_and_leaves_no_connection():
    async with serving() as (server, echo):
        echo.hold = asyncio.Event()
        pending = asyncio.create_task(call(server.port))
        await until(lambda: echo.peers)
        await server.close()
        assert server.connections == 0
        assert echo.cancelled == 1
        with pytest.raises((StreamTerminatedError, ConnectionError)):
            await pending


async def test_unix_socket_is_its_owners_alone(tmp_path):
    path = tmp_path / "sds.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(path=path) as (_, echo):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await call(path=str(path))
    assert echo.peers[0].address == "unix"
    assert not path.exists()


async def test_a_taken_port_is_said_in_one_line():
    async with serving() as (server, _):
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{server.port}: .*in use"):
            await RpcServer([]).start("127.0.0.1", server.port)
