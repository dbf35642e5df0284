"""Does a Telemetry's selector pick workloads, and no other Telemetry's the same ones?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.selectors import selector_text
from mizzen.analysis.workloads import pickers, selected
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.telemetry import Telemetry
from mizzen.incremental import Database

_MOST_TOLD = 16  # workloads that are worth a finding each
_MOST_NAMED = 5  # rivals in one message
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
    for workload in workloads[:_MOST_TOLD]:
        rivals = [rival for rival in pickers(db, "Telemetry", workload) if rival != key]
        if rivals:
            message = f"{' and '.join(map(str, rivals[:_MOST_NAMED]))} select{'s' if len(rivals) == 1 else ''} {workload} too"
            yield Finding("IST0159", _PATH, message, "let one Telemetry only select each workload")
