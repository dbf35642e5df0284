"""The words in which rules speak, and rules on numbers and structure.

Each rule yields a finding for what it rejects, and nothing for what is right. Rules on particular texts are in hosts.py,
headers.py, regexes.py, ports.py and references.py.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from typing import Final, Protocol

from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path
from mizzen.config.types.networking import Percent

Findings = Iterator[Finding]

_MILLISECOND: Final = timedelta(milliseconds=1)
_LONGEST: Final = timedelta(days=106_751)  # Envoy counts nanoseconds in 63 bits
_SMALLEST_PERCENTAGE: Final = 0.0001  # Envoy counts in millionths
_MAX_UINT32: Final = 2**32 - 1


def invalid(path: Path, message: str, hint: str = "") -> Finding:
    return Finding("IST0106", path, message, hint, at_value=True)


def questionable(path: Path, message: str, hint: str = "") -> Finding:
    return Finding("IST0133", path, message, hint, at_value=True)


# --- numbers, durations ---------------------------------------------------------------------------------------


def at_least(minimum: float, number: float | None, path: Path) -> Findings:
    if number is not None and number < minimum:
        yield invalid(path, f"{number} is less than {minimum}")


def percent(number: float | None, path: Path) -> Findings:
    if number is not None and not 0 <= number <= 100:
        yield invalid(path, f"{number} is no percentage: those are 0 to 100")


def percentage(value: Percent | None, path: Path) -> Findings:
    if value is None:
        return
    yield from percent(value.value, (*path, "value"))
    if 0 < value.value < _SMALLEST_PERCENTAGE:
        yield invalid((*path, "value"), f"{value.value} is too small: 0, or at least {_SMALLEST_PERCENTAGE}")


def at_least_1ms(duration: timedelta | None, path: Path) -> Findings:
    """What Istio asks of most durations: Envoy's timers are milliseconds, and 0 would mean "off"."""
    if duration is None:
        return
    if duration < _MILLISECOND:
        yield invalid(
            path, f"{duration.total_seconds():g}s is too short: at least 1ms", "remove it to have no limit"
        )
    else:
        yield from whole_milliseconds(duration, path)


def not_negative(duration: timedelta | None, path: Path) -> Findings:
    """For durations of which 0 has a meaning."""
    if duration is None:
        return
    if duration < timedelta():
        yield invalid(path, f"{duration.total_seconds():g}s: a duration here cannot be negative")
    else:
        yield from whole_milliseconds(duration, path)


def whole_milliseconds(duration: timedelta, path: Path) -> Findings:
    if duration > _LONGEST:
        yield invalid(path, f"{duration.total_seconds():g}s is too long: at most 292 years", "shorten it")
    if duration.microseconds % 1000:
        yield invalid(path, "a duration here counts whole milliseconds", "round it to milliseconds")


# --- structure ------------------------------------------------------------------------------------------------


def unique(names: Iterable[object], path: Path, what: str) -> Findings:
    seen: set[object] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield invalid((*path, index), f"{what} {name} is there twice")
        seen.add(name)


def camel(attribute: str) -> str:
    """An attribute's name as the API writes it."""
    first, *rest = attribute.split("_")
    return first + "".join(word.capitalize() for word in rest)


def given(message: object, members: Collection[str]) -> list[str]:
    """Those of the members that are there, by the attributes' names."""
    return [name for name in members if getattr(message, name) not in (None, (), "")]


def at_most_one(message: object, members: Collection[str], path: Path) -> Findings:
    """Of members that exclude each other. Names are the attributes'."""
    there = given(message, members)
    if len(there) > 1:
        yield invalid(path, f"only one of {', '.join(map(camel, there))} can be set", "keep one of them")


def at_least_one(message: object, members: Collection[str], path: Path, what: str) -> Findings:
    """A message that says nothing is a mistake: most often of indentation."""
    if not given(message, members):
        yield invalid(path, f"{what} says nothing", f"add one of {', '.join(map(camel, members))}")


class _Weighted(Protocol):
    @property
    def weight(self) -> int: ...


def weights(destinations: Collection[_Weighted], path: Path) -> Findings:
    total = 0
    for index, destination in enumerate(destinations):
        total += destination.weight
        if destination.weight < 0:
            yield invalid((*path, index, "weight"), f"{destination.weight} is less than 0")
    if len(destinations) > 1 and total == 0:
        yield invalid(
            path, "the weights sum to 0, so nothing would get traffic", "give at least one a weight above 0"
        )
    if total > _MAX_UINT32:
        yield invalid(path, f"the weights sum to {total}, more than {_MAX_UINT32}")
