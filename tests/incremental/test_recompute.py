"""What runs after a change and, above all, what does not: asserted on the engine's log."""

import pytest

from mizzen.incremental import Database, Index, Input, Observed, query

PRICE: Input[str, int] = Input("price")
BY_PARITY = Index("by_parity", PRICE, lambda _key, value: (value % 2,))


@query
def price(db: Database, name: str) -> int:
    return PRICE(db, name) or 0


@query
def is_dear(db: Database, name: str) -> bool:
    return price(db, name) > 100


@query
def label(db: Database, name: str) -> str:
    return f"{name}: {'dear' if is_dear(db, name) else 'cheap'}"


@query
def either(db: Database, first: str, second: str) -> int:
    return price(db, first) or price(db, second)


@query
def odd_total(db: Database) -> int:
    return sum(price(db, name) for name in BY_PARITY(db, 1))


@query
def names(db: Database) -> tuple[str, ...]:
    return PRICE.keys(db)


def observing(*calls: tuple, **prices: int) -> Database:
    db = Database()
    with db.batch():
        for name, value in prices.items():
            db.set(PRICE, name, value)
    for q, *key in calls:
        db.observe(q, *key)
    db.refresh()
    return db


def test_a_value_is_computed_once_and_remembered():
    db = Database()
    db.set(PRICE, "tea", 120)
    with db.recording() as log:
        assert label(db, "tea") == label(db, "tea") == "tea: dear"
    assert log.ran == [("price", ("tea",)), ("is_dear", ("tea",)), ("label", ("tea",))]


def test_an_equal_value_stops_the_change():
    db = observing((label, "tea"), tea=120)
    with db.recording() as log:
        db.set(PRICE, "tea", 130)
        assert db.refresh() == ()
    assert log.ran == [("price", ("tea",)), ("is_dear", ("tea",))]
    assert log.backdated == [("is_dear", ("tea",))]
    assert log.verified == [("label", ("tea",))]


def test_setting_an_equal_value_is_no_revision():
    db = observing((label, "tea"), tea=120)
    before = db.revision
    db.set(PRICE, "tea", 120)
    db.remove(PRICE, "milk")
    assert db.revision == before


def test_a_change_runs_nothing_that_did_not_read_it():
    db = observing((label, "tea"), (label, "milk"), tea=120, milk=1)
    with db.recording() as log:
        db.set(PRICE, "milk", 200)
        assert db.refresh() == (Observed(label, ("milk",)),)
    assert {key for _, key in log.ran} == {("milk",)}
    assert log.verified == []


def test_what_nobody_observes_does_not_run():
    db = observing((label, "tea"), tea=120, milk=1)
    assert label(db, "milk") == "milk: cheap"
    with db.recording() as log:
        db.set(PRICE, "milk", 200)
        assert db.refresh() == ()
    assert log.ran == []


def test_a_read_that_is_no_longer_made_is_forgotten():
    db = observing((either, "tea", "milk"), tea=0, milk=1)
    db.set(PRICE, "tea", 5)
    db.refresh()
    with db.recording() as log:
        db.set(PRICE, "milk", 2)
        db.refresh()
    assert log.ran == []


def test_dependencies_are_verified_in_the_order_of_the_reads():
    """`price(milk)` is stale too, but a run from scratch would not read it any more: it must not run."""
    db = observing((either, "tea", "milk"), tea=0, milk=1)
    with db.recording() as log:
        with db.batch():
            db.set(PRICE, "milk", 7)
            db.set(PRICE, "tea", 5)
        assert db.refresh() == (Observed(either, ("tea", "milk")),)
    assert ("price", ("milk",)) not in log.ran
    assert db.value(either, "tea", "milk") == 5


def test_absence_is_recorded():
    db = observing((price, "tea"))
    assert db.value(price, "tea") == 0
    db.set(PRICE, "tea", 3)
    assert db.refresh() == (Observed(price, ("tea",)),)
    db.remove(PRICE, "tea")
    assert db.refresh() == (Observed(price, ("tea",)),)
    assert db.value(price, "tea") == 0


def test_a_bucket_changes_by_membership_only():
    db = observing((odd_total,), tea=1, milk=2)
    with db.recording() as log:
        db.set(PRICE, "milk", 4)
        db.set(PRICE, "cake", 6)
        assert db.refresh() == ()
    assert log.ran == []
    db.set(PRICE, "cake", 7)
    assert db.refresh() == (Observed(odd_total, ()),)
    assert db.value(odd_total) == 8
    db.remove(PRICE, "tea")
    db.refresh()
    assert db.value(odd_total) == 7
    assert BY_PARITY(db, 0) == ("milk",)


def test_an_empty_bucket_is_recorded():
    db = observing((odd_total,))
    db.set(PRICE, "tea", 1)
    assert db.refresh() == (Observed(odd_total, ()),)


def test_keys_change_when_one_comes_or_goes():
    db = observing((names,), tea=1, milk=2)
    assert db.value(names) == ("milk", "tea")
    with db.recording() as log:
        db.set(PRICE, "tea", 3)
        db.refresh()
    assert log.ran == []
    with db.batch():
        db.remove(PRICE, "tea")
        db.set(PRICE, "cake", 1)
    assert db.refresh() == (Observed(names, ()),)
    assert db.value(names) == ("cake", "milk")


def test_a_batch_is_one_revision_and_counts_by_its_outcome():
    db = observing((names,), (price, "tea"), tea=1)
    before = db.revision
    with db.batch():
        db.remove(PRICE, "tea")
        db.set(PRICE, "milk", 1)
        with db.batch():
            db.set(PRICE, "tea", 1)
        assert PRICE(db, "milk") is None, "a batch is not in force before it ends"
        db.remove(PRICE, "milk")
    assert db.revision == before
    assert db.refresh() == ()


def test_a_batch_that_raises_changes_nothing():
    db = observing(tea=1)

    def broken_batch() -> None:
        with db.batch():
            db.set(PRICE, "tea", 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_batch()
    assert PRICE(db, "tea") == 1


def test_an_index_that_raises_rejects_the_change_as_a_whole():
    reciprocal = Index("reciprocal", PRICE, lambda _key, value: (1 // value,))
    db = observing(tea=1)
    assert reciprocal(db, 1) == ("tea",)
    batch = db.batch()
    batch.__enter__()
    db.set(PRICE, "milk", 2)
    db.set(PRICE, "tea", 0)
    with pytest.raises(ZeroDivisionError):
        batch.__exit__(None, None, None)
    assert PRICE(db, "milk") is None
    assert reciprocal(db, 1) == ("tea",)
    assert reciprocal(db, 0) == ()


def test_databases_share_nothing():
    one, other = observing(tea=1), observing(tea=2)
    assert (price(one, "tea"), price(other, "tea")) == (1, 2)


def test_a_change_that_is_undone_before_the_refresh_is_not_reported():
    db = observing((price, "tea"), tea=1)
    db.set(PRICE, "tea", 2)
    assert price(db, "tea") == 2
    db.set(PRICE, "tea", 1)
    assert db.refresh() == ()


def test_recordings_may_overlap():
    db = observing(tea=1)
    with db.recording() as outer:
        price(db, "tea")
        with db.recording() as inner:
            price(db, "milk")
    price(db, "cake")
    assert outer.ran == [("price", ("tea",)), ("price", ("milk",))]
    assert inner.ran == [("price", ("milk",))]


def test_a_key_has_one_spelling():
    db = Database()
    for call in (price, db.observe, db.unobserve, db.result, db.value):
        args = (db,) if call is price else (price,)
        with pytest.raises(TypeError, match="by position"):
            call(*args, name="tea")
    with pytest.raises(TypeError, match="positional"):

        @query
        def with_default(db: Database, name: str = "tea") -> str:
            return name

    with pytest.raises(TypeError, match="positional"):

        @query
        def with_keyword(db: Database, *, name: str) -> str:
            return name
