"""Is there one Telemetry at most that holds for a whole namespace?"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.objects import resources
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.telemetry import Telemetry
from mizzen.incremental import Database, query


@analyzer("Telemetry", codes="IST0160")
def telemetry_defaults(db: Database, resource: Resource[Telemetry]) -> Findings:
    key = resource.key
    defaults = default_telemetries(db, key.namespace)
    rivals = [str(rival) for rival in defaults if rival != key]
    if key in defaults and rivals:
        verb = "holds" if len(rivals) == 1 else "hold"
        message = f"{' and '.join(rivals)} {verb} for all workloads of {key.namespace} too"
        yield Finding("IST0160", ("spec",), message, "keep one of them, or add a selector")


@query
def default_telemetries(db: Database, namespace: str) -> tuple[ResourceKey, ...]:
    """The Telemetries of a namespace without a selector and without a target."""
    found = resources(db, "Telemetry", namespace)
    return tuple(each.key for each in found if each.spec.selector is None and not targeted(each.spec))


def targeted(spec: Telemetry) -> bool:
    return spec.target_ref is not None or bool(spec.target_refs)
