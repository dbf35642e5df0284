"""What a program declares: inputs, indexes over them, queries. Definitions hold no state; a Database does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from mizzen.incremental.errors import Failure

if TYPE_CHECKING:
    from mizzen.incremental.database import Database

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
B = TypeVar("B", bound=Hashable)
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Definition:
    """Something that a query can read. Compared by identity; `name` is for people."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name}>"


class Input(Definition, Generic[K, V]):
    """A table of values that are set from outside. No entry reads as None, so None is no value."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._keys: Index[K, V, tuple[()]] = Index(f"{name}.keys", self, lambda _key, _value: ((),))

    def __call__(self, db: Database, key: K) -> V | None:
        return cast("V | None", db.read_input(self, key))

    def keys(self, db: Database) -> tuple[K, ...]:
        """All keys, sorted. A reader runs again when a key comes or goes, not when a value changes."""
        return self._keys(db, ())


class Index(Definition, Generic[K, V, B]):
    """The entries of an input, sorted into buckets by a function of key and value.

    The function must be pure and must not raise: it runs when a value is set. An index is built at its first
    read in a database; one that nobody reads costs nothing.
    """

    def __init__(self, name: str, source: Input[K, V], buckets: Callable[[K, V], Iterable[B]]) -> None:
        super().__init__(name)
        self.source = source
        self.buckets = buckets

    def __call__(self, db: Database, bucket: B) -> tuple[K, ...]:
        """The keys in `bucket`, sorted. A reader runs again only when a key enters or leaves this bucket."""
        return cast("tuple[K, ...]", db.read_index(self, bucket))


class Query(Definition, Generic[P, R_co]):
    """A pure function of the database and a hashable key; made by `@query`."""

    def __init__(self, function: Callable[Concatenate[Database, P], R_co]) -> None:
        super().__init__(function.__name__)
        self.function: Callable[..., R_co] = function
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function

    def __call__(self, db: Database, *key: P.args, **named: P.kwargs) -> R_co:
        if named:
            self.check(named)
        value = db.read(self, key)
        if value.__class__ is Failure:
            raise value.exception()
        return cast("R_co", value)

    def check(self, named: Mapping[str, object]) -> None:
        """One key has one spelling: by position."""
        if named:
            raise TypeError(f"{self.name}: pass the key by position, not {', '.join(named)}=")


def query(function: Callable[Concatenate[Database, P], R]) -> Query[P, R]:
    """Make `function(db, *key)` a query.

    Its parameters are positional, without defaults, so that one key has one spelling. It returns a frozen value
    (returning a Failure means to fail with it) and touches nothing but its arguments and what it reads from `db`.
    """
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is not parameter.empty or parameter.kind > parameter.POSITIONAL_OR_KEYWORD:
            raise TypeError(f"query {function.__name__}: {parameter} must be a plain positional parameter")
    return Query(function)


AnyQuery = Query[Any, Any]
