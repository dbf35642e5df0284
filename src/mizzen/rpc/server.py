"""A grpclib server with an accept loop of its own.

The loop gives what grpclib's does not: the newest TLS context for each connection (so that certificates and
trusted roots rotate without a restart), a limit on handshakes, connections and messages, keepalive. Should grpclib
ever have to go, this is the only module of the server's side that knows its insides.
"""

import asyncio
import logging
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from grpclib.config import Configuration
from grpclib.const import Handler as Method
from grpclib.events import _DispatchServerEvents
from grpclib.protocol import H2Protocol
from grpclib.protocol import Stream as H2Stream
from grpclib.server import Handler, Stream
from h2.config import H2Configuration
from h2.settings import SettingCodes

from mizzen.rpc import listening
from mizzen.rpc.admission import Shed, untold
from mizzen.rpc.codec import RawCodec
from mizzen.rpc.listening import ListenError
from mizzen.rpc.peer import Peer, peer_of
from mizzen.rpc.received import BoundedBuffer, Received

__all__ = [
    "ListenError",
    "Peer",
    "RpcLimits",
    "RpcServer",
    "Service",
    "disconnect",
    "peer_of",
    "send",
    "send_now",
]

_log = logging.getLogger(__name__)
_MIB = 2**20
_HEAD_BYTES = 5
# About what asyncio lets wait for a socket: more than this is not put there at once.
_SENT_AT_ONCE = 2**16
# The buffers of TLS keep, for as long as a connection lives, the size of the most that ever waited in them: it is handed so much
# at once, and nothing more while that waits; requests, which are short mostly, are read in pieces of half the size.
_RECORD_BYTES = 2**13
_READ_BYTES = 2**12
_FRAME_HEAD_BYTES = 9
_BACKLOG = 1024
_H2 = H2Configuration(client_side=False, header_encoding="ascii")


class Service(Protocol):
    """What grpclib serves: a path for each method."""

    def __mapping__(self) -> dict[str, Method]: ...


@dataclass(frozen=True, slots=True)
class RpcLimits:
    """What clients may cost. A connection beyond `connections` is closed at once (the client comes back later), one beyond
    `handshakes` waits in the kernel's queue until another is done, or is found to wait for its client. A message longer
    than `message_bytes` ends its call with RESOURCE_EXHAUSTED before it is read.

    A stranger is a client that showed no certificate: it wants its first one, which is a short call, and may cost little.
    """

    connections: int = 10_000
    handshakes: int = 64  # at once: each costs about a millisecond of the processor
    patience_seconds: float = (
        0.25  # a handshake that takes longer waits for its client, and keeps no other from its own
    )
    calls: int = 100  # at once, of a connection: what HTTP/2 wants at least
    message_bytes: int = 4 * _MIB
    window_bytes: int = _MIB // 4  # per connection: what a client may send that no handler has read yet
    unsent_bytes: int = (
        _MIB  # per connection: a client that asks on and on, and does not read the answers, is dropped
    )
    received_bytes: int = (
        256 * _MIB
    )  # of all connections: what was received and not read, beyond which no message is received further
    strangers: int = 1_000  # connections; more are closed at once
    stranger_message_bytes: int = _MIB // 16  # a certificate's request has some 2 KiB
    stranger_seconds: float = 60.0  # then its connection ends, whatever it does
    handshake_seconds: float = 10.0
    keepalive_seconds: float = 30.0  # between pings
    keepalive_timeout_seconds: float = 20.0  # for the answer to one
    close_seconds: float = 2.0  # for the last bytes of a connection, when the server stops

    def for_grpclib(self, window_bytes: int) -> Configuration:
        return Configuration(
            _keepalive_time=self.keepalive_seconds,
            _keepalive_timeout=self.keepalive_timeout_seconds,
            _keepalive_permit_without_calls=True,
            _http2_max_pings_without_data=0,
            _http2_min_sent_ping_interval_without_data=self.keepalive_seconds / 2,
            http2_connection_window_size=window_bytes,
            http2_stream_window_size=window_bytes,
        ).__for_server__()

    def for_http2(self) -> dict[SettingCodes | int, int]:
        return {SettingCodes.MAX_CONCURRENT_STREAMS: self.calls}


def disconnect(stream: Stream[Any, Any]) -> None:
    """Drop the connection of a call at once, for a client that no longer reads: it could not hear of an error."""
    stream._stream._transport.abort()  # noqa: SLF001  grpclib offers no way that does not wait for the client


def send_now(stream: Stream[Any, Any], message: bytes) -> bool:
    """Write a message without waiting: False, and nothing was written, if the client takes no more at the moment or the
    message is long, or is the first of its call.

    Of grpclib's way to send, a third of the cost of a short message is left: no coroutine, one write.
    """
    call = stream._stream  # noqa: SLF001  the seam
    if len(message) > _SENT_AT_ONCE or not call.connection.write_ready.is_set():
        return False
    if not stream._send_initial_metadata_done:  # noqa: SLF001  the seam
        return False
    if _window(call) < _HEAD_BYTES + len(message):
        return False
    _write(call, _head(message) + message)
    return True


async def send(stream: Stream[Any, Any], message: bytes) -> None:
    """Write a message as the client takes it. What waits in this process is bounded, however long the message is."""
    if not stream._send_initial_metadata_done:  # noqa: SLF001  the seam
        await stream.send_initial_metadata()
    call = stream._stream  # noqa: SLF001  the seam
    for data in (memoryview(_head(message)), memoryview(message)):
        await _send_all(call, data)


async def _send_all(call: H2Stream, data: memoryview) -> None:
    while data:
        window = _window(call)
        if not call.connection.write_ready.is_set():  # looked at anew: another call may have been woken first
            await call.connection.write_ready.wait()
        elif window <= 0:
            call.window_updated.clear()
            await call.window_updated.wait()
        else:
            piece = min(window, _SENT_AT_ONCE)
            _write(call, data[:piece])
            data = data[piece:]


def _head(message: bytes) -> bytes:
    """gRPC's: not compressed, and the length."""
    return b"\0" + len(message).to_bytes(4, "big")


def _window(call: H2Stream) -> int:
    """How many bytes the client takes at the moment; may be negative."""
    assert call.id is not None
    return call._h2_connection.local_flow_control_window(call.id)  # noqa: SLF001  the seam


def _write(call: H2Stream, data: bytes | memoryview) -> None:
    """In frames, each a record of TLS. The client's window must take them."""
    http2 = call._h2_connection  # noqa: SLF001  the seam
    assert call.id is not None
    frame_bytes = min(http2.max_outbound_frame_size, _RECORD_BYTES - _FRAME_HEAD_BYTES)
    for at in range(0, len(data), frame_bytes):
        http2.send_data(call.id, data[at : at + frame_bytes])
        call._transport.write(http2.data_to_send())  # noqa: SLF001  the seam
    call.connection.data_send_process()


class _Calls(Handler):
    """The calls of one connection."""

    message_bytes: int
    received: Received

    def accept(self, stream: H2Stream, headers: Any, release_stream: Callable[[], Any]) -> None:
        assert stream.id is not None
        buffer = BoundedBuffer(partial(stream.connection.ack, stream.id), self.message_bytes, self.received)
        stream.buffer = buffer
        released = False

        def release() -> None:
            nonlocal released
            if not released:
                released = True
                release_stream()

        def done(task: asyncio.Task[None]) -> None:
            # A call that is reset before its task has begun: nothing in the task runs, and grpclib would keep the stream.
            release()
            buffer.forget()
            # What is left is a circle, of the last tasks that grpclib keeps and of the traces of how they ended: all that
            # the call had, until the collector comes by.
            self._tasks.pop(stream, None)
            self._cancelled.discard(task)
            if stream.wrapper is not None and stream.wrapper._error is not None:  # noqa: SLF001  the seam
                stream.wrapper._error.__traceback__ = None  # noqa: SLF001  the seam
                stream.wrapper._error.__context__ = None  # noqa: SLF001  the seam

        super().accept(stream, headers, release)
        self._tasks[stream].add_done_callback(done)


class _Connection(H2Protocol):
    """One client's connection; the server knows it from the end of its handshake until it is gone."""

    def __init__(self, calls: _Calls, server: "RpcServer") -> None:
        super().__init__(calls, server.config, _H2)
        self.calls = calls
        self.lost = asyncio.get_running_loop().create_future()
        self.stranger = False
        self._server = server
        self._end: asyncio.TimerHandle | None = None
        self._socket_transport: asyncio.BaseTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        tls = getattr(transport, "_ssl_protocol", None)
        self._socket_transport = transport if tls is None else tls._transport  # noqa: SLF001  the seam
        limits = self._server.limits
        self.stranger = transport.get_extra_info("sslcontext") is not None and not transport.get_extra_info(
            "peercert"
        )
        message_bytes = limits.message_bytes
        if self.stranger:
            message_bytes, self.config = limits.stranger_message_bytes, self._server.stranger_config
            self._end = asyncio.get_running_loop().call_later(limits.stranger_seconds, self.abort)
        window_bytes = self.config.http2_connection_window_size
        self.calls.message_bytes = message_bytes
        self.calls.received = Received(message_bytes + window_bytes, self._server.received)
        transport.set_write_buffer_limits(high=_RECORD_BYTES)
        self._server.opened(self)
        super().connection_made(transport)
        self.connection._connection.update_settings(limits.for_http2())  # noqa: SLF001  the seam
        self.connection.flush()

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
            # Pings and settings are answered at once, also to a client that reads nothing.
            if self._transport.get_write_buffer_size() > self._server.limits.unsent_bytes:
                self._server.shed("connections", "unread")
                self.abort()
        except Exception:  # noqa: BLE001  whatever a client sends costs it its connection, and us no traceback
            _log.debug("closing a connection that sent what HTTP/2 does not allow", exc_info=True)
            self.close("protocol error")

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._end is not None:
            self._end.cancel()
        self._server.ended(self)
        _untie(self._socket_transport)
        self.lost.set_result(None)

    def close(self, reason: str) -> None:
        self.processor.close(reason)

    def abort(self) -> None:
        self._transport.abort()


def _untie(transport: asyncio.BaseTransport) -> None:
    """The transport of a socket holds methods of its own: a circle, which would wait for the collector."""
    for name, value in tuple(vars(transport).items()):
        if getattr(value, "__self__", None) is transport:
            setattr(transport, name, None)


class RpcServer:
    """Serves `services` over TLS (`tls` gives the newest context, asked at each connection) or in plaintext."""

    def __init__(
        self,
        services: Collection[Service],
        tls: Callable[[], ssl.SSLContext] | None = None,
        *,
        limits: RpcLimits | None = None,
        shed: Shed = untold,
    ) -> None:
        self._methods: dict[str, Method] = {}
        for service in services:
            self._methods.update(service.__mapping__())
        self._tls = tls
        self.limits = limits or RpcLimits()
        self.shed = shed
        self.config = self.limits.for_grpclib(self.limits.window_bytes)
        self.stranger_config = self.limits.for_grpclib(self.limits.stranger_message_bytes)
        self.received = Received(self.limits.received_bytes)
        self._dispatch = _DispatchServerEvents()
        self._codec = RawCodec()
        self._listener: socket.socket | None = None
        self._path: Path | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._quick: set[asyncio.Task[None]] = set()  # those that are not known to wait for their client
        self._full = False  # accepts nobody
        self._connections: set[_Connection] = set()
        self._strangers: set[_Connection] = set()

    @property
    def port(self) -> int:
        assert self._listener is not None, "the server is not started"
        return int(self._listener.getsockname()[1])

    @property
    def connections(self) -> int:
        """Open connections, those in their handshake included."""
        return len(self._handshakes) + len(self._connections)

    def opened(self, connection: _Connection) -> None:
        self._connections.add(connection)
        if connection.stranger:
            self._strangers.add(connection)
            if len(self._strangers) > self.limits.strangers:
                self.shed("connections", "crowd")
                connection.abort()

    def ended(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._strangers.discard(connection)

    async def start(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        sock: socket.socket | None = None,
        path: Path | None = None,
    ) -> None:
        """Listen on a TCP address, on a bound socket, or on a unix socket (mode 0600). Raises ListenError."""
        assert self._listener is None, "the server is started already"
        if sock is None:
            sock = listening.unix_socket(path) if path is not None else listening.tcp_socket(host, port)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
        SSLProtocol.max_size = _READ_BYTES  # of asyncio: 256 KB for each connection
        self._listener, self._path = sock, path
        asyncio.get_running_loop().add_reader(sock, self._accept)

    async def close(self) -> None:
        """Stop listening, cancel the calls, close the connections. What does not close in time is aborted."""
        if self._listener is None:
            return
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._listener = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        await asyncio.sleep(0)  # a handshake that never began would leave its socket open
        for handshake in self._handshakes:
            handshake.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        await self._close_connections()

    async def _close_connections(self) -> None:
        closing = tuple(self._connections)
        for connection in closing:
            connection.close("the server is stopping")
        for connection in closing:
            await connection.calls.wait_closed()
        if closing:
            await asyncio.wait([connection.lost for connection in closing], timeout=self.limits.close_seconds)
        for connection in tuple(self._connections):
            connection.abort()
            await connection.lost

    def _accept(self) -> None:
        """A client waits. One at a time: the event loop calls again while there are more."""
        if self._listener is None:
            return
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # out of file descriptors, mostly: the others wait in the kernel's backlog
            _log.warning("cannot accept connections for a second: %s", error)
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listener)
            loop.call_later(1.0, self._accept_again, self._listener)
            return
        if self.connections >= self.limits.connections:
            self.shed("connections", "crowd")
            accepted.close()
            return
        self._begin(accepted)
        if len(self._quick) >= self.limits.handshakes:
            self._full = True
            asyncio.get_running_loop().remove_reader(self._listener)

    def _begin(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        handshake = loop.create_task(self._handshake(accepted))
        self._handshakes.add(handshake)
        self._quick.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)
        handshake.add_done_callback(self._make_room)
        loop.call_later(self.limits.patience_seconds, self._make_room, handshake)

    def _make_room(self, handshake: asyncio.Task[None]) -> None:
        """One handshake is done, or waits for its client."""
        self._quick.discard(handshake)
        if self._full and self._listener is not None:
            self._full = False
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept_again(self, listener: socket.socket) -> None:
        if self._listener is listener:
            asyncio.get_running_loop().add_reader(listener, self._accept)

    async def _handshake(self, accepted: socket.socket) -> None:
        """Hand the socket to asyncio, which owns it from then on."""
        try:
            listening.bound_silence(
                accepted, self.limits.keepalive_seconds + self.limits.keepalive_timeout_seconds
            )
            secured = self._secured()
        except OSError as error:  # ssl.SSLError is one
            accepted.close()
            _log.error("closed a new connection: the server's TLS cannot be set up: %s", error)
            return
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._connection, accepted, **secured)
        except OSError as error:
            _log.info("a TLS handshake failed: %s", error)

    def _secured(self) -> dict[str, Any]:
        if self._tls is None:
            return {}
        return {
            "ssl": self._tls(),
            "ssl_handshake_timeout": self.limits.handshake_seconds,
            "ssl_shutdown_timeout": self.limits.close_seconds,
        }

    def _connection(self) -> _Connection:
        calls = _Calls(self._methods, self._codec, None, self._dispatch)
        return _Connection(calls, self)
