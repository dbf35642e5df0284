"""Sidecars: which one holds for a workload.

Source: Istio's Sidecar resource: the one whose workloadSelector picks the workload, else its namespace's default (without
a selector), else the default of the root namespace; the oldest where several would do.
"""

from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import Sidecar
from mizzen.derive.authentication import age
from mizzen.derive.inputs import BY_NAMESPACE, RESOURCES
from mizzen.derive.mesh import root_namespace
from mizzen.derive.workloads import covers
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query


@query
def sidecar(db: Database, key: ResourceKey) -> Sidecar | None:
    resource = RESOURCES(db, key)
    return resource.spec if resource is not None and isinstance(resource.spec, Sidecar) else None


@query
def _header(db: Database, key: ResourceKey) -> tuple[FrozenMap[str, str], tuple[bool, str]]:
    """(selector, age): what the choice depends on. A changed listener re-runs no choice."""
    resource = RESOURCES(db, key)
    if resource is None or not isinstance(resource.spec, Sidecar):
        return EMPTY, (True, "")
    selector = resource.spec.workload_selector
    return (selector.labels if selector else EMPTY), age(resource)[:2]


@query
def _oldest_first(db: Database, namespace: str) -> tuple[tuple[ResourceKey, FrozenMap[str, str]], ...]:
    """The Sidecars of a namespace with their selectors."""
    keys = sorted(BY_NAMESPACE(db, ("Sidecar", namespace)), key=lambda key: (_header(db, key)[1], key))
    return tuple((key, _header(db, key)[0]) for key in keys)


@query
def sidecar_for(db: Database, namespace: str, labels: FrozenMap[str, str]) -> ResourceKey | None:
    """The Sidecar that holds for a workload."""
    own = _oldest_first(db, namespace)
    selecting = next((key for key, selector in own if selector and covers(selector, labels)), None)
    return selecting or _default(own) or _default(_oldest_first(db, root_namespace(db)))


def _default(sidecars: tuple[tuple[ResourceKey, FrozenMap[str, str]], ...]) -> ResourceKey | None:
    return next((key for key, selector in sidecars if not selector), None)
