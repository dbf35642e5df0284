"""`make conformance [SETS="authz routing-e2e/gateway"]`: Istio's own cases, one line per set at the end.

After a slash stands a group of the set, of which then no other is shown. The corpora lie beside the repository, or where MIZZEN_CONFORMANCE says. Exit status 1: a case fails that is not listed, a
listed one passes, or a group passes too little.
"""

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.conformance import analysis, authz, iptables, routing_sim, validation, xds_bench
from tests.conformance.outcome import CannotRunHereError, SetResult, Status
from tests.conformance.routing_e2e import run as routing_e2e

SETS: Mapping[str, Callable[[Path], SetResult]] = {
    "analysis": analysis.run,
    "authz": authz.run,
    "iptables": iptables.run,
    "routing-e2e": routing_e2e.run,
    "routing-sim": routing_sim.run,
    "validation": validation.run,
    "xds-bench": xds_bench.run,
}
NOT_ASKED_FOR_YET = (
    "gateway-api",
    "injection",
)

BESIDE = Path(__file__).parents[3] / "shared" / "conformance"


def main(wanted: Sequence[str], environment: Mapping[str, str]) -> int:
    corpora = Path(environment.get("MIZZEN_CONFORMANCE") or BESIDE)
    groups = _groups(wanted)
    wanted = tuple(groups)
    unknown = [name for name in wanted if name not in SETS and name not in NOT_ASKED_FOR_YET]
    if unknown:
        print(f"no such set: {', '.join(unknown)}; there are {', '.join((*SETS, *NOT_ASKED_FOR_YET))}")
        return 2
    if not corpora.is_dir():
        print(f"conformance: could not run here: {corpora} is missing (set MIZZEN_CONFORMANCE to the folder)")
        return 1 if environment.get("CI") else 0
    results = []
    for name in SETS:
        if not wanted or name in wanted:
            try:
                results.append(_result(name, corpora / name, groups.get(name, ())))
            except CannotRunHereError as error:
                print(f"{name}: could not run here: {error}")
                if environment.get("CI"):
                    return 1
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
        if result.not_asked:
            groups_not_asked = ", ".join(f"{group} ({count})" for group, count in result.not_asked.items())
            print(f"{result.name}: groups not asked for yet: {groups_not_asked}")
        print(result.line())
    return 1 if objections else 0


def _groups(wanted: Sequence[str]) -> Mapping[str, Collection[str]]:
    """What is wanted of each set; nothing in particular: all of it."""
    found: dict[str, set[str]] = {}
    for word in wanted:
        name, _, group = word.partition("/")
        found.setdefault(name, set()).update({group} if group else ())
    return found


def _result(name: str, folder: Path, groups: Collection[str]) -> SetResult:
    if name == "routing-e2e":  # it takes minutes: what is not wanted is not run
        return routing_e2e.run(folder, groups)
    result = SETS[name](folder)
    if not groups:
        return result
    outcomes = [outcome for outcome in result.outcomes if outcome.group in groups]
    shown = {outcome.case for outcome in outcomes}
    failing = {case: why for case, why in result.failing.items() if case in shown}
    return replace(result, outcomes=outcomes, failing=failing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
