"""How the culprit of a NACK is found: Envoy names it in prose only, so ever smaller groups are sent again.

What Envoy's words mention is tried one by one, the rest together; where they mention nothing, the group is halved.
The words only choose the order: a resource is the culprit when it is refused alone.
"""

import re
from collections.abc import Sequence

Group = frozenset[str]
_MOST_SUSPECTS = 16


def split(names: Sequence[str], error: str) -> tuple[Group, ...]:
    """Smaller groups that together are `names` (two or more), in the order to try them.

    Each is smaller than the whole, so that n resources are isolated in fewer than 2n responses whatever happens.
    """
    assert len(names) > 1
    suspects = [name for name in names if name in error]
    if not 0 < len(suspects) <= _MOST_SUSPECTS:
        middle = len(names) // 2
        return frozenset(names[:middle]), frozenset(names[middle:])
    rest = frozenset(names).difference(suspects)
    return (*(frozenset({name}) for name in suspects), *([rest] if rest else ()))


def in_short(error: str) -> str:
    """Envoy's words without the resource itself, which it may put before them: hundreds of lines, perhaps with secrets."""
    return _DUMP.sub("", error)


# Protobuf marks what is printed to be read by people alone ("goo.gle/debugonly", "goo.gle/debugstr").
_DUMP = re.compile(r"goo\.gle/debug\w*\s.*?\n: ", re.DOTALL)
