"""The database: inputs are set, queries are observed, `refresh` tells which of these changed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from mizzen.incremental.definitions import AnyQuery, Index, Input, Query
from mizzen.incremental.errors import Failure
from mizzen.incremental.graph import MAX_NESTING, Graph, equal
from mizzen.incremental.nodes import Log, Node, always, never

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
P = ParamSpec("P")
R = TypeVar("R")

Slot = tuple[Input[Any, Any], Any]
"""One entry of one input."""
AnyIndex = Index[Any, Any, Any]
Members = dict[Any, set[Any]]
"""Of an index: bucket -> the keys in it."""
Move = tuple[AnyIndex, object, frozenset[Any], frozenset[Any]]
"""Of an index: a key, the buckets that it leaves, and those that it enters."""

_UNREPORTED = object()


class Observed(NamedTuple):
    """An observed query and key."""

    query: AnyQuery
    key: tuple[Any, ...]


class Database(Graph):
    """All state of one computation. Single-threaded; each database stands for itself.

    Changes made in a batch, or while a sliced refresh is under way, wait in a buffer that holds the last value of
    each entry (so it is bounded by the number of entries) and then become one revision.
    """

    def __init__(self, max_nesting: int = MAX_NESTING) -> None:
        super().__init__(max_nesting)
        self._indexes: dict[Input[Any, Any], dict[AnyIndex, Members]] = {}
        self._reported: dict[Node, object] = {}  # observed -> the value at the last refresh
        self._batch: dict[Slot, object] | None = None
        self._queued: dict[Slot, object] = {}  # set while a refresh was under way
        self._refreshing = False

    # Inputs.

    def set(self, source: Input[K, V], key: K, value: V) -> None:
        """Set an entry. An equal value is no change; None removes the entry."""
        self._forbid_in_query("set an input")
        if self._batch is not None:
            self._batch[source, key] = value
        else:
            self._submit({(source, key): value})

    def remove(self, source: Input[K, V], key: K) -> None:
        """Remove an entry, if it is there."""
        self.set(source, key, cast("V", None))

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Make all changes in the block one revision. Reads in the block still see the revision before.

        If the block raises, none of its changes is made. Batches may be nested: the outermost one counts.
        """
        self._forbid_in_query("set inputs")
        outer, self._batch = self._batch, {}
        try:
            yield
            changes = self._batch
        finally:
            self._batch = outer
        if outer is None:
            self._submit(changes)
        else:
            outer.update(changes)

    def _submit(self, changes: Mapping[Slot, object]) -> None:
        if self._refreshing:
            self._queued.update(changes)
        else:
            self._apply(changes)

    def _apply(self, changes: Mapping[Slot, object]) -> None:
        """Make one revision of the changes, if any of them is one."""
        real = [(*slot, new) for slot, new in changes.items() if not equal(self._entry(*slot), new)]
        if not real:
            return
        moves = [move for change in real for move in self._moves(*change)]
        self.revision += 1
        for source, key, new in real:
            node = self._tables[source].get(key) or self._add(Node(source, key, None, stale=False))
            node.value = new
            self._changed(node)
            if new is None:
                self._orphans[node] = None
        for index, key, left, entered in moves:
            members = self._indexes[index.source][index]
            for bucket in left:
                members[bucket].discard(key)
            for bucket in entered:
                members.setdefault(bucket, set()).add(key)
            for bucket in left | entered:
                self._move_bucket(index, bucket)

    def _entry(self, source: Input[Any, Any], key: object) -> object:
        node = self._tables[source].get(key)
        return None if node is None else node.value

    def _changed(self, node: Node) -> None:
        node.changed_at = self.revision
        self._mark_readers(node)

    def read_input(self, source: Input[Any, Any], key: object) -> object:
        """The value of an entry, or None. Recorded, even if there is no entry: one may appear."""
        if self._frame is None:
            return self._entry(source, key)
        node = self._tables[source].get(key) or self._add(Node(source, key, None, stale=False))
        self._frame.reads[node] = None
        return node.value

    # Indexes.

    def read_index(self, index: AnyIndex, bucket: object) -> object:
        """The sorted keys in a bucket. Recorded, even if the bucket is empty."""
        members = self._members(index)
        node = self._tables[index].get(bucket) or self._add(Node(index, bucket, None, stale=False))
        if node.value is None:
            node.value = tuple(sorted(members.get(bucket, ())))
        if self._frame is not None:
            self._frame.reads[node] = None
        return node.value

    def _members(self, index: AnyIndex) -> Members:
        built = self._indexes.setdefault(index.source, {})
        if index not in built:
            members: Members = {}
            for key, node in self._tables[index.source].items():
                for bucket in _buckets(index, key, node.value):
                    members.setdefault(bucket, set()).add(key)
            built[index] = members
        return built[index]

    def _moves(self, source: Input[Any, Any], key: object, new: object) -> Iterator[Move]:
        """Which buckets an entry leaves and enters when its value becomes `new`."""
        old = self._entry(source, key)
        for index in self._indexes.get(source, ()):
            before, after = _buckets(index, key, old), _buckets(index, key, new)
            if before != after:
                yield index, key, before - after, after - before

    def _move_bucket(self, index: AnyIndex, bucket: object) -> None:
        members = self._indexes[index.source][index]
        if not members[bucket]:
            del members[bucket]
        if (node := self._tables[index].get(bucket)) is not None:
            node.value = None  # sorted at the next read
            self._changed(node)

    # Queries.

    def result(self, query: Query[P, R], *key: P.args, **named: P.kwargs) -> R | Failure:
        """The value of a query, or why it has none. Up to date; inside a query it is recorded like any read."""
        query.check(named)
        return cast("R | Failure", self.read(query, key))

    def value(self, query: Query[P, R], *key: P.args, **named: P.kwargs) -> R:
        """The value of a query, up to date. Raises QueryError if it has none."""
        return query(self, *key, **named)

    def observe(self, query: Query[P, R], *key: P.args, **named: P.kwargs) -> None:
        """Keep a query up to date from the next refresh on. Counted: each call needs one `unobserve`."""
        self._forbid_in_query("observe")
        query.check(named)
        node = self._tables[query].get(key) or self._add(Node(query, key, None, stale=True))
        node.observers += 1
        if node not in self._reported:
            self._reported[node] = _UNREPORTED
            self._due[node] = None

    def follow(self, query: Query[P, R], *key: P.args, **named: P.kwargs) -> R | Failure:
        """Observe, and take the value now: what `refresh` reports of it is only what comes later."""
        self.observe(query, *key, **named)
        node = self._tables[query][key]
        if node.stale:
            self._pull(node)
        if self._reported[node] is _UNREPORTED:
            self._reported[node] = node.value
            self._due.pop(node, None)
        return cast("R | Failure", node.value)

    def unobserve(self, query: Query[P, R], *key: P.args, **named: P.kwargs) -> None:
        """Take back one `observe`. ValueError if there was none."""
        self._forbid_in_query("unobserve")
        query.check(named)
        node = self._tables[query].get(key)
        if node is None or not node.observers:
            raise ValueError(f"{query.name}{key!r} is not observed")
        node.observers -= 1
        if not node.observers:
            del self._reported[node]
            self._due.pop(node, None)
            self._orphans[node] = None

    def refresh(self) -> tuple[Observed, ...]:
        """Bring all observed queries up to date, and forget what is no longer needed.

        Returns those whose value (or failure) is not the one of the last refresh, or that were not observed then.
        """
        slices = self.refresh_slices(never)
        try:
            next(slices)
        except StopIteration as end:
            return cast("tuple[Observed, ...]", end.value)
        raise AssertionError("unreachable: no slice is ever over")

    def refresh_slices(
        self, slice_over: Callable[[], bool] = always
    ) -> Generator[None, None, tuple[Observed, ...]]:
        """The same in slices: a generator that hands back control once `slice_over()` is true (and stays so till then).

        Queries that are running at that time are broken off and run again later, if enough has been done to be worth
        it. By default a slice is as short as that allows. The generator's return value is that of `refresh`.

        In between, reads work as ever, and what is observed joins this refresh. Changes are queued (the last one
        of each entry): when the generator ends, or is closed, they become the next revision. A second refresh
        meanwhile is an error. A closed generator has reported nothing: the next refresh reports it all.
        """
        self._forbid_in_query("refresh")
        if self._refreshing:
            raise RuntimeError("a refresh is under way: finish or close it first")
        self._refreshing = True
        fresh: dict[Node, None] = {}
        try:
            while self._due:
                node = next(iter(self._due))
                if node.stale:
                    yield from self._pull_slices(node, slice_over)
                self._due.pop(node, None)
                fresh[node] = None
            changed = self._report(fresh)
            fresh.clear()
            self._evict()
            return changed
        finally:
            self._due.update((node, None) for node in fresh if node in self._reported)
            self._refreshing = False
            queued, self._queued = self._queued, {}
            self._apply(queued)

    def _report(self, fresh: Iterable[Node]) -> tuple[Observed, ...]:
        changed = [n for n in fresh if n in self._reported and not equal(self._reported[n], n.value)]
        self._reported.update((node, node.value) for node in changed)
        return tuple(Observed(cast("AnyQuery", node.definition), node.key) for node in changed)

    def evict_unobserved(self) -> None:
        """Forget what is neither observed nor read by what is. Each refresh does so; while one is under way, its
        end does.
        """
        self._forbid_in_query("evict")
        if not self._refreshing:
            self._evict()

    @contextmanager
    def recording(self) -> Iterator[Log]:
        """Record what the engine does in the block. The log is as long as the work; meant for tests and debugging."""
        log = Log()
        self._logs = (*self._logs, log)
        try:
            yield log
        finally:
            self._logs = tuple(other for other in self._logs if other is not log)

    def _forbid_in_query(self, what: str) -> None:
        if self._frame is not None:
            name, key = self._frame.node.step
            raise RuntimeError(f"query {name}{key!r} tried to {what}: queries are pure")


def _buckets(index: AnyIndex, key: object, value: object) -> frozenset[Any]:
    return frozenset() if value is None else frozenset(index.buckets(key, value))
