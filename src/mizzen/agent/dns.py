"""Answers the workload's DNS questions, over UDP and TCP: names of the mesh itself, others by asking on.

Envoy's own DNS filter falls short (ENVOY-FACTS.md, 8). What is asked on goes to the upstream server as it came; without
one it is refused, so that a resolver with several servers asks the next.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from mizzen.agent.daemon import connect
from mizzen.agent.dns_hosts import HostTable
from mizzen.agent.dns_message import (
    MessageError,
    Question,
    ResponseCode,
    build_response,
    fit_udp,
    parse_question,
)
from mizzen.agent.settings import HostPort
from mizzen.agent.streams import StreamServer
from mizzen.errors import UserError

_MOST_FORWARDED: Final = 256  # at a time; more get SERVFAIL, which resolvers try again
_MOST_CONNECTIONS: Final = 64
_UPSTREAM_SECONDS: Final = 4.0  # under the 5 s after which resolvers ask again
_IDLE_SECONDS: Final = 10.0
_LARGEST_MESSAGE: Final = 65535

_log = logging.getLogger("mizzen.agent")


class DnsServer:
    """`table` gives the names known now. `mark` (0: none) lets what is asked on pass the capture."""

    def __init__(self, table: Callable[[], HostTable], upstream: HostPort | None, mark: int) -> None:
        self._table = table
        self._upstream = upstream
        self._mark = mark
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp = StreamServer(self._serve, _MOST_CONNECTIONS)
        self._forwarding: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._udp is not None
        return int(self._udp.get_extra_info("sockname")[1])

    async def start(self, host: str, port: int) -> None:
        """Listen on UDP and TCP. Raises UserError where the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self._datagram), (host, port))
            await self._tcp.start(host, self.port)
        except OSError as error:
            await self.close()
            raise UserError(
                f"the agent cannot answer DNS on {host}:{port}: {error.strerror}",
                "is another agent running there?",
            ) from None

    async def close(self) -> None:
        if self._udp is not None:
            self._udp.close()
            await asyncio.sleep(0)  # asyncio closes the socket at its next turn
        await self._tcp.close()
        for task in self._forwarding:
            task.cancel()
        await asyncio.gather(*self._forwarding, return_exceptions=True)

    def _datagram(self, message: bytes, sender: tuple[str, int]) -> None:
        with suppress(MessageError):  # not a question: silence
            question = parse_question(message)
            known = self._own_answer(question)
            if known is not None:
                self._reply(fit_udp(question, known), sender)
            elif len(self._forwarding) >= _MOST_FORWARDED:
                self._reply(build_response(question, ResponseCode.SERVER_FAILURE), sender)
            else:
                task = asyncio.create_task(self._forward_datagram(question, message, sender))
                self._forwarding.add(task)
                task.add_done_callback(self._forwarding.discard)

    def _reply(self, response: bytes, receiver: tuple[str, int]) -> None:
        assert self._udp is not None
        self._udp.sendto(response, receiver)

    def _own_answer(self, question: Question) -> bytes | None:
        """The answer where this server knows or decides it, None where another has to be asked."""
        if not question.is_query:
            return build_response(question, ResponseCode.NOT_IMPLEMENTED)
        table = self._table()
        addresses = table.find(question.name)
        if addresses is not None:
            return build_response(question, ResponseCode.NO_ERROR, addresses)
        if table.owns(question.name):
            return build_response(question, ResponseCode.NAME_ERROR)
        if self._upstream is not None:
            return None
        # A name without a dot belongs to no other zone; a refusal would make the resolver wait for another server.
        code = ResponseCode.REFUSED if "." in question.name else ResponseCode.NAME_ERROR
        return build_response(question, code)

    async def _forward_datagram(self, question: Question, message: bytes, sender: tuple[str, int]) -> None:
        self._reply(await self._ask_on(question, message, self._ask_udp), sender)

    async def _ask_on(
        self, question: Question, message: bytes, ask: Callable[[bytes], Awaitable[bytes]]
    ) -> bytes:
        try:
            async with asyncio.timeout(_UPSTREAM_SECONDS):
                return await ask(message)
        except (OSError, asyncio.IncompleteReadError) as error:  # TimeoutError is an OSError
            _log.debug("DNS server %s does not answer about %s: %s", self._upstream, question.name, error)
            return build_response(question, ResponseCode.SERVER_FAILURE)

    async def _ask_udp(self, message: bytes) -> bytes:
        assert self._upstream is not None
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._upstream.host else socket.AF_INET
        # One socket, and so one random port, for each question; connected, it takes answers from the upstream only.
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            if self._mark:
                asking.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self._mark)
            asking.connect((self._upstream.host, self._upstream.port))
            await loop.sock_sendall(asking, message)
            while True:
                response = await loop.sock_recv(asking, _LARGEST_MESSAGE)
                if response[:2] == message[:2]:
                    return response

    async def _ask_tcp(self, message: bytes) -> bytes:
        assert self._upstream is not None
        reader, writer = await asyncio.open_connection(sock=await connect(self._upstream, self._mark))
        try:
            writer.write(len(message).to_bytes(2) + message)
            return await _length_prefixed(reader)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(_IDLE_SECONDS):
                message = await _length_prefixed(reader)
                try:
                    question = parse_question(message)
                except MessageError:
                    return
                response = self._own_answer(question)
                if response is None:
                    response = await self._ask_on(question, message, self._ask_tcp)
                writer.write(len(response).to_bytes(2) + response)
                await writer.drain()


async def _length_prefixed(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received(data, addr)
