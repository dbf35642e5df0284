"""The filters that enforce a workload's AuthorizationPolicies: CUSTOM before DENY before ALLOW."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mizzen.config.resource import ResourceKey
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
from mizzen.translate import filter_order
from mizzen.translate.authorization.external import (
    MARK_PREFIX,
    Authorizer,
    authorizer,
    in_order,
    policy_prefix,
)
from mizzen.translate.authorization.rules import rbac_policies
from mizzen.translate.built import encode, pack

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
        for name, rule in rbac_policies(resource, _CUSTOM, trust_domains(db), http=http, strict=strict)
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
        (dry if is_dry else enforced).update(rbac_policies(resource, action, trust_domains(db), http=http))
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
