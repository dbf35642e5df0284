"""What the agent must know of Prometheus' text form (version 0.0.4) to put two expositions together into one that is valid.

Prometheus takes an answer as a whole or not at all: one line of the application's that cannot be read would cost the
proxy's metrics as well. So the application's answer is checked, line by line, before it is appended, and what it has in
common with the proxy's is left out. Source of the grammar: Prometheus' own parser (model/textparse), where it is narrower
than the format's description. Possessive quantifiers throughout: no text takes more than linear time.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

OPENMETRICS: Final = "application/openmetrics-text"

_NAME = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_NUMBER = rb"(?:\d{1,300}+(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?+"
_VALUE = rb"(?:[+-]?(?:" + _NUMBER + rb"|(?i:inf(?:inity)?))|(?i:nan))"
_QUOTED = rb'"(?:[^"\\\n\0]++|\\[^\n\0])*+"'
_LABEL = rb"[ \t]*+[a-zA-Z_][a-zA-Z0-9_]*+[ \t]*+=[ \t]*+" + _QUOTED + rb"[ \t]*+"
_LABELS = rb"\{(?:" + _LABEL + rb"(?:," + _LABEL + rb")*+,?[ \t]*+|[ \t]*+)\}"
_SERIES = _NAME + rb"(?:[ \t]*+" + _LABELS + rb"[ \t]*+|[ \t]++)" + _VALUE
_SAMPLE = _SERIES + rb"(?:[ \t]++\d{1,18}+)?[ \t]*+"
_TYPE = rb"#[ \t]++TYPE[ \t]++" + _NAME + rb"[ \t](?:counter|gauge|histogram|summary|untyped)"
_HELP = rb"#[ \t]++HELP[ \t]++" + _NAME + rb"(?:[ \t][^\n\0]*+)?"
_COMMENT = rb"#(?![ \t]++(?:TYPE|HELP)[ \t])[^\n\0]*+"
_BLANK = rb"[ \t]*+"
_LINES: Final = re.compile(rb"(?:(?:" + rb"|".join((_SAMPLE, _TYPE, _HELP, _COMMENT, _BLANK)) + rb")\n)*+")

_TYPES: Final = re.compile(rb"^#[ \t]++TYPE[ \t]++(" + _NAME + rb")[ \t]++(\w++)", re.MULTILINE)
_NAMES: Final = re.compile(rb"^(?:#[ \t]++(?:TYPE|HELP)[ \t]++)?(" + _NAME + rb")", re.MULTILINE)
# Of samples from which the values of labels are taken: the names of labels, and a value with an exponent.
_STRINGS: Final = re.compile(_QUOTED)
_LABEL_NAMES: Final = re.compile(rb"^" + _NAME + rb"[ \t]*+\{([^}\n]*+)\}", re.MULTILINE)
_POWERS: Final = re.compile(
    rb"^" + _NAME + rb"[ \t]*+(?:\{[^}\n]*+\})?+[ \t]*+([+-]?[0-9.]++[eE][+-]?\d++)", re.MULTILINE
)

# A sample of OpenMetrics: its seconds become milliseconds, its exemplar goes.
_OPEN_SAMPLE: Final = re.compile(
    rb"^(" + _SERIES + rb")(?: (\d{1,12}+(?:\.\d*+)?(?:[eE]\+?\d)?))?(?: # [^\n]*+)?$", re.MULTILINE
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
    bare = _STRINGS.sub(b"", text)
    _require_labels_once(bare)
    _require_finite(bare)
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


def _require_labels_once(bare: bytes) -> None:
    """The family's name is one of a sample's labels, too. Raises WrongExpositionError."""
    for labels in set(_LABEL_NAMES.findall(bare)):
        names = [b"__name__", *(name.strip(b" \t=") for name in labels.split(b",") if name.strip(b" \t"))]
        if len(names) != len(set(names)):
            raise WrongExpositionError(f"a sample has a label twice: {labels[:80].decode()}")


def _require_finite(bare: bytes) -> None:
    """Prometheus refuses a number that is too large for a float. Raises WrongExpositionError."""
    for number in set(_POWERS.findall(bare)):
        if math.isinf(float(number)):
            raise WrongExpositionError(f"{number[:80].decode()} is too large for a number")


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
