"""What changed between two states of a type: computed once, for all proxies that go from the one to the other."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from mizzen.xds.resource import NOTHING, DiscoveryResource, Layers

_State = Mapping[str, DiscoveryResource]


@dataclass(frozen=True, slots=True)
class Difference:
    upserts: tuple[DiscoveryResource, ...]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.upserts or self.removed)

    @property
    def names(self) -> tuple[str, ...]:
        return (*(resource.name for resource in self.upserts), *self.removed)


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
    computation, nothing else. Of states in layers only what is shared is remembered: the rest is a few names.
    """

    def __init__(self, capacity: int = 64) -> None:
        self._capacity = capacity
        # The states are held so that their ids stay theirs.
        self._known: OrderedDict[tuple[int, int], tuple[_State, _State, Difference]] = OrderedDict()
        self.computed = 0

    def between(self, old: _State, new: _State) -> Difference:
        if isinstance(old, Layers) or isinstance(new, Layers):
            return self._between_layers(old, new)
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

    def _between_layers(self, old: _State, new: _State) -> Difference:
        """Names that differ in a layer, as they are seen through the layers."""
        (old_own, old_common), (own, common) = _layers(old), _layers(new)
        shared = self.between(old_common, common)
        apart = Difference((), ()) if old_own is own else difference(old_own, own)
        if not apart and not any(name in own for name in shared.names):
            return shared
        upserts, removed = [], []
        for name in dict.fromkeys((*apart.names, *shared.names)):
            found = new.get(name)
            if found is None:
                removed.append(name)
            elif _differs(old.get(name), found):
                upserts.append(found)
        return Difference(tuple(upserts), tuple(removed))


def _layers(state: _State) -> tuple[_State, _State]:
    return (state.own, state.common) if isinstance(state, Layers) else (NOTHING, state)
