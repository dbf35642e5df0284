"""Plain value -> typed value, as far as it goes: for analysis, which looks at objects that are not good enough to be in force.

What does not conform is left out, and where a required field is missing its zero stands in. Items of lists keep their places,
so that paths into the typed value lead to the right line.
"""

import types
from enum import Enum
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from mizzen.config.conform import from_plain, members_of
from mizzen.config.types.message import Message
from mizzen.frozen import FrozenMap

M = TypeVar("M", bound=Message)

_MISFIT = object()


def salvage(value: Any, wanted: type[M]) -> M:
    """The typed value. It may break the bounds of its type: an empty list where the API wants an item, for example."""
    given = value if type(value) is dict else {}
    fitted: dict[str, Any] = {}
    members = members_of(wanted)
    for field in msgspec.structs.fields(wanted):
        of_member, required = members[field.encode_name]
        plain = given.get(field.encode_name)
        member = _MISFIT if plain is None else _fit(plain, of_member)
        if member is not _MISFIT:
            fitted[field.name] = member
        elif required:
            fitted[field.name] = _zero(of_member)
    return wanted(**fitted)


def _fit(value: Any, wanted: Any) -> Any:
    """The typed value, or _MISFIT."""
    origin = get_origin(wanted)
    if origin is Annotated:
        return _fit(value, get_args(wanted)[0])
    if origin is tuple:
        return _items(value, get_args(wanted)[0])
    if origin is FrozenMap:
        return _map(value, get_args(wanted)[1])
    if origin in (Union, types.UnionType):
        choices = (choice for choice in get_args(wanted) if choice is not type(None))
        return next((fitted for choice in choices if (fitted := _fit(value, choice)) is not _MISFIT), _MISFIT)
    if isinstance(wanted, type) and issubclass(wanted, Message):
        return salvage(value, wanted) if type(value) is dict else _MISFIT
    try:
        return msgspec.convert(value, wanted, dec_hook=from_plain)
    except (msgspec.ValidationError, ValueError, TypeError):
        return _MISFIT


def _items(value: Any, item: Any) -> Any:
    if type(value) is not list:
        return _MISFIT
    fitted = (_fit(each, item) for each in value)
    return tuple(_zero(item) if each is _MISFIT else each for each in fitted)


def _map(value: Any, item: Any) -> Any:
    if type(value) is not dict:
        return _MISFIT
    fitted = ((key, _fit(each, item)) for key, each in value.items() if type(key) is str)
    return FrozenMap({key: each for key, each in fitted if each is not _MISFIT})


def _zero(wanted: Any) -> Any:
    """What Go and protobuf take for a field that is not set."""
    origin = get_origin(wanted)
    if origin is Annotated:
        return _zero(get_args(wanted)[0])
    if origin is tuple:
        return ()
    if origin is FrozenMap:
        return FrozenMap()
    if not isinstance(wanted, type):
        return None
    if issubclass(wanted, Message):
        return salvage({}, wanted)
    if issubclass(wanted, Enum):
        return next(iter(wanted))
    return {str: "", int: 0, float: 0.0, bool: False}.get(wanted)
