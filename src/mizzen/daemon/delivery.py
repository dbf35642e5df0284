"""What became of every change: who has it, who refused it and why (xds.catalog.Events)."""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter

from mizzen.config.resource import ResourceKey
from mizzen.daemon.catalog import Session
from mizzen.xds.catalog import ProxySession

# The changes that are kept for display; older ones are forgotten.
REMEMBERED_CHANGES = 50


Slot = tuple[str, bool]
"""A proxy by name, or (True) the agent beside it."""


@dataclass(slots=True)
class ChangeRecord:
    """One revision of the configuration. `proxies`: those it concerned -> pending, acked, rejected or gone. A proxy has
    it when the agent beside it has it, too.
    """

    revision: int
    time: float
    objects: tuple[ResourceKey, ...]
    proxies: dict[str, str]
    # Whose answer a pending state waits for: a proxy that came back has a new session before its old one is found dead.
    awaited: dict[Slot, Session] = field(repr=False)  # by name, proxies (False) and agents (True)
    # Those that left before they answered. When they are back, they are brought up to date: what then holds is told.
    left: set[Slot] = field(default_factory=set, repr=False)

    def end(self, session: ProxySession, state: str) -> None:
        assert isinstance(session, Session)
        slot = (session.name, session.proxy.agent)
        if self.awaited.get(slot) is session:
            del self.awaited[slot]
        elif slot in self.left:
            self.left.remove(slot)
        else:
            return
        beside = (session.name, not session.proxy.agent)
        if state != "acked" or (
            self.proxies[session.name] in {"pending", "gone"}
            and beside not in self.left
            and beside not in self.awaited
        ):
            self.proxies[session.name] = state

    def leave(self, session: ProxySession) -> None:
        assert isinstance(session, Session)
        slot = (session.name, session.proxy.agent)
        if self.awaited.get(slot) is session:
            self.end(session, "gone")
            self.left.add(slot)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A resource version that a proxy NACKed. `error` is in Envoy's words."""

    session: Session
    type_url: str
    resource: str
    version: str
    error: str
    since: float


class DeliveryMetrics:
    """The daemon's counters of discovery, by Istio's names where Istio has them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pushes = Counter("pilot_xds_pushes", "Discovery responses sent.", ["type"], registry=registry)
        self.bytes = Counter(
            "mizzen_xds_sent_bytes", "Bytes of discovery responses.", ["type"], registry=registry
        )
        self.rejects = Counter(
            "pilot_total_xds_rejects", "Resource versions that a proxy refused.", ["type"], registry=registry
        )
        self.stalls = Counter(
            "mizzen_xds_stalls", "Responses that a proxy did not answer in time.", ["type"], registry=registry
        )
        self._by_type: dict[str, tuple[Counter, Counter]] = {}

    def of(self, type_url: str) -> tuple[Counter, Counter]:
        """The counters of responses and of their bytes for one type. To look them up by label costs more than to count."""
        found = self._by_type.get(type_url)
        if found is None:
            name = type_name(type_url)
            found = self._by_type[type_url] = self.pushes.labels(name), self.bytes.labels(name)
        return found


class DeliveryLog:
    """Follows changes from the database to the proxies' ACKs."""

    def __init__(
        self, now: Callable[[], float], metrics: DeliveryMetrics, log: Callable[[str], None]
    ) -> None:
        self._now = now
        self._metrics = metrics
        self._log = log
        self.changes: deque[ChangeRecord] = deque(maxlen=REMEMBERED_CHANGES)
        # For each slot the changes that wait for it, or did when it left: an ACK looks at those alone.
        self._waiting: defaultdict[Slot, deque[ChangeRecord]] = defaultdict(deque)
        self.refusals: dict[tuple[str, str, str], Refusal] = {}

    def changed(self, revision: int, objects: Sequence[ResourceKey], concerned: Iterable[Session]) -> None:
        """Configuration changed; `concerned` are the proxies that get something else because of it."""
        awaited = {(session.name, session.proxy.agent): session for session in concerned}
        proxies = dict.fromkeys(sorted(name for name, _ in awaited), "pending")
        record = ChangeRecord(revision, self._now(), tuple(objects), proxies, awaited)
        if len(self.changes) == self.changes.maxlen:
            self._forget(self.changes[-1])
        self.changes.appendleft(record)
        for slot in awaited:
            self._waiting[slot].append(record)

    def _forget(self, oldest: ChangeRecord) -> None:
        for slot in oldest.awaited.keys() | oldest.left:
            waiting = self._waiting[slot]
            if waiting and waiting[0] is oldest:
                waiting.popleft()
            if not waiting:
                del self._waiting[slot]

    # What discovery tells.

    def pushed(
        self, session: ProxySession, type_url: str, revision: int, names: Sequence[str], size_bytes: int
    ) -> None:
        del session, revision, names
        pushes, sent_bytes = self._metrics.of(type_url)
        pushes.inc()
        sent_bytes.inc(size_bytes)

    def acked(self, session: ProxySession, type_url: str, revision: int) -> None:
        """Nothing: one type says little. `settled` says that all of them are in."""

    def rejected(self, session: ProxySession, type_url: str, resource: str, version: str, error: str) -> None:
        assert isinstance(session, Session)
        error = in_short(error)
        self._metrics.rejects.labels(type_name(type_url)).inc()
        self._log(f"{session.name} refused {type_name(type_url)} {resource}: {error}")
        refusal = Refusal(session, type_url, resource, version, error, self._now())
        self.refusals[session.name, type_url, resource] = refusal
        for record in self.changes:
            record.end(session, "rejected")

    def recovered(self, session: ProxySession, type_url: str, resource: str) -> None:
        self.refusals.pop((session.name, type_url, resource), None)

    def settled(self, session: ProxySession, revision: int) -> None:
        assert isinstance(session, Session)
        slot = (session.name, session.proxy.agent)
        waiting = self._waiting.get(slot)
        if waiting is None:
            return
        while waiting and waiting[0].revision <= revision:
            waiting.popleft().end(session, "acked")
        if not waiting:
            del self._waiting[slot]

    def stalled(self, session: ProxySession, type_url: str, waited_seconds: float) -> None:
        self._metrics.stalls.labels(type_name(type_url)).inc()
        self._log(f"{session.name} did not answer for {waited_seconds:.0f} s about its {type_name(type_url)}")

    def disconnected(self, session: ProxySession) -> None:
        for record in self.changes:
            record.leave(session)
        self.refusals = {
            slot: refusal for slot, refusal in self.refusals.items() if refusal.session is not session
        }


def in_short(error: str) -> str:
    """Envoy's words without the resource itself, which it may put before them: hundreds of lines, perhaps with secrets."""
    return _DUMP.sub("", error)


# Protobuf marks what is printed to be read by people alone ("goo.gle/debugonly", "goo.gle/debugstr").
_DUMP = re.compile(r"goo\.gle/debug\w*\s.*?\n: ", re.DOTALL)

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
