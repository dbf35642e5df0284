"""EnvoyFilters: which ones hold for a workload, in what order."""

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.envoy_filter import ApplyTo, EnvoyConfigObjectPatch, EnvoyFilter
from mizzen.derive.age import age
from mizzen.derive.inputs import BY_NAMESPACE, RESOURCES
from mizzen.derive.mesh import root_namespace
from mizzen.derive.workloads import covers
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query

FilterKeys = tuple[ResourceKey, ...]


@query
def _scope(db: Database, key: ResourceKey) -> tuple[FrozenMap[str, str], tuple[int, bool, str]] | None:
    """(selector, (priority, age)): what the choice depends on. A changed patch re-runs no choice."""
    resource: Resource[EnvoyFilter] | None = RESOURCES(db, key)
    if resource is None:
        return None
    spec = resource.spec
    selector = spec.workload_selector.labels if spec.workload_selector else FrozenMap()
    return selector, (spec.priority, *age(resource)[:2])


@query
def envoy_filters_for(db: Database, namespace: str, labels: FrozenMap[str, str]) -> FilterKeys:
    """The EnvoyFilters of a workload in the order in which they are applied: those of the root namespace before its
    own namespace's, each by priority, age and name (Istio's rule).
    """
    found: list[ResourceKey] = []
    for owner in dict.fromkeys((root_namespace(db), namespace)):
        scopes = [(key, _scope(db, key)) for key in BY_NAMESPACE(db, ("EnvoyFilter", owner))]
        held = [(scope[1], key) for key, scope in scopes if scope and covers(scope[0], labels)]
        found += [key for _, key in sorted(held)]
    return tuple(found)


@query
def patches(db: Database, filters: FilterKeys, kinds: frozenset[ApplyTo]) -> tuple["NumberedPatch", ...]:
    """The patches of these EnvoyFilters that change one of these kinds of things, in order, each with its place."""
    return tuple(
        (key, index, patch)
        for key in filters
        for index, patch in enumerate(_patches(db, key))
        if patch.apply_to in kinds and patch.patch is not None
    )


NumberedPatch = tuple[ResourceKey, int, EnvoyConfigObjectPatch]


@query
def _patches(db: Database, key: ResourceKey) -> tuple[EnvoyConfigObjectPatch, ...]:
    resource: Resource[EnvoyFilter] | None = RESOURCES(db, key)
    return resource.spec.config_patches if resource is not None else ()
