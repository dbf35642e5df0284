"""The aggregated discovery service: delta xDS for all types on one stream per proxy."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from mizzen.proto.api import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from mizzen.rpc.server import disconnect, peer_of
from mizzen.xds.catalog import Catalog, Events, Node, ProxySession, Rejected
from mizzen.xds.delivery import Delivery, ProtocolError, Shared, Waits, encoded
from mizzen.xds.pacing import Pacer
from mizzen.xds.status import SessionStatus
from mizzen.xds.subscription import Response

_log = logging.getLogger(__name__)
_DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

_AdsStream = Stream[Any, Any]


@dataclass(frozen=True, slots=True)
class DiscoveryLimits:
    waits: Waits = field(default_factory=Waits)
    write_seconds: float = 60.0  # a proxy that does not read a response for so long is disconnected
    turns: int = 8  # proxies that are pushed to at the same time


class DiscoveryService:
    """Serves what `catalog` says to whom it lets in, and tells `events` what became of it."""

    def __init__(self, catalog: Catalog, events: Events, limits: DiscoveryLimits | None = None) -> None:
        self._catalog = catalog
        self._events = events
        self._limits = limits or DiscoveryLimits()
        self._shared = Shared()
        self._pacer = Pacer(self._limits.turns)
        self._conversations: set[_Conversation] = set()

    def __mapping__(self) -> dict[str, Handler]:
        kind = Cardinality.STREAM_STREAM
        return {_DELTA: Handler(self._delta, kind, DeltaDiscoveryRequest, DeltaDiscoveryResponse)}

    def status(self) -> tuple[SessionStatus, ...]:
        """How far each connected proxy is."""
        return tuple(SessionStatus(c.session, c.delivery.status()) for c in self._conversations)

    def end(self, session: ProxySession, reason: str) -> None:
        """Disconnect a proxy whose right to be served is gone; it may come back and ask the catalogue again."""
        for conversation in self._conversations:
            if conversation.session is session:
                conversation.end(reason)

    async def _delta(self, stream: _AdsStream) -> None:
        first = await stream.recv_message()
        if first is None:
            return
        session = self._connect(stream, first)
        try:
            conversation = _Conversation(
                stream, session, self._events, self._shared, self._pacer, self._limits
            )
            self._conversations.add(conversation)
            session.on_change(conversation.wake)
            try:
                await conversation.run(first)
            finally:
                self._conversations.discard(conversation)
        finally:
            session.close()
            self._events.disconnected(session)

    def _connect(self, stream: _AdsStream, first: DeltaDiscoveryRequest) -> ProxySession:
        if not first.HasField("node"):
            raise GRPCError(Status.INVALID_ARGUMENT, "the first request of a stream must carry the node")
        claimed = first.node
        node = Node(claimed.id, claimed.cluster, MessageToDict(claimed.metadata), claimed.user_agent_name)
        peer = peer_of(stream)
        try:
            return self._catalog.connect(peer, node)
        except Rejected as rejected:
            _log.warning("refused %r from %s: %s", node.id, peer.address, rejected.reason)
            status = Status.UNAUTHENTICATED if rejected.unauthenticated else Status.PERMISSION_DENIED
            raise GRPCError(status, rejected.reason) from None


class _Conversation:
    """One stream: a reader that takes requests in and a writer that wakes when there may be something to send."""

    def __init__(
        self,
        stream: _AdsStream,
        session: ProxySession,
        events: Events,
        shared: Shared,
        pacer: Pacer,
        limits: DiscoveryLimits,
    ) -> None:
        self.session = session
        self.delivery = Delivery(session, events, shared, limits.waits)
        self._stream = stream
        self._events = events
        self._pacer = pacer
        self._limits = limits
        self._awake = asyncio.Event()
        self._end_reason = ""

    def wake(self) -> None:
        self._awake.set()

    def end(self, reason: str) -> None:
        self._end_reason = reason
        self._awake.set()

    async def run(self, first: DeltaDiscoveryRequest) -> None:
        """Until the proxy leaves, misbehaves or is sent away."""
        self._receive(first)
        await _until_first(self._read(), self._write())

    async def _read(self) -> None:
        async for request in self._stream:
            self._receive(request)

    def _receive(self, request: DeltaDiscoveryRequest) -> None:
        try:
            self.delivery.receive(request, asyncio.get_running_loop().time())
        except ProtocolError as error:
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from None
        self._awake.set()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._awake.clear()
            async with self._pacer.turn():
                # Only now, when there is a turn: what is sent is the newest there is.
                response = self.delivery.next(self.session.snapshot(), loop.time())
                if response is not None and not await self._sent(response):
                    return
            if response is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self.delivery.deadline()):
                        await self._awake.wait()
            if self._end_reason:
                raise GRPCError(Status.PERMISSION_DENIED, self._end_reason)

    async def _sent(self, response: Response) -> bool:
        data = encoded(response)
        draft = response.draft
        names = (*(resource.name for resource in draft.resources), *draft.removed)
        self._events.pushed(self.session, response.type_url, response.revision, names, len(data))
        try:
            async with asyncio.timeout(self._limits.write_seconds):
                await self._stream.send_message(data)
        except TimeoutError:
            seconds = self._limits.write_seconds
            _log.warning("disconnecting %s: it did not read for %g seconds", self.session.name, seconds)
            disconnect(self._stream)
            return False
        return True


async def _until_first(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, as it ends; the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
