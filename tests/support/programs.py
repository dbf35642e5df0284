"""Random computations for the engine's property tests, run twice: by the engine, and by a naive oracle.

A program is a tuple that `evaluate` interprets. Programs are themselves entries of an input, so that a change can
rewire the graph: add and remove reads, close and break cycles.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hypothesis import strategies as st

from mizzen.incremental import Database, Failure, Index, Input, QueryError, query

Program = tuple[Any, ...]
NODES = tuple(range(7))
KEYS = ("a", "b", "c", "d")
BUCKETS = 3

VALUES: Input[str, int] = Input("value")
PROGRAMS: Input[int, Program] = Input("program")
BY_BUCKET = Index("by_bucket", VALUES, lambda _key, value: {value % BUCKETS, 0})


def programs() -> st.SearchStrategy[Program]:
    leaves = st.one_of(
        st.tuples(st.just("constant"), st.integers(0, 3)),
        st.tuples(st.just("value"), st.sampled_from(KEYS)),
        st.tuples(st.just("call"), st.sampled_from(NODES)),
        st.tuples(st.just("next"), st.integers(1, 2)),
        st.tuples(st.just("next"), st.integers(1, 2)),
        st.tuples(st.just("members"), st.integers(0, BUCKETS - 1)),
        st.tuples(st.just("keys")),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(st.just("add"), inner, inner),
            st.tuples(st.just("if"), inner, inner, inner),
            st.tuples(st.just("parity"), inner),
            st.tuples(st.just("catch"), inner),
            st.tuples(st.just("swallow"), inner),
            st.tuples(st.just("raise"), inner),
        ),
        max_leaves=6,
    )


class Reader(Protocol):
    """Where a program reads from: the engine or the oracle."""

    swallowed: type[BaseException]

    def value(self, key: str) -> int | None: ...
    def members(self, bucket: int) -> tuple[str, ...]: ...
    def keys(self) -> tuple[str, ...]: ...
    def call(self, node: int) -> int: ...


def evaluate(program: Program, node: int, reader: Reader) -> int:
    def go(part: Program) -> int:
        match part:
            case ("constant", number):
                return number
            case ("value", key):
                return reader.value(key) or 0
            case ("call", other):
                return reader.call(other)
            case ("next", distance):  # long chains, and long cycles where they wrap around
                return reader.call((node + distance) % len(NODES))
            case ("members", bucket):
                return sum(10 + (reader.value(key) or 0) for key in reader.members(bucket))
            case ("keys",):
                return len(reader.keys())
            case ("add", one, other):
                return go(one) + go(other)
            case ("if", condition, yes, no):
                return go(yes) if go(condition) % 2 else go(no)
            case ("parity", inner):
                return go(inner) % 2
            case ("raise", inner):
                raise ValueError(f"raised {go(inner)}")
        kind, inner = part
        assert kind in {"catch", "swallow"}
        try:
            return go(inner)
        except QueryError as error:
            return -len(str(error.failure))
        except BaseException as error:
            if kind == "swallow" and isinstance(error, reader.swallowed):
                return -1
            raise

    return go(program)


@dataclass
class Engine:
    db: Database
    swallowed: type[BaseException] = BaseException

    def value(self, key: str) -> int | None:
        return VALUES(self.db, key)

    def members(self, bucket: int) -> tuple[str, ...]:
        return BY_BUCKET(self.db, bucket)

    def keys(self) -> tuple[str, ...]:
        return VALUES.keys(self.db)

    def call(self, node: int) -> int:
        return run(self.db, node)


@query
def run(db: Database, node: int) -> int:
    return evaluate(PROGRAMS(db, node) or ("constant", 0), node, Engine(db))


class _Cycle(BaseException):
    pass


@dataclass
class Oracle:
    """Evaluates from scratch by plain recursion. Says what each node gives, and what it read on the way."""

    values: Mapping[str, int]
    programs: Mapping[int, Program]
    swallowed: type[BaseException] = ValueError
    outcomes: dict[int, "int | Failure"] = field(default_factory=dict)
    reads: dict[int, dict[tuple[str, Any], object]] = field(default_factory=dict)
    stack: list[int] = field(default_factory=list)

    def result(self, node: int) -> "int | Failure":
        if node in self.outcomes:
            return self.outcomes[node]
        if node in self.stack:
            self.close_cycle(self.stack[self.stack.index(node) :])
            raise _Cycle
        self.stack.append(node)
        self.reads[node] = {("program", node): self.programs.get(node)}
        try:
            outcome: int | Failure = evaluate(self.programs.get(node, ("constant", 0)), node, self)
        except QueryError as error:
            outcome = error.failure
        except ValueError as error:
            outcome = Failure("run", (node,), "ValueError", str(error))
        except _Cycle:
            outcome = self.outcomes[node]
        finally:
            self.stack.pop()
        self.outcomes.setdefault(node, outcome)
        if self.stack and self.stack[-1] in self.outcomes:
            raise _Cycle  # the reader is a member of the cycle as well
        return self.outcomes[node]

    def close_cycle(self, members: list[int]) -> None:
        start = members.index(min(members))
        path = members[start:] + members[:start]
        message = " -> ".join(f"run({node})" for node in [*path, path[0]])
        steps = tuple(("run", (node,)) for node in path)
        for node, awaited in zip(members, members[1:] + members[:1], strict=True):
            self.outcomes[node] = Failure("run", (path[0],), "CycleError", message, cycle=steps)
            self.reads[node]["run", awaited] = None

    def recorded(self, node: int) -> dict[tuple[str, Any], object]:
        """What `node` read and what it found there; of a query, its outcome."""
        return {
            (kind, key): self.result(key) if kind == "run" else seen
            for (kind, key), seen in self.reads[node].items()
        }

    def see(self, kind: str, key: Any, seen: Any) -> Any:
        self.reads[self.stack[-1]][kind, key] = seen
        return seen

    def value(self, key: str) -> int | None:
        return self.see("value", key, self.values.get(key))

    def members(self, bucket: int) -> tuple[str, ...]:
        members = tuple(sorted(key for key, value in self.values.items() if bucket in {value % BUCKETS, 0}))
        return self.see("members", bucket, members)

    def keys(self) -> tuple[str, ...]:
        return self.see("keys", (), tuple(sorted(self.values)))

    def call(self, node: int) -> int:
        outcome = self.result(node)
        self.see("run", node, None)
        if isinstance(outcome, Failure):
            raise outcome.exception()
        return outcome
