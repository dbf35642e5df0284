"""URLs (RFC 3986)."""

import re
from typing import Final

_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?:(?:[\w.~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?"
    r"(?:[/?#](?:[\w.~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?",
    re.ASCII,
)
_PATH: Final = re.compile(r"/(?:[\w.~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_NEEDS_NO_HOST: Final = ("file",)


def scheme(text: str) -> str:
    """The scheme in small letters; "" where the text is no URL with scheme and host."""
    found = _URL.fullmatch(text)
    if found is None:
        return ""
    name = found["scheme"].lower()
    return name if found["host"] or name in _NEEDS_NO_HOST else ""


def is_path(text: str) -> bool:
    return _PATH.fullmatch(text) is not None
