"""What a value must be like beyond its type: written beside the field, in `Annotated` or in a message's ONE_OF and CEL.

msgspec checks the bounds of numbers, the lengths of texts and lists, and patterns (its `Meta`) when an object is decoded. The
rest is for the schema that an API server checks (config/crds.py); the validators ask the same in Python.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from mizzen.config.types.message import Cel, Duration


@dataclass(frozen=True, slots=True)
class Size:
    """How many items a list or members a map may have, where the schema alone asks: Istio itself takes others."""

    most: int | None = None
    least: int | None = None


@dataclass(frozen=True, slots=True)
class ListKey:
    """The items of a list differ in this member: a list that is merged like a map."""

    name: str


@dataclass(frozen=True, slots=True)
class Format:
    """OpenAPI's `format` of a text: "byte" is base64."""

    name: str


def at_most_one(message: str, *fields: str) -> Cel:
    """Of these fields no more than one may be set."""
    return Cel(" + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields) + " <= 1", message)


def has_scheme(*schemes: str, message: str) -> Cel:
    """A URL with one of these schemes; one that names none is taken for http."""
    known = "[" + ", ".join(f'"{scheme}"' for scheme in ("", *schemes)) + "]"
    assumed = 'url("http://" + self).getScheme()'
    rule = (
        f"isURL(self) ? (url(self).getScheme() in {known})"
        f' : (isURL("http://" + self) &&\n{assumed} in {known})'
    )
    return Cel(rule, message)


AtLeast1ms = Annotated[
    Duration, Cel("duration(self) >= duration('1ms')", "must be a valid duration greater than 1ms")
]
"""A time for which Envoy has a timer: these tick in milliseconds."""

PORT: Final = Cel("0 < self && self <= 65535", "port must be between 1-65535")

UInt16Port = Annotated[int, Meta(ge=1, le=65535)]
NonNegativeInt32 = Annotated[int, Meta(ge=0, le=2**31 - 1)]
UInt64 = Annotated[int, Meta(ge=0)]
Percentage = Annotated[float, Meta(ge=0, le=100)]

NonEmpty = Annotated[str, Meta(min_length=1)]
HeaderName = Annotated[str, Meta(pattern="^[-_A-Za-z0-9]+$")]
Sha256Hex = Annotated[str, Meta(pattern="(^$|^[a-f0-9]{64}$)")]
