"""The records that the engine keeps: one node per value, one frame per node under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mizzen.incremental.errors import Step

if TYPE_CHECKING:
    from mizzen.incremental.definitions import Definition

NEVER = -1


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

    __slots__ = ("cursor", "node", "reads", "restart")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.cursor = 0
        """How many dependencies are verified so far."""
        self.reads: dict[Node, None] | None = {} if node.verified_at == NEVER else None
        """What the running query has read so far, in order; None while dependencies are being verified."""
        self.restart = False
        """The run was broken off and must begin again."""

    def prefix(self) -> tuple[Node, ...]:
        """What this node has read, or would again read, before the node on which it waits now."""
        return self.node.dependencies[: self.cursor] if self.reads is None else tuple(self.reads)


@dataclass(slots=True)
class Log:
    """What the engine did while it was being recorded."""

    ran: list[Step] = field(default_factory=list)
    """Queries whose function ran, in the order in which they ended."""
    verified: list[Step] = field(default_factory=list)
    """Queries that were stale and did not need to run: nothing that they read had changed."""
    backdated: list[Step] = field(default_factory=list)
    """Queries whose new value was equal to the old one, so that their readers need not run."""
