"""Is there one Sidecar at most that holds for a whole namespace?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.objects import resources
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import Sidecar
from mizzen.incremental import Database, query


@analyzer("Sidecar", codes="IST0111")
def sidecar_defaults(db: Database, resource: Resource[Sidecar]) -> Findings:
    key = resource.key
    defaults = default_sidecars(db, key.namespace)
    if key not in defaults:
        return
    rivals = [str(rival) for rival in defaults if rival != key]
    if rivals:
        verb = "holds" if len(rivals) == 1 else "hold"
        message = f"{' and '.join(rivals)} {verb} for all workloads of {key.namespace} too"
        yield Finding("IST0111", ("spec",), message, "keep one of them, or add a workloadSelector")


@query
def default_sidecars(db: Database, namespace: str) -> tuple[ResourceKey, ...]:
    """The Sidecars of a namespace without a selector."""
    found = resources(db, "Sidecar", namespace)
    return tuple(each.key for each in found if each.spec.workload_selector is None)
