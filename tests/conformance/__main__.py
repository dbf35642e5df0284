"""`make conformance [SETS="authz"]`: Istio's own cases, one line per set at the end.

The corpora lie beside the repository, or where MIZZEN_CONFORMANCE says. Exit status 1: a case fails that is not listed, a
listed one passes, or a group passes too little.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.conformance import analysis, authz, routing_sim, validation
from tests.conformance.outcome import SetResult, Status

SETS: Mapping[str, Callable[[Path], SetResult]] = {
    "analysis": analysis.run,
    "authz": authz.run,
    "routing-sim": routing_sim.run,
    "validation": validation.run,
}
NOT_ASKED_FOR_YET = (
    "gateway-api",
    "injection",
    "iptables",
    "routing-e2e",
)

BESIDE = Path(__file__).parents[3] / "shared" / "conformance"


def main(wanted: Sequence[str], environment: Mapping[str, str]) -> int:
    corpora = Path(environment.get("MIZZEN_CONFORMANCE") or BESIDE)
    unknown = [name for name in wanted if name not in SETS and name not in NOT_ASKED_FOR_YET]
    if unknown:
        print(f"no such set: {', '.join(unknown)}; there are {', '.join((*SETS, *NOT_ASKED_FOR_YET))}")
        return 2
    if not corpora.is_dir():
        print(f"conformance: could not run here: {corpora} is missing (set MIZZEN_CONFORMANCE to the folder)")
        return 1 if environment.get("CI") else 0
    results = [run(corpora / name) for name, run in SETS.items() if not wanted or name in wanted]
    objections = [objection for result in results for objection in result.objections()]
    for result in results:
        for outcome in result.outcomes:
            if outcome.status is not Status.PASSED:
                print(f"{result.name}: {outcome.case}: {outcome.status.value}: {outcome.why}")
    print(*objections, sep="\n", end="\n" if objections else "")
    idle = [name for name in NOT_ASKED_FOR_YET if not wanted or name in wanted]
    if idle:
        print(f"not asked for yet: {', '.join(idle)}")
    for result in results:
        print(result.line())
    return 1 if objections else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
