"""Sets of names, shared: proxies of one view subscribe to the same thousand names, and one set serves them all."""

from collections.abc import Iterable
from weakref import WeakKeyDictionary, ref


class NamePool:
    """Equal sets become the same set. One that nobody holds any more is forgotten."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[frozenset[str], ref[frozenset[str]]] = WeakKeyDictionary()

    def shared(self, names: Iterable[str]) -> frozenset[str]:
        wanted = frozenset(names)
        known = self._known.get(wanted)
        found = known() if known is not None else None
        if found is not None:
            return found
        self._known[wanted] = ref(wanted)
        return wanted

    def __len__(self) -> int:
        return len(self._known)
