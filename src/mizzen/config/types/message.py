"""What the API's types are built of."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Annotated, Any, ClassVar, Self, dataclass_transform

import msgspec
from msgspec import Meta

from mizzen.frozen import FrozenMap

OneOf = tuple[tuple[str, ...], ...]
"""Groups of fields, by the API's names, of each of which at most one may be set."""


@dataclass(frozen=True, slots=True)
class Cel:
    """A rule in the Common Expression Language, for an API server; `self` is the value."""

    rule: str
    message: str  # what the API server says where it does not hold


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Message(
    msgspec.Struct,
    frozen=True,
    gc=False,  # values form no cycles: nothing here can hold an engine node, a callback or an exception
    forbid_unknown_fields=True,
    rename="camel",
    kw_only=True,
    omit_defaults=True,
):
    """A message of the API. Attributes are the API's field names in snake_case."""

    ONE_OF: ClassVar[OneOf] = ()
    CEL: ClassVar[tuple[Cel, ...]] = ()  # rules between fields, for the schema


class LenientMessage(Message, forbid_unknown_fields=False):
    """A message of which the mesh reads a part: the fields that are not typed here are let through unread."""


UInt32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]

_UNIT_MICROSECONDS = {
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
    "\u00b5s": 1,  # micro sign
    "\u03bcs": 1,  # Greek mu: Go reads both
    "ns": 0.001,
}
_TERM = re.compile("([0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(h|ms|m|us|\u00b5s|\u03bcs|ns|s)")
_WHOLE = re.compile(f"[-+]?(?:{_TERM.pattern})+")
_LONGEST_SECONDS = 315_576_000_000  # google.protobuf.Duration: 10,000 years


class Duration(timedelta):
    """A timedelta that is written as Go and protobuf write it: "10s", "1h30m", "0.5s", "100ms".

    It equals and hashes as a timedelta. Parts of a microsecond are rounded up, away from zero: who asks for whole
    milliseconds (Envoy's timers) must not be misled.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, with a text for people, where the text is no duration."""
        if text == "0":
            return cls()
        if _WHOLE.fullmatch(text) is None:
            raise ValueError(f'"{text}" is not a duration')
        microseconds = sum(float(number) * _UNIT_MICROSECONDS[unit] for number, unit in _TERM.findall(text))
        if microseconds > _LONGEST_SECONDS * 1_000_000:
            raise ValueError(f'"{text}" is longer than the 10,000 years that the API allows')
        whole = ceil(round(microseconds, 3))  # to nanoseconds first: floats are not exact
        return cls(microseconds=-whole if text[0] == "-" else whole)


class Struct(FrozenMap[str, Any]):
    """google.protobuf.Struct: a JSON object of any form. Objects in it are FrozenMaps, lists are tuples."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        return cls({key: _frozen(member) for key, member in value.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return Struct.of(value)
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


class SecretBytes:
    """What must not be shown: it cannot be printed, only revealed."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    @classmethod
    def parse(cls, text: str) -> Self:
        """From base64. Raises ValueError, with a text for people that does not repeat the content."""
        try:
            return cls(base64.b64decode("".join(text.split()), validate=True))
        except ValueError:
            raise ValueError("this is not base64") from None

    def reveal(self) -> bytes:
        return self._content

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<redacted>)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretBytes) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)


class SecretText(SecretBytes):
    """The same, written as plain text."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(text.encode())
