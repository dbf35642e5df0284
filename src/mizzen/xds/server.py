"""The aggregated discovery service: delta xDS for all types on one stream per proxy."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from mizzen.logs import fields
from mizzen.proto.api import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from mizzen.rpc.admission import ANONYMOUS, Admission, Limits, Pace, Shed, untold
from mizzen.rpc.server import Peer, disconnect, peer_of, send, send_now
from mizzen.xds.catalog import Catalog, Events, Node, ProxySession, Rejected
from mizzen.xds.delivery import Delivery, ProtocolError, Shared, Waits, encoded
from mizzen.xds.status import SessionStatus
from mizzen.xds.subscription import Response
from mizzen.xds.turns import Turns

_log = logging.getLogger(__name__)
_DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

# Of its ID, cluster and metadata together: Envoy's list of its extensions is longer, and is not looked at.
_NODE_BYTES = 1 << 16

# Requests that have arrived are taken in without a pause, but so many at most: a millisecond or two.
_UNITS_AT_ONCE = 32

_AdsStream = Stream[Any, Any]


@dataclass(frozen=True, slots=True)
class DiscoveryLimits:
    waits: Waits = field(default_factory=Waits)
    write_seconds: float = 60.0  # a proxy that does not read a response for so long is disconnected
    long_turns: int = 8  # proxies to which something long is sent at the same time
    # New streams: each costs milliseconds where nobody shares its configuration. Who waits has sent its first request.
    streams: Limits = field(default_factory=lambda: Limits(burst=1000, per_second=50.0, waiting=512))
    streams_of_proxy: int = 16  # its agent's too, and those that were lost and not found dead yet
    # What one stream may ask for: a request is a unit, and so are a thousand names if it changes its subscription.
    request_burst: float = 1000.0
    requests_per_second: float = 200.0


class DiscoveryService:
    """Serves what `catalog` says to whom it lets in, and tells `events` what became of it."""

    def __init__(
        self,
        catalog: Catalog,
        events: Events,
        limits: DiscoveryLimits | None = None,
        shed: Shed = untold,
        queued: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`queued` is told how long each proxy waited for its turn."""
        self._catalog = catalog
        self._events = events
        self._limits = limits or DiscoveryLimits()
        self._shared = Shared()
        self._shed = shed
        self._admission = Admission("streams", self._limits.streams, shed)
        self._streams: Counter[str] = Counter()  # by proxy
        self._turns: Turns = Turns(self._limits.long_turns, waited=queued)
        self._conversations: set[_Conversation] = set()

    def __mapping__(self) -> dict[str, Handler]:
        kind = Cardinality.STREAM_STREAM
        return {_DELTA: Handler(self._delta, kind, DeltaDiscoveryRequest, DeltaDiscoveryResponse)}

    @property
    def waiting(self) -> int:
        """How many proxies wait for their turn to be sent something."""
        return len(self._turns)

    def status(self) -> tuple[SessionStatus, ...]:
        """How far each connected proxy is."""
        return tuple(SessionStatus(c.session, c.delivery.status()) for c in self._conversations)

    def end(self, session: ProxySession, reason: str) -> None:
        """Disconnect a proxy whose right to be served is gone; it may come back and ask the catalogue again."""
        for conversation in self._conversations:
            if conversation.session is session:
                conversation.end(reason)

    async def _delta(self, stream: _AdsStream) -> None:
        peer = peer_of(stream)
        self._authenticate(peer)
        first = await stream.recv_message()
        if first is None:
            return
        async with self._admission.turn(peer.identity or ANONYMOUS, asyncio.get_running_loop().time()):
            session = self._connect(peer, first)
        try:
            self._count(session)
            conversation = _Conversation(
                stream, session, self._events, self._shared, self._turns, self._limits, self._shed
            )
            self._conversations.add(conversation)
            session.on_change(conversation.wake)
            try:
                await conversation.run(first)
            finally:
                self._conversations.discard(conversation)
        finally:
            self._discount(session)
            session.close()
            self._events.disconnected(session)

    def _count(self, session: ProxySession) -> None:
        self._streams[session.name] += 1
        if self._streams[session.name] > self._limits.streams_of_proxy:
            self._shed("streams", "proxy")
            words = f"{session.name} has {self._limits.streams_of_proxy} streams already: close some"
            raise GRPCError(Status.RESOURCE_EXHAUSTED, words)

    def _discount(self, session: ProxySession) -> None:
        self._streams[session.name] -= 1
        if not self._streams[session.name]:
            del self._streams[session.name]

    def _authenticate(self, peer: Peer) -> None:
        try:
            self._catalog.authenticate(peer)
        except Rejected as rejected:
            about = fields(peer=str(peer.address), reason=rejected.reason)
            _log.warning("refused %s: %s", peer.address, rejected.reason, extra=about)
            raise _answer(rejected) from None

    def _connect(self, peer: Peer, first: DeltaDiscoveryRequest) -> ProxySession:
        if not first.HasField("node"):
            raise GRPCError(Status.INVALID_ARGUMENT, "the first request of a stream must carry the node")
        claimed = first.node
        claim_bytes = claimed.metadata.ByteSize() + len(claimed.id) + len(claimed.cluster)
        if claim_bytes > _NODE_BYTES:
            words = f"the node says {claim_bytes} bytes of itself: at most {_NODE_BYTES} are taken"
            raise GRPCError(Status.INVALID_ARGUMENT, words)
        node = Node(claimed.id, claimed.cluster, MessageToDict(claimed.metadata), claimed.user_agent_name)
        try:
            return self._catalog.connect(peer, node)
        except Rejected as rejected:
            about = fields(node=node.id, peer=str(peer.address), reason=rejected.reason)
            _log.warning("refused %r from %s: %s", node.id, peer.address, rejected.reason, extra=about)
            raise _answer(rejected) from None


def _answer(rejected: Rejected) -> GRPCError:
    status = Status.UNAUTHENTICATED if rejected.unauthenticated else Status.PERMISSION_DENIED
    return GRPCError(status, rejected.reason)


class _Conversation:
    """One stream. Its task reads; what is to be sent is sent when it gets its turn."""

    def __init__(
        self,
        stream: _AdsStream,
        session: ProxySession,
        events: Events,
        shared: Shared,
        turns: Turns,
        limits: DiscoveryLimits,
        shed: Shed,
    ) -> None:
        self.session = session
        self.delivery = Delivery(session, events, shared, limits.waits)
        self._stream = stream
        self._events = events
        self._turns = turns
        self._limits = limits
        self._shed = shed
        self._pace = Pace(limits.request_burst, limits.requests_per_second)
        self._units_at_once = 0.0
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.Task[Any] | None = None
        self._long_send: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None

    async def run(self, first: DeltaDiscoveryRequest) -> None:
        """Until the proxy leaves, misbehaves or is sent away."""
        self._reader = asyncio.current_task()
        try:
            await self._receive(first)
            async for request in self._stream:
                await self._receive(request)
        except asyncio.CancelledError:
            failure, self._failure = self._failure, None
            if failure is None:
                raise
            try:
                raise failure from None
            finally:
                del failure  # it holds this frame, which would hold it
        finally:
            await self._close()

    async def _close(self) -> None:
        self._reader = None
        self._turns.forget(self)
        if self._alarm is not None:
            self._alarm.cancel()
        if self._long_send is not None:
            self._long_send.cancel()
            await asyncio.gather(self._long_send, return_exceptions=True)

    def wake(self) -> None:
        """There may be something to send."""
        if self._reader is not None:
            self._turns.want(self)

    def end(self, reason: str) -> None:
        self._fail(GRPCError(Status.PERMISSION_DENIED, reason))

    def _fail(self, failure: Exception) -> None:
        if self._reader is not None and self._failure is None:
            self._failure = failure
            self._reader.cancel()

    async def _receive(self, request: DeltaDiscoveryRequest) -> None:
        """A client that floods is read more slowly: what it sends meanwhile waits with the client."""
        now = self._loop.time()
        try:
            names = self.delivery.receive(request, now)
        except ProtocolError as error:
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from None
        self.wake()
        units = 1 + names / 1000
        self._units_at_once += units
        delay_seconds = self._pace.delay_seconds(units, now)
        if delay_seconds:
            self._shed("requests", "slowed")
        if delay_seconds or self._units_at_once > _UNITS_AT_ONCE:
            self._units_at_once = 0
            await asyncio.sleep(delay_seconds)

    def take_turn(self) -> None:
        """Send one response, of the newest there is. Never raises."""
        if self._long_send is not None:  # it is not done: it asks for a turn when it is
            return
        try:
            began = self._loop.time()
            response = self.delivery.next(self.session.snapshot(), began)
            if response is None:
                self._set_alarm()
            else:
                self._send(response, began)
        except Exception as error:  # noqa: BLE001  it ends this stream, and nobody else's turn
            self._fail(error)

    def _send(self, response: Response, began: float) -> None:
        data = encoded(response)
        draft = response.draft
        names = (*(resource.name for resource in draft.resources), *draft.removed)
        seconds = self._loop.time() - began
        self._events.pushed(self.session, response.type_url, response.revision, names, len(data), seconds)
        if _log.isEnabledFor(logging.DEBUG):
            self._log_push(response, len(data))
        if send_now(self._stream, data):
            self.wake()  # for what else there may be, behind all who wait
        else:
            self._long_send = self._loop.create_task(self._send_slowly(data))

    def _log_push(self, response: Response, size_bytes: int) -> None:
        name, kind, revision, draft = self.session.name, response.type_url, response.revision, response.draft
        about = fields(proxy=name, type=kind, revision=revision, bytes=size_bytes, nonce=response.nonce)
        words = "%s is sent %d and loses %d of %s, of revision %d"
        _log.debug(words, name, len(draft.resources), len(draft.removed), kind, revision, extra=about)

    async def _send_slowly(self, data: bytes) -> None:
        try:
            async with self._turns.long_turn(), asyncio.timeout(self._limits.write_seconds):
                await send(self._stream, data)
        except TimeoutError:
            seconds = self._limits.write_seconds
            name = self.session.name
            about = fields(proxy=name, seconds=seconds)
            _log.warning("disconnecting %s: it did not read for %g seconds", name, seconds, extra=about)
            self._shed("connections", "unread")
            disconnect(self._stream)
        except Exception as error:  # noqa: BLE001  it ends this stream
            self._fail(error)
        else:
            self._long_send = None
            self.wake()

    def _set_alarm(self) -> None:
        """Wake when an answer is overdue. An alarm that is early is left: it costs less than to set it anew each time."""
        deadline = self.delivery.deadline()
        if deadline is None:
            return
        if self._alarm is not None:
            if self._alarm.when() <= deadline:
                return
            self._alarm.cancel()
        self._alarm = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.wake()
