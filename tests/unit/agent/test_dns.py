"""The DNS server over real sockets."""

import asyncio
import json
import struct

import pytest

from mizzen.agent.dns import DnsServer
from mizzen.agent.dns_hosts import HostTable, parse_hosts
from mizzen.agent.dns_message import AAAA, A, ResponseCode
from mizzen.agent.settings import HostPort
from mizzen.errors import UserError

MANY = [f"10.1.0.{n}" for n in range(100)]
TABLE = HostTable(
    "shop",
    parse_hosts(
        json.dumps({"cart.shop.svc.cluster.local": ["10.0.0.1"], "many.shop.svc.cluster.local": MANY})
    ),
)


def query(name: str, kind: int = A, message_id: int = 5, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", message_id, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer=None) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.answer = answer

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data, addr) -> None:
        self.received.put_nowait(data)
        if self.answer is not None:
            for message in self.answer(data):
                self.transport.sendto(message, addr)


async def ask_udp(port: int, message: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, asking = await loop.create_datagram_endpoint(Datagrams, remote_addr=("127.0.0.1", port))
    try:
        transport.sendto(message)
        async with asyncio.timeout(5):
            return await asking.received.get()
    finally:
        transport.close()
        await asyncio.sleep(0)


async def ask_tcp(port: int, *messages: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    responses = []
    async with asyncio.timeout(5):
        for message in messages:
            writer.write(len(message).to_bytes(2) + message)
            responses.append(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
    writer.close()
    await writer.wait_closed()
    return responses


def code(response: bytes) -> ResponseCode:
    return ResponseCode(response[3] & 0xF)


def answers(response: bytes) -> int:
    return struct.unpack_from(">H", response, 6)[0]


async def started(upstream: HostPort | None) -> DnsServer:
    """On a port that is free for UDP: for TCP somebody else may have it."""
    for _ in range(10):
        server = DnsServer(lambda: TABLE, upstream, 0)
        try:
            await server.start("127.0.0.1", 0)
        except UserError:
            continue
        return server
    raise AssertionError("no port is free for both UDP and TCP")


@pytest.fixture
async def server():
    server = await started(None)
    yield server
    await server.close()


@pytest.mark.parametrize(
    ("name", "kind", "expected", "count"),
    [
        ("cart.shop.svc.cluster.local", A, ResponseCode.NO_ERROR, 1),
        ("CART.Shop.svc.cluster.LOCAL", A, ResponseCode.NO_ERROR, 1),
        ("cart", A, ResponseCode.NO_ERROR, 1),
        ("cart.shop", A, ResponseCode.NO_ERROR, 1),
        ("cart", AAAA, ResponseCode.NO_ERROR, 0),
        ("cart", 15, ResponseCode.NO_ERROR, 0),
        ("unknown.shop.svc.cluster.local", A, ResponseCode.NAME_ERROR, 0),
        ("www.example.com.shop.svc.cluster.local", A, ResponseCode.NAME_ERROR, 0),
        ("unknown", A, ResponseCode.NAME_ERROR, 0),
        ("www.example.com", A, ResponseCode.REFUSED, 0),
    ],
)
async def test_answers_are_the_same_over_udp_and_tcp(server, name, kind, expected, count):
    by_udp = await ask_udp(server.port, query(name, kind))
    assert (code(by_udp), answers(by_udp)) == (expected, count)
    assert await ask_tcp(server.port, query(name, kind)) == [by_udp]


async def test_many_addresses_are_truncated_over_udp_and_whole_over_tcp(server):
    by_udp = await ask_udp(server.port, query("many"))
    assert (by_udp[2] & 0x02, answers(by_udp)) == (0x02, 0)
    [by_tcp] = await ask_tcp(server.port, query("many"))
    assert (by_tcp[2] & 0x02, answers(by_tcp)) == (0, 100)


async def test_one_connection_takes_several_questions(server):
    responses = await ask_tcp(server.port, query("cart"), query("unknown"))
    assert [code(response) for response in responses] == [ResponseCode.NO_ERROR, ResponseCode.NAME_ERROR]


async def test_what_is_not_a_query_is_not_implemented(server):
    assert code(await ask_udp(server.port, query("cart", flags=0x2800))) == ResponseCode.NOT_IMPLEMENTED


async def test_noise_does_no_harm(server):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Datagrams, remote_addr=("127.0.0.1", server.port)
    )
    transport.sendto(b"noise")
    transport.close()
    assert code(await ask_udp(server.port, query("cart"))) == ResponseCode.NO_ERROR


async def test_a_taken_port_is_said_in_words(server):
    with pytest.raises(UserError, match=r"cannot answer DNS on 127.0.0.1:\d+"):
        await DnsServer(lambda: TABLE, None, 0).start("127.0.0.1", server.port)


class Upstream:
    """A server for other names. It answers over UDP what `answer` makes of a question, over TCP the same."""

    def __init__(self, answer) -> None:
        self.answer = answer

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self.udp, self.protocol = await loop.create_datagram_endpoint(
            lambda: Datagrams(self.answer), ("127.0.0.1", 0)
        )
        self.port = self.udp.get_extra_info("sockname")[1]
        self.tcp = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.server = await started(HostPort("127.0.0.1", self.port))
        return self

    async def __aexit__(self, *_):
        await self.server.close()
        self.udp.close()
        self.tcp.close()
        await self.tcp.wait_closed()

    async def _serve(self, reader, writer):
        message = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        for response in self.answer(message):
            writer.write(len(response).to_bytes(2) + response)
        writer.close()


async def test_other_names_are_asked_on_as_they_came():
    async with Upstream(lambda message: [message + b"answered"]) as upstream:
        message = query("www.Example.com", 15)
        assert await ask_udp(upstream.server.port, message) == message + b"answered"
        assert await ask_tcp(upstream.server.port, message) == [message + b"answered"]
        assert code(await ask_udp(upstream.server.port, query("x.cluster.local"))) == ResponseCode.NAME_ERROR


async def test_an_answer_to_another_question_is_passed_over():
    async with Upstream(lambda message: [b"\xff\xff" + message[2:], message + b"mine"]) as upstream:
        message = query("www.example.com")
        assert await ask_udp(upstream.server.port, message) == message + b"mine"


async def test_an_upstream_that_is_not_there_is_a_failure_of_the_server():
    async with Upstream(lambda _message: []) as upstream:
        upstream.udp.close()
        upstream.tcp.close()
        await upstream.tcp.wait_closed()
        message = query("www.example.com")
        assert code(await ask_udp(upstream.server.port, message)) == ResponseCode.SERVER_FAILURE
        [response] = await ask_tcp(upstream.server.port, message)
        assert code(response) == ResponseCode.SERVER_FAILURE
