"""Observers are counted, and nothing is kept that no observer needs."""

import gc

import pytest

from mizzen.incremental import Database, Index, Input, Observed, query
from mizzen.incremental.nodes import Node

COLOUR: Input[int, str] = Input("colour")
BY_COLOUR = Index("by_colour", COLOUR, lambda _key, value: (value,))


@query
def shared(db: Database, colour: str) -> int:
    return sum(1 for key in BY_COLOUR(db, colour) if COLOUR(db, key))


@query
def top(db: Database, colour: str) -> str:
    return f"{shared(db, colour)} of {len(COLOUR.keys(db))} are {colour}, not {COLOUR(db, -1)}"


def nodes(db: Database) -> int:
    return sum(map(len, db._tables.values()))


def painted(**counts: int) -> Database:
    db = Database()
    with db.batch():
        for colour, count in counts.items():
            for key in range(count):
                db.set(COLOUR, 100 * len(colour) + key, colour)
    return db


def test_observers_are_counted():
    db = painted(red=2)
    db.observe(top, "red")
    db.observe(top, "red")
    assert db.refresh() == (Observed(top, ("red",)),)
    db.unobserve(top, "red")
    assert db.refresh() == ()
    db.set(COLOUR, 1, "red")
    assert db.refresh() == (Observed(top, ("red",)),)
    db.unobserve(top, "red")
    db.set(COLOUR, 2, "red")
    assert db.refresh() == ()
    with pytest.raises(ValueError, match=r"top\('red',\) is not observed"):
        db.unobserve(top, "red")


def test_what_is_unobserved_before_the_refresh_does_not_run():
    db = painted(red=2)
    db.observe(top, "red")
    db.unobserve(top, "red")
    with db.recording() as log:
        assert db.refresh() == ()
    assert log.ran == []
    assert not db._tables[top]


def test_who_observes_anew_is_told_anew():
    db = painted(red=2)
    db.observe(top, "red")
    db.refresh()
    db.unobserve(top, "red")
    db.observe(top, "red")
    with db.recording() as log:
        assert db.refresh() == (Observed(top, ("red",)),)
    assert log.ran == []


def test_what_nobody_observes_is_forgotten_down_to_the_reads_of_absent_entries():
    db = painted(red=3, blue=4)
    before = nodes(db)
    for colour in ("red", "blue", "green"):
        db.observe(top, colour)
    db.refresh()
    assert nodes(db) > before
    db.unobserve(top, "red")
    db.refresh()
    assert [key for (key,) in db._tables[shared]] == ["blue", "green"]
    for colour in ("blue", "green"):
        db.unobserve(top, colour)
    db.refresh()
    assert nodes(db) == before == 7
    assert all(not node.dependents for node in db._tables[COLOUR].values())


def test_a_shared_query_outlives_one_of_its_readers():
    db = painted(red=3)
    db.observe(top, "red")
    db.observe(shared, "red")
    db.refresh()
    db.unobserve(top, "red")
    with db.recording() as log:
        db.refresh()
        assert db.value(shared, "red") == 3
    assert log.ran == []


def test_reads_from_outside_are_remembered_until_the_next_eviction():
    db = painted(red=3)
    before = nodes(db)
    assert top(db, "red") == "3 of 3 are red, not None"
    with db.recording() as log:
        top(db, "red")
    assert log.ran == []
    db.evict_unobserved()
    assert nodes(db) == before
    assert COLOUR(db, 12345) is None
    assert nodes(db) == before, "a look at an absent entry leaves nothing behind"


def test_removed_entries_and_empty_buckets_are_forgotten():
    db = painted(red=3)
    db.observe(top, "red")
    db.refresh()
    db.unobserve(top, "red")
    with db.batch():
        for key in COLOUR.keys(db):
            db.remove(COLOUR, key)
    db.refresh()
    assert nodes(db) == 0
    assert db._indexes[COLOUR][BY_COLOUR] == {}


def test_years_of_changes_leave_no_trace():
    """Each round brings new keys and drops old ones: the number of nodes stays, and dead ones need no garbage collector."""
    seen: list[int] = []
    gc.collect()
    alive_before = sum(1 for thing in gc.get_objects() if isinstance(thing, Node))
    db = painted(red=3)
    gc.disable()
    try:
        for round_number in range(30):
            colour = f"colour {round_number}"
            db.set(COLOUR, 1, colour)
            db.observe(top, colour)
            db.refresh()
            db.unobserve(top, colour)
            db.refresh()
            seen.append(nodes(db))
        assert len(set(seen)) == 1
        alive = sum(1 for thing in gc.get_objects() if isinstance(thing, Node))
        assert alive == alive_before + nodes(db)
    finally:
        gc.enable()


def test_what_is_followed_is_told_at_once_and_reported_when_it_changes():
    db = painted(red=2)
    assert db.follow(shared, "red") == 2
    assert db.refresh() == ()
    db.set(COLOUR, 999, "red")
    assert db.follow(top, "red") == "3 of 3 are red, not None"
    assert db.refresh() == (Observed(shared, ("red",)),)
    db.unobserve(shared, "red")
    db.unobserve(top, "red")
    db.refresh()
    assert not db._reported


def test_following_what_is_observed_does_not_hide_what_was_not_reported_yet():
    db = painted(red=1)
    db.observe(shared, "red")
    db.refresh()
    db.set(COLOUR, 999, "red")
    assert db.follow(shared, "red") == 2
    assert db.refresh() == (Observed(shared, ("red",)),)
