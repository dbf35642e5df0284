"""Calls to the mesh's daemons: over TLS, verified by their name and the mesh's roots, one connection for each call.

Calls are rare (a certificate, a health report, a stream that lasts), so that nothing is kept that could go stale: not a
connection to a daemon that was replaced, nor a certificate that has expired.
"""

import asyncio
import os
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.protobuf.message import Message
from grpclib.client import Channel, StreamStreamMethod, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.protocol import H2Protocol

from mizzen.agent.credentials import Credentials
from mizzen.agent.settings import DAEMON_NAME, HostPort

_CALL_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 3.0  # TLS included; so long another daemon has to wait for its turn
_DEAD_AFTER_SECONDS: Final = 30  # without a sign of life of the other side's kernel

if TYPE_CHECKING:
    from grpclib.client import Stream

Request = TypeVar("Request", bound=Message)
Reply = TypeVar("Reply", bound=Message)
Result = TypeVar("Result")


class DaemonError(Exception):
    """The daemon could not be asked or said no; the message is one line. `refused`: it answered, and another would say the
    same.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Daemon:
    """Where the daemon is. `mark` (0: none) goes on the connections, so that capture lets them pass."""

    address: HostPort
    root_cert: Path
    mark: int = 0

    async def call(
        self,
        method: str,
        request: Message,
        reply_type: type[Reply],
        *,
        credentials: Credentials | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Reply:
        """One unary call, with the workload's certificate where it has one. Raises DaemonError."""
        with self._errors_in_words():
            async with self._channel(credentials) as channel, asyncio.timeout(_CALL_SECONDS):
                call: UnaryUnaryMethod[Message, Reply] = UnaryUnaryMethod(
                    channel, method, type(request), reply_type
                )
                return await call(request, metadata=metadata)

    @asynccontextmanager
    async def stream(
        self, method: str, request_type: type[Request], reply_type: type[Reply], credentials: Credentials
    ) -> AsyncIterator["Stream[Request, Reply]"]:
        """A stream in both directions, open at once, for as long as it lasts. Raises DaemonError, also when the daemon
        ends it.
        """
        with self._errors_in_words():
            async with self._channel(credentials) as channel:
                call: StreamStreamMethod[Request, Reply] = StreamStreamMethod(
                    channel, method, request_type, reply_type
                )
                async with call.open() as stream:
                    await stream.send_request()
                    yield stream

    def _channel(self, credentials: Credentials | None) -> Channel:
        return _MarkedChannel(self, client_context(self.roots_pem(credentials), credentials))

    @contextmanager
    def _errors_in_words(self) -> Iterator[None]:
        try:
            yield
        except GRPCError as error:
            # UNAVAILABLE: it has too much to do at the moment; another may have less.
            raise DaemonError(
                f"the daemon at {self.address} answered: {error.message or error.status.name}",
                refused=error.status is not Status.UNAVAILABLE,
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise DaemonError(
                f"the daemon at {self.address} is not the one that {self.root_cert} vouches for:"
                f" {error.verify_message}"
            ) from None
        except TimeoutError:
            raise DaemonError(
                f"the daemon at {self.address} did not answer within {_CALL_SECONDS:g} s"
            ) from None
        except (OSError, StreamTerminatedError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise DaemonError(f"the daemon at {self.address} cannot be reached: {reason}") from None

    def roots_pem(self, credentials: Credentials | None) -> str:
        """The roots that came with the certificate, and those of the file, read anew: it may have been replaced."""
        try:
            configured = self.root_cert.read_text()
        except OSError as error:
            raise DaemonError(
                f"cannot read the root certificates {self.root_cert}: {error.strerror}"
            ) from None
        return configured + ("\n" + credentials.roots_pem if credentials is not None else "")


@dataclass(frozen=True, slots=True)
class Daemons:
    """All daemons of the mesh, of which any can answer. Each call begins with one drawn at random, so that the agents
    spread, and goes on to the next where one cannot be reached or has too much to do. Nothing is remembered of who could not: calls are rare.
    """

    each: tuple[Daemon, ...]
    chance: Callable[[], float] = random.random

    async def call(
        self,
        method: str,
        request: Message,
        reply_type: type[Reply],
        *,
        credentials: Credentials | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Reply:
        """As `Daemon.call`."""
        return await self._first(
            lambda daemon: daemon.call(
                method, request, reply_type, credentials=credentials, metadata=metadata
            )
        )

    @asynccontextmanager
    async def stream(
        self, method: str, request_type: type[Request], reply_type: type[Reply], credentials: Credentials
    ) -> AsyncIterator["Stream[Request, Reply]"]:
        """As `Daemon.stream`."""
        async with AsyncExitStack() as opened:
            yield await self._first(
                lambda daemon: opened.enter_async_context(
                    daemon.stream(method, request_type, reply_type, credentials)
                )
            )

    async def _first(self, ask: Callable[[Daemon], Awaitable[Result]]) -> Result:
        """What the first one says that can be reached: its refusal, too, as the others know nothing else."""
        problems = []
        begin = int(self.chance() * len(self.each))
        for daemon in (*self.each[begin:], *self.each[:begin]):
            try:
                return await ask(daemon)
            except DaemonError as error:
                if error.refused:
                    raise
                problems.append(str(error))
        raise DaemonError("; ".join(problems))


class _MarkedChannel(Channel):
    """grpclib's, with a socket of our own making."""

    def __init__(self, daemon: Daemon, context: ssl.SSLContext) -> None:
        config = Configuration(ssl_target_name_override=DAEMON_NAME)
        super().__init__(daemon.address.host, daemon.address.port, ssl=context, config=config)
        self._mark = daemon.mark

    async def _create_connection(self) -> H2Protocol:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await self._connected_protocol()
        except TimeoutError:
            raise ConnectionError(f"no connection within {_CONNECT_SECONDS:g} s") from None

    async def _connected_protocol(self) -> H2Protocol:
        connected = await connect(HostPort(self._host, self._port), self._mark)
        _notice_death(connected)
        _, protocol = await self._loop.create_connection(
            self._protocol_factory, sock=connected, ssl=self._ssl, server_hostname=DAEMON_NAME
        )
        return protocol


def _notice_death(connection: socket.socket) -> None:
    """A host that vanished says no goodbye: a stream on which nothing happens would wait for it for ever."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _DEAD_AFTER_SECONDS // 2)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_SECONDS * 1000)


async def connect(address: HostPort, mark: int) -> socket.socket:
    """A TCP connection whose packets carry `mark`. Raises OSError."""
    loop = asyncio.get_running_loop()
    family, target = await _resolved(address)
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        if mark:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        await loop.sock_connect(connection, target)
    except BaseException:
        connection.close()
        raise
    return connection


async def _resolved(address: HostPort) -> tuple[socket.AddressFamily, Any]:
    if address.is_address:  # spares the thread of a look-up
        return socket.AF_INET6 if ":" in address.host else socket.AF_INET, (address.host, address.port)
    loop = asyncio.get_running_loop()
    family, _, _, _, target = (await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))[0]
    return family, target


def client_context(roots_pem: str, credentials: Credentials | None) -> ssl.SSLContext:
    """Raises DaemonError where the roots are no certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(cadata=roots_pem)
    except ssl.SSLError:
        raise DaemonError("the root certificates are not in PEM form") from None
    if credentials is not None:
        _load_in_memory(context, credentials)
    return context


def _load_in_memory(context: ssl.SSLContext, credentials: Credentials) -> None:
    """Python reads certificates from files only: here from one that exists in memory alone."""
    with os.fdopen(os.memfd_create("credentials", os.MFD_CLOEXEC), "w") as file:
        file.write(credentials.key.reveal() + credentials.chain_pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
