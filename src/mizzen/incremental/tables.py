"""Hash tables in which keys come and go take several times what they hold: CPython's never shrink by a removal, and when they are
full of what was removed they are built anew at up to four times their content. A copy takes what it needs.
"""

import sys
from typing import Any, TypeVar

Table = TypeVar("Table", dict[Any, Any], set[Any])

_SMALL = 5  # entries that the smallest table has room for


def compacted(table: Table) -> Table:
    """The table, or a copy of it, in the same order, where that takes less."""
    if len(table) <= _SMALL:
        return table
    copy = type(table)(table)
    return copy if sys.getsizeof(copy) < sys.getsizeof(table) else table
