"""Does a Sidecar's selector pick workloads, and no other Sidecar's the same ones?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.selectors import selector_text
from mizzen.analysis.workloads import ambient, ambient_namespace, pickers, selected
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.networking import Sidecar
from mizzen.incremental import Database

_MOST_TOLD = 16  # workloads that are worth a finding each
_MOST_NAMED = 5  # rivals in one message
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
    for workload in workloads[:_MOST_TOLD]:
        rivals = [rival for rival in pickers(db, "Sidecar", workload) if rival != key]
        if rivals and not ambient(db, workload):
            message = f"{' and '.join(map(str, rivals[:_MOST_NAMED]))} select{'s' if len(rivals) == 1 else ''} {workload} too"
            yield Finding("IST0110", _PATH, message, "let one Sidecar only select each workload")
