"""Incremental computation: pure functions whose values are remembered, and re-run only when what they read changed.

It knows no mesh. The words:

- **input**: a table that is set from outside, entry by entry. An *index* sorts its entries into buckets.
- **query**: a pure function `name(db, *key)`. While it runs, all that it reads is recorded: entries of inputs
  (absent ones too), buckets, other queries.
- **revision**: the number of a batch of changes. A change marks as *stale* what recorded reads lead to, backwards.
- **verify**: find out that a stale value is right because nothing that its query read has changed. Only else the
  query runs.
- **backdate**: a query ran and gave an equal value. It counts as unchanged, and its readers need not run (others
  say *early cutoff*).
- **observe**: ask for a query to be kept up to date. `refresh` works for observed queries alone; what neither they
  nor their reads need is forgotten (*evicted*).
- **failure**: what stands in the place of a value when the query raised. A *cycle* is a failure of all its members.

    SERVICES: Input[str, Service] = Input("service")

    @query
    def ports(db: Database, name: str) -> tuple[int, ...]:
        service = SERVICES(db, name)
        return service.ports if service else ()

    db = Database()
    db.set(SERVICES, "reviews", reviews)
    db.observe(ports, "reviews")
    db.refresh()  # (Observed(ports, ("reviews",)),)

Equal means `==`, for values and keys: 1, 1.0 and True are one key. Values must be frozen.
"""

from mizzen.incremental.database import Database, Observed
from mizzen.incremental.definitions import Index, Input, Query, query
from mizzen.incremental.errors import CycleError, Failure, QueryError
from mizzen.incremental.nodes import Log

__all__ = [
    "CycleError",
    "Database",
    "Failure",
    "Index",
    "Input",
    "Log",
    "Observed",
    "Query",
    "QueryError",
    "query",
]
