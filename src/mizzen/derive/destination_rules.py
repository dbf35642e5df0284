"""DestinationRules: which ones hold for a service, seen from a client's namespace.

Source: Istio's look-up: the client's namespace, then the service's, then the root namespace; the most specific host
wins; rules of one namespace for one host are merged: subsets add up, the oldest traffic policy wins.
"""

from collections.abc import Iterator

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import DestinationRule, Subset, TrafficPolicy
from mizzen.derive.authentication import age
from mizzen.derive.hosts import most_specific, qualified
from mizzen.derive.inputs import BY_NAMESPACE, RESOURCES
from mizzen.derive.mesh import exported, mesh_config, root_namespace
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import OutboundScope
from mizzen.model.service import ServiceRef

RuleKeys = tuple[ResourceKey, ...]


@query
def destination_rule(db: Database, key: ResourceKey) -> DestinationRule | None:
    resource = RESOURCES(db, key)
    return resource.spec if resource is not None and isinstance(resource.spec, DestinationRule) else None


@query
def _header(db: Database, key: ResourceKey) -> tuple[str, tuple[str, ...], tuple[bool, str]]:
    resource: Resource[DestinationRule] | None = RESOURCES(db, key)
    if resource is None:
        return "", (), (True, "")
    return qualified(resource.spec.host, key.namespace), resource.spec.export_to, age(resource)[:2]


@query
def _namespace_rules(db: Database, owner: str, client: str) -> FrozenMap[str, RuleKeys]:
    """The rules of namespace `owner` that `client` can see: host pattern -> rules, oldest first."""
    default = mesh_config(db).default_destination_rule_export_to
    keys = sorted(BY_NAMESPACE(db, ("DestinationRule", owner)), key=lambda key: (_header(db, key)[2], key))
    table: dict[str, RuleKeys] = {}
    for key in keys:
        host, export_to, _ = _header(db, key)
        if exported(export_to, default, owner, client):
            table[host] = (*table.get(host, ()), key)
    return FrozenMap(table)


@query
def rules_for(db: Database, scope: OutboundScope, ref: ServiceRef) -> RuleKeys:
    """The rules that hold when a proxy of a scope calls a service: one, or several to be merged."""
    for owner in dict.fromkeys((scope.namespace, ref.namespace, root_namespace(db))):
        table = _namespace_rules(db, owner, scope.namespace)
        pattern = (
            ref.host
            if ref.host in table
            else most_specific((p for p in table if p.startswith("*")), ref.host)
        )
        if pattern:
            return table[pattern]
    return ()


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
