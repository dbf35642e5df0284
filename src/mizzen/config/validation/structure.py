"""What the API's schema says of a message beyond its fields' types, checked by the marks that the types carry.

Lengths of texts and lists and bounds of numbers are checked when an object is decoded. What is left: sizes of maps, and items
of lists that must differ. Only fields that have such marks, or lead to some, are looked at.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import islice
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from mizzen.config.resource import Path
from mizzen.config.types.constraints import ListKey, Size
from mizzen.config.types.message import Message
from mizzen.config.validation.rules import Findings, invalid, unique
from mizzen.frozen import FrozenMap

Check = Callable[[Any, Path], Findings]


def structure(message: Message, path: Path = ("spec",)) -> Findings:
    for attribute, name, default, checks in _marked(type(message)):
        value = getattr(message, attribute)
        if (
            value is None or value is default
        ):  # by identity: an empty map that was written is none that is absent
            continue
        for check in checks:
            yield from check(value, (*path, name))


@lru_cache(maxsize=1024)
def _marked(message: type[Message]) -> tuple[tuple[str, str, Any, tuple[Check, ...]], ...]:
    """Fields with something to check: attribute, the API's name, default, checks."""
    hints = get_type_hints(message, include_extras=True)
    fields = ((field, tuple(_checks(hints[field.name]))) for field in msgspec.structs.fields(message))
    return tuple((field.name, field.encode_name, field.default, checks) for field, checks in fields if checks)


def _checks(hint: Any) -> Iterator[Check]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        yield from _checks(arguments[0])
        yield from _marks(arguments)
    elif origin is tuple:
        yield from (_each_item for _ in islice(_checks(arguments[0]), 1))
    elif origin is FrozenMap:
        yield from (_each_member for _ in islice(_checks(arguments[1]), 1))
    elif arguments:
        for choice in arguments:
            yield from _checks(choice)
    elif isinstance(hint, type) and issubclass(hint, Message) and _marked(hint):
        yield structure


def _marks(arguments: tuple[Any, ...]) -> Iterator[Check]:
    is_map = get_origin(arguments[0]) is FrozenMap
    for mark in arguments[1:]:
        if isinstance(mark, Size) and is_map:  # Istio takes lists of other sizes; validators speak of those
            yield partial(_map_size, mark)
        if isinstance(mark, ListKey):
            yield partial(_list_key, mark)


def _each_item(value: Any, path: Path) -> Findings:
    for index, item in enumerate(value):
        yield from structure(item, (*path, index))


def _each_member(value: Any, path: Path) -> Findings:
    for name, member in value.items():
        yield from structure(member, (*path, name))


def _map_size(mark: Size, value: FrozenMap[str, Any], path: Path) -> Findings:
    if mark.least is not None and len(value) < mark.least:
        yield invalid(path, f"it has {len(value)} members, less than {mark.least}", "add some, or remove it")
    if mark.most is not None and len(value) > mark.most:
        yield invalid(path, f"it has {len(value)} members, more than {mark.most}", "use fewer")


def _list_key(mark: ListKey, value: tuple[Any, ...], path: Path) -> Findings:
    yield from unique((getattr(item, mark.name) for item in value), path, f"the {mark.name}")
