"""Does a Sidecar's selector pick workloads, and no other Sidecar's the same ones?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.objects import resources
from mizzen.analysis.selectors import selector_text
from mizzen.analysis.workloads import ambient, ambient_namespace, selected
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import Sidecar
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query

_PATH = ("spec", "workloadSelector")


@analyzer("Sidecar", codes="IST0101 IST0110 IST0167")
def sidecar_selectors(db: Database, resource: Resource[Sidecar]) -> Findings:
    selector = resource.spec.workload_selector
    key = resource.key
    if selector is None or not selector.labels:
        if ambient_namespace(db, key.namespace):
            message = (
                f"the namespace {key.namespace} is in ambient mode, which has no sidecars: it has no effect"
            )
            yield Finding(
                "IST0167", ("spec",), message, "remove it, or take the namespace out of ambient mode"
            )
        return
    workloads = selected(db, key.namespace, selector.labels)
    if not workloads:
        message = f"no workload of {key.namespace} has the labels {selector_text(selector.labels)}"
        yield Finding("IST0101", _PATH, message, "correct the labels, or start a workload that has them")
    if any(ambient(db, workload) for workload in workloads):
        message = "it selects workloads in ambient mode, which have no sidecar: it has no effect on them"
        yield Finding("IST0167", _PATH, message, "remove it, or take the workloads out of ambient mode")
    for workload in workloads:
        rivals = [rival for rival in sidecars_of(db, workload) if rival != key]
        if rivals and not ambient(db, workload):
            message = (
                f"{' and '.join(map(str, rivals))} select{'s' if len(rivals) == 1 else ''} {workload} too"
            )
            yield Finding("IST0110", _PATH, message, "let one Sidecar only select each workload")


@query
def sidecars_of(db: Database, workload: ResourceKey) -> tuple[ResourceKey, ...]:
    """The Sidecars that select a workload by label."""
    return tuple(
        key
        for key, labels in _selectors(db, workload.namespace)
        if workload in selected(db, key.namespace, labels)
    )


@query
def _selectors(db: Database, namespace: str) -> tuple[tuple[ResourceKey, FrozenMap[str, str]], ...]:
    found = (
        (resource.key, resource.spec.workload_selector) for resource in resources(db, "Sidecar", namespace)
    )
    return tuple(
        (key, selector.labels) for key, selector in found if selector is not None and selector.labels
    )
