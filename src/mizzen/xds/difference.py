"""What changed between two states of a type: computed once, for all proxies that go from the one to the other."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from mizzen.xds.resource import DiscoveryResource

_State = Mapping[str, DiscoveryResource]


@dataclass(frozen=True, slots=True)
class Difference:
    upserts: tuple[DiscoveryResource, ...]
    removed: tuple[str, ...]


def difference(old: _State, new: _State) -> Difference:
    return Difference(
        tuple(resource for name, resource in new.items() if _differs(old.get(name), resource)),
        tuple(name for name in old if name not in new),
    )


def _differs(old: DiscoveryResource | None, new: DiscoveryResource) -> bool:
    return old is not new and (old is None or old.version != new.version)


class Differences:
    """The latest differences, by identity of the states. Bounded: the least used one is forgotten first.

    All proxies of a view are woken together, so that a few entries serve them all; a proxy that comes late costs a
    computation, nothing else.
    """

    def __init__(self, capacity: int = 64) -> None:
        self._capacity = capacity
        # The states are held so that their ids stay theirs.
        self._known: OrderedDict[tuple[int, int], tuple[_State, _State, Difference]] = OrderedDict()
        self.computed = 0

    def between(self, old: _State, new: _State) -> Difference:
        key = (id(old), id(new))
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key][2]
        self.computed += 1
        found = difference(old, new)
        self._known[key] = (old, new, found)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return found
