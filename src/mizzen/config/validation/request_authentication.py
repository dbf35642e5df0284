"""RequestAuthentication."""

import json

from mizzen.config.resource import Path, Resource
from mizzen.config.types.security import JWTRule, RequestAuthentication
from mizzen.config.validation import headers, references, rules, urls
from mizzen.config.validation.rules import Findings, invalid


def validate(resource: Resource[RequestAuthentication]) -> Findings:
    yield from references.attachment(resource.spec)
    for index, rule in enumerate(resource.spec.jwt_rules):
        yield from _jwt_rule(rule, ("spec", "jwtRules", index))


def _jwt_rule(rule: JWTRule, path: Path) -> Findings:
    if not rule.issuer:
        yield invalid(path, "there is no issuer", "add issuer: who the tokens say has made them")
    yield from rules.at_most_one(rule, ("jwks_uri", "jwks_uri_snake", "jwks"), path)
    for field, uri in (("jwksUri", rule.jwks_uri), ("jwks_uri", rule.jwks_uri_snake)):
        if uri and urls.scheme(uri) not in ("http", "https"):
            yield invalid((*path, field), f'"{uri}" is no URL of http or https', 'write "https://host/path"')
    if rule.jwks and not _are_keys(rule.jwks):
        yield invalid((*path, "jwks"), "this is no JSON Web Key Set", 'write {"keys": [...]}')
    for index, location in enumerate(rule.from_headers):
        yield from headers.header_name(location.name, (*path, "fromHeaders", index, "name"))
    for index, claim in enumerate(rule.output_claim_to_headers):
        yield from headers.header_name(claim.header, (*path, "outputClaimToHeaders", index, "header"))
    if rule.output_payload_to_header:
        yield from headers.header_name(rule.output_payload_to_header, (*path, "outputPayloadToHeader"))
    yield from rules.at_least_1ms(rule.timeout, (*path, "timeout"))


def _are_keys(text: str) -> bool:
    """A set of keys, or one (RFC 7517)."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return False
    keys = given.get("keys", [given]) if isinstance(given, dict) else None
    return isinstance(keys, list) and all(isinstance(key, dict) and "kty" in key for key in keys)
