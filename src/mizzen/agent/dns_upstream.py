"""The DNS servers that are asked about what the mesh does not know."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from mizzen.agent.daemon import connect
from mizzen.agent.dns_message import LARGEST_BYTES, ResponseCode, response_code
from mizzen.agent.settings import HostPort

RESOLVER_FILE: Final = Path("/etc/resolv.conf")
_PORT: Final = 53
_MOST_SERVERS: Final = 3  # as many as resolvers read
_ALL_SECONDS: Final = 4.0  # under the 5 s after which resolvers ask again
# As resolvers do: another server may be able to say more.
_UNHELPFUL: Final = frozenset(
    {ResponseCode.SERVER_FAILURE, ResponseCode.NOT_IMPLEMENTED, ResponseCode.REFUSED}
)

_log = logging.getLogger("mizzen.agent")


class NoAnswer(Exception):  # noqa: N818  it is what happened
    """No server answered in time."""


def configured_servers(file: Path) -> tuple[HostPort, ...]:
    """The name servers of a resolv.conf; none where it cannot be read."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    words = (line.split() for line in lines)
    found = (HostPort(line[1], _PORT) for line in words if len(line) > 1 and line[0] == "nameserver")
    return tuple(server for server in found if server.is_address)[:_MOST_SERVERS]


class Upstream:
    """Asks the servers in their order. `mark` (0: none) lets the questions pass the capture."""

    def __init__(self, servers: Sequence[HostPort], mark: int) -> None:
        self.servers = tuple(servers)
        self._mark = mark

    async def ask_udp(self, message: bytes) -> bytes:
        """The response as it came. Raises NoAnswer."""
        return await self._ask(message, self._by_udp)

    async def ask_tcp(self, message: bytes) -> bytes:
        """The response as it came. Raises NoAnswer."""
        return await self._ask(message, self._by_tcp)

    async def _ask(self, message: bytes, ask: Callable[[HostPort, bytes], Awaitable[bytes]]) -> bytes:
        """The first answer that helps, else the last that does not."""
        last: bytes | None = None
        for server in self.servers:
            try:
                async with asyncio.timeout(_ALL_SECONDS / len(self.servers)):
                    last = await ask(server, message)
            except (OSError, asyncio.IncompleteReadError) as error:  # TimeoutError is an OSError
                _log.debug("DNS server %s does not answer: %r", server, error)
                continue
            if response_code(last) not in _UNHELPFUL:
                return last
        if last is None:
            raise NoAnswer
        return last

    async def _by_udp(self, server: HostPort, message: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
        # One socket, and so one random port, for each question; connected, it takes answers from the server only.
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            if self._mark:
                asking.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self._mark)
            asking.connect((server.host, server.port))
            await loop.sock_sendall(asking, message)
            while True:
                response = await loop.sock_recv(asking, LARGEST_BYTES)
                if _answers(response, message):
                    return response

    async def _by_tcp(self, server: HostPort, message: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(sock=await connect(server, self._mark))
        try:
            writer.write(with_length(message))
            response = await read_with_length(reader)
        finally:
            writer.close()
        if not _answers(response, message):
            raise ConnectionError("it answered something else")
        return response


_SHORTEST: Final = 12  # a header


def _answers(response: bytes, message: bytes) -> bool:
    return len(response) >= _SHORTEST and response[:2] == message[:2]


def with_length(message: bytes) -> bytes:
    """As DNS over TCP frames its messages."""
    return len(message).to_bytes(2) + message


async def read_with_length(reader: asyncio.StreamReader) -> bytes:
    """Raises asyncio.IncompleteReadError at the end of the stream."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
