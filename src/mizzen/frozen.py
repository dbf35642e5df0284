"""FrozenMap: the hashable mapping that frozen values hold where Python would use a dict."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenMap(Mapping[K, V]):
    """An immutable, hashable mapping. Equality and hash do not depend on the order of the items.

    Keys and values must be hashable. Iteration is in the order of construction.
    """

    __slots__ = ("_hash", "_items")

    def __init__(self, items: "Mapping[K, V] | tuple[tuple[K, V], ...]" = ()) -> None:
        self._items: dict[K, V] = dict(items)
        self._hash: int | None = None

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    if not TYPE_CHECKING:  # Mapping has its types

        def get(self, key: Any, default: Any = None) -> Any:
            """As Mapping's, without the exception on its way: look-ups that find nothing are common."""
            return self._items.get(key, default)

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._items.items()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrozenMap):
            return self._items == other._items
        return self._items == other

    def __repr__(self) -> str:
        return f"FrozenMap({self._items!r})"

    def __reduce__(self) -> Any:
        return FrozenMap, (self._items,)


EMPTY: FrozenMap[str, str] = FrozenMap()
