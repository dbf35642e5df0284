"""The DNS server over real sockets."""

import asyncio
import struct
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from mizzen.agent import dns, dns_upstream
from mizzen.agent.dns import DnsServer
from mizzen.agent.dns_message import (
    AAAA,
    A,
    ResponseCode,
    address_record,
    build_response,
    parse_answer,
    parse_question,
)
from mizzen.agent.dns_names import NameTable
from mizzen.agent.dns_upstream import Upstream, configured_servers
from mizzen.agent.settings import HostPort
from mizzen.errors import UserError
from mizzen.model.name import Name
from tests.support.agent_mesh import until

MANY = tuple(f"10.1.0.{n}" for n in range(100))
TABLE = NameTable(
    "shop",
    {
        "cart.shop.svc.cluster.local": Name(("10.0.0.1",)),
        "many.shop.svc.cluster.local": Name(MANY),
        "out.shop.svc.cluster.local": Name(external_name="www.example.com"),
    },
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


async def started(*upstream: HostPort) -> DnsServer:
    """On a port that is free for UDP: for TCP somebody else may have it."""
    for _ in range(10):
        server = DnsServer(lambda: TABLE, Upstream(upstream, mark=0))
        try:
            await server.start("127.0.0.1", 0)
        except UserError:
            continue
        return server
    raise AssertionError("no port is free for both UDP and TCP")


@pytest.fixture
async def server():
    server = await started()
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


async def test_many_addresses_are_cut_over_udp_and_whole_over_tcp(server):
    by_udp = parse_answer(await ask_udp(server.port, query("many")))
    assert by_udp.truncated
    assert len(by_udp.records) == 30
    by_tcp = parse_answer((await ask_tcp(server.port, query("many")))[0])
    assert not by_tcp.truncated
    assert len(by_tcp.records) == 100


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
        await DnsServer(lambda: TABLE, Upstream((), mark=0)).start("127.0.0.1", server.port)


class Other:
    """A server for other names. It answers over UDP what `answer` makes of a question, over TCP what `by_tcp` does."""

    def __init__(self, answer, by_tcp=None) -> None:
        self.answer = answer
        self.by_tcp = by_tcp or answer

    async def __aenter__(self):
        for _ in range(10):
            if await self._on_a_port_of_both():
                return self
        raise AssertionError("no port is free for both UDP and TCP")

    async def _on_a_port_of_both(self) -> bool:
        """As in `started`."""
        loop = asyncio.get_running_loop()
        self.udp, self.protocol = await loop.create_datagram_endpoint(
            lambda: Datagrams(self.answer), ("127.0.0.1", 0)
        )
        self.address = HostPort("127.0.0.1", self.udp.get_extra_info("sockname")[1])
        try:
            self.tcp = await asyncio.start_server(self._serve, "127.0.0.1", self.address.port)
        except OSError:
            self.udp.close()
            await asyncio.sleep(0)
            return False
        return True

    async def __aexit__(self, *_):
        self.udp.close()
        self.tcp.close()
        await self.tcp.wait_closed()

    async def _serve(self, reader, writer):
        message = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        for response in self.by_tcp(message):
            writer.write(len(response).to_bytes(2) + response)
        writer.close()


@asynccontextmanager
async def asking_on(*others: Other):
    async with AsyncExitStack() as stack:
        for other in others:
            await stack.enter_async_context(other)
        server = await started(*(other.address for other in others))
        stack.push_async_callback(server.close)
        yield server


def says(code: int, tail: bytes = b""):
    """A response of this code, recognisable by its end."""
    return lambda message: [message[:2] + bytes([0x81, 0x80 | code]) + message[4:] + tail]


@pytest.mark.parametrize("code", [0, 2, 3, 5])
async def test_other_names_are_asked_on_as_they_came_and_answered_as_it_comes(code):
    async with asking_on(Other(says(code, b"end"))) as server:
        message = query("www.Example.com", 15)
        (expected,) = says(code, b"end")(message)
        assert await ask_udp(server.port, message) == expected
        assert await ask_tcp(server.port, message) == [expected]
        assert (server.figures.asked, server.figures.asked_on, server.figures.failed) == (2, 2, 0)


async def test_an_answer_to_another_question_is_passed_over():
    async with asking_on(Other(lambda message: [b"\xff\xff" + message[2:], message + b"mine"])) as server:
        message = query("www.example.com")
        assert await ask_udp(server.port, message) == message + b"mine"


async def gone() -> HostPort:
    async with Other(lambda _message: []) as other:
        return other.address


async def test_who_is_not_there_is_a_failure_of_the_server():
    server = await started(await gone(), await gone())
    message = query("www.example.com")
    assert code(await ask_udp(server.port, message)) == ResponseCode.SERVER_FAILURE
    [response] = await ask_tcp(server.port, message)
    assert code(response) == ResponseCode.SERVER_FAILURE
    assert server.figures.failed == 2
    await server.close()


async def test_servers_are_asked_in_their_order_until_one_can_say_something():
    asked = []

    def other(name: str, code: int) -> Other:
        def answer(message: bytes):
            asked.append(name)
            return says(code, name.encode())(message)

        return Other(answer)

    message = query("www.example.com")
    async with asking_on(other("sick", 2), other("stern", 5), other("well", 3), other("spare", 0)) as server:
        for response in (await ask_udp(server.port, message), *await ask_tcp(server.port, message)):
            assert response.endswith(b"well")
    assert asked == ["sick", "stern", "well"] * 2
    async with asking_on(other("sick", 2), other("stern", 5)) as server:
        assert (await ask_udp(server.port, message)).endswith(b"stern")


async def test_a_server_that_is_away_costs_its_share_of_the_time(monkeypatch):
    monkeypatch.setattr(dns_upstream, "_ALL_SECONDS", 2.0)
    silent = Other(lambda _message: [])
    async with asking_on(silent, Other(says(0, b"end"))) as server:
        assert (await ask_udp(server.port, query("www.example.com"))).endswith(b"end")


async def test_no_more_are_asked_on_at_a_time_than_can_be_borne(monkeypatch):
    monkeypatch.setattr(dns, "_MOST_ASKED_ON", 1)
    async with asking_on(Other(lambda _message: [])) as server:
        waiting = asyncio.create_task(ask_udp(server.port, query("slow.example.com")))
        await until(lambda: server.figures.asked_on == 1)
        assert code(await ask_udp(server.port, query("www.example.com"))) == ResponseCode.SERVER_FAILURE
        assert server.figures.failed == 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def knows(*addresses: str, most_bytes: int = 65535):
    """Knows www.example.com alone, by these addresses."""

    def answer(message: bytes):
        question = parse_question(message)
        if question.name != "www.example.com":
            return says(3)(message)
        records = [address_record(question.name, address) for address in addresses]
        return [build_response(question, 0, records, most_bytes=most_bytes)]

    return answer


async def test_an_alias_that_leads_out_of_the_mesh_is_followed_there():
    async with asking_on(Other(knows("9.9.9.9"))) as server:
        for response in (await ask_udp(server.port, query("out")), *await ask_tcp(server.port, query("out"))):
            alias, address = parse_answer(response).records
            assert (alias.owner, alias.data) == ("out", b"\3www\7example\3com\0")
            assert (address.owner, address.data) == ("www.example.com", bytes([9, 9, 9, 9]))


async def test_an_alias_with_more_addresses_than_udp_takes_is_followed_over_tcp():
    async with asking_on(Other(knows(*MANY, most_bytes=512), by_tcp=knows(*MANY))) as server:
        [response] = await ask_tcp(server.port, query("out"))
        assert len(parse_answer(response).records) == 101
        response = await ask_udp(server.port, query("out"))
        assert parse_answer(response).truncated
        assert len(response) <= 512


async def test_an_alias_to_nowhere_is_nowhere():
    async with asking_on(Other(says(3))) as server:
        response = parse_answer(await ask_udp(server.port, query("out")))
        assert response.code == ResponseCode.NAME_ERROR
        assert [record.owner for record in response.records] == ["out"]
    async with asking_on(Other(lambda message: [message[:12]])) as server:  # damaged
        assert code(await ask_udp(server.port, query("out"))) == ResponseCode.SERVER_FAILURE


def test_the_servers_of_the_system(tmp_path):
    file = tmp_path / "resolv.conf"
    assert configured_servers(file) == ()
    file.write_text(
        "# written by hand\nsearch example.com\nnameserver 10.0.0.53\nnameserver\nnameserver fe80::1%eth0\n"
        "nameserver nonsense\nnameserver fd00::53\nnameserver 10.0.0.54\n"
    )
    assert [server.host for server in configured_servers(file)] == ["10.0.0.53", "fe80::1%eth0", "fd00::53"]
