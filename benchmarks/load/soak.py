"""Changes of all kinds and proxies that come and go, for as long as it is told; what grows meanwhile, and what is wrong after.

Three verdicts: the daemon's memory does not grow, none of its queues does, and at the end every proxy holds exactly what it is
sent when it connects anew and says that it holds nothing.
"""

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from statistics import linear_regression
from typing import Any, Final

from benchmarks.load.scene import PATIENCE_SECONDS, Scene

_TICK_SECONDS = 0.02
_STILL_SECONDS = 2.0  # longer than it takes a busy machine to notice and read a file


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, and how often what happens. Of `reconnect_share` of the proxies each round cuts the connections; they are back
    with the next round, half of the times with what they held. In 100 s each proxy has been away: a heap has more and more holes
    until it was freed and filled some times, and at this rate that is over before the minutes that are judged (docs/performance.md).
    """

    seconds: float
    endpoints_per_second: int = 50
    virtual_service_seconds: float = 3.0
    policy_seconds: float = 4.0
    new_service_seconds: float = 5.0
    scale_seconds: float = 7.0
    reconnect_seconds: float = 5.0
    reconnect_share: float = 0.05
    sample_seconds: float = 5.0

    def only(self, kinds: Collection[str], times: float = 1.0) -> "Schedule":
        """Of all kinds (KINDS) these alone, and so many times as often."""
        periods = {
            name: getattr(self, name) / times if kind in kinds else math.inf
            for kind, name in _PERIODS.items()
        }
        endpoints = self.endpoints_per_second * times if "endpoints" in kinds else 0
        return replace(self, endpoints_per_second=round(endpoints), **periods)


_PERIODS: Final = {
    "virtual-services": "virtual_service_seconds",
    "policies": "policy_seconds",
    "new-services": "new_service_seconds",
    "scale": "scale_seconds",
    "reconnections": "reconnect_seconds",
}
KINDS: Final = ("endpoints", *_PERIODS)
"""Of changes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may grow, over the last two thirds of the samples. `memory_share` None: no verdict, for runs that are too short for
    one. The queues are nearly always empty; one that grows passes these in minutes.
    """

    memory_share: float | None = 0.01
    waiting_changes: float = 25.0
    waiting_proxies: float = 20.0
    oldest_change_seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    second: float
    memory_mb: float
    waiting_changes: float
    waiting_proxies: float
    oldest_change_seconds: float
    cpu_seconds: float
    query_runs: float
    responses: int
    connected: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Of a line through the samples by least squares: what it gains from its first to its last second."""

    first: float
    gain: float

    @property
    def share(self) -> float:
        return self.gain / self.first if self.first else 0.0


@dataclass(frozen=True, slots=True)
class Soaked:
    """`wrong` has a line for each verdict against it."""

    samples: Sequence[Sample]
    memory: Growth
    changes: int
    differing_proxies: int
    wrong: Sequence[str]


@dataclass(slots=True)
class _Periodic:
    """An action that is due every so often, and counts how often it was done."""

    seconds: float
    action: Callable[[int], object]
    due: float = field(init=False)
    done: int = 0

    def __post_init__(self) -> None:
        self.due = self.seconds

    def run_if_due(self, second: float) -> None:
        if second >= self.due:
            # A round that came late is not made up for: that would be a burst.
            self.due = max(self.due + self.seconds, second)
            self.done += 1
            self.action(self.done)


def soak(of: Scene, schedule: Schedule, limits: Limits, tell: Callable[[Sample], object]) -> Soaked:
    """The proxies are connected. Each sample is told at once."""
    samples: list[Sample] = []
    changes = 0
    of.fleet.order("mark")

    def sample(_: int = 0) -> None:
        samples.append(_sample(of, time.monotonic() - began))
        tell(samples[-1])

    def change_endpoints(number: int) -> None:
        nonlocal changes
        count = round(number * a_round) - round((number - 1) * a_round)
        if count:
            of.mesh.churn(count, number)
            changes += count

    round_seconds = 0.1
    a_round = schedule.endpoints_per_second * round_seconds
    periodic = (
        _Periodic(round_seconds, change_endpoints),
        *_changes(of, schedule),
        _Periodic(schedule.reconnect_seconds, _Reconnections(of, schedule.reconnect_share).next_round),
        _Periodic(schedule.sample_seconds, sample),
    )
    began = time.monotonic()
    while (second := time.monotonic() - began) < schedule.seconds:
        for each in periodic:
            each.run_if_due(second)
        time.sleep(_TICK_SECONDS)
    _until_still(of)
    differences = _differences_to_fresh(of)
    tail = samples[len(samples) // 3 :]
    memory = growth(tail, "memory_mb")
    wrong = (*growing(tail, memory, limits), *_told(differences))
    return Soaked(samples, memory, changes, differences["count"], wrong)


def _changes(of: Scene, schedule: Schedule) -> Iterator[_Periodic]:
    """Of other kinds than endpoints that are rewritten."""
    mesh = of.mesh

    def new_service(number: int) -> None:
        """Each has a name that nobody had before, and lives for a round."""
        if number > 1:
            mesh.remove_new_service(number - 1)
        mesh.new_service(number)

    def scale(number: int) -> None:
        service = number // 2 % of.shape.services
        mesh.scale_down(service, 10) if number % 2 else mesh.scale_up(service, 10)

    # The first round has nothing to undo.
    mesh.scale_up(0, 10)
    yield _Periodic(schedule.virtual_service_seconds, mesh.change_virtual_service)
    yield _Periodic(schedule.policy_seconds, mesh.change_policy)
    yield _Periodic(schedule.new_service_seconds, new_service)
    yield _Periodic(schedule.scale_seconds, scale)


@dataclass(frozen=True, slots=True)
class _Reconnections:
    """A few proxies at a time, in turn, are away for a round."""

    of: Scene
    share: float

    def next_round(self, number: int) -> None:
        proxies = self.of.shape.proxies
        count = max(1, round(proxies * self.share))
        first = number * count % proxies
        self.of.fleet.order("connect", warm=number % 2 == 0)
        self.of.fleet.order("disconnect", first=first, last=first + count)


def _sample(of: Scene, second: float) -> Sample:
    metrics = of.daemon.metrics()
    status = of.fleet.order("status")
    return Sample(
        second,
        of.daemon.memory_mb(),
        metrics["mizzen_waiting_changes"],
        metrics["mizzen_waiting_proxies"],
        metrics["mizzen_oldest_change_seconds"],
        of.daemon.cpu_seconds(),
        metrics["mizzen_query_runs_total"],
        status["responses"],
        status["connected"],
    )


def _differences_to_fresh(of: Scene) -> dict[str, Any]:
    """Between what all hold, and what they are sent when they hold nothing."""
    of.fleet.order("connect", warm=True)
    _until_synced(of)
    of.fleet.order("remember")
    of.fleet.order("disconnect")
    of.fleet.order("connect", warm=False)
    _until_synced(of)
    found: dict[str, Any] = of.fleet.order("differences")
    return found


def _until_synced(of: Scene) -> None:
    proxies = of.shape.proxies
    synced = of.fleet.order("await", count=proxies, seconds=PATIENCE_SECONDS, what="synced")["synced"]
    if synced != proxies:
        raise RuntimeError(f"only {synced} of {proxies} proxies were served")
    _until_still(of)


def _until_still(of: Scene) -> None:
    """Until the daemon has nothing waiting, and nobody has taken anything for a while."""
    last = -1
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (now := _sample(of, 0.0)).responses != last or now.waiting_changes or now.waiting_proxies:
        if time.monotonic() > deadline:
            raise RuntimeError("responses never ended")
        last = now.responses
        time.sleep(_STILL_SECONDS)


# --- verdicts -------------------------------------------------------------------------------------------------


def growth(samples: Sequence[Sample], name: str) -> Growth:
    if len(samples) < 2:
        return Growth(0.0, 0.0)
    seconds = [sample.second for sample in samples]
    line = linear_regression(seconds, [getattr(sample, name) for sample in samples])
    return Growth(line.intercept + line.slope * seconds[0], line.slope * (seconds[-1] - seconds[0]))


def growing(samples: Sequence[Sample], memory: Growth, limits: Limits) -> Iterator[str]:
    if limits.memory_share is not None and memory.share >= limits.memory_share:
        yield f"memory grew by {memory.gain:.1f} MB, {memory.share:.1%} of {memory.first:.0f} MB"
    for limit in fields(limits):
        if limit.name != "memory_share":
            gain = growth(samples, limit.name).gain
            if gain > getattr(limits, limit.name):
                yield f"{limit.name} grew by {gain:.1f}"


def _told(differences: dict[str, Any]) -> Iterator[str]:
    if differences["count"]:
        yield f"{differences['count']} proxies hold something else than they are sent when they connect anew:"
    for node, of_types in differences["found"].items():
        for type_url, names in of_types.items():
            for name, (held, sent) in list(names.items())[:3]:
                kind = type_url.rpartition(".")[2]
                yield f"  {node}: {kind} {name}: holds {held or 'nothing'}, is sent {sent or 'nothing'}"
