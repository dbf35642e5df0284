"""As much of HTTP/2 and of delta discovery as a simulated proxy needs, and no more.

A proxy opens one stream and never another, so headers are sent once and of those received only the status matters. Of
responses names, versions and nonces are read; a response that another proxy was sent with the same content is not read
again, only its nonce. That keeps the fleet cheaper than the daemon that it measures.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hpack import Decoder, Encoder

from mizzen.proto.api import Cluster, DeltaDiscoveryRequest, HttpConnectionManager, Listener
from mizzen.proto.api import Node as NodeMessage
from mizzen.xds.encoding import string_field
from mizzen.xds.resource import CLUSTER, LISTENER

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Envoy's: frames of 16 KB, windows of 256 MB.
_WINDOW = 1 << 28
_HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _DATA = 1, 3, 4, 6, 7, 8, 0
_ACK, _END_HEADERS, _END_STREAM = 0x1, 0x4, 0x1
_STREAM = 1
_INITIAL_WINDOW_SIZE = 4


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def opening(authority: str) -> bytes:
    """The first bytes of a connection: its settings, and the call."""
    headers = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", _METHOD),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, _WINDOW)
    return (
        _PREFACE
        + _frame(_SETTINGS, 0, 0, settings)
        + _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW))
        + _frame(_HEADERS, _END_HEADERS, _STREAM, Encoder().encode(headers))
    )


def message_bytes(message: bytes) -> bytes:
    """As gRPC has it in the data of a stream."""
    return struct.pack(">BI", 0, len(message)) + message


class Windows:
    """How much the server takes at the moment: of the connection, and of the stream. Who sends more is cut off."""

    __slots__ = ("connection", "initial", "stream")

    def __init__(self) -> None:
        self.connection = self.stream = self.initial = 65535  # until the server says otherwise

    def settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            number, value = struct.unpack_from(">HI", payload, at)
            if number == _INITIAL_WINDOW_SIZE:
                self.stream += value - self.initial
                self.initial = value

    def update(self, stream: int, increment: int) -> None:
        if stream:
            self.stream += increment
        else:
            self.connection += increment

    def frames(self, data: bytearray) -> bytes:
        """As much of the data as may be sent, in frames of 16 KB at most; it is taken off."""
        found = []
        while data and (size := min(len(data), self.connection, self.stream, 16384)) > 0:
            found.append(_frame(_DATA, 0, _STREAM, bytes(data[:size])))
            del data[:size]
            self.connection -= size
            self.stream -= size
        return b"".join(found)


class Incoming:
    """Bytes of one connection, into messages. `answers` must be written back; `ended` says why there will be no more."""

    __slots__ = ("_buffer", "_headers", "_message", "_unacknowledged", "answers", "ended", "windows")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._message = bytearray()
        self._headers: list[bytes] = []
        self._unacknowledged = 0
        self.answers = bytearray()
        self.ended = ""
        self.windows = Windows()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The gRPC messages that are complete now."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 9:
            size = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
            end = at + 9 + size
            if len(buffer) < end:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            if kind == _DATA:
                self._message += memoryview(buffer)[at + 9 : end]
                self._unacknowledged += size
            else:
                stream = int.from_bytes(buffer[at + 5 : at + 9], "big")
                self._control(kind, flags, stream, bytes(buffer[at + 9 : end]))
            at = end
        del buffer[:at]
        if self._unacknowledged > _WINDOW // 2:
            increment = struct.pack(">I", self._unacknowledged)
            self.answers += _frame(_WINDOW_UPDATE, 0, 0, increment)
            self.answers += _frame(_WINDOW_UPDATE, 0, _STREAM, increment)
            self._unacknowledged = 0
        yield from self._messages()

    def _messages(self) -> Iterator[bytes]:
        message = self._message
        while len(message) >= 5:
            end = 5 + int.from_bytes(message[1:5], "big")
            if len(message) < end:
                return
            yield bytes(memoryview(message)[5:end])
            del message[:end]

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _WINDOW_UPDATE:
            self.windows.update(stream, int.from_bytes(payload, "big"))
        elif kind == _SETTINGS and not flags & _ACK:
            self.windows.settings(payload)
            self.answers += _frame(_SETTINGS, _ACK, 0, b"")
        elif kind == _PING and not flags & _ACK:
            self.answers += _frame(_PING, _ACK, 0, payload)
        elif kind == _HEADERS:
            self._headers.append(payload)
            if flags & _END_STREAM:
                self.ended = self._status()
        elif kind in {_RST_STREAM, _GOAWAY}:
            self.ended = self.ended or ("reset" if kind == _RST_STREAM else "going away")

    def _status(self) -> str:
        decoder = Decoder()
        found: dict[str, str] = {}
        for block in self._headers:
            found.update((str(name), str(value)) for name, value in decoder.decode(block))
        return f"status {found.get('grpc-status')}: {found.get('grpc-message', '')}"


@dataclass(frozen=True, slots=True)
class Content:
    """What a response says, its nonce apart: equal responses have one. `follows`: the names that a proxy asks for because
    of it, endpoints of clusters and routes of listeners.
    """

    type_url: str
    versions: Mapping[str, str]
    removed: Sequence[str]
    follows: Sequence[str]


_CONTENTS_KEPT = 4096


class Reader:
    """Reads responses; each content once, as long as not too many others come between."""

    def __init__(self) -> None:
        self._contents: dict[tuple[str, int, int], Content] = {}
        self._follows: dict[tuple[str, str], Sequence[str]] = {}  # by name and version
        self.parsed = 0

    def read(self, data: bytes) -> tuple[str, Content]:
        """The nonce, and the content. Relies on the order in which Mizzen writes: nonce before resources."""
        type_url = nonce = ""
        at = 0
        while not nonce:
            number, start, at = _field(data, at)
            if number == 4:
                type_url = data[start:at].decode()
            elif number == 5:
                nonce = data[start:at].decode()
        rest = data[at:]
        key = type_url, len(rest), hash(rest)
        content = self._contents.get(key)
        if content is None:
            if len(self._contents) >= _CONTENTS_KEPT:
                self._contents.clear()
            content = self._contents[key] = self._parse(type_url, rest)
        return nonce, content

    def _parse(self, type_url: str, data: bytes) -> Content:
        self.parsed += 1
        versions: dict[str, str] = {}
        removed: list[str] = []
        follows: dict[str, None] = {}
        at = 0
        while at < len(data):
            number, start, at = _field(data, at)
            if number == 6:
                removed.append(data[start:at].decode())
                continue
            _, begin, end = _field(data, start)  # the name
            name = data[begin:end].decode()
            _, begin, body = _field(data, end)  # the version
            version = data[begin:body].decode()
            versions[name] = version
            if type_url in {CLUSTER, LISTENER}:
                key = name, version
                if key not in self._follows:
                    self._follows[key] = _follows(type_url, data[body:at])
                follows.update(dict.fromkeys(self._follows[key]))
        return Content(type_url, versions, removed, tuple(follows))


def _field(data: bytes, at: int) -> tuple[int, int, int]:
    """A length-delimited field: its number, where its content starts and ends."""
    number, at = data[at] >> 3, at + 1
    size = shift = 0
    while True:
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at, at + size
        shift += 7


def _follows(type_url: str, resource: bytes) -> tuple[str, ...]:
    _, start, end = _field(resource, 0)  # Any
    _, _, value = _field(resource, start)  # its type
    _, start, end = _field(resource, value)
    body = resource[start:end]
    if type_url == CLUSTER:
        cluster = Cluster.FromString(body)
        return (cluster.name,) if cluster.type == Cluster.EDS else ()
    listener = Listener.FromString(body)
    chains = (*listener.filter_chains, listener.default_filter_chain)
    found: dict[str, None] = {}
    for chain in chains:
        for each in chain.filters:
            if each.typed_config.type_url.endswith(".HttpConnectionManager"):
                manager = HttpConnectionManager.FromString(each.typed_config.value)
                if manager.HasField("rds"):
                    found[manager.rds.route_config_name] = None
    return tuple(found)


def subscription(
    type_url: str, names: Sequence[str] = (), held: Mapping[str, str] | None = None, node: str = ""
) -> bytes:
    """A request for names; with a node ID it is the first of its stream."""
    request = DeltaDiscoveryRequest(
        type_url=type_url, resource_names_subscribe=names, initial_resource_versions=held or {}
    )
    if node:
        request.node.CopyFrom(NodeMessage(id=node, cluster="bench", user_agent_name="envoy"))
    return message_bytes(request.SerializeToString())


def unsubscription(type_url: str, names: Sequence[str]) -> bytes:
    """A request for names no longer."""
    request = DeltaDiscoveryRequest(type_url=type_url, resource_names_unsubscribe=names)
    return message_bytes(request.SerializeToString())


def acknowledgement(type_url: str, nonce: str) -> bytes:
    """An ACK."""
    return message_bytes(string_field(2, type_url) + string_field(6, nonce))
