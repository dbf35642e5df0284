"""AuthorizationPolicies as Envoy's RBAC: CUSTOM before DENY before ALLOW, and what a policy means to plain TCP."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.security import AuthorizationPolicy, Operation, Rule, Source
from mizzen.derive.authorization import is_dry_run, policies_for, policy
from mizzen.derive.mesh import trust_domains
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.proto.api import RBAC, HttpFilter, HttpRBAC, NetworkFilter, NetworkRBAC
from mizzen.translate import authorization_terms as terms
from mizzen.translate import filter_order
from mizzen.translate.authorization_terms import Attribute, Requirement
from mizzen.translate.built import encode, pack

_ANY: dict[str, Any] = {"any": True}
# Of an ALLOW policy without rules: it allows nothing.
_NEVER: dict[str, Any] = {"permissions": [{"not_rule": _ANY}], "principals": [{"not_id": _ANY}]}
# Istio's trust domain for "this mesh, whatever it is called".
_LOCAL_TRUST_DOMAIN = "cluster.local"

# FIXME: CUSTOM asks no external authorizer until row S6 comes. What it names is refused, as Istio refuses what names
# a provider that it cannot find.
_ACTIONS = (("AUDIT", "LOG"), ("CUSTOM", "DENY"), ("DENY", "DENY"), ("ALLOW", "ALLOW"))


@dataclass(frozen=True, slots=True)
class AuthorizationFilter:
    """One RBAC filter to be: enforced rules and dry-run rules, serialised (values must be hashable)."""

    rules: bytes | None
    shadow_rules: bytes | None
    shadow_prefix: str


@query
def authorization_filters(
    db: Database, namespace: str, labels: FrozenMap[str, str], http: bool
) -> tuple[AuthorizationFilter, ...]:
    """The RBAC filters of a workload, in the order in which they must stand. None where no policy holds for it."""
    chosen = policies_for(db, namespace, labels)
    found = (
        _filter(db, chosen[action], action, envoy_action, http=http)
        for action, envoy_action in _ACTIONS
        if action in chosen
    )
    return tuple(item for item in found if item is not None)


def http_filters(filters: Iterable[AuthorizationFilter]) -> list[HttpFilter]:
    return [
        HttpFilter(name=filter_order.RBAC, typed_config=pack(_configure(HttpRBAC(), item)))
        for item in filters
    ]


def network_filters(filters: Iterable[AuthorizationFilter]) -> list[NetworkFilter]:
    return [
        NetworkFilter(
            name="envoy.filters.network.rbac",
            typed_config=pack(_configure(NetworkRBAC(stat_prefix="tcp."), item)),
        )
        for item in filters
    ]


def _configure(config: Any, item: AuthorizationFilter) -> Any:
    if item.rules is not None:
        config.rules.MergeFromString(item.rules)
        config.rules.SetInParent()
    if item.shadow_rules is not None:
        config.shadow_rules.MergeFromString(item.shadow_rules)
        config.shadow_rules.SetInParent()
    config.shadow_rules_stat_prefix = item.shadow_prefix
    return config


def _filter(
    db: Database, keys: Sequence[ResourceKey], action: str, envoy_action: str, *, http: bool
) -> AuthorizationFilter | None:
    enforced: dict[str, Any] = {}
    dry: dict[str, Any] = {}
    any_dry = any_enforced = False
    for key in keys:
        resource = policy(db, key)
        if resource is None:
            continue
        is_dry = is_dry_run(resource)
        any_dry, any_enforced = any_dry or is_dry, any_enforced or not is_dry
        (dry if is_dry else enforced).update(_policies(resource, action, trust_domains(db), http=http))
    # Only ALLOW refuses by being empty; the others without a rule do nothing.
    keep_enforced = any_enforced and (action == "ALLOW" or bool(enforced))
    keep_dry = any_dry and (action == "ALLOW" or bool(dry))
    if not keep_enforced and not keep_dry:
        return None
    return AuthorizationFilter(
        rules=encode(RBAC(action=envoy_action, policies=enforced)) if keep_enforced else None,
        shadow_rules=encode(RBAC(action=envoy_action, policies=dry)) if keep_dry else None,
        shadow_prefix=f"istio_dry_run_{'deny' if action == 'DENY' and keep_dry else 'allow'}_",
    )


def _policies(
    resource: Resource[AuthorizationPolicy], action: str, domains: Sequence[str], *, http: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, RBAC policy) of each rule. The name is Istio's: it comes back in access logs when the rule decides."""
    key = resource.key
    if not resource.spec.rules and action == "ALLOW":
        yield f"ns[{key.namespace}]-policy[{key.name}]-rule[0]", _NEVER
    for index, rule in enumerate(resource.spec.rules):
        made = _rule(rule, key.namespace, domains, action, http=http)
        if made is not None:
            yield f"ns[{key.namespace}]-policy[{key.name}]-rule[{index}]", made


def _rule(
    rule: Rule, namespace: str, domains: Sequence[str], action: str, *, http: bool
) -> dict[str, Any] | None:
    """The RBAC policy of a rule: any of its `to`, any of its `from`, all of its `when`. None where it can never match."""
    conditions = [
        Requirement(terms.condition_attribute(item.key, namespace), item.values, item.not_values)
        for item in rule.when
    ]
    sources = [_source(item.source or Source(), namespace) for item in rule.from_] or [[]]
    operations = [_operation(item.operation or Operation()) for item in rule.to] or [[]]
    everything = [conditions, *sources, *operations]
    if not http and any(_needs_http(item) for requirements in everything for item in requirements):
        # On plain TCP an ALLOW rule that asks for HTTP can never match; a DENY rule must not be evaded by that, so it
        # denies by what remains (Istio's rule).
        if action == "ALLOW":
            return None
        conditions = _without_http(conditions)
        sources, operations = (
            [_without_http(item) for item in sources],
            [_without_http(item) for item in operations],
        )
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


def _needs_http(item: Requirement) -> bool:
    return item.attribute.http_only and bool(item.values or item.not_values)


def _without_http(requirements: Sequence[Requirement]) -> list[Requirement]:
    return [item for item in requirements if not item.attribute.http_only]


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
