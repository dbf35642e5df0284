"""HTTP/2, for servers and clients, with gRPC on top: a gRPC message here is a JSON text."""

import asyncio
import struct
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from tests.conformance.routing_e2e.echo.wire import Headers

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_BLOCK_BYTES = 1 << 16


@dataclass
class Message:
    """A request or a response, as it came so far."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    failure: str = ""

    def header(self, name: str) -> str:
        return next((value for key, value in (*self.headers, *self.trailers) if key == name), "")

    def plain_headers(self) -> Headers:
        return tuple((key, value) for key, value in self.headers if not key.startswith(":"))


Handler = Callable[[Message], Awaitable[tuple[Headers, bytes, Headers]]]
"""Answers a request by headers (":status" first), body and trailers."""


def framed(text: bytes) -> bytes:
    """A gRPC message."""
    return struct.pack(">BI", 0, len(text)) + text


def unframed(body: bytes) -> bytes:
    return body[5:] if len(body) >= 5 else b""


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, client: bool) -> None:
        config = H2Configuration(client_side=client, header_encoding="utf-8", validate_inbound_headers=False)
        self.reader, self.writer = reader, writer
        self.state = H2Connection(config)
        self.messages: dict[int, Message] = defaultdict(Message)
        self.ended = False

    async def flush(self) -> None:
        self.writer.write(self.state.data_to_send())
        await self.writer.drain()

    async def finished(self, begun: bytes = b"") -> list[int]:
        """Read once; the streams that are complete (or failed) by that."""
        block = begun or await self.reader.read(_BLOCK_BYTES)
        if not block:
            self.ended = True
            return []
        done = []
        for event in self.state.receive_data(block):
            stream = getattr(event, "stream_id", 0) or 0
            match event:
                case RequestReceived() | ResponseReceived():
                    self.messages[stream].headers = list(event.headers)
                case TrailersReceived():
                    self.messages[stream].trailers = list(event.headers)
                case DataReceived():
                    self.messages[stream].body += event.data
                    self.state.acknowledge_received_data(event.flow_controlled_length, stream)
                case StreamEnded():
                    done.append(stream)
                case StreamReset():
                    self.messages[stream].failure = f"stream reset by peer ({event.error_code!s})"
                    done.append(stream)
                case ConnectionTerminated():
                    self.ended = True
        await self.flush()
        return done


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begun: bytes, handle: Handler
) -> None:
    """Answer the requests of one connection until it ends. `begun` is what was read of it already."""
    connection = _Connection(reader, writer, client=False)
    connection.state.initiate_connection()
    await connection.flush()
    while not connection.ended:
        for stream in await connection.finished(begun):
            message = connection.messages.pop(stream)
            if message.failure:
                continue
            headers, body, trailers = await handle(message)
            connection.state.send_headers(stream, headers, end_stream=not body and not trailers)
            if body:  # reports are far smaller than the window
                connection.state.send_data(stream, body, end_stream=not trailers)
            if trailers:
                connection.state.send_headers(stream, trailers, end_stream=True)
            await connection.flush()
        begun = b""


async def exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    headers: Sequence[tuple[str, str]],
    body: bytes,
) -> Message:
    """One request on a new connection. Raises ConnectionError where it ends without an answer."""
    connection = _Connection(reader, writer, client=True)
    connection.state.initiate_connection()
    stream = connection.state.get_next_available_stream_id()
    connection.state.send_headers(stream, headers, end_stream=not body)
    if body:
        connection.state.send_data(stream, body, end_stream=True)
    await connection.flush()
    while stream not in await connection.finished():
        if connection.ended:
            raise ConnectionResetError("EOF")
    message = connection.messages[stream]
    if message.failure and not message.headers:
        raise ConnectionResetError(message.failure)
    return message
