"""The kernel: marks what may be stale, brings one node up to date, forgets what nobody needs.

Three facts carry it:

1. A stale node's readers are stale (transitively). So marking stops at what is already stale, and a node that
   is not stale has only dependencies that are not.
2. Dependencies are verified in the order in which they were read, up to the first that changed. Queries are
   pure, so as long as the first n reads gave the same values, the next read is the recorded one: nothing is
   brought up to date that a run from scratch would not read.
3. Hence each node under way, be it verified or run, waits for exactly one other: the one it would read next in
   a run from scratch. A node under way that is needed again therefore closes a *true* cycle, even if not one of
   its members has run in this revision; and since each member waits for exactly one node, the cycle is the same
   whichever member it was entered by.
"""

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import dropwhile
from typing import Any, NoReturn

from mizzen.incremental.definitions import AnyQuery, Definition, Input, Query
from mizzen.incremental.errors import Failure, cycle_failure, failure_of
from mizzen.incremental.nodes import NEVER, Demand, Frame, Log, Node, never

MAX_NESTING = 50
"""So many queries may run inside each other before the engine starts over from a flat stack. Python's default
recursion limit is 1,000 frames; a level costs the engine four, and what the query's own helpers take."""


class _Unwind(BaseException):
    """Ends a query that turned out to be a member of a cycle. Not an Exception, lest the query catch it."""


class _BreakOff(BaseException):
    """Ends all running queries. What the innermost was about to read comes first, then they run again."""


class Graph:
    """The nodes of a database and how they are brought up to date. Internal: programs use Database."""

    def __init__(self, max_nesting: int = MAX_NESTING) -> None:
        self.revision = 0
        self.runs: Counter[str] = (
            Counter()
        )  # of queries by name, since the beginning: what all changes together cost
        self._tables: defaultdict[Definition, dict[Any, Node]] = defaultdict(dict)
        self._due: OrderedDict[Node, None] = OrderedDict()  # observed, and stale or new
        self._orphans: dict[Node, None] = {}  # lost a reader or an observer, or never had one
        self._logs: tuple[Log, ...] = ()
        self._frame: Frame | None = None  # of the query that is running
        self._demand = Demand()
        self._nesting = 0  # how many queries are running inside each other
        self._max_nesting = max_nesting

    def read(self, query: AnyQuery, key: tuple[Any, ...]) -> object:
        """The value of a query, or its Failure, up to date; the query that is running is recorded as a reader."""
        node = self._tables[query].get(key)
        if node is None:
            node = self._add(Node(query, key, None, stale=True))
        if node.stale:
            self._pull(node)
        if self._frame is not None:
            self._frame.reads[node] = None
        return node.value

    def _add(self, node: Node) -> Node:
        self._tables[node.definition][node.key] = node
        self._orphans[node] = None  # until a reader or an observer turns up
        return node

    # Push: what may be stale.

    def _mark_readers(self, node: Node) -> None:
        """Mark all that read `node`, directly or not."""
        changed = [node]
        while changed:
            for reader in changed.pop().dependents:
                if not reader.stale:
                    reader.stale = True
                    if reader.observers:
                        self._due[reader] = None
                    changed.append(reader)

    # Pull: bring a node up to date.

    def _pull(self, node: Node) -> None:
        """Bring a stale node up to date, for a caller outside or for the query that is running."""
        if self._frame is None:
            for _ in self._pull_slices(node):
                pass
        else:
            self._check_running(self._frame)
            self._pull_nested(node, self._demand.frames)
            self._check_running(self._frame)

    def _pull_slices(self, node: Node, slice_over: Callable[[], bool] = never) -> Iterator[None]:
        """The same from a flat Python stack, handing back control when `slice_over`.

        In between, others may read: they are demands of their own, and `_step` drops what they brought up to date.
        """
        demand = Demand(slice_over)
        demand.frames[node] = Frame(node)
        while demand.frames:
            self._demand = demand
            with suppress(_BreakOff):  # all frames are still there: go on with the topmost
                self._step(demand.frames)
            if slice_over():
                demand.settled = 0
                yield

    def _pull_nested(self, node: Node, frames: dict[Node, Frame]) -> None:
        if node in frames:
            self._fail_cycle(node)
            return
        depth = len(frames)
        frames[node] = Frame(node)
        try:
            while len(frames) > depth:
                if self._nesting >= self._max_nesting or self._demand.is_slice_over():
                    self._break_off()
                self._step(frames)
        except _BreakOff:
            raise
        except BaseException:  # an interrupt, or Python's own recursion limit
            while len(frames) > depth:
                frames.popitem()
            raise

    def _break_off(self) -> NoReturn:
        for frame in self._demand.frames.values():
            frame.restart = frame.running
        raise _BreakOff

    @staticmethod
    def _check_running(frame: Frame) -> None:
        """End the running query if its outcome no longer depends on it."""
        if not frame.node.stale:
            raise _Unwind  # it was found to be a member of a cycle
        if frame.restart:
            raise _BreakOff

    def _step(self, frames: dict[Node, Frame]) -> None:
        """Take the topmost frame as far as it goes without another node."""
        node, frame = next(reversed(frames.items()))
        if not node.stale:
            frames.popitem()
        elif frame.verifying:
            self._verify(frame, frames)
        else:
            self._run(frame)

    def _verify(self, frame: Frame, frames: dict[Node, Frame]) -> None:
        """Look for the first dependency that changed. Stops at one that is stale itself, to be continued."""
        node = frame.node
        while frame.cursor < len(node.dependencies):
            dependency = node.dependencies[frame.cursor]
            if dependency.stale:
                if dependency in frames:
                    self._fail_cycle(dependency)
                else:
                    frames[dependency] = Frame(dependency)
                return
            if dependency.changed_at > node.verified_at:
                self._run(frame)
                return
            frame.cursor += 1
        self._settle(node)
        for log in self._logs:
            log.verified.append(node.step)

    def _run(self, frame: Frame) -> None:
        node = frame.node
        assert isinstance(node.definition, Query)
        value: object = None
        frame.reads = {}
        frame.verifying, frame.restart, frame.running = False, False, True
        outer, self._frame = self._frame, frame
        self._nesting += 1
        self.runs[node.definition.name] += 1
        try:
            value = node.definition.function(self, *node.key)
        except Exception as error:  # noqa: BLE001 - whatever a query raises is remembered as its value
            value = failure_of(node.step, error)
        except (_Unwind, _BreakOff):
            pass
        finally:
            self._nesting -= 1
            self._frame = outer
            frame.running = False
        # The frame and the node say what happened, so a query that swallows everything changes nothing.
        if frame.restart:
            for log in self._logs:
                log.broken_off.append(node.step)
            raise _BreakOff
        for log in self._logs:
            log.ran.append(node.step)
        if node.stale:
            self._remember(node, tuple(frame.reads), value)

    def _remember(self, node: Node, dependencies: tuple[Node, ...], value: object) -> None:
        """Take in the outcome of a run. A value equal to the old one is no change: readers need not run."""
        if dependencies != node.dependencies:
            self._link(node, dependencies)
        if node.verified_at != NEVER and equal(value, node.value):
            for log in self._logs:
                log.backdated.append(node.step)
        else:
            node.value = value
            node.changed_at = self.revision
        self._settle(node)

    def _settle(self, node: Node) -> None:
        node.verified_at = self.revision
        node.stale = False
        self._demand.settled += 1

    def _link(self, node: Node, dependencies: tuple[Node, ...]) -> None:
        for dependency in dependencies:
            dependency.dependents[node] = None
        for dependency in set(node.dependencies).difference(dependencies):
            del dependency.dependents[node]
            self._orphans[dependency] = None
        node.dependencies = dependencies

    def _fail_cycle(self, again: Node) -> None:
        """All nodes under way from `again` on wait for each other: give them one failure.

        Each keeps what it read and the next member as dependencies: a change of any of these may break the cycle.
        """
        members = list(dropwhile(lambda frame: frame.node is not again, self._demand.frames.values()))
        failure = cycle_failure([frame.node.step for frame in members])
        for frame, awaited in zip(members, [*members[1:], members[0]], strict=True):
            self._remember(frame.node, (*frame.prefix(), awaited.node), failure)

    # Forget: what neither an observer nor a reader needs.

    def _evict(self) -> None:
        while self._orphans:
            node, _ = self._orphans.popitem()
            for doomed in self._unneeded(node):
                self._forget(doomed)

    def _unneeded(self, node: Node) -> list[Node]:
        """`node`, and the members of its cycle that read it, if nothing keeps them."""
        in_cycle = isinstance(node.value, Failure) and node.value.cycle
        if node.observers or (node.dependents and not in_cycle):
            return []
        # Members of a cycle read each other; only a search shows whether anybody else does.
        readers = {node: None}
        queue = [node]
        while queue:
            for reader in queue.pop().dependents:
                if reader.observers:
                    return []
                if reader not in readers:
                    readers[reader] = None
                    queue.append(reader)
        return list(readers)

    def _forget(self, node: Node) -> None:
        if isinstance(node.definition, Input) and node.value is not None:
            return  # the table itself, not a memory of it
        self._tables[node.definition].pop(node.key, None)
        for dependency in node.dependencies:
            dependency.dependents.pop(node, None)
            self._orphans[dependency] = None
        node.dependencies = ()


def equal(one: object, other: object) -> bool:
    """Whether two values are equal. Values that cannot be compared count as different."""
    if one is other:
        return True
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - a broken __eq__ costs a rerun, no more
        return False
