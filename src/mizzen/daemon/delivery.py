"""What became of every change: who has it, who refused it and why (xds.catalog.Events)."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mizzen.config.resource import ResourceKey
from mizzen.daemon.catalog import Session, Slot
from mizzen.daemon.metrics import DeliveryMetrics, triggers
from mizzen.daemon.refresher import Timing
from mizzen.daemon.traces import ChangeTrace, Tracer
from mizzen.logs import fields, redacted
from mizzen.xds.catalog import ProxySession
from mizzen.xds.isolation import in_short

# The changes that are kept for display; older ones are forgotten.
REMEMBERED_CHANGES = 50


@dataclass(slots=True)
class ChangeRecord:
    """One revision of the configuration. `proxies`: those it concerned -> pending, acked, rejected or gone. A proxy has
    it when the agent beside it has it, too. `received` is when it came, by the monotonic clock.
    """

    revision: int
    time: float
    objects: tuple[ResourceKey, ...]
    proxies: dict[str, str]
    received: float
    # Whose answer a pending state waits for: a proxy that came back has a new session before its old one is found dead.
    awaited: dict[Slot, Session] = field(repr=False)  # by name, proxies (False) and agents (True)
    # Those that left before they answered. When they are back, they are brought up to date: what then holds is told.
    left: set[Slot] = field(default_factory=set, repr=False)
    trace: ChangeTrace | None = field(default=None, repr=False)  # where traces are asked for

    def end(self, session: ProxySession, state: str) -> bool:
        """What became of it there. True where that decides what is said of the proxy."""
        assert isinstance(session, Session)
        slot = session.slot
        if self.awaited.get(slot) is session:
            del self.awaited[slot]
        elif slot in self.left:
            self.left.remove(slot)
        else:
            return False
        beside = (session.name, not session.proxy.agent)
        if state != "acked" or (
            self.proxies[session.name] in {"pending", "gone"}
            and beside not in self.left
            and beside not in self.awaited
        ):
            self.proxies[session.name] = state
            return True
        return False

    def awaits(self, session: ProxySession) -> bool:
        assert isinstance(session, Session)
        return self.awaited.get(session.slot) is session


@dataclass(frozen=True, slots=True)
class Refusal:
    """A resource version that a proxy NACKed. `error` is in Envoy's words."""

    session: Session
    type_url: str
    resource: str
    version: str
    error: str
    since: float


class DeliveryLog:
    """Follows changes from the database to the proxies' ACKs."""

    def __init__(
        self,
        now: Callable[[], float],
        metrics: DeliveryMetrics,
        log: Callable[[str, dict[str, Any]], None],
        clock: Callable[[], float] = time.monotonic,
        tracer: Tracer | None = None,
    ) -> None:
        """`now` is for display, in seconds since the epoch; `clock` for how long something took. `log` takes words and fields."""
        self._now = now
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._tracer = tracer
        self.changes: deque[ChangeRecord] = deque(maxlen=REMEMBERED_CHANGES)
        # For each slot the changes that wait for it, or did when it left: an ACK looks at those alone.
        self._waiting: defaultdict[Slot, deque[ChangeRecord]] = defaultdict(deque)
        self.refusals: dict[tuple[str, str, str], Refusal] = {}

    def changed(
        self, revision: int, objects: Sequence[ResourceKey], concerned: Sequence[Session], timing: Timing
    ) -> None:
        """Configuration changed; `concerned` are the proxies that get something else because of it. `timing` is by `clock`."""
        self._metrics.triggered(triggers(objects), len(concerned))
        if not objects:  # a key set: it is nobody's configuration
            return
        awaited = {session.slot: session for session in concerned}
        proxies = dict.fromkeys(sorted(name for name, _ in awaited), "pending")
        record = ChangeRecord(revision, self._now(), tuple(objects), proxies, timing.received, awaited)
        if len(self.changes) == self.changes.maxlen:
            self._forget(self.changes[-1])
        self.changes.appendleft(record)
        for slot in awaited:
            self._waiting[slot].append(record)
        if self._tracer is not None:
            record.trace = self._tracer.begin(revision, record.objects, len(awaited), timing)
            if not awaited:
                record.trace.close()

    def _forget(self, oldest: ChangeRecord) -> None:
        if oldest.trace is not None and oldest.awaited:
            oldest.trace.close()
        for slot in oldest.awaited.keys() | oldest.left:
            waiting = self._waiting[slot]
            if waiting and waiting[0] is oldest:
                waiting.popleft()
            if not waiting:
                del self._waiting[slot]

    # What discovery tells.

    def pushed(
        self,
        session: ProxySession,
        type_url: str,
        revision: int,
        names: Sequence[str],
        size_bytes: int,
        seconds: float,
    ) -> None:
        del revision, names
        assert isinstance(session, Session)
        kind = type_name(type_url)
        self._metrics.pushed(kind, size_bytes, seconds)
        slot = session.slot
        waiting = self._waiting.get(slot)
        if waiting is None:
            self._metrics.requested()
        elif (trace := waiting[-1].trace) is not None:  # the others are in the same response
            trace.pushed(slot, kind, size_bytes)

    def acked(self, session: ProxySession, type_url: str, revision: int) -> None:
        """Nothing: one type says little. `settled` says that all of them are in."""

    def rejected(self, session: ProxySession, type_url: str, resource: str, version: str, error: str) -> None:
        assert isinstance(session, Session)
        error = redacted(in_short(error))
        kind = type_name(type_url)
        self._metrics.rejected(kind, resource)
        about = fields(proxy=session.name, type=kind, resource=resource)
        self._log(f"{session.name} refused {kind} {resource}: {error}", about)
        refusal = Refusal(session, type_url, resource, version, error, self._now())
        self.refusals[session.name, type_url, resource] = refusal
        for record in self.changes:
            self._end(record, session, "rejected", f"{kind} {resource}: {error}")

    def recovered(self, session: ProxySession, type_url: str, resource: str) -> None:
        self.refusals.pop((session.name, type_url, resource), None)

    def settled(self, session: ProxySession, revision: int) -> None:
        assert isinstance(session, Session)
        slot = session.slot
        waiting = self._waiting.get(slot)
        if waiting is None:
            return
        while waiting and waiting[0].revision <= revision:
            self._end(waiting.popleft(), session, "acked")
        if not waiting:
            del self._waiting[slot]

    def _end(self, record: ChangeRecord, session: ProxySession, state: str, error: str = "") -> None:
        assert isinstance(session, Session)
        awaited = record.awaits(session)
        decided = record.end(session, state)
        if not awaited:  # it is back, and has what it missed
            return
        seconds, is_last = self._clock() - record.received, not record.awaited
        if decided and state == "acked":
            self._metrics.convergence.observe(seconds)
        if is_last:
            self._metrics.last_convergence.observe(seconds)
        if record.trace is not None:
            record.trace.ended(session.slot, state, error, is_last=is_last)
            if is_last:
                record.trace.close()

    def stalled(self, session: ProxySession, type_url: str, waited_seconds: float) -> None:
        kind = type_name(type_url)
        self._metrics.stalls.labels(kind).inc()
        about = fields(proxy=session.name, type=kind, seconds=waited_seconds)
        self._log(f"{session.name} did not answer for {waited_seconds:.0f} s about its {kind}", about)

    def disconnected(self, session: ProxySession) -> None:
        assert isinstance(session, Session)
        for record in self.changes:
            if record.awaits(session):
                self._end(record, session, "gone")
                record.left.add(session.slot)
        self.refusals = {
            slot: refusal for slot, refusal in self.refusals.items() if refusal.session is not session
        }


_TYPES = {
    "Cluster": "clusters",
    "ClusterLoadAssignment": "endpoints",
    "Listener": "listeners",
    "NameTable": "names",
    "RouteConfiguration": "routes",
    "Secret": "secrets",
}


def type_name(type_url: str) -> str:
    """A type as people say it: clusters, endpoints, listeners, names, routes, secrets."""
    name = type_url.rpartition(".")[2]
    return _TYPES.get(name, name)
