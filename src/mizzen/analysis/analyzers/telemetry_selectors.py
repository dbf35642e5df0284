"""Does a Telemetry's selector pick workloads, and no other Telemetry's the same ones?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.objects import resources
from mizzen.analysis.selectors import selector_text
from mizzen.analysis.workloads import selected
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.telemetry import Telemetry
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query

_PATH = ("spec", "selector")


@analyzer("Telemetry", codes="IST0101 IST0159")
def telemetry_selectors(db: Database, resource: Resource[Telemetry]) -> Findings:
    selector, key = resource.spec.selector, resource.key
    if selector is None or not selector.match_labels:
        return
    workloads = selected(db, key.namespace, selector.match_labels)
    if not workloads:
        message = f"no workload of {key.namespace} has the labels {selector_text(selector.match_labels)}"
        yield Finding("IST0101", _PATH, message, "correct the labels, or start a workload that has them")
    for workload in workloads:
        rivals = [rival for rival in telemetries_of(db, workload) if rival != key]
        if rivals:
            message = (
                f"{' and '.join(map(str, rivals))} select{'s' if len(rivals) == 1 else ''} {workload} too"
            )
            yield Finding("IST0159", _PATH, message, "let one Telemetry only select each workload")


@query
def telemetries_of(db: Database, workload: ResourceKey) -> tuple[ResourceKey, ...]:
    """The Telemetries that select a workload by label."""
    return tuple(
        key
        for key, labels in _selectors(db, workload.namespace)
        if workload in selected(db, key.namespace, labels)
    )


@query
def _selectors(db: Database, namespace: str) -> tuple[tuple[ResourceKey, FrozenMap[str, str]], ...]:
    found = ((resource.key, resource.spec.selector) for resource in resources(db, "Telemetry", namespace))
    return tuple(
        (key, chosen.match_labels) for key, chosen in found if chosen is not None and chosen.match_labels
    )
