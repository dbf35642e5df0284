"""Reads counters out of Prometheus' text format, fast.

An agent's scrape is hundreds of kilobytes, of which the mesh's picture needs a few lines, every second, from every
agent. prometheus_client's parser builds an object for every line; this one looks only at the lines asked for, and
leaves their labels as text: a series is parsed once, when it is first seen (`parse_series`).
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

# Labels are matched as quoted strings, for a value may hold a brace or a blank; possessively and within the line,
# so that no text takes more than linear time.
_LINE = re.compile(r'(\w+\{(?:[^"}\n]++|"(?:[^"\\\n]++|\\.)*+")*+\}) +(\S+)')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n"}
# Empty labels arrive as empty, as Envoy's "-" or as Istio's "unknown".
_ABSENT = frozenset({"", "-", "unknown"})


@dataclass(frozen=True, slots=True)
class Series:
    """One counter's name and labels. `label` gives "" where the label says that nothing is known."""

    name: str
    labels: Mapping[str, str]

    def label(self, name: str) -> str:
        value = self.labels.get(name, "")
        return "" if value in _ABSENT else value


def read_counters(text: str, names: Sequence[str], *, at_most: int) -> dict[str, float]:
    """The value of each series of these counters by its text (`name{labels}`); what is no finite number is left out.

    Beyond `at_most` series the rest is ignored: a workload must not be able to fill the daemon's memory.
    """
    lines = (found for name in names for found in _lines(text, name))
    return {
        series: value for series, number in islice(lines, at_most) if (value := _finite(number)) is not None
    }


def _lines(text: str, name: str) -> Iterator[tuple[str, str]]:
    # str.find runs over other metrics' lines an order of magnitude faster than a pattern does.
    opening = f"{name}{{"
    at = text.find(opening)
    while at >= 0:
        found = _LINE.match(text, at) if at == 0 or text[at - 1] == "\n" else None
        if found:
            yield found[1], found[2]
        at = text.find(opening, found.end() if found else at + 1)


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def parse_series(text: str) -> Series:
    name, _, labels = text.partition("{")
    return Series(name, {found[1]: _unescape(found[2]) for found in _LABEL.finditer(labels)})


def _unescape(value: str) -> str:
    if "\\" not in value:
        return value
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), value)
