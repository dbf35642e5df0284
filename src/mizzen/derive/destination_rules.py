"""DestinationRules: which ones hold for a service, seen from a client.

Source: Istio's look-up: the client's namespace, then the service's, then the root namespace; the most specific host
wins; rules of one namespace for one host are merged: subsets add up, the oldest traffic policy wins. A rule with a
workloadSelector holds for the workloads that it picks in its own namespace, before the rules for all, and is merged
only with rules of the same selector.
"""

from collections.abc import Iterator
from typing import NamedTuple

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import DestinationRule, Subset, TrafficPolicy
from mizzen.derive.age import age
from mizzen.derive.hosts import most_specific, qualified
from mizzen.derive.inputs import BY_NAMESPACE, RESOURCES
from mizzen.derive.mesh import exported, mesh_config, root_namespace
from mizzen.derive.namespaces import is_discovered
from mizzen.derive.workloads import covers
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import ServiceRef

RuleKeys = tuple[ResourceKey, ...]
EVERYBODY = ""
"""As a namespace: no object is exported to it by name, and none is its own."""
Selector = FrozenMap[str, str]


class Header(NamedTuple):
    """What the look-up depends on, apart from the rest: a changed policy re-runs no look-up."""

    host: str
    export_to: tuple[str, ...]
    selector: Selector | None  # None: for every client
    age: tuple[bool, str]


@query
def destination_rule(db: Database, key: ResourceKey) -> DestinationRule | None:
    resource = RESOURCES(db, key)
    return resource.spec if resource is not None and isinstance(resource.spec, DestinationRule) else None


@query
def header(db: Database, key: ResourceKey) -> Header:
    resource: Resource[DestinationRule] | None = RESOURCES(db, key)
    if resource is None:
        return Header("", (), None, (True, ""))
    spec = resource.spec
    selector = spec.workload_selector.match_labels if spec.workload_selector else None
    return Header(qualified(spec.host, key.namespace), spec.export_to, selector, age(resource)[:2])


_Groups = tuple[tuple[Selector | None, RuleKeys], ...]


@query
def _are_public(db: Database, owner: str) -> bool:
    """Whether all rules of a namespace are seen by everybody: then they are looked up once for all."""
    default = mesh_config(db).default_destination_rule_export_to
    keys = BY_NAMESPACE(db, ("DestinationRule", owner))
    return all("*" in (header(db, key).export_to or default or ("*",)) for key in keys)


@query
def _namespace_rules(db: Database, owner: str, audience: str) -> FrozenMap[str, _Groups]:
    """The rules of namespace `owner` that an audience can see: host pattern -> rules by selector, oldest first."""
    if not is_discovered(db, owner):
        return FrozenMap()
    default = mesh_config(db).default_destination_rule_export_to
    headers = ((header(db, key), key) for key in BY_NAMESPACE(db, ("DestinationRule", owner)))
    table: dict[str, dict[Selector | None, RuleKeys]] = {}
    for found, key in sorted(headers, key=lambda entry: (entry[0].age, entry[1])):
        if exported(found.export_to, default, owner, audience):
            groups = table.setdefault(found.host, {})
            groups[found.selector] = (*groups.get(found.selector, ()), key)
    return FrozenMap({host: tuple(groups.items()) for host, groups in table.items()})


def rules_for(db: Database, scope: OutboundScope, ref: ServiceRef) -> RuleKeys:
    """The rules that hold when a proxy of a scope calls a service: one, or several to be merged.

    No query of its own: there would be one for every service and every namespace.
    """
    client = scope.namespace
    for owner in dict.fromkeys((client, ref.namespace, root_namespace(db))):
        audience = EVERYBODY if _are_public(db, owner) else client
        if owner == client:
            groups = _of_host(_namespace_rules(db, owner, audience), ref.host)
        else:
            groups = _rules_of_host(db, owner, audience, ref.host)
        if groups:
            return _for_labels(groups, scope.labels if owner == client else None)
    return ()


@query
def _rules_of_host(db: Database, owner: str, audience: str, host: str) -> _Groups:
    """The same for all clients that see the same rules."""
    return _of_host(_namespace_rules(db, owner, audience), host)


def _of_host(table: FrozenMap[str, _Groups], host: str) -> _Groups:
    """The rules of the most specific pattern that covers a host."""
    if host in table:
        return table[host]
    pattern = most_specific((p for p in table if p.startswith("*")), host)
    return table[pattern] if pattern else ()


def _for_labels(groups: _Groups, labels: FrozenMap[str, str] | None) -> RuleKeys:
    """The rules that pick a client with these labels, else those for all; None: a client of another namespace."""
    for selector, keys in groups:
        if selector is not None and labels is not None and covers(selector, labels):
            return keys
    return next((keys for selector, keys in groups if selector is None), ())


@query
def selector_label_names(db: Database, namespace: str) -> tuple[str, ...]:
    """The labels by which rules of a namespace tell its workloads apart."""
    selectors = (header(db, key).selector for key in BY_NAMESPACE(db, ("DestinationRule", namespace)))
    return tuple(sorted({name for selector in selectors for name in selector or EMPTY}))


def picks_callers(db: Database, rules: RuleKeys) -> bool:
    """Whether rules hold for selected workloads only."""
    return any(header(db, key).selector is not None for key in rules)


def subsets(db: Database, rules: RuleKeys) -> Iterator[tuple[ResourceKey, int, Subset]]:
    """The subsets of merged rules, the first of a name, with the rule and the index that declare each."""
    seen: set[str] = set()
    for key in rules:
        rule = destination_rule(db, key)
        for index, subset in enumerate(rule.subsets if rule else ()):
            if subset.name not in seen:
                seen.add(subset.name)
                yield key, index, subset


@query
def subset_names(db: Database, rules: RuleKeys) -> tuple[str, ...]:
    return tuple(subset.name for _, _, subset in subsets(db, rules))


@query
def subset_labels(db: Database, rules: RuleKeys, name: str) -> FrozenMap[str, str] | None:
    """The labels that pick a subset's endpoints; None where no rule declares it."""
    return next((subset.labels for _, _, subset in subsets(db, rules) if subset.name == name), None)


def traffic_policy(db: Database, rules: RuleKeys) -> tuple[ResourceKey, TrafficPolicy] | None:
    """The traffic policy of merged rules, and which rule has it."""
    for key in rules:
        rule = destination_rule(db, key)
        if rule is not None and rule.traffic_policy is not None:
            return key, rule.traffic_policy
    return None
