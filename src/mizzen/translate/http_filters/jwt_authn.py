"""RequestAuthentications as Envoy's JWT filter. A request whose token is not valid is refused, one without passes.

Keys are always inline: the daemon fetches them (`daemon/key_sets.py`), a proxy never does. Where they are not known the
filter has one that nobody can sign with: every token of that issuer is refused with 401.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mizzen.config.types.security import JWTRule
from mizzen.derive.request_authentication import key_set, request_authentications, rules_of
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.proto.api import HttpFilter, JwtAuthentication
from mizzen.translate import filter_order
from mizzen.translate.built import encode, pack

PAYLOAD = "payload"
"""Under which the verified claims are in the filter's metadata. (Istio's)"""

# Envoy takes no empty key set. This is a point of P-256 of which nobody knows the logarithm: its x is the SHA-256 of
# "Mizzen knows no key of this issuer 0".
NO_KEYS = (
    '{"keys":[{"alg":"ES256","crv":"P-256","kid":"mizzen-no-key","kty":"EC","use":"sig",'
    '"x":"kfYKM7PZTkvSLIyV0wjHFJ0QtITBOOpS0Jqaq8aca-A","y":"U9QlHBALDtmQ1AUM4EzU85P3_czSENVynQIJHY92Lm8"}]}'
)
_SPACE_DELIMITED = ("scope", "permission")
_MISSING: dict[str, Any] = {"allow_missing": {}}


@query
def jwt_filter(db: Database, namespace: str, labels: FrozenMap[str, str], edge: bool) -> bytes | None:
    """The filter's configuration for a workload, serialised; None where no policy has a rule.

    At the edge the route is chosen once more when the claims are known: VirtualServices may ask for them.
    """
    rules = [rule for key in request_authentications(db, namespace, labels) for rule in rules_of(db, key)]
    if not rules:
        return None
    rules.sort(key=lambda rule: rule.issuer)  # of one issuer the first policy's stays first
    providers: dict[str, Any] = {
        f"origins-{number}": _provider(rule, key_set(db, rule), edge=edge)
        for number, rule in enumerate(rules)
    }
    match = {"prefix": "/"}
    made = JwtAuthentication(
        providers=providers,
        rules=[{"match": match, "requires": _requirement(list(providers))}],
        bypass_cors_preflight=True,
    )
    return encode(made)


def jwt_filters(db: Database, namespace: str, labels: FrozenMap[str, str], *, edge: bool) -> list[HttpFilter]:
    config = jwt_filter(db, namespace, labels, edge)
    if config is None:
        return []
    made = JwtAuthentication()
    made.MergeFromString(config)
    return [HttpFilter(name=filter_order.JWT, typed_config=pack(made))]


def _requirement(names: Sequence[str]) -> dict[str, Any]:
    """Any of the issuers. A token that none of them issued is no missing one: it is refused, wherever it is looked for."""
    each = [{"provider_name": name} for name in names]
    if len(each) == 1:
        return {"requires_any": {"requirements": [*each, _MISSING]}}
    # "Missing" has to hold for the places of every issuer. (Istio's construction)
    all_missing = [{"requires_any": {"requirements": [one, _MISSING]}} for one in each]
    return {"requires_any": {"requirements": [*each, {"requires_all": {"requirements": all_missing}}]}}


def _provider(rule: JWTRule, keys: str | None, *, edge: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "issuer": rule.issuer,
        "audiences": rule.audiences,
        "forward": rule.forward_original_token,
        "payload_in_metadata": PAYLOAD,
        "forward_payload_header": rule.output_payload_to_header,
        "normalize_payload_in_metadata": {
            "space_delimited_claims": list(dict.fromkeys((*_SPACE_DELIMITED, *rule.space_delimited_claims)))
        },
        "local_jwks": {"inline_string": keys or NO_KEYS},
        "clear_route_cache": edge,
        **dict(_places(rule)),
    }
    if rule.output_claim_to_headers:
        made["claim_to_headers"] = [
            {"header_name": item.header, "claim_name": item.claim} for item in rule.output_claim_to_headers
        ]
    return made


def _places(rule: JWTRule) -> Iterator[tuple[str, Any]]:
    """Where a token may be. Nothing said: the usual places, which are Envoy's, too."""
    if rule.from_headers:
        headers = [{"name": item.name, "value_prefix": item.prefix} for item in rule.from_headers]
        yield "from_headers", headers
    if rule.from_params:
        yield "from_params", rule.from_params
    if rule.from_cookies:
        yield "from_cookies", rule.from_cookies
