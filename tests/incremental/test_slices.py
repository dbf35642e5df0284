"""A refresh in slices: what others may do in between, and what becomes of it."""

import pytest

from mizzen.incremental import Database, Input, Log, Observed, query
from mizzen.incremental.nodes import REPEATED_READS

NUMBER: Input[int, int] = Input("number")
SIZE = 10


@query
def square(db: Database, key: int) -> int:
    return (NUMBER(db, key) or 0) ** 2


@query
def total(db: Database, upto: int) -> int:
    return sum(square(db, key) for key in range(upto))


def stale() -> Database:
    """All squares are known and stale."""
    db = Database()
    db.observe(total, SIZE)
    db.refresh()
    with db.batch():
        for key in range(SIZE):
            db.set(NUMBER, key, key)
    return db


def finish(slices) -> tuple[Observed, ...]:
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value


def longest_slice(db: Database, log: Log) -> int:
    """How many queries ran between two slices, at most."""
    ran = longest = 0
    for _ in db.refresh_slices():
        longest = max(longest, len(log.ran) - ran)
        ran = len(log.ran)
    return max(longest, len(log.ran) - ran)


def test_each_stale_dependency_is_a_slice_of_its_own():
    db = stale()
    db.refresh()
    with db.batch():
        for key in range(SIZE):
            db.set(NUMBER, key, -key)
    with db.recording() as log:
        assert longest_slice(db, log) == 1
    assert len(log.ran) == len(log.backdated) == SIZE - 1


def test_running_queries_are_broken_off_as_far_as_it_pays():
    """Cold: nothing is recorded, so each square is first asked for while the total runs."""
    db = Database()
    db.observe(total, 3_000)
    with db.recording() as log:
        assert longest_slice(db, log) <= 3_000 / REPEATED_READS + 1
    assert len(log.ran) == 3_001, "nothing else runs twice"
    repeated = len(log.broken_off) * 3_000
    assert repeated <= 3_001 * REPEATED_READS * 20


def test_a_running_query_is_broken_off_while_what_it_reads_is_verified():
    """The total is known, and stale because of a hundred squares that turn out to be the same."""

    @query
    def reader(db: Database) -> int:
        return total(db, 100)

    db = Database()
    db.observe(total, 100)
    db.refresh()
    with db.batch():
        for key in range(100):
            db.set(NUMBER, key, 0)
    db.unobserve(total, 100)
    db.observe(reader)
    with db.recording() as log:
        assert longest_slice(db, log) == 1
    assert len(log.ran) == 101


def test_a_slice_ends_when_its_time_is_over():
    db = Database()
    db.observe(total, SIZE)
    questions = 0

    def over() -> bool:
        nonlocal questions
        questions += 1
        return questions > 4

    with db.recording() as log:
        slices = db.refresh_slices(over)
        next(slices)
        questions = -1_000
        assert finish(slices) == (Observed(total, (SIZE,)),)
    assert log.broken_off == [("total", (SIZE,))]
    assert len(log.ran) == SIZE + 1


def test_changes_in_between_wait_for_the_end_and_are_one_revision():
    db = stale()
    revision = db.revision
    slices = db.refresh_slices()
    next(slices)
    for value in (100, 200, 300):
        db.set(NUMBER, 1, value)
    with db.batch():
        db.set(NUMBER, 2, 100)
    assert (NUMBER(db, 1), db.revision) == (1, revision)
    assert finish(slices) == (Observed(total, (SIZE,)),)
    assert (NUMBER(db, 1), db.revision) == (300, revision + 1)
    assert db.refresh() == (Observed(total, (SIZE,)),)


def test_reads_in_between_see_the_revision_of_the_refresh():
    db = stale()
    slices = db.refresh_slices()
    next(slices)
    db.set(NUMBER, 1, 100)
    with db.recording() as log:
        assert total(db, SIZE) == sum(key * key for key in range(SIZE))
        assert finish(slices) == (Observed(total, (SIZE,)),)
    assert log.ran.count(("total", (SIZE,))) == 1


def test_what_is_observed_in_between_joins_and_what_is_unobserved_leaves():
    db = stale()
    slices = db.refresh_slices()
    next(slices)
    db.observe(square, 3)
    db.unobserve(total, SIZE)
    assert finish(slices) == (Observed(square, (3,)),)
    assert list(db._tables[total]) == []
    assert list(db._tables[square]) == [(3,)]


def test_an_eviction_in_between_is_left_to_the_end():
    db = stale()
    slices = db.refresh_slices()
    next(slices)
    square(db, 999)
    db.evict_unobserved()
    assert (999,) in db._tables[square]
    finish(slices)
    assert (999,) not in db._tables[square]


def test_a_second_refresh_in_between_is_an_error():
    db = stale()
    slices = db.refresh_slices()
    next(slices)
    with pytest.raises(RuntimeError, match="a refresh is under way"):
        db.refresh()
    assert finish(slices) == (Observed(total, (SIZE,)),)


@pytest.mark.parametrize("steps", range(1, 4 * SIZE))
def test_a_closed_refresh_is_made_up_for_by_the_next(steps):
    db = stale()
    db.observe(square, 3)
    db.observe(total, 3)
    slices = db.refresh_slices()
    reported = ()
    try:
        for _ in range(steps):
            next(slices)
    except StopIteration as end:
        reported = end.value
    db.set(NUMBER, SIZE, 100)
    slices.close()
    assert NUMBER(db, SIZE) == 100
    assert {*reported, *db.refresh()} == {
        Observed(total, (SIZE,)),
        Observed(square, (3,)),
        Observed(total, (3,)),
    }
