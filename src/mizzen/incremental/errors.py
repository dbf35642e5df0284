"""Failures as data: what the engine remembers of a query that raised, and what its readers see."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

Step = tuple[str, tuple[Any, ...]]
"""One query and its key, for people and logs: the query's name and the arguments after `db`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a query has no value. It stands in the value's place, and in that of each reader that let it through.

    It holds no exception and no traceback, so nothing of the failed call stays alive.
    """

    query: str
    key: tuple[Any, ...]
    error: str
    """The exception's type, by name."""
    message: str
    cycle: tuple[Step, ...] = ()
    """Only for a cycle: its members in the order in which they read each other, the smallest one first."""
    where: str = field(default="", compare=False)
    """File and line that raised. No part of equality: code may move."""

    def exception(self) -> "QueryError":
        return CycleError(self) if self.cycle else QueryError(self)

    def __str__(self) -> str:
        return f"{_call(self.query, self.key)}: {self.error}: {self.message}"


class QueryError(Exception):
    """Raised to the reader of a failed query. A reader that lets it pass fails with the same `failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return str(self.failure)


class CycleError(QueryError):
    """The query, or one that it read, needs its own value. All members of a cycle hold the same failure."""

    @property
    def path(self) -> tuple[Step, ...]:
        return self.failure.cycle


def failure_of(step: Step, error: Exception) -> Failure:
    """What to remember of an exception that a query let out."""
    if isinstance(error, QueryError):
        return error.failure
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not take the engine down
        message = "(its message cannot be shown)"
    return Failure(*step, type(error).__name__, message, where=_raised_at(error.__traceback__))


def cycle_failure(members: Sequence[Step]) -> Failure:
    """The failure of a cycle, the same whichever member the cycle was entered by."""
    start = min(range(len(members)), key=lambda i: (members[i][0], repr(members[i][1])))
    path = (*members[start:], *members[:start])
    message = " -> ".join(_call(*step) for step in (*path, path[0]))
    return Failure(*path[0], CycleError.__name__, message, cycle=path)


def _call(query: str, key: tuple[Any, ...]) -> str:
    return f"{query}({', '.join(map(repr, key))})"


def _raised_at(traceback: TracebackType | None) -> str:
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"
