"""What a case ends with, and how a set is counted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

MINIMUM_RATE = 0.8
"""Of every group of a set: passed / all cases."""


class Reason(Enum):
    """Why a case may be skipped. The list is closed (DESIGN.md): a new reason is a decision, not an edit."""

    INTERNAL_NAME = "Istio-internal name no user can see"
    AMBIENT = "ambient"
    SEVERAL_CLUSTERS = "several clusters"
    OFF_IN_ISTIO = "Istio marks the case as off or as a known limit"
    NOT_ASKED = "needs what no issue has asked for yet"


class CannotRunHereError(Exception):
    """This machine lacks what the set needs; the message says what."""


class Status(Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Outcome:
    """How one case ended. `counts` is False for the tier `istio-skips`, which takes no part in the rate."""

    case: str
    group: str
    status: Status
    why: str = ""
    counts: bool = True


@dataclass(frozen=True)
class SetResult:
    """All outcomes of a set. `failing` are the cases that are known to fail, each with the reason; `not_asked` are whole
    groups of which no issue has asked anything yet, with the number of their cases: they are not run and take no part in
    any rate. `minimum_together` is the least rate of all groups together.
    """

    name: str
    outcomes: Sequence[Outcome]
    failing: Mapping[str, str] = field(default_factory=dict)
    not_asked: Mapping[str, int] = field(default_factory=dict)
    minimum_together: float = MINIMUM_RATE

    def count(self, status: Status) -> int:
        return sum(outcome.status is status for outcome in self.outcomes)

    def line(self) -> str:
        return f"{self.name}: " + ", ".join(f"{self.count(status)} {status.value}" for status in Status)

    def rates(self) -> Mapping[str, float]:
        """passed / all, by group."""
        counted = [outcome for outcome in self.outcomes if outcome.counts]
        groups: dict[str, list[bool]] = {}
        for outcome in counted:
            groups.setdefault(outcome.group, []).append(outcome.status is Status.PASSED)
        return {group: sum(passed) / len(passed) for group, passed in groups.items()}

    def objections(self) -> Iterator[str]:
        """Why the run fails; nothing where it does not."""
        for outcome in self.outcomes:
            listed = outcome.case in self.failing
            if outcome.status is Status.FAILED and not listed:
                yield f"{self.name}: {outcome.case} fails: {outcome.why}"
            if outcome.status is Status.PASSED and listed:
                yield f"{self.name}: {outcome.case} passes, but is listed as failing: take it off the list"
        unknown = self.failing.keys() - {outcome.case for outcome in self.outcomes}
        yield from (
            f"{self.name}: {case} is listed as failing, but there is no such case" for case in sorted(unknown)
        )
        for group, rate in self.rates().items():
            if rate < MINIMUM_RATE:
                yield f"{self.name}: group {group} passes {rate:.0%}, less than {MINIMUM_RATE:.0%}"
        counted = [outcome for outcome in self.outcomes if outcome.counts]
        together = sum(outcome.status is Status.PASSED for outcome in counted) / max(1, len(counted))
        if counted and together < self.minimum_together:
            yield f"{self.name}: {together:.1%} pass together, less than {self.minimum_together:.0%}"
        if not self.outcomes:
            yield f"{self.name}: the set has no cases"
