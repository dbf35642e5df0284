"""What a posture check is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mizzen.config.diagnostics import Finding
from mizzen.config.resource import ResourceKey
from mizzen.incremental import Database

Weakness = tuple[ResourceKey | None, Finding]
"""What is weak, and where; None: in what nobody configured."""

Weaknesses = Iterator[Weakness]


@dataclass(frozen=True, slots=True)
class Check:
    """A question about the whole mesh. `why` says what an attacker has of it; the fix is each finding's hint."""

    name: str
    question: str
    why: str
    codes: tuple[str, ...]
    find: Callable[[Database], Weaknesses]


def check(question: str, *, why: str, codes: str) -> Callable[[Callable[[Database], Weaknesses]], Check]:
    """Make a generator of weaknesses a check."""

    def declare(find: Callable[[Database], Weaknesses]) -> Check:
        return Check(find.__name__, question, why, tuple(codes.split()), find)

    return declare
