"""Traces of changes: a tree of spans for each, from its arrival to the last proxy's answer.

    change            from its arrival until nobody's answer is awaited any more
      wait            until it is computed
      compute         what it makes different
      push            for a proxy, or the agent beside it: from there to its answer; an event for each response that was sent

A change costs a few spans, each push O(1); where nobody asks for traces there is nothing to pay but a look whether there is one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mizzen.config.resource import ResourceKey
from mizzen.daemon.catalog import Slot
from mizzen.daemon.otlp import Event, Span, Value
from mizzen.daemon.refresher import Timing

MOST_PUSHES: Final = 100
"""Of a change so many that were ACKed have a span, the first and the last among them; and as many that were not."""
_MOST_EVENTS: Final = 16
_MOST_OBJECTS: Final = 10


@dataclass(frozen=True, slots=True)
class Tracer:
    """Begins the traces. `now` in seconds since the epoch, `clock` that of `Timing`."""

    put: Callable[[Span], None]
    random_bytes: Callable[[int], bytes]
    now: Callable[[], float]
    clock: Callable[[], float]

    def begin(
        self, revision: int, objects: Sequence[ResourceKey], concerned: int, timing: Timing
    ) -> "ChangeTrace":
        told = tuple(str(key) for key in objects[:_MOST_OBJECTS])
        about: dict[str, Value] = {
            "mizzen.revision": revision,
            "mizzen.objects": told,
            "mizzen.object_count": len(objects),
            "mizzen.concerned": concerned,
        }
        epoch = self.now() - self.clock()
        trace = ChangeTrace(self, self.random_bytes(16).hex(), self.new_id(), epoch, timing, about)
        trace.put("wait", timing.received, timing.began)
        trace.put("compute", timing.began, timing.ended)
        return trace

    def new_id(self) -> str:
        return self.random_bytes(8).hex()


@dataclass(slots=True)
class ChangeTrace:
    """What is known so far. All times are of the tracer's clock; `epoch` is when that was 0."""

    tracer: Tracer
    trace_id: str
    root_id: str
    epoch: float
    timing: Timing
    about: Mapping[str, Value]
    _sent: dict[Slot, list[Event]] = field(default_factory=dict)
    _outcomes: dict[str, int] = field(default_factory=dict)

    def pushed(self, slot: Slot, kind: str, size_bytes: int) -> None:
        events = self._sent.setdefault(slot, [])
        if len(events) < _MOST_EVENTS:
            about: dict[str, Value] = {"mizzen.type": kind, "mizzen.bytes": size_bytes}
            events.append(Event("sent", self.epoch + self.tracer.clock(), about))

    def ended(self, slot: Slot, outcome: str, error: str, *, is_last: bool) -> None:
        """A proxy has answered or left."""
        sent = self._sent.pop(slot, [])
        told = self._outcomes.get(outcome, 0)
        self._outcomes[outcome] = told + 1
        if told >= MOST_PUSHES and not is_last:
            return
        name, agent = slot
        now = self.tracer.clock()
        about: dict[str, Value] = {"mizzen.proxy": name, "mizzen.agent": agent, "mizzen.outcome": outcome}
        events = (*sent, Event(outcome, self.epoch + now))
        self.put("push", self.timing.ended, now, about, events, error)

    def close(self) -> None:
        """Nobody's answer is awaited any more, or nobody is interested in it."""
        outcomes = {f"mizzen.{outcome}": count for outcome, count in self._outcomes.items()}
        root = Span(
            self.trace_id,
            self.root_id,
            "",
            "change",
            self.epoch + self.timing.received,
            self.epoch + self.tracer.clock(),
            {**self.about, **outcomes},
        )
        self.tracer.put(root)

    def put(
        self,
        name: str,
        start: float,
        end: float,
        about: Mapping[str, Value] | None = None,
        events: tuple[Event, ...] = (),
        error: str = "",
    ) -> None:
        """A span below the root."""
        start, end = self.epoch + start, self.epoch + end
        span_id = self.tracer.new_id()
        self.tracer.put(
            Span(self.trace_id, span_id, self.root_id, name, start, end, about or {}, events, error)
        )
