"""What a YAML scalar means: as in kubectl, whose YAML library is Go's yaml.v2.

That is YAML 1.1 without its traps: `yes`, `no`, `on`, `off`, `y` and `n` are booleans, `010` is octal, `1_000` is a number;
but `22:22` (sexagesimal in YAML 1.1) and dates are strings, and `1e3` is a number. What JSON has no number for
(`.inf`, `.nan`) stays a string.
"""

import math
import re
from functools import lru_cache
from typing import Any, Final

_TRUE = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_NULL = ("", "~", "null", "Null", "NULL")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(_TRUE, True),
    **dict.fromkeys(_FALSE, False),
    **dict.fromkeys(_NULL),
}
_INT = re.compile(
    r"[-+]?(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?:0|[1-9][0-9]*))"
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BASES = {"hex": 16, "bin": 2, "oct": 8}
_MAX_DIGITS = 64  # longer ones are read as floats: int() takes quadratic time


class ScalarError(ValueError):
    """A scalar that has no meaning in JSON. The text is for people."""


@lru_cache(maxsize=4096)
def plain_scalar(text: str) -> Any:
    """The value of a scalar without quotes and tag."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "0123456789+-.":
        return text
    number = text.replace("_", "")
    if len(number) <= _MAX_DIGITS and (found := _INT.fullmatch(number)):
        return _integer(number, found)
    if not _FLOAT.fullmatch(number):
        return text
    value = float(number)
    return value if math.isfinite(value) else text


def _integer(text: str, found: re.Match[str]) -> int:
    if found.lastgroup is None:
        return int(text)
    value = int(found[found.lastgroup], _BASES[found.lastgroup])
    return -value if text[0] == "-" else value


def tagged_scalar(tag: str | None, text: str, *, plain: bool) -> Any:
    """The value of a scalar that may carry a tag. Raises ScalarError where the tag is unknown or does not fit."""
    if tag is None:
        return plain_scalar(text) if plain else text
    name = tag.removeprefix("tag:yaml.org,2002:")
    if name in ("!", "str"):
        return text
    wanted = {"int": int, "float": float, "bool": bool, "null": type(None)}.get(name)
    if wanted is None:
        raise ScalarError(f"the tag {tag} is not known")
    value = plain_scalar(text)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise ScalarError(f'"{text}" does not fit its tag !!{name}')
    return value


@lru_cache(maxsize=4096)
def key_text(text: str) -> str:
    """The key that a scalar without quotes stands for: JSON's keys are strings."""
    value = plain_scalar(text)
    if value is None:
        raise ScalarError("a key is missing before the colon")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else text
