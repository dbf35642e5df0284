"""What the incremental engine costs, and what it saves, against plain functions that compute the same from scratch.

Both sides run in this process, one after the other, so the ratios mean something on a noisy machine; the times are
printed beside them. The plain side is `functools.cache` over the same functions: each value is computed once.

Run: python benchmarks/engine.py
"""

import gc
import time
import tracemalloc
from collections.abc import Callable
from functools import cache

from mizzen.incremental import Database, Input, query

LAYERS = 5
WIDTH = 3_334
FAN_IN = 6
"""3,334 inputs under 5 layers of as many queries, each of which reads 6 nodes of the layer below: 20,004 nodes,
100,020 edges."""
NODES = WIDTH * (LAYERS + 1)
TOUCHED = 1_000
REPEATS = 5

LEAVES: Input[int, int] = Input("leaf")


@query
def cell(db: Database, layer: int, column: int) -> int:
    total = 0
    for offset in range(FAN_IN):
        below = (column + offset) % WIDTH
        total += cell(db, layer - 1, below) if layer > 1 else LEAVES(db, below) or 0
    return total % 1_000_003


@query
def reads(db: Database, count: int) -> int:
    for _ in range(count):
        cell(db, 1, 0)
    return count


def plain_top(leaves: dict[int, int]) -> list[int]:
    @cache
    def plain(layer: int, column: int) -> int:
        total = 0
        for offset in range(FAN_IN):
            below = (column + offset) % WIDTH
            total += plain(layer - 1, below) if layer > 1 else leaves.get(below) or 0
        return total % 1_000_003

    return [plain(LAYERS, column) for column in range(WIDTH)]


def build(leaves: dict[int, int]) -> Database:
    db = Database()
    with db.batch():
        for column, value in leaves.items():
            db.set(LEAVES, column, value)
    for column in range(WIDTH):
        db.observe(cell, LAYERS, column)
    db.refresh()
    return db


def timed(function: Callable[[], object], repeats: int = REPEATS) -> float:
    """The best of several runs, in seconds."""
    best = float("inf")
    for _ in range(repeats):
        gc.collect()
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def change(db: Database, columns: int, counter: list[int]) -> int:
    """Change so many neighbouring inputs, refresh, and say how many queries ran."""
    counter[0] += 1
    with db.recording() as log:
        with db.batch():
            for column in range(columns):
                db.set(LEAVES, column, counter[0] * 1_000 + column)
        db.refresh()
    return len(log.ran)


def read_seconds(db: Database) -> tuple[float, float]:
    """What one tracked read of an up-to-date query costs, and one call of a plain cached function."""
    count = 200_000
    counts = iter(range(count, count + REPEATS))
    tracked = timed(lambda: db.value(reads, next(counts)))
    cached = cache(lambda _layer, _column: 1)

    def loop() -> None:
        for _ in range(count):
            cached(1, 0)

    return tracked / count, timed(loop) / count


def built_bytes(leaves: dict[int, int]) -> int:
    gc.collect()
    tracemalloc.start()
    db = build(leaves)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert db.revision == 1
    return size


def main() -> None:
    leaves = dict.fromkeys(range(WIDTH), 1)
    plain = timed(lambda: plain_top(leaves))
    cold = timed(lambda: build(leaves))
    db = build(leaves)
    counter = [1]
    columns = next(n for n in range(1, WIDTH) if change(db, n, counter) >= TOUCHED)
    touched = change(db, columns, counter)
    warm = timed(lambda: change(db, columns, counter))
    one = timed(lambda: change(db, 1, counter))
    now = {column: LEAVES(db, column) or 0 for column in range(WIDTH)}
    assert plain_top(now) == [db.value(cell, LAYERS, column) for column in range(WIDTH)]
    tracked, cached = read_seconds(db)
    size = built_bytes(leaves)

    print(f"{NODES:,} nodes, {LAYERS * WIDTH * FAN_IN:,} edges; plain = cached functions, from scratch")
    print(
        f"build from nothing       {cold * 1e3:8.1f} ms   plain {plain * 1e3:6.1f} ms   {cold / plain:6.1f} x the cost"
    )
    print(
        f"change touching {touched:5,}    {warm * 1e3:8.1f} ms   plain {plain * 1e3:6.1f} ms   {plain / warm:6.1f} x faster"
    )
    print(
        f"change of one input      {one * 1e3:8.2f} ms   plain {plain * 1e3:6.1f} ms   {plain / one:6.1f} x faster"
    )
    print(
        f"tracked read             {tracked * 1e9:8.0f} ns   plain {cached * 1e9:6.0f} ns   {tracked / cached:6.1f} x the cost"
    )
    print(f"memory                   {size / NODES:8.0f} bytes a node, edges, keys and values included")


if __name__ == "__main__":
    main()
