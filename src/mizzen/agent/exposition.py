"""What the agent must know of Prometheus' text form (version 0.0.4) to put two expositions together into one that is valid.

Prometheus takes an answer as a whole or not at all: one line of the application's that cannot be read would cost the
proxy's metrics as well. So the application's answer is checked, line by line, before it is appended, and what it has in
common with the proxy's is left out. Source of the grammar: Prometheus' own parser (model/textparse), where it is narrower
than the format's description. Possessive quantifiers throughout: no text takes more than linear time.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

OPENMETRICS: Final = "application/openmetrics-text"

_NAME = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
# The exponent is one that a float has: Prometheus refuses others.
_NUMBER = rb"(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?0*+(?:30[0-8]|[12]\d\d|\d{1,2}))?+"
_VALUE = rb"[+-]?(?:" + _NUMBER + rb"|(?i:inf(?:inity)?|nan))"
_QUOTED = rb'"(?:[^"\\\n]++|\\.)*+"'
_LABEL = rb"[ \t]*+[a-zA-Z_][a-zA-Z0-9_]*+[ \t]*+=[ \t]*+" + _QUOTED + rb"[ \t]*+"
_LABELS = rb"\{(?:" + _LABEL + rb"(?:," + _LABEL + rb")*+,?[ \t]*+|[ \t]*+)\}"
_SERIES = _NAME + rb"(?:[ \t]*+" + _LABELS + rb"[ \t]*+|[ \t]++)" + _VALUE
_SAMPLE = _SERIES + rb"(?:[ \t]++-?\d{1,18}+)?[ \t]*+"
_TYPE = rb"#[ \t]*+TYPE[ \t]++" + _NAME + rb"[ \t]++(?:counter|gauge|histogram|summary|untyped)[ \t]*+"
_HELP = rb"#[ \t]*+HELP[ \t]++" + _NAME + rb"(?:[ \t][^\n]*+)?"
_COMMENT = rb"#(?![ \t]*+(?:TYPE|HELP)[ \t])[^\n]*+"
_LINES: Final = re.compile(rb"(?:(?:" + rb"|".join((_SAMPLE, _TYPE, _HELP, _COMMENT)) + rb")?+\n)*+")

_TYPES: Final = re.compile(rb"^#[ \t]*+TYPE[ \t]++(" + _NAME + rb")[ \t]++(\w++)", re.MULTILINE)
_NAMES: Final = re.compile(rb"^(?:#[ \t]*+(?:TYPE|HELP)[ \t]++)?(" + _NAME + rb")", re.MULTILINE)

# A sample of OpenMetrics: its seconds become milliseconds, its exemplar goes.
_OPEN_SAMPLE: Final = re.compile(
    rb"^(" + _SERIES + rb")(?: (-?" + _NUMBER + rb"))?(?: # [^\n]*+)?$", re.MULTILINE
)
_OPEN_META: Final = re.compile(rb"^# (?:EOF|(TYPE|HELP|UNIT) (" + _NAME + rb")([^\n]*+))\n?", re.MULTILINE)
# What the text form calls a type of OpenMetrics, and what the family's samples have behind its name; b"" for no type.
_OPEN_TYPES: Final[Mapping[bytes, tuple[bytes, bytes]]] = {
    b"counter": (b"counter", b"_total"),
    b"info": (b"gauge", b"_info"),
    b"stateset": (b"gauge", b""),
    b"unknown": (b"untyped", b""),
    b"gaugehistogram": (b"", b""),
}
# Names that samples have besides their family's.
_SUFFIXES: Final[Mapping[bytes, tuple[bytes, ...]]] = {
    b"histogram": (b"_bucket", b"_sum", b"_count"),
    b"summary": (b"_sum", b"_count"),
}


class WrongExpositionError(Exception):
    """What an application answered is no exposition; the message is one line."""


@dataclass(frozen=True, slots=True)
class Merged:
    """An exposition, and the names of the application's families and samples that it leaves out."""

    text: bytes
    left_out: frozenset[bytes]


def checked(body: bytes, content_type: str) -> bytes:
    """The application's answer in the text form, every line of it valid and ended. Raises WrongExpositionError."""
    text = _from_openmetrics(body) if content_type.partition(";")[0].strip().lower() == OPENMETRICS else body
    if text and not text.endswith(b"\n"):
        text += b"\n"
    lines = _LINES.match(text)
    end = lines.end() if lines is not None else 0
    if end != len(text):
        line = text[end : end + 80].partition(b"\n")[0].decode(errors="replace")
        number = text.count(b"\n", 0, end) + 1
        raise WrongExpositionError(f"line {number} is not of Prometheus' text form: {line!r}")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise WrongExpositionError(f"it is not UTF-8: {error.reason}") from None
    return text


def merge(proxy: bytes, application: bytes, reserved: tuple[bytes, ...]) -> Merged:
    """Both, without the application's families that would be a second time there: those with a name of the proxy's, and
    those whose name begins with something reserved. `application` is `checked`.
    """
    taken = {name for family in _families(proxy) for name in family}
    own = frozenset(_NAMES.findall(application))
    common = {name for name in own if name in taken or name.startswith(reserved)}
    if not common:
        return Merged(proxy + application, frozenset())
    # A family goes as a whole: half a histogram is none.
    for family in _families(application):
        if not common.isdisjoint(family):
            common.update(family)
    kept = (line for line in application.split(b"\n") if _name(line) not in common)
    return Merged(proxy + b"\n".join(kept), own & common)


def _families(text: bytes) -> Iterator[tuple[bytes, ...]]:
    """Each family that says its type: all names that its samples may have."""
    for name, kind in _TYPES.findall(text):
        yield (name, *(name + suffix for suffix in _SUFFIXES.get(kind, ())))


def _name(line: bytes) -> bytes:
    found = _NAMES.match(line)
    return found[1] if found else b""


def _from_openmetrics(body: bytes) -> bytes:
    """OpenMetrics (1.0) in the older form, which knows fewer types, and neither exemplars nor an end."""
    kinds = dict(_TYPES.findall(body))

    def meta(line: re.Match[bytes]) -> bytes:
        word, name, rest = line.groups()
        kind = kinds.get(name, b"")
        text_kind, suffix = _OPEN_TYPES.get(kind, (kind, b""))
        if word == b"TYPE" and text_kind:
            return b"# TYPE %s%s %s\n" % (name, suffix, text_kind)
        return b"# HELP %s%s%s\n" % (name, suffix, rest) if word == b"HELP" else b""

    def sample(line: re.Match[bytes]) -> bytes:
        return line[1] if line[2] is None else b"%s %d" % (line[1], round(float(line[2]) * 1000))

    return _OPEN_SAMPLE.sub(sample, _OPEN_META.sub(meta, body))
