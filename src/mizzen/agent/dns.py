"""Answers the workload's DNS questions, over UDP and TCP: names of the mesh itself, others by asking on.

Envoy's own DNS filter falls short (ENVOY-FACTS.md, 8). What is asked on goes to the upstream servers as it came, and
what they answer comes back as it came.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mizzen.agent.dns_answers import AskOn, Reply, decide
from mizzen.agent.dns_message import (
    LARGEST_BYTES,
    MessageError,
    Question,
    ResponseCode,
    build_query,
    build_response,
    parse_answer,
    parse_question,
)
from mizzen.agent.dns_names import NameTable
from mizzen.agent.dns_upstream import NoAnswer, Upstream, read_with_length, with_length
from mizzen.agent.streams import StreamServer
from mizzen.agent.tasks import cancel
from mizzen.errors import UserError

_MOST_ASKED_ON: Final = 256  # at a time over UDP; more get SERVFAIL, which resolvers try again
_MOST_CONNECTIONS: Final = 64
_IDLE_SECONDS: Final = 10.0


@dataclass(slots=True)
class DnsFigures:
    """Questions since the start. `failed`: no upstream server answered, or too many were waiting."""

    asked: int = 0
    asked_on: int = 0
    failed: int = 0


class DnsServer:
    """`table` gives the names known now; None: they are not known yet. Servers on several addresses may count together."""

    def __init__(
        self,
        table: Callable[[], NameTable | None],
        upstream: Upstream,
        figures: DnsFigures | None = None,
    ) -> None:
        self._table = table
        self._upstream = upstream
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp = StreamServer(self._serve, _MOST_CONNECTIONS)
        self._asking: set[asyncio.Task[None]] = set()
        self.figures = DnsFigures() if figures is None else figures

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
        await cancel(*self._asking)
        if self._udp is not None:
            self._udp.close()
            await asyncio.sleep(0)  # asyncio closes the socket at its next turn
        await self._tcp.close()

    def _datagram(self, message: bytes, sender: tuple[str, int]) -> None:
        with suppress(MessageError):  # not a question: silence
            question = parse_question(message)
            decision = self._decide(question)
            if isinstance(decision, Reply):
                self._reply(_built(question, decision, question.udp_bytes), sender)
            elif len(self._asking) >= _MOST_ASKED_ON:
                self.figures.failed += 1
                self._reply(build_response(question, ResponseCode.SERVER_FAILURE), sender)
            else:
                task = asyncio.create_task(self._ask_on_datagram(question, message, decision, sender))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)

    def _reply(self, response: bytes, receiver: tuple[str, int]) -> None:
        assert self._udp is not None
        self._udp.sendto(response, receiver)

    async def _ask_on_datagram(
        self, question: Question, message: bytes, decision: AskOn, sender: tuple[str, int]
    ) -> None:
        ask = self._upstream.ask_udp
        self._reply(await self._asked_on(question, message, decision, ask, question.udp_bytes), sender)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(_IDLE_SECONDS):
                message = await read_with_length(reader)
                try:
                    question = parse_question(message)
                except MessageError:
                    return
                decision = self._decide(question)
                if isinstance(decision, Reply):
                    response = _built(question, decision, LARGEST_BYTES)
                else:
                    ask = self._upstream.ask_tcp
                    response = await self._asked_on(question, message, decision, ask, LARGEST_BYTES)
                writer.write(with_length(response))
                await writer.drain()

    def _decide(self, question: Question) -> Reply | AskOn:
        self.figures.asked += 1
        return decide(question, self._table(), self.figures.asked, can_ask_on=bool(self._upstream.servers))

    async def _asked_on(
        self,
        question: Question,
        message: bytes,
        decision: AskOn,
        ask: Callable[[bytes], Awaitable[bytes]],
        most_bytes: int,
    ) -> bytes:
        self.figures.asked_on += 1
        try:
            if not decision.aliases:
                return await ask(message)
            query = build_query(question, decision.name)
            answer = parse_answer(await ask(query))
            if answer.truncated:
                answer = parse_answer(await self._upstream.ask_tcp(query))
        except (NoAnswer, MessageError):
            self.figures.failed += 1
            return build_response(question, ResponseCode.SERVER_FAILURE)
        records = (*decision.aliases, *answer.records)
        return build_response(question, answer.code, records, most_bytes=most_bytes)


def _built(question: Question, reply: Reply, most_bytes: int) -> bytes:
    return build_response(question, reply.code, reply.records, most_bytes=most_bytes)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received(data, addr)
