"""What an analyzer is, and how one is declared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database, Query, query

Findings = Iterator[Finding]
Check = Callable[[Database, Resource[Any]], Findings]


@dataclass(frozen=True, slots=True)
class Analyzer:
    """A check of objects of some kinds. `query(db, key)` gives what it finds in one object."""

    name: str
    kinds: tuple[str, ...]
    codes: tuple[str, ...]
    query: Query[[ResourceKey], tuple[Finding, ...]]
    asked_for: bool = False  # runs only where somebody asks for it

    def __call__(self, db: Database, key: ResourceKey) -> tuple[Finding, ...]:
        return self.query(db, key)


def analyzer(*kinds: str, codes: str, asked_for: bool = False) -> Callable[[Check], Analyzer]:
    """Make a generator of findings an analyzer of these kinds. `codes` are all that it can yield, by space.

    An object that is not there has no findings.
    """

    def declare(check: Check) -> Analyzer:
        @wraps(check)
        def run(db: Database, key: ResourceKey) -> tuple[Finding, ...]:
            resource = RESOURCES(db, key)
            return () if resource is None else tuple(check(db, resource))

        return Analyzer(check.__name__, kinds, tuple(codes.split()), query(run), asked_for)

    return declare
