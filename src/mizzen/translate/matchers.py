"""Istio's string matches as Envoy's matchers."""

from typing import Any

from mizzen.config.types.networking import StringMatch
from mizzen.proto.api import HeaderMatcher


def string_matcher(match: StringMatch, *, ignore_case: bool = False) -> dict[str, Any]:
    """A StringMatch as Envoy's StringMatcher. Regular expressions are RE2's and match the whole value."""
    if match.prefix is not None:
        return {"prefix": match.prefix, "ignore_case": ignore_case}
    if match.regex is not None:
        return {"safe_regex": {"regex": match.regex}}
    return {"exact": match.exact or "", "ignore_case": ignore_case}


def is_catch_all(match: StringMatch | None) -> bool:
    """Whether a header match asks only that the header is there (Istio: empty, a prefix "" or the regex "*")."""
    if match is None:
        return True
    return match.exact is None and match.regex in {None, "*"} and not match.prefix


def header_matcher(name: str, match: StringMatch | None, *, invert: bool = False) -> HeaderMatcher:
    """A header that must match; with `invert`, must not: then one that is not there fits too, unless it had to be there
    with whatever value (Istio's rule).
    """
    if match is None or is_catch_all(match):
        return HeaderMatcher(name=name, present_match=True, invert_match=invert)
    return HeaderMatcher(
        name=name,
        string_match=string_matcher(match),
        invert_match=invert,
        treat_missing_header_as_empty=invert,
    )
