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

Term = Callable[[str], dict[str, Any]]
JWT_FILTER = "envoy.filters.http.jwt_authn"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: whether it is about the caller (a Principal), and whether only HTTP has it."""

    term: Term
    principal: bool
    http_only: bool = False


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
        return _authenticated({"safe_regex": {"regex": f"spiffe://.*{re.escape(value[1:])}"}})
    if value.endswith("*"):
        return _authenticated({"prefix": f"spiffe://{value[:-1]}"})
    return _authenticated({"exact": f"spiffe://{value}"})


def _namespace(value: str) -> dict[str, Any]:
    pattern = re.escape(value).replace(r"\*", ".*")
    return _authenticated({"safe_regex": {"regex": f".*/ns/{pattern}/.*"}})


def _service_account(policy_namespace: str) -> Term:
    def term(value: str) -> dict[str, Any]:
        namespace, slash, name = value.rpartition("/")
        owner = namespace if slash else policy_namespace
        return _authenticated(
            {"safe_regex": {"regex": f"spiffe://.+/ns/{re.escape(owner)}/(.+/|)sa/{re.escape(name)}(/.+)?"}}
        )

    return term


def _trust_domain(value: str) -> dict[str, Any]:
    pattern = re.escape(value).replace(r"\*", ".*")
    return _authenticated({"safe_regex": {"regex": f"spiffe://{pattern}/.*"}})


def _claim(path: Sequence[str]) -> Term:
    """A claim of a verified JWT, from the metadata that Envoy's JWT filter leaves. Lists match by any member."""

    def term(value: str) -> dict[str, Any]:
        matcher = {"string_match": string_term(value)}
        either = {"or_match": {"value_matchers": [matcher, {"list_match": {"one_of": matcher}}]}}
        steps = [{"key": step} for step in ("payload", *path)]
        return {"metadata": {"filter": JWT_FILTER, "path": steps, "value": either}}

    return term


def _request_principal(value: str) -> dict[str, Any]:
    """<issuer>/<subject> of a verified JWT. A wildcard is taken at the end of the whole that carries it."""
    if value == "*":
        issuer, subject = "*", "*"
    elif value.startswith("*"):
        head, slash, tail = value.rpartition("/")
        issuer, subject = (head or "*", tail) if slash else ("*", value)
    else:
        head, slash, tail = value.rpartition("/")
        issuer, subject = (head, tail or "*") if slash else (value, "*")
    claims = (_claim(("iss",))(issuer), _claim(("sub",))(subject))
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
    "request.auth.principal": REQUEST_PRINCIPALS,
    "request.auth.audiences": Attribute(_claim(("aud",)), principal=True, http_only=True),
    "request.auth.presenter": Attribute(_claim(("azp",)), principal=True, http_only=True),
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
        return Attribute(_claim(arguments), principal=True, http_only=True)
    if key.startswith("experimental.envoy.filters.") and arguments:
        return Attribute(_filter_metadata(key, arguments[0]), principal=False)
    raise ValueError(f'"{key}" is no condition that Istio defines')


def _filter_metadata(key: str, entry: str) -> Term:
    name = key.partition("[")[0].removeprefix("experimental.")

    def term(value: str) -> dict[str, Any]:
        matcher = {"string_match": string_term(value)}
        return {"metadata": {"filter": name, "path": [{"key": entry}], "value": matcher}}

    return term
