"""Names and values of HTTP headers."""

import re
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.validation.formats import format_problem
from mizzen.config.validation.rules import Findings, invalid

CLAIM_PREFIX: Final = "@request.auth.claims"
"""A "header" that stands for a claim of the request's JWT; gateways can route by it."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_CLAIM = re.compile(r"@request\.auth\.claims(\.[^\[\]]+|(\[[^\[\]]+\])+)", re.IGNORECASE)
_NEVER_IN_A_VALUE = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_NEVER_IN_PART_OF_A_URL = re.compile(r"[\0\r\n]")


def header_name(name: str, path: Path) -> Findings:
    if _TOKEN.fullmatch(name) is None:
        yield invalid(path, f'"{name}" is no header name', "use letters, digits and '-'")


def is_claim(name: str) -> bool:
    return name[:1] == "@" and _CLAIM.fullmatch(name) is not None


def matched_header_name(name: str, path: Path) -> Findings:
    """What a route may look at: also HTTP/2's pseudo-headers, and claims."""
    if name[:1] == "@" and is_claim(name):
        return
    yield from header_name(name.removeprefix(":"), path)


def is_authority(name: str) -> bool:
    return name.lower() in (":authority", "host")


def changed_header_name(name: str, path: Path, *, authority: bool) -> Findings:
    """What can be set, added or removed. `authority`: whether the host can be."""
    if is_authority(name) and authority:
        return
    if name.startswith(":") or name.lower() == "host":
        yield invalid(path, f"{name} cannot be changed here", "use rewrite.authority for the host")
    else:
        yield from header_name(name, path)


def header_value(value: str, path: Path) -> Findings:
    if _NEVER_IN_A_VALUE.search(value):
        yield invalid(path, "a header's value cannot hold NUL, line breaks or other control characters")
    elif "%" in value and (problem := format_problem(value)):
        yield invalid(path, f'"{value}": {problem}', "write %% for a percent sign")


def part_of_url(text: str, path: Path) -> Findings:
    """What becomes a part of a request's or an answer's headers, such as a path or a host."""
    if _NEVER_IN_PART_OF_A_URL.search(text):
        yield invalid(path, "it cannot hold NUL or line breaks", "remove them")
