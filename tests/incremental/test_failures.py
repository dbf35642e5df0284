"""A query that raises, or needs itself, is data: it disturbs nothing but its readers, and it heals."""

import gc
import weakref

import pytest

from mizzen.incremental import CycleError, Database, Failure, Input, Observed, QueryError, query

DIVISOR: Input[str, int] = Input("divisor")
NEXT: Input[str, str] = Input("next")


class WitnessError(ValueError):
    """An exception that can be seen to die."""


@query
def quotient(db: Database, name: str) -> int:
    return 12 // (DIVISOR(db, name) or 0)


@query
def through(db: Database, name: str) -> int:
    return quotient(db, name) + 1


@query
def guarded(db: Database, name: str) -> str:
    try:
        return str(quotient(db, name))
    except QueryError as error:
        return error.failure.error


@query
def follow(db: Database, name: str) -> str:
    """The end of a chain of names."""
    following = NEXT(db, name)
    if following is None:
        return name
    try:
        return follow(db, following)
    except Exception:
        return "swallowed"


@query
def stubborn(db: Database, name: str) -> str:
    try:
        return stubborn(db, NEXT(db, name) or name)
    except BaseException:
        return stubborn(db, "another")
    finally:
        quotient(db, name)


@query
def entangled(db: Database, name: str) -> str:
    try:
        return entangled(db, NEXT(db, name) or name)
    except BaseException:
        return "caught" if name == "outside" else entangled(db, "outside")


def cycle_of(*names: str) -> Database:
    db = Database()
    with db.batch():
        for name, following in zip(names, (*names[1:], names[0]), strict=True):
            db.set(NEXT, name, following)
    return db


def test_a_failure_is_remembered():
    db = Database()
    with db.recording() as log:
        first, second = db.result(quotient, "a"), db.result(quotient, "a")
    assert (
        first
        == second
        == Failure("quotient", ("a",), "ZeroDivisionError", "integer division or modulo by zero")
    )
    assert first.where.startswith(__file__)
    assert len(log.ran) == 1
    with pytest.raises(QueryError, match=r"quotient\('a'\): ZeroDivisionError"):
        quotient(db, "a")


def test_a_reader_fails_with_the_root_failure_or_catches_it():
    db = Database()
    assert db.result(through, "a") == db.result(quotient, "a")
    assert db.value(guarded, "a") == "ZeroDivisionError"
    db.set(DIVISOR, "a", 3)
    assert (db.value(through, "a"), db.value(guarded, "a")) == (5, "4")


def test_a_failure_disturbs_nothing_else():
    db = Database()
    with db.batch():
        for name, divisor in (("a", 1), ("b", 2)):
            db.set(DIVISOR, name, divisor)
            db.observe(through, name)
    db.refresh()
    db.set(DIVISOR, "a", 0)
    with db.recording() as log:
        assert db.refresh() == (Observed(through, ("a",)),)
    assert {key for _, key in log.ran} == {("a",)}
    assert db.value(through, "b") == 7


def test_the_same_failure_again_is_no_change():
    db = Database()
    db.observe(through, "a")
    db.refresh()
    db.set(DIVISOR, "a", 0)
    with db.recording() as log:
        assert db.refresh() == ()
    assert log.ran == [("quotient", ("a",))]


def test_a_failure_keeps_nothing_of_the_failed_call_alive():
    seen = []

    @query
    def fails(db: Database) -> int:
        error = WitnessError("gone")
        seen.append(weakref.ref(error))
        raise error

    db = Database()
    db.observe(fails)
    db.refresh()
    gc.collect()
    assert [witness() for witness in seen] == [None]


def test_a_returned_failure_is_a_failure():
    @query
    def passes_on(db: Database) -> int | Failure:
        return db.result(quotient, "a")

    db = Database()
    assert db.result(passes_on) == db.result(quotient, "a")
    with pytest.raises(QueryError):
        passes_on(db)


def test_broken_messages_and_comparisons_cost_nothing_but_a_rerun():
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ValueError

        __hash__ = None

    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError

    @query
    def odd(db: Database) -> Odd:
        DIVISOR(db, "a")
        return Odd()

    @query
    def mute(db: Database) -> int:
        raise MuteError

    db = Database()
    db.observe(odd)
    db.refresh()
    db.set(DIVISOR, "a", 1)
    assert db.refresh() == (Observed(odd, ()),)
    assert db.result(mute).error == "MuteError"


def test_queries_cannot_change_the_database():
    @query
    def impure(db: Database, act: str) -> None:
        match act:
            case "set":
                db.set(DIVISOR, "a", 1)
            case "batch":
                with db.batch():
                    pass
            case "observe":
                db.observe(quotient, "a")
            case "unobserve":
                db.unobserve(quotient, "a")
            case "refresh":
                db.refresh()
            case "evict":
                db.evict_unobserved()

    db = Database()
    for act in ("set", "batch", "observe", "unobserve", "refresh", "evict"):
        assert "queries are pure" in db.result(impure, act).message
    assert db.revision == 0


def test_an_interrupt_passes_and_leaves_the_database_usable():
    interrupts = [KeyboardInterrupt]

    @query
    def interrupted(db: Database) -> int:
        if interrupts:
            raise interrupts.pop()
        return 1

    @query
    def reader(db: Database) -> int:
        return interrupted(db)

    db = Database()
    db.observe(reader)
    with pytest.raises(KeyboardInterrupt):
        db.refresh()
    assert db.refresh() == (Observed(reader, ()),)
    assert db.value(reader) == 1


def test_a_query_that_survives_an_interrupt_may_read_again():
    interrupts = [KeyboardInterrupt]

    @query
    def interrupted(db: Database) -> int:
        if interrupts:
            raise interrupts.pop()
        return 1

    @query
    def patient(db: Database) -> int:
        try:
            return interrupted(db)
        except KeyboardInterrupt:
            return interrupted(db) + 1

    assert Database().value(patient) == 2


@pytest.mark.parametrize("entry", ["a", "b", "c", "outside"])
@pytest.mark.parametrize("max_nesting", [1, 50])
def test_all_members_of_a_cycle_hold_one_failure_whatever_the_entry(entry, max_nesting):
    db = Database(max_nesting)
    with db.batch():
        for name, following in (("c", "a"), ("a", "b"), ("b", "c"), ("outside", "b")):
            db.set(NEXT, name, following)
    follow_outside = db.result(follow, entry)
    if entry == "outside":
        assert follow_outside == "swallowed", "a reader that is no member may catch it"
    failures = {db.result(follow, name) for name in "abc"}
    (failure,) = failures
    assert failure.cycle == (("follow", ("a",)), ("follow", ("b",)), ("follow", ("c",)))
    assert failure.message == "follow('a') -> follow('b') -> follow('c') -> follow('a')"
    with pytest.raises(CycleError) as caught:
        follow(db, "b")
    assert caught.value.path == failure.cycle


def test_a_cycle_that_a_change_closes_is_found_while_verifying():
    """Only `c` runs: that `a` and `b` are members shows from what they recorded."""
    db = Database()
    with db.batch():
        db.set(NEXT, "a", "b")
        db.set(NEXT, "b", "c")
    for name in "abc":
        db.observe(follow, name)
    db.refresh()
    db.set(NEXT, "c", "a")
    with db.recording() as log:
        assert {key for _, key in db.refresh()} == {("a",), ("b",), ("c",)}
    assert log.ran == [("follow", ("c",))]
    assert len({db.result(follow, name) for name in "abc"}) == 1


@pytest.mark.parametrize("observed", ["a", "b", "c"])
@pytest.mark.parametrize("broken", ["a", "b", "c"])
def test_a_cycle_heals_wherever_it_is_broken(observed, broken):
    db = cycle_of("a", "b", "c")
    db.observe(follow, observed)
    db.refresh()
    db.remove(NEXT, broken)
    assert db.refresh() == (Observed(follow, (observed,)),)
    assert {db.value(follow, name) for name in "abc"} == {broken}


def test_a_query_may_need_itself_directly():
    db = cycle_of("a")
    assert db.result(follow, "a").cycle == (("follow", ("a",)),)


def test_a_member_cannot_swallow_its_cycle_by_any_means():
    db = cycle_of("a", "b")
    db.set(DIVISOR, "b", 1)
    failure = db.result(stubborn, "b")
    assert isinstance(failure, Failure)
    assert failure.cycle == (("stubborn", ("a",)), ("stubborn", ("b",)))
    assert db.result(stubborn, "a") == failure


def test_a_member_cannot_draw_others_into_its_cycle():
    """Entered by `outside`; `b`, once it is known for a member, asks for `outside`, which is under way."""
    db = cycle_of("a", "b")
    db.set(NEXT, "outside", "a")
    assert db.value(entangled, "outside") == "caught"
    assert {db.result(entangled, name).cycle for name in "ab"} == {
        (("entangled", ("a",)), ("entangled", ("b",)))
    }


def test_a_cycle_that_nobody_observes_is_forgotten():
    db = cycle_of("a", "b", "c")
    db.set(NEXT, "outside", "a")
    db.observe(follow, "outside")
    db.refresh()
    db.evict_unobserved()
    assert len(db._tables[follow]) == 4, "still read from outside"
    db.unobserve(follow, "outside")
    db.refresh()
    assert not db._tables[follow]
    assert all(not node.dependents for node in db._tables[NEXT].values())
