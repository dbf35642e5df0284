"""Incremental equals from scratch: random programs, random changes, in random order, against a naive oracle."""

from collections import Counter

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mizzen.incremental import Database, Failure, Observed
from mizzen.incremental.definitions import Query
from tests.support.programs import KEYS, NODES, PROGRAMS, VALUES, Oracle, Program, programs, run

nodes = st.sampled_from(NODES)
value_changes = st.tuples(st.just("value"), st.sampled_from(KEYS), st.none() | st.integers(0, 6))
program_changes = st.tuples(st.just("program"), nodes, st.none() | programs())
changes = value_changes | program_changes
looks = st.tuples(st.sampled_from(["observe", "unobserve", "read"]), nodes)


class State:
    """What the inputs hold, beside the database that holds the same."""

    def __init__(self, values: dict[str, int], programs: dict[int, Program]) -> None:
        self.values = values
        self.programs = programs

    def oracle(self) -> Oracle:
        return Oracle(self.values, self.programs)

    def change(self, change: tuple) -> None:
        kind, key, new = change
        table = self.values if kind == "value" else self.programs
        if new is None:
            table.pop(key, None)
        else:
            table[key] = new

    def database(self) -> Database:
        db = Database()
        with db.batch():
            for key, value in self.values.items():
                db.set(VALUES, key, value)
            for node, program in self.programs.items():
                db.set(PROGRAMS, node, program)
        return db


def set_input(db: Database, change: tuple) -> None:
    kind, key, new = change
    source = VALUES if kind == "value" else PROGRAMS
    if new is None:
        db.remove(source, key)
    else:
        db.set(source, key, new)


def check_structure(db: Database) -> None:
    """What holds between any two operations, whatever happened before."""
    kept = {node for table in db._tables.values() for node in table.values()}
    for node in kept:
        assert set(node.dependencies) <= kept, "a dependency was evicted"
        assert set(node.dependents) <= kept, "a reverse edge keeps an evicted node"
        assert all(node in dependency.dependents for dependency in node.dependencies)
        assert all(node in reader.dependencies for reader in node.dependents)
        assert node.stale or not any(dependency.stale for dependency in node.dependencies)


def check_evicted(db: Database) -> None:
    """After a refresh: no query is kept but those that observed ones need, and these are up to date."""
    needed = set()
    queue = [node for node in db._tables[run].values() if node.observers]
    while queue:
        node = queue.pop()
        assert not node.stale
        if node not in needed:
            needed.add(node)
            queue.extend(node.dependencies)
    for definition, table in db._tables.items():
        for node in table.values():
            assert node in needed or (not isinstance(definition, Query) and node.value is not None)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.db = Database(max_nesting=1)
        self.state = State({}, {})
        self.observed: Counter[int] = Counter()
        self.reported: dict[int, int | Failure] = {}

    @initialize(start=st.fixed_dictionaries(dict.fromkeys(NODES, programs())))
    def wire(self, start: dict[int, Program]) -> None:
        self.state.programs.update(start)
        for node, program in start.items():
            self.db.set(PROGRAMS, node, program)

    @rule(change=changes)
    def set_one(self, change: tuple) -> None:
        set_input(self.db, change)
        self.state.change(change)

    @rule(batch=st.lists(changes, max_size=5))
    def set_several(self, batch: list[tuple]) -> None:
        before = self.db.revision
        with self.db.batch():
            for change in batch:
                set_input(self.db, change)
                self.state.change(change)
        assert self.db.revision <= before + 1

    @rule(look=looks)
    def look(self, look: tuple[str, int]) -> None:
        action, node = look
        if action == "observe":
            self.db.observe(run, node)
            self.observed[node] += 1
        elif action == "read":
            assert self.db.result(run, node) == self.state.oracle().result(node)
        elif self.observed[node]:
            self.db.unobserve(run, node)
            self.observed[node] -= 1
            if not self.observed[node]:
                self.reported.pop(node, None)

    @rule()
    def refresh(self) -> None:
        self.check_refresh(self.db.refresh())

    @rule(actions=st.lists(changes | looks, max_size=8))
    def refresh_in_slices(self, actions: list[tuple]) -> None:
        """While it is under way, reads see this revision; changes wait for the next one."""
        slices = self.db.refresh_slices()
        waiting = []
        todo = iter(actions)
        while True:
            try:
                next(slices)
            except StopIteration as end:
                self.check_refresh(end.value, applied=waiting)
                return
            match next(todo, None):
                case None:
                    pass
                case ("value" | "program", _, _) as change:
                    set_input(self.db, change)
                    waiting.append(change)
                case look:
                    self.look(look)

    @rule(steps=st.integers(1, 25), change=changes)
    def refresh_abandoned(self, steps: int, change: tuple) -> None:
        """It has reported nothing, so the next one reports it all."""
        slices = self.db.refresh_slices()
        for _ in range(steps):
            try:
                next(slices)
            except StopIteration as end:
                self.check_refresh(end.value)
                break
        set_input(self.db, change)
        slices.close()
        self.state.change(change)

    @rule(order=st.permutations(NODES))
    def everything_is_right(self, order: list[int]) -> None:
        """Whatever the order of reading: the incremental database, a fresh one and the oracle agree."""
        fresh, oracle = self.state.database(), self.state.oracle()
        for node in order:
            assert self.db.result(run, node) == fresh.result(run, node) == oracle.result(node)

    @invariant()
    def structure(self) -> None:
        check_structure(self.db)

    def check_refresh(self, changed: tuple[Observed, ...], applied: list[tuple] = ()) -> None:
        oracle = self.state.oracle()
        current = {node: oracle.result(node) for node, count in self.observed.items() if count}
        expected = {node for node, outcome in current.items() if self.reported.get(node, "none") != outcome}
        assert sorted(key for _, (key,) in changed) == sorted(expected)
        self.reported = current
        if not applied:
            assert not self.db._due
            check_evicted(self.db)
            assert {node: self.db.result(run, node) for node in current} == current
        for change in applied:
            self.state.change(change)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    start=st.fixed_dictionaries(dict.fromkeys(NODES, programs())),
    values=st.dictionaries(st.sampled_from(KEYS), st.integers(0, 6)),
    batches=st.lists(st.lists(changes, min_size=1, max_size=3), min_size=1, max_size=6),
    observed=st.sets(nodes, min_size=1),
)
def test_no_query_runs_unless_something_that_it_read_has_changed(start, values, batches, observed):
    state = State(values, start)
    db = state.database()
    for node in observed:
        db.observe(run, node)
    db.refresh()
    for batch in batches:
        old = state.oracle()
        needed_before = demanded(old, observed)
        with db.batch():
            for change in batch:
                set_input(db, change)
                state.change(change)
        with db.recording() as log:
            db.refresh()
        new = state.oracle()
        needed = demanded(new, observed)
        assert max(Counter(log.ran).values(), default=1) == 1, "a query ran twice in one refresh"
        for _, (node,) in log.ran:
            assert node in needed, "a query ran that nobody needs"
            if node in needed_before:
                assert any(now(new, slot) != seen for slot, seen in old.recorded(node).items())
        for _, (node,) in log.verified:
            assert old.recorded(node) == new.recorded(node)
        for _, (node,) in log.backdated:
            assert old.result(node) == new.result(node)


def demanded(oracle: Oracle, observed: set[int]) -> set[int]:
    """What the observed nodes read, directly or not, and they themselves."""
    needed: set[int] = set()
    queue = list(observed)
    while queue:
        node = queue.pop()
        if node not in needed:
            needed.add(node)
            oracle.result(node)
            queue.extend(key for kind, key in oracle.reads[node] if kind == "run")
    return needed


def now(oracle: Oracle, slot: tuple) -> object:
    """What a read would find in the oracle's state."""
    kind, key = slot
    if kind == "run":
        return oracle.result(key)
    if kind == "program":
        return oracle.programs.get(key)
    if kind == "value":
        return oracle.values.get(key)
    oracle.stack.append(-1)
    oracle.reads[-1] = {}
    seen = oracle.members(key) if kind == "members" else oracle.keys()
    oracle.stack.pop()
    return seen
