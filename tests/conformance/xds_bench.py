"""The set `xds-bench`: for every scenario of Istio's benchmark, its proxy is given something of each type that it asks for.

At full size they are a benchmark (benchmarks/templates.py); here each is a mesh of one service with one instance. Istio
has no expected outputs for them.
"""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.load.scenarios import TYPES, Scenario, scenarios
from tests.conformance.outcome import Outcome, Reason, SetResult, Status
from tests.support.mesh import Mesh

FAILING: Mapping[str, str] = {}
"""Case -> why it is known to fail."""


def run(folder: Path) -> SetResult:
    return SetResult("xds-bench", [_outcome(each) for each in scenarios(folder)], FAILING)


def _outcome(scenario: Scenario) -> Outcome:
    group = "smallest"
    if scenario.obstacle:
        return Outcome(scenario.id, group, Status.SKIPPED, Reason.AMBIENT.value)
    try:
        missing = _missing(scenario)
    except Exception as error:
        return Outcome(scenario.id, group, Status.FAILED, f"{type(error).__name__}: {error}")
    why = f"there is nothing of {', '.join(missing)}" if missing else ""
    return Outcome(scenario.id, group, Status.FAILED if missing else Status.PASSED, why)


def _missing(scenario: Scenario) -> list[str]:
    """The types that are asked for and of which the proxy is given nothing."""
    mesh = Mesh(scenario.text(services=1, instances=1))
    made = {found.type_url for found in mesh.resources(scenario.view(mesh.db))}
    return [name for name in scenario.types if TYPES[name] not in made]
