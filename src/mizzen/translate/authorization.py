"""AuthorizationPolicies as Envoy's RBAC: CUSTOM before DENY before ALLOW, and what a policy means to plain TCP.

Validation keeps out what cannot be translated. Should something get through all the same, it counts on the safe side: a rule that
allows matches nothing, one that denies (or asks an authorizer) does so by what remains of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.security import AuthorizationPolicy, Operation, Rule, Source
from mizzen.derive.authorization import is_dry_run, policies_for, policy
from mizzen.derive.mesh import trust_domains
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.proto.api import (
    RBAC,
    HttpExtAuthz,
    HttpFilter,
    HttpRBAC,
    NetworkExtAuthz,
    NetworkFilter,
    NetworkRBAC,
)
from mizzen.translate import authorization_terms as terms
from mizzen.translate import filter_order
from mizzen.translate.authorization_terms import Attribute, Requirement
from mizzen.translate.built import encode, pack
from mizzen.translate.external_authorization import (
    MARK_PREFIX,
    Authorizer,
    authorizer,
    in_order,
    policy_prefix,
)

_ANY: dict[str, Any] = {"any": True}
# Of an ALLOW policy without rules: it allows nothing.
_NEVER: dict[str, Any] = {"permissions": [{"not_rule": _ANY}], "principals": [{"not_id": _ANY}]}
# Istio's trust domain for "this mesh, whatever it is called".
_LOCAL_TRUST_DOMAIN = "cluster.local"

_ACTIONS = (("AUDIT", "LOG"), ("DENY", "DENY"), ("ALLOW", "ALLOW"))
_CUSTOM = "CUSTOM"
_STREAM_EXT_AUTHZ = "envoy.filters.network.ext_authz"
# Istio's name for what a CUSTOM policy becomes that names no authorizer which could be asked.
_BAD_CUSTOM = "-deny-due-to-bad-CUSTOM-action"


@dataclass(frozen=True, slots=True)
class AuthorizationFilter:
    """One RBAC filter to be: enforced rules and dry-run rules, serialised (values must be hashable)."""

    rules: bytes | None
    shadow_rules: bytes | None
    shadow_prefix: str = ""


@dataclass(frozen=True, slots=True)
class ExternalFilter:
    """A filter that asks an external authorizer, serialised."""

    config: bytes


Filters = tuple[AuthorizationFilter | ExternalFilter, ...]


@query
def authorization_filters(db: Database, namespace: str, labels: FrozenMap[str, str], http: bool) -> Filters:
    """The filters of a workload, in the order in which they must stand. None where no policy holds for it."""
    chosen = policies_for(db, namespace, labels)
    found = (
        _filter(db, chosen[action], action, envoy_action, http=http)
        for action, envoy_action in _ACTIONS
        if action in chosen
    )
    return (
        *custom_filters(db, namespace, labels, http=http),
        *(item for item in found if item is not None),
    )


def custom_filters(
    db: Database, namespace: str, labels: FrozenMap[str, str], *, http: bool
) -> Iterator[AuthorizationFilter | ExternalFilter]:
    """What asks the authorizers of a workload: each after the filter that marks what it is asked about.

    Each must allow. Source: Istio. What names no authorizer that can be asked is refused; on plain TCP, where one that
    speaks HTTP alone cannot be asked, what a policy says about all connections is. (Istio lets these pass.)
    """
    for name, keys in _by_provider(db, namespace, labels).items():
        found = authorizer(db, name)
        asking = found and (found.http if http else found.stream)
        if asking:
            marked = _custom_rules(db, keys, policy_prefix(name), http=http)
            if marked:
                yield AuthorizationFilter(None, _rbac("DENY", marked), MARK_PREFIX)
                yield ExternalFilter(asking)
            continue
        strict = found is not None  # it can be asked, but not on this kind of connection
        refused = _custom_rules(db, keys, policy_prefix(name), _BAD_CUSTOM, http=http, strict=strict)
        if refused:
            yield AuthorizationFilter(_rbac("DENY", refused), None)


@query
def authorizers_of(db: Database, namespace: str, labels: FrozenMap[str, str]) -> tuple[Authorizer, ...]:
    """The external authorizers that a workload asks: their clusters must be there, whatever else it calls."""
    found = (authorizer(db, name) for name in _by_provider(db, namespace, labels))
    return tuple(item for item in found if item is not None)


def _by_provider(db: Database, namespace: str, labels: FrozenMap[str, str]) -> dict[str, list[ResourceKey]]:
    """The CUSTOM policies in force by their provider. A dry run asks nobody: the answer would come too late to be one."""
    found: dict[str, list[ResourceKey]] = {}
    for key in policies_for(db, namespace, labels).get(_CUSTOM, ()):
        resource = policy(db, key)
        if resource is not None and not is_dry_run(resource):
            name = resource.spec.provider.name if resource.spec.provider else ""
            found.setdefault(name, []).append(key)
    return {name: found[name] for name in in_order(found)}


def _custom_rules(
    db: Database,
    keys: Iterable[ResourceKey],
    prefix: str,
    suffix: str = "",
    *,
    http: bool,
    strict: bool = False,
) -> dict[str, Any]:
    """The rules of CUSTOM policies, under Istio's names: of the provider, of the policy, and of what went wrong."""
    return {
        f"{prefix}-{name}{suffix}": rule
        for key in keys
        if (resource := policy(db, key)) is not None
        for name, rule in _policies(resource, _CUSTOM, trust_domains(db), http=http, strict=strict)
    }


def _rbac(action: str, policies: dict[str, Any]) -> bytes:
    return encode(RBAC(action=action, policies=policies))


def http_filters(filters: Iterable[AuthorizationFilter | ExternalFilter]) -> list[HttpFilter]:
    return [
        HttpFilter(name=filter_order.EXT_AUTHZ, typed_config=_packed(HttpExtAuthz(), item))
        if isinstance(item, ExternalFilter)
        else HttpFilter(name=filter_order.RBAC, typed_config=pack(_configure(HttpRBAC(), item)))
        for item in filters
    ]


def network_filters(filters: Iterable[AuthorizationFilter | ExternalFilter]) -> list[NetworkFilter]:
    return [
        NetworkFilter(name=_STREAM_EXT_AUTHZ, typed_config=_packed(NetworkExtAuthz(), item))
        if isinstance(item, ExternalFilter)
        else NetworkFilter(
            name="envoy.filters.network.rbac",
            typed_config=pack(_configure(NetworkRBAC(stat_prefix="tcp."), item)),
        )
        for item in filters
    ]


def _packed(config: Any, item: ExternalFilter) -> Any:
    config.MergeFromString(item.config)
    return pack(config)


def _configure(config: Any, item: AuthorizationFilter) -> Any:
    if item.rules is not None:
        config.rules.MergeFromString(item.rules)
        config.rules.SetInParent()
    if item.shadow_rules is not None:
        config.shadow_rules.MergeFromString(item.shadow_rules)
        config.shadow_rules.SetInParent()
    if item.shadow_prefix:
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
        rules=_rbac(envoy_action, enforced) if keep_enforced else None,
        shadow_rules=_rbac(envoy_action, dry) if keep_dry else None,
        shadow_prefix=f"istio_dry_run_{'deny' if action == 'DENY' and keep_dry else 'allow'}_",
    )


def _policies(
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
