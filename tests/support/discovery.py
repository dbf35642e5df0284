"""A discovery server whose snapshots a test sets, and a client that a test scripts."""

import asyncio
import contextlib
from contextlib import asynccontextmanager
from types import MappingProxyType
from urllib.parse import unquote

from grpclib.client import Channel, StreamStreamMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from mizzen.proto.api import DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node
from mizzen.rpc.server import RpcServer
from mizzen.xds.catalog import Rejected
from mizzen.xds.resource import CLUSTER, ENDPOINT, DiscoveryResource, Snapshot, discovery_resource
from mizzen.xds.server import DiscoveryLimits, DiscoveryService

_METADATA = {"LABELS": {"app": "cart"}}
_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def resource(type_url: str, name: str, content: str = "1") -> DiscoveryResource:
    """A resource of no meaning; clusters warm the endpoints of their name."""
    warms = ((ENDPOINT, name),) if type_url == CLUSTER else ()
    return discovery_resource(type_url, name, f"{name}={content}".encode(), warms)


def snapshot(revision: int, *resources: DiscoveryResource, like: Snapshot | None = None) -> Snapshot:
    """A snapshot of these; types that came out the same as in `like` share its mappings."""
    by_type: dict[str, dict[str, DiscoveryResource]] = {}
    for each in resources:
        by_type.setdefault(each.type_url, {})[each.name] = each
    shared = {
        type_url: like.of(type_url) if like is not None and like.of(type_url) == mapping else mapping
        for type_url, mapping in by_type.items()
    }
    return Snapshot(revision, MappingProxyType(shared))


QUESTION = "type.googleapis.com/z.Question"


class FakeSession:
    def __init__(self, name: str, first: Snapshot) -> None:
        self.name = name
        self.current = first
        self.closed = 0
        self._wake = lambda: None

    def snapshot(self):
        return self.current

    def on_change(self, wake):
        self._wake = wake

    def close(self):
        self.closed += 1
        self._wake = lambda: None

    def set(self, new: Snapshot):
        self.current = new
        self._wake()


class FakeCatalog:
    """Lets everybody in with the same first snapshot, unless `rejected` is set."""

    def __init__(self, first: Snapshot) -> None:
        self.current = first
        self.sessions: list[FakeSession] = []
        self.asked = []
        self.rejected: Rejected | None = None

    def authenticate(self, peer):
        pass

    def connect(self, peer, node):
        self.asked.append((peer, node))
        if self.rejected is not None:
            raise self.rejected
        self.sessions.append(FakeSession(node.id, self.current))
        return self.sessions[-1]

    def set(self, new: Snapshot):
        self.current = new
        for session in self.sessions:
            session.set(new)


class RecordedEvents:
    """Every event as (name, type_url or "", the rest); the session is left out."""

    def __init__(self) -> None:
        self.log: list[tuple] = []

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda session, *details: self.log.append((name, *details))

    def of(self, name: str) -> list[tuple]:
        return [event[1:] for event in self.log if event[0] == name]


class DeltaClient:
    """Speaks delta ADS as the test says. `held` is what an Envoy that ACKs everything would hold."""

    def __init__(self, stream, node_id: str, metadata=None) -> None:
        self._stream = stream
        self._metadata = _METADATA if metadata is None else metadata
        self._node_id = node_id
        self._first = True
        self.held: dict[str, dict[str, str]] = {}

    async def subscribe(self, type_url, *names, unsubscribe=(), held=None):
        await self._send(
            type_url=type_url,
            resource_names_subscribe=names,
            resource_names_unsubscribe=unsubscribe,
            initial_resource_versions=held or {},
        )

    async def receive(self, type_url=None, seconds=5.0):
        """The next response, which must be of that type."""
        message = await asyncio.wait_for(self._stream.recv_message(), seconds)
        if message is None:
            trailers = dict(await self._stream._stream.recv_trailers())
            raise GRPCError(Status(int(trailers["grpc-status"])), unquote(trailers.get("grpc-message", "")))
        assert type_url in (None, message.type_url), f"expected {type_url}, got {names_of(message)}"
        return message

    async def ack(self, response):
        held = self.held.setdefault(response.type_url, {})
        held.update((each.name, each.version) for each in response.resources)
        for name in response.removed_resources:
            held.pop(name, None)
        await self._send(type_url=response.type_url, response_nonce=response.nonce)

    async def nack(self, response, error="it is wrong"):
        detail = {"code": 3, "message": error}
        await self._send(type_url=response.type_url, response_nonce=response.nonce, error_detail=detail)

    async def take(self, type_url):
        """Receive and ACK; returns the names, removed ones marked with a minus."""
        response = await self.receive(type_url)
        await self.ack(response)
        return names_of(response)

    async def silent(self):
        """Assert that the server has nothing to send now.

        It answers a question about a type that is considered last: whatever it could send would come before.
        """
        await self.subscribe(QUESTION, "anything new?")
        assert await self.take(QUESTION) == ["-anything new?"]

    def stop_reading(self):
        """From the socket: the kernel's buffers fill up."""
        self._stream._stream._transport.pause_reading()

    async def _send(self, **fields):
        request = DeltaDiscoveryRequest(**fields)
        if self._first:
            request.node.CopyFrom(Node(id=self._node_id, cluster="c", metadata=self._metadata))
            self._first = False
        await self._stream.send_message(request)


def names_of(response) -> list[str]:
    return [each.name for each in response.resources] + [f"-{name}" for name in response.removed_resources]


def bodies_of(response) -> dict[str, str]:
    return {each.name: each.resource.value.decode() for each in response.resources}


@asynccontextmanager
async def discovery(first: Snapshot, limits: DiscoveryLimits | None = None, tls=None):
    """A server on a free port: (server, catalog, events, service)."""
    catalog, events = FakeCatalog(first), RecordedEvents()
    service = DiscoveryService(catalog, events, limits)
    server = RpcServer([service], tls)
    await server.start()
    try:
        yield server, catalog, events, service
    finally:
        await server.close()


@asynccontextmanager
async def client(port: int, node_id: str = "proxy", ssl=None, config=None, metadata=None):
    channel = Channel("127.0.0.1", port, ssl=ssl, config=config)
    try:
        method = StreamStreamMethod(channel, _METHOD, DeltaDiscoveryRequest, DeltaDiscoveryResponse)
        async with method.open() as stream:
            try:
                yield DeltaClient(stream, node_id, metadata)
            finally:
                with contextlib.suppress(StreamTerminatedError, ProtocolError):
                    await stream.cancel()
    finally:
        channel.close()
        await asyncio.sleep(0)


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
