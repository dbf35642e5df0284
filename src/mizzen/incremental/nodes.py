"""The records that the engine keeps: one node per value, one frame per node under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mizzen.incremental.errors import Step

if TYPE_CHECKING:
    from mizzen.incremental.definitions import Definition

NEVER = -1

REPEATED_READS = 32
"""To break off running queries costs a repetition of what they have read so far. A slice does so only if it has
brought up to date at least one node for so many reads, which bounds the cost by the work."""


class Node:
    """A remembered value: of one input entry, of one bucket of an index, or of one query and key."""

    __slots__ = (
        "changed_at",
        "definition",
        "dependencies",
        "dependents",
        "key",
        "observers",
        "stale",
        "value",
        "verified_at",
    )

    def __init__(self, definition: Definition, key: Any, value: object, *, stale: bool) -> None:
        self.definition = definition
        self.key = key
        self.value = value
        self.stale = stale
        """May be out of date. Whoever reads a stale node is stale as well."""
        self.changed_at = 0
        """The revision in which the value last became another one."""
        self.verified_at = NEVER
        """The revision in which the value was last found right. Only queries need it."""
        self.dependencies: tuple[Node, ...] = ()
        """What the query read, in the order of the first reads."""
        self.dependents: dict[Node, None] = {}
        """The reverse edges: an ordered set."""
        self.observers = 0

    @property
    def step(self) -> Step:
        return self.definition.name, self.key


class Frame:
    """A node under way: its dependencies are being verified, or its query is being run."""

    __slots__ = ("cursor", "node", "reads", "restart", "running", "verifying")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.verifying = node.verified_at != NEVER
        """No dependency is known to have changed so far."""
        self.cursor = 0
        """How many dependencies are verified."""
        self.reads: dict[Node, None] = {}
        """What the query has read in its last run, in order."""
        self.running = False
        """Its query is on Python's stack."""
        self.restart = False
        """The run is broken off and must begin again."""

    def prefix(self) -> tuple[Node, ...]:
        """What this node has read, or would again read, before the node on which it waits now."""
        return self.node.dependencies[: self.cursor] if self.verifying else tuple(self.reads)


def always() -> bool:
    return True


def never() -> bool:
    return False


class Demand:
    """What one caller outside has asked for: the nodes under way for it, a stack. Each waits for the next."""

    __slots__ = ("frames", "settled", "slice_over")

    def __init__(self, slice_over: Callable[[], bool] = never) -> None:
        self.frames: dict[Node, Frame] = {}
        self.slice_over = slice_over
        """Whether the caller would like to have control back."""
        self.settled = 0
        """How many nodes were brought up to date in this slice."""

    def is_slice_over(self) -> bool:
        """Whether to hand back control even though that breaks off queries."""
        if not self.slice_over():
            return False
        repeated = sum(len(frame.reads) for frame in self.frames.values() if frame.running)
        return self.settled * REPEATED_READS > repeated


@dataclass(slots=True)
class Log:
    """What the engine did while it was being recorded."""

    ran: list[Step] = field(default_factory=list)
    """Queries whose function ran, in the order in which they ended."""
    verified: list[Step] = field(default_factory=list)
    """Queries that were stale and did not need to run: nothing that they read had changed."""
    backdated: list[Step] = field(default_factory=list)
    """Queries whose new value was equal to the old one, so that their readers need not run."""
    broken_off: list[Step] = field(default_factory=list)
    """Queries that were broken off, at the end of a slice or because too many were nested, to run again."""
