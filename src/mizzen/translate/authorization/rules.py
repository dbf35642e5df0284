"""The rules of an AuthorizationPolicy as policies of Envoy's RBAC, and what they mean to plain TCP.

Validation keeps out what cannot be translated. Should something get through all the same, it counts on the safe side: a rule that
allows matches nothing, one that denies (or asks an authorizer) does so by what remains of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from mizzen.config.resource import Resource
from mizzen.config.types.security import AuthorizationPolicy, Operation, Rule, Source
from mizzen.translate.authorization import terms
from mizzen.translate.authorization.terms import Attribute, Requirement

_ANY: dict[str, Any] = {"any": True}
# Of an ALLOW policy without rules: it allows nothing.
_NEVER: dict[str, Any] = {"permissions": [{"not_rule": _ANY}], "principals": [{"not_id": _ANY}]}
# Istio's trust domain for "this mesh, whatever it is called".
_LOCAL_TRUST_DOMAIN = "cluster.local"


def rbac_policies(
    resource: Resource[AuthorizationPolicy],
    action: str,
    domains: Sequence[str],
    *,
    http: bool,
    strict: bool = False,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, RBAC policy) of each rule. The name is Istio's: it comes back in access logs when the rule decides."""
    key = resource.key
    if not resource.spec.rules and action == "ALLOW":
        yield f"ns[{key.namespace}]-policy[{key.name}]-rule[0]", _NEVER
    for index, rule in enumerate(resource.spec.rules):
        widens = action != "ALLOW" and not strict
        made = _rule(rule, key.namespace, domains, http=http, widens=widens)
        if made is not None:
            yield f"ns[{key.namespace}]-policy[{key.name}]-rule[{index}]", made


def _rule(
    rule: Rule, namespace: str, domains: Sequence[str], *, http: bool, widens: bool
) -> dict[str, Any] | None:
    """The RBAC policy of a rule: any of its `to`, any of its `from`, all of its `when`. None where it can never match.

    What asks for HTTP on plain TCP cannot be told there, nor what has no translation: a rule that `widens` does without, so
    that a DENY is not evaded (Istio's rule for TCP); any other never matches.
    """
    conditions = list(_conditions(rule, namespace))
    sources = [_source(item.source or Source(), namespace) for item in rule.from_] or [[]]
    operations = [_operation(item.operation or Operation()) for item in rule.to] or [[]]
    everything = [conditions, *sources, *operations]
    if any(not _is_told(item, http=http) for requirements in everything for item in requirements):
        if not widens:
            return None
        conditions = _told(conditions, http=http)
        sources = [_told(item, http=http) for item in sources]
        operations = [_told(item, http=http) for item in operations]
    conditions = [_aliased(item, domains) for item in conditions]
    sources = [[_aliased(item, domains) for item in requirements] for requirements in sources]
    return {
        "permissions": [
            _all([*operation, *(c for c in conditions if not c.attribute.principal)], "rules")
            for operation in operations
        ],
        "principals": [
            _all([*source, *(c for c in conditions if c.attribute.principal)], "ids") for source in sources
        ],
    }


def _conditions(rule: Rule, namespace: str) -> Iterator[Requirement]:
    for item in rule.when:
        try:
            attribute = terms.condition_attribute(item.key, namespace)
        except ValueError:
            attribute = _UNKNOWN
        yield Requirement(attribute, item.values, item.not_values)


def _nothing(value: str) -> dict[str, Any]:
    raise ValueError(value)


_UNKNOWN = Attribute(_nothing, principal=True)
"""Of a condition that Istio does not define."""


def _is_told(item: Requirement, *, http: bool) -> bool:
    """Whether a proxy can tell if the requirement is met."""
    if not item.values and not item.not_values:
        return True
    if item.attribute.http_only and not http:
        return False
    try:
        for values in (item.values, item.not_values):
            if values:
                _either(item.attribute, values, "rules")
    except ValueError:
        return False
    return True


def _told(requirements: Sequence[Requirement], *, http: bool) -> list[Requirement]:
    return [item for item in requirements if _is_told(item, http=http)]


def _source(source: Source, namespace: str) -> list[Requirement]:
    return [
        Requirement(terms.service_accounts(namespace), source.service_accounts, source.not_service_accounts),
        Requirement(terms.TRUST_DOMAINS, source.trust_domains, source.not_trust_domains),
        Requirement(terms.PRINCIPALS, source.principals, source.not_principals),
        Requirement(terms.REQUEST_PRINCIPALS, source.request_principals, source.not_request_principals),
        Requirement(terms.NAMESPACES, source.namespaces, source.not_namespaces),
        Requirement(terms.REMOTE_IP_BLOCKS, source.remote_ip_blocks, source.not_remote_ip_blocks),
        Requirement(terms.IP_BLOCKS, source.ip_blocks, source.not_ip_blocks),
    ]


def _operation(operation: Operation) -> list[Requirement]:
    return [
        Requirement(terms.HOSTS, operation.hosts, operation.not_hosts),
        Requirement(terms.METHODS, operation.methods, operation.not_methods),
        Requirement(terms.PATHS, operation.paths, operation.not_paths),
        Requirement(terms.PORTS, operation.ports, operation.not_ports),
    ]


def _aliased(item: Requirement, domains: Sequence[str]) -> Requirement:
    """Principals of this mesh's trust domain count under all of its names (Istio's trust domain aliases)."""
    if item.attribute is not terms.PRINCIPALS:
        return item
    return replace(
        item, values=_under_all(item.values, domains), not_values=_under_all(item.not_values, domains)
    )


def _under_all(principals: Sequence[str], domains: Sequence[str]) -> list[str]:
    found: list[str] = []
    for principal in principals:
        domain, slash, rest = principal.partition("/")
        ours = domain == _LOCAL_TRUST_DOMAIN or any(_covers(domain, name) for name in domains)
        if slash and domain != "*" and ours:
            found += [principal if _covers(domain, name) else f"{name}/{rest}" for name in domains]
        else:
            found.append(principal)
    return list(dict.fromkeys(found))


def _covers(pattern: str, domain: str) -> bool:
    return pattern == domain or (pattern.startswith("*") and domain.endswith(pattern[1:]))


def _all(requirements: Sequence[Requirement], members: str) -> dict[str, Any]:
    """All requirements at once: Envoy's and_rules or and_ids ("rules" or "ids"), Any where there is none."""
    one, many = ("not_rule", "rules") if members == "rules" else ("not_id", "ids")
    found: list[dict[str, Any]] = []
    for item in requirements:
        if item.values:
            found.append(_either(item.attribute, item.values, many))
        if item.not_values:
            found.append({one: _either(item.attribute, item.not_values, many)})
    return {f"and_{many}": {many: found or [_ANY]}}


def _either(attribute: Attribute, values: Sequence[str], many: str) -> dict[str, Any]:
    if attribute.either is not None:
        return attribute.either(values)
    return {f"or_{many}": {many: [attribute.term(value) for value in values]}}
