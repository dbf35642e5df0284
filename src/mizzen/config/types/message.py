"""What the API's types are built of."""

import re
from datetime import timedelta
from typing import Annotated, Self, dataclass_transform

import msgspec
from msgspec import Meta


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

    It equals and hashes as a timedelta. Parts of a microsecond are rounded (Envoy's timers are milliseconds).
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
        return cls(microseconds=-round(microseconds) if text[0] == "-" else round(microseconds))
