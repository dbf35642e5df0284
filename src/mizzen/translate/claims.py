"""Claims of a verified token, for policies and for routes: what Istio writes as header matches named `@request.auth.claims`.

`@request.auth.claims.a.b` and `@request.auth.claims[a][b]` both name the claim b inside a; only the second can name one with a
dot in it. They match at gateways, where a RequestAuthentication holds; without a verified token there is no claim.
"""

import re
from collections.abc import Sequence
from typing import Any

from mizzen.config.types.networking import StringMatch
from mizzen.proto.api import MetadataMatcher
from mizzen.translate.filter_order import JWT
from mizzen.translate.http_filters.jwt_authn import PAYLOAD
from mizzen.translate.matchers import is_catch_all, string_matcher

_PREFIX = "@request.auth.claims"
_BRACKETED = re.compile(r"(?:\[[^\[\]]+\])+")


def claim_path(name: str) -> tuple[str, ...]:
    """The claim that a header's name stands for; () for the name of a header."""
    if not name.lower().startswith(_PREFIX):
        return ()
    rest = name[len(_PREFIX) :]
    if rest.startswith("."):
        return tuple(rest[1:].split("."))
    if _BRACKETED.fullmatch(rest):
        return tuple(rest[1:-1].split("]["))
    return ()


def verified_claim(claim: Sequence[str], value: dict[str, Any]) -> dict[str, Any]:
    """Envoy's MetadataMatcher for a claim, in what the JWT filter leaves of a token that it has verified."""
    return {"filter": JWT, "path": [{"key": step} for step in (PAYLOAD, *claim)], "value": value}


def is_or_has(matcher: dict[str, Any]) -> dict[str, Any]:
    """Of a value that is a list, any member may match."""
    return {"or_match": {"value_matchers": [{"list_match": {"one_of": matcher}}, matcher]}}


def claim_matcher(claim: tuple[str, ...], match: StringMatch | None, *, invert: bool) -> Any:
    """A claim must match; with `invert`, must not: then one that is not there fits, too. A list matches by any member."""
    value: dict[str, Any] = {"present_match": True}
    if match is not None and not is_catch_all(match):
        value = is_or_has({"string_match": string_matcher(match)})
    return MetadataMatcher(**verified_claim(claim, value), invert=invert)
