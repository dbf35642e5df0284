"""The vocabulary of AuthorizationPolicy: what one value of one attribute is to Envoy's RBAC.

Each term makes the dict of a Permission (about the request) or a Principal (about the caller). Source: Istio's
security reference: exact, "prefix*", "*suffix" and "*" (present) matches; hosts ignore case; paths exclude the query.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from mizzen.proto.api import UriTemplateMatchConfig
from mizzen.translate.built import pack
from mizzen.translate.claims import is_or_has, verified_claim

Term = Callable[[str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: whether it is about the caller (a Principal), and whether only HTTP has it."""

    term: Term
    principal: bool
    http_only: bool = False
    either: Callable[[Sequence[str]], dict[str, Any]] | None = None
    """Where set: makes one term of all values, in which any of them will do."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """An attribute that must have one of `values` and none of `not_values` (empty: no requirement)."""

    attribute: Attribute
    values: Sequence[str]
    not_values: Sequence[str]


def string_term(value: str, *, ignore_case: bool = False) -> dict[str, Any]:
    """A string matcher; None of these is empty: "*" asks for any non-empty value."""
    case = {"ignore_case": True} if ignore_case else {}
    if value == "*":
        return {"safe_regex": {"regex": ".+"}}
    if value.startswith("*"):
        return {"suffix": value[1:], **case}
    if value.endswith("*"):
        return {"prefix": value[:-1], **case}
    return {"exact": value, **case}


_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def _quoted(text: str) -> str:
    """Text as RE2 takes it literally. (Python's re.escape also escapes what needs none, and names would not be Istio's.)"""
    return _SPECIAL.sub(r"\\\g<0>", text)


def _header(name: str, *, ignore_case: bool = False) -> Term:
    def term(value: str) -> dict[str, Any]:
        if value == "*":
            return {"header": {"name": name, "present_match": True}}
        return {"header": {"name": name, "string_match": string_term(value, ignore_case=ignore_case)}}

    return term


def _path(value: str) -> dict[str, Any]:
    if "{*}" in value or "{**}" in value:
        template = value.replace("{**}", "**").replace("{*}", "*")
        config = pack(UriTemplateMatchConfig(path_template=template))
        return {"uri_template": {"name": "uri-template", "typed_config": config}}
    return {"url_path": {"path": string_term(value)}}


def cidr(value: str) -> dict[str, Any]:
    """Raises ValueError where the value is no address and no CIDR."""
    network = ip_network(value, strict=False)
    return {"address_prefix": str(network.network_address), "prefix_len": {"value": network.prefixlen}}


def _authenticated(matcher: dict[str, Any]) -> dict[str, Any]:
    return {"authenticated": {"principal_name": matcher}}


def _principal(value: str) -> dict[str, Any]:
    """A principal without its scheme. A suffix must not reach over the scheme, hence the regex."""
    if value == "*":
        return _authenticated({"safe_regex": {"regex": ".+"}})
    if value.startswith("*"):
        return _authenticated({"safe_regex": {"regex": f"spiffe://.*{_quoted(value[1:])}"}})
    if value.endswith("*"):
        return _authenticated({"prefix": f"spiffe://{value[:-1]}"})
    return _authenticated({"exact": f"spiffe://{value}"})


def _namespace(value: str) -> dict[str, Any]:
    pattern = _quoted(value).replace(r"\*", ".*")
    return _authenticated({"safe_regex": {"regex": f".*/ns/{pattern}/.*"}})


def _service_account(policy_namespace: str) -> Term:
    def term(value: str) -> dict[str, Any]:
        namespace, slash, name = value.rpartition("/")
        owner = namespace if slash else policy_namespace
        return _authenticated(
            {"safe_regex": {"regex": f"spiffe://.+/ns/{_quoted(owner)}/(.+/|)sa/{_quoted(name)}(/.+)?"}}
        )

    return term


def _trust_domain(value: str) -> dict[str, Any]:
    """A trust domain ends at the first slash: a wildcard must not reach into what stands behind it."""
    if "*" not in value:
        return _authenticated({"prefix": f"spiffe://{value}/"})
    pattern = _quoted(value).replace(r"\*", "[^/]*")
    return _authenticated({"safe_regex": {"regex": f"spiffe://{pattern}/.*"}})


def _claim(*path: str) -> Attribute:
    """A claim of a verified JWT, from the metadata that Envoy's JWT filter leaves. A list matches by any member."""

    def either(values: Sequence[str]) -> dict[str, Any]:
        matcher = _any_of([{"string_match": string_term(value)} for value in values])
        return {"metadata": verified_claim(path, is_or_has(matcher))}

    return Attribute(lambda value: either([value]), principal=True, http_only=True, either=either)


def _any_of(matchers: list[dict[str, Any]]) -> dict[str, Any]:
    return matchers[0] if len(matchers) == 1 else {"or_match": {"value_matchers": matchers}}


def _request_principal(value: str) -> dict[str, Any]:
    """<issuer>/<subject> of a verified JWT, divided at the last slash. Without one a wildcard leaves the other side open,
    and a plain text is an issuer whose tokens name no subject.
    """
    if "/" in value:
        issuer, _, subject = value.rpartition("/")
    elif value.startswith("*"):
        issuer, subject = "*", value
    else:
        issuer, subject = value, "*" if value.endswith("*") else ""
    claims = (
        {"metadata": verified_claim(("iss",), {"string_match": string_term(issuer)})},
        {"metadata": verified_claim(("sub",), {"string_match": string_term(subject)})},
    )
    return {"and_ids": {"ids": list(claims)}}


PRINCIPALS = Attribute(_principal, principal=True)
NAMESPACES = Attribute(_namespace, principal=True)
TRUST_DOMAINS = Attribute(_trust_domain, principal=True)
REQUEST_PRINCIPALS = Attribute(_request_principal, principal=True, http_only=True)
IP_BLOCKS = Attribute(lambda value: {"direct_remote_ip": cidr(value)}, principal=True)
REMOTE_IP_BLOCKS = Attribute(lambda value: {"remote_ip": cidr(value)}, principal=True)
HOSTS = Attribute(_header(":authority", ignore_case=True), principal=False, http_only=True)
METHODS = Attribute(_header(":method"), principal=False, http_only=True)
PATHS = Attribute(_path, principal=False, http_only=True)
PORTS = Attribute(lambda value: {"destination_port": int(value)}, principal=False)
DESTINATION_IP = Attribute(lambda value: {"destination_ip": cidr(value)}, principal=False)
SNI = Attribute(lambda value: {"requested_server_name": string_term(value)}, principal=False)


def service_accounts(policy_namespace: str) -> Attribute:
    """Service accounts: "name" in the policy's own namespace, or "namespace/name"."""
    return Attribute(_service_account(policy_namespace), principal=True)


_CONDITIONS = {
    "source.ip": IP_BLOCKS,
    "remote.ip": REMOTE_IP_BLOCKS,
    "source.namespace": NAMESPACES,
    "source.principal": PRINCIPALS,
    "source.trustDomain": TRUST_DOMAINS,
    "request.auth.principal": REQUEST_PRINCIPALS,
    "request.auth.audiences": _claim("aud"),
    "request.auth.presenter": _claim("azp"),
    "destination.ip": DESTINATION_IP,
    "destination.port": PORTS,
    "connection.sni": SNI,
}
_BRACKETED = re.compile(r"\[([^\[\]]+)\]")


def condition_attribute(key: str, policy_namespace: str) -> Attribute:
    """The attribute that a `when` key names. Raises ValueError for a key that Istio does not define."""
    if key in _CONDITIONS:
        return _CONDITIONS[key]
    if key == "source.serviceAccount":
        return service_accounts(policy_namespace)
    arguments = _BRACKETED.findall(key)
    if key.startswith("request.headers[") and arguments:
        return Attribute(_header(arguments[0]), principal=True, http_only=True)
    if key.startswith("request.auth.claims[") and arguments:
        return _claim(*arguments)
    if key.startswith("experimental.envoy.filters.") and arguments:
        return _filter_metadata(key, arguments[0])
    raise ValueError(f'"{key}" is no condition that Istio defines')


def _filter_metadata(key: str, entry: str) -> Attribute:
    """What another filter left in the request's metadata: a text, or with "[value]" a list that has the value."""
    name = key.partition("[")[0].removeprefix("experimental.")

    def matcher(value: str) -> dict[str, Any]:
        if value.startswith("[") and value.endswith("]"):
            return {"list_match": {"one_of": {"string_match": string_term(value[1:-1])}}}
        return {"string_match": string_term(value)}

    def either(values: Sequence[str]) -> dict[str, Any]:
        found = _any_of([matcher(value) for value in values])
        return {"metadata": {"filter": name, "path": [{"key": entry}], "value": found}}

    return Attribute(lambda value: either([value]), principal=False, either=either)
