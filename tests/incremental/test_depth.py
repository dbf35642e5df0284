"""Chains deeper than Python's stack, cold and warm, and a query that overflows it by itself."""

import sys

import pytest

from mizzen.incremental import Database, Failure, Input, query

BASE: Input[str, int] = Input("base")
DEPTH = 20 * sys.getrecursionlimit()


@query
def chain(db: Database, length: int) -> int:
    return chain(db, length - 1) + 1 if length else BASE(db, "zero") or 0


@query
def ring(db: Database, position: int) -> int:
    return ring(db, (position + 1) % DEPTH)


@query
def bottomless(db: Database, start: int) -> int:
    def deeper(n: int) -> int:
        return BASE(db, f"{n}") or deeper(n + 1)

    return deeper(start)


@query
def climbing(db: Database, start: int) -> int:
    """Reads other queries at every height of the stack, up to the last frame."""

    def deeper(n: int) -> int:
        return chain(db, n) + deeper(n + 1)

    return deeper(start)


def test_a_deep_chain_is_computed_changed_and_forgotten():
    db = Database()
    db.observe(chain, DEPTH)
    with db.recording() as log:
        db.refresh()
    assert db.value(chain, DEPTH) == DEPTH
    assert len(log.ran) == DEPTH + 1
    db.set(BASE, "zero", 5)
    with db.recording() as log:
        db.refresh()
    assert db.value(chain, DEPTH) == DEPTH + 5
    assert len(log.ran) == DEPTH + 1
    db.unobserve(chain, DEPTH)
    db.refresh()
    assert not db._tables[chain]


def test_a_deep_cycle_is_a_cycle():
    db = Database()
    failure = db.result(ring, 7)
    assert isinstance(failure, Failure)
    assert len(failure.cycle) == DEPTH
    assert db.result(ring, DEPTH // 2) == failure


@pytest.mark.parametrize("q", [bottomless, climbing])
def test_a_query_that_overflows_the_stack_fails_alone(q):
    db = Database()
    db.observe(q, 0)
    db.refresh()
    failure = db.result(q, 0)
    assert isinstance(failure, Failure)
    assert failure.error == "RecursionError"
    assert db.value(chain, 3) == 3
    db.set(BASE, "zero", 1)
    db.refresh()
    assert db.value(chain, 3) == 4
