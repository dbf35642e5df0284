"""Workloads: the WorkloadEntries of the configuration, and which of them a selector picks."""

from collections.abc import Mapping

from mizzen.config import proxy_annotation
from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import WorkloadEntry
from mizzen.derive.inputs import RESOURCES, WORKLOADS_BY_LABEL, workload_labels
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.workload import Workload


def workload_key(namespace: str, name: str) -> ResourceKey:
    return ResourceKey("WorkloadEntry", namespace, name)


@query
def workload(db: Database, key: ResourceKey) -> Workload | None:
    """The workload that a WorkloadEntry declares."""
    resource = RESOURCES(db, key)
    if resource is None or not isinstance(resource.spec, WorkloadEntry):
        return None
    spec = resource.spec
    return Workload(
        key=key,
        address=spec.address,
        labels=FrozenMap(workload_labels(resource)),
        ports=FrozenMap(dict(spec.ports)),
        service_account=spec.service_account or "default",
        network=spec.network,
        locality=spec.locality,
        weight=spec.weight or 0,
        proxy_config=resource.annotations.get(proxy_annotation.ANNOTATION, ""),
    )


def covers(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy a selector. An empty selector covers everything (Istio's WorkloadSelector)."""
    return all(labels.get(name) == value for name, value in selector.items())


@query
def selected_workloads(db: Database, namespace: str, selector: FrozenMap[str, str]) -> tuple[Workload, ...]:
    """The workloads of a namespace that a service's selector picks, in the order of their names.

    An empty selector picks none, as in Kubernetes. Only the workloads that carry the selector's first label are
    looked at, so that a change elsewhere re-runs nothing here.
    """
    if not selector:
        return ()
    first = min(selector.items())
    candidates = (workload(db, key) for key in WORKLOADS_BY_LABEL(db, (namespace, *first)))
    return tuple(found for found in candidates if found is not None and covers(selector, found.labels))
