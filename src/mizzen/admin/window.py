"""What counters did over the last seconds, from samples of them. Pure: the time is an argument.

Counters belong to a target (an agent) and may do what they do in life: start again at nothing when their process is
restarted, vanish because nobody used them (Envoy evicts idle series), come back later.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from mizzen.admin.metrics_text import Series, parse_series


@dataclass(frozen=True, slots=True)
class Activity:
    """One series of one target. `last_seen` is when it last grew, None where it has not while being watched."""

    series: Series
    total: int  # since the daemon knows it, resets and evictions bridged
    recent: int  # within the window
    per_second: float  # over the window
    last_seen: float | None


@dataclass(slots=True)
class _Counter:
    series: Series
    total: float = 0.0
    last_seen: float | None = None


@dataclass(frozen=True, slots=True)
class _Sample:
    since: float  # when the sample before was taken
    until: float
    growth: Mapping[str, float]


@dataclass(slots=True)
class _Target:
    """One agent: its counters as last read, all series ever seen, and the samples inside the window."""

    sampled: float
    last: Mapping[str, float]
    counters: dict[str, _Counter] = field(default_factory=dict)
    samples: deque[_Sample] = field(default_factory=deque)


class CounterWindow:
    """The counters of all targets over a sliding window of `seconds`.

    At most `series_per_target` series of a target are kept; when it is full, series seen later are ignored.
    """

    def __init__(self, seconds: float, *, series_per_target: int) -> None:
        self.seconds = seconds
        self._series_per_target = series_per_target
        self._targets: dict[str, _Target] = {}

    def observe(self, name: str, counters: Mapping[str, float], now: float) -> None:
        """Take in one reading of all counters of a target.

        What a target had counted when it was first met, or met again after longer than the window, enters the totals
        but no rate: nobody knows when it happened.
        """
        target = self._targets.get(name)
        if target is None:
            target = self._targets[name] = _Target(now, {})
            growth = dict(counters)
            watched = False
        else:
            growth = _growth(target.last, counters)
            watched = now - target.sampled <= self.seconds
        self._count(target, growth, now if watched else None)
        if watched:
            target.samples.append(_Sample(target.sampled, now, growth))
        else:
            target.samples.clear()
        target.sampled, target.last = now, counters
        _expire(target, now - self.seconds)

    def keep_only(self, names: Collection[str]) -> None:
        """Forget every target that is not among these, with all that it counted."""
        for name in self._targets.keys() - set(names):
            del self._targets[name]

    def activity(self, now: float) -> Iterator[Activity]:
        """Each series of each target, quiet ones too; a target that went silent fades out of the rates."""
        for target in self._targets.values():
            _expire(target, now - self.seconds)
            recent: dict[str, float] = {}
            for sample in target.samples:
                for text, count in sample.growth.items():
                    recent[text] = recent.get(text, 0.0) + count
            elapsed = now - target.samples[0].since if target.samples else 0.0
            for text, counter in target.counters.items():
                count = recent.get(text, 0.0)
                rate = count / elapsed if elapsed > 0 else 0.0
                yield Activity(counter.series, round(counter.total), round(count), rate, counter.last_seen)

    def _count(self, target: _Target, growth: Mapping[str, float], seen: float | None) -> None:
        for text, count in growth.items():
            counter = target.counters.get(text)
            if counter is None:
                if len(target.counters) >= self._series_per_target:
                    continue
                counter = target.counters[text] = _Counter(parse_series(text))
            counter.total += count
            if seen is not None:
                counter.last_seen = seen


def _growth(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """By how much each counter grew; one that fell, or was not there before, began again at nothing."""
    growth = {}
    for text, value in after.items():
        known = before.get(text, 0.0)
        grown = value - known if value >= known else value
        if grown:
            growth[text] = grown
    return growth


def _expire(target: _Target, horizon: float) -> None:
    while target.samples and target.samples[0].until <= horizon:
        target.samples.popleft()
