"""The last run of benchmarks/discovery.py against a recorded one, figure by figure, as ratios.

Counts that depend on the mesh alone (proxies concerned, queries re-run, bytes) must not have grown by more than 5%: exit status
1 where one has, or where the runs are of different meshes. Times and memory depend on the machine, too, and are only shown.

Run: python benchmarks/compare.py [--record]   (--record: the last run becomes the recorded one)
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the benchmarks' parts

from benchmarks.load.text import table

RECORDED = Path(__file__).with_name("recorded.json")
LAST = Path(__file__).parents[1] / "build" / "bench" / "discovery.json"
TOLERANCE = 1.05
COUNTS = frozenset({"proxies", "bytes", "query_runs"})
SHOWN = (
    *("proxies", "query_runs", "bytes", "first_ack_ms_p50", "last_ack_ms_p50", "last_ack_ms_p99"),
    *("cpu_seconds", "seconds", "memory_mb", "ratio"),
)


@dataclass(frozen=True)
class Figure:
    mesh: str
    what: str
    name: str
    recorded: float
    now: float

    @property
    def ratio(self) -> float:
        if self.recorded == self.now:
            return 1.0
        return self.now / self.recorded if self.recorded else float("inf")

    @property
    def has_grown(self) -> bool:
        return self.name in COUNTS and self.ratio > TOLERANCE

    def row(self) -> tuple[str, ...]:
        verdict = ("grew" if self.has_grown else "held") if self.name in COUNTS else ""
        values = (f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in (self.recorded, self.now))
        return (f"{self.mesh}: {self.what}", self.name, *values, f"{self.ratio:.2f}", verdict)


def figures(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Figure]:
    """Those that both runs have."""
    for mesh in recorded.keys() & now.keys():
        for part in ("changes", "starts", "fanout"):
            old, new = recorded[mesh].get(part, {}), now[mesh].get(part, {})
            for what in (what for what in old if what in new):
                for name in (name for name in SHOWN if name in old[what] and name in new[what]):
                    yield Figure(mesh, what, name, old[what][name], new[what][name])


def obstacles(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Why the runs cannot be compared."""
    if not recorded.keys() & now.keys():
        yield "the runs have no mesh in common"
    for mesh in recorded.keys() & now.keys():
        old, new = recorded[mesh]["shape"], now[mesh]["shape"]
        if old != new:
            yield f"the {mesh} mesh is another one: recorded {old}, now {new}"


def compare(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Sequence[Figure], Sequence[str]]:
    """All figures, and a line for each thing that is wrong."""
    if wrong := list(obstacles(recorded, now)):
        return (), wrong
    found = sorted(figures(recorded, now), key=lambda figure: figure.mesh)
    grown = (
        f"{each.mesh}: {each.what}: {each.name} grew from {each.recorded:,.0f} to {each.now:,.0f}"
        for each in found
        if each.has_grown
    )
    return found, list(grown)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--last", type=Path, default=LAST, metavar="FILE")
    parser.add_argument("--recorded", type=Path, default=RECORDED, metavar="FILE")
    parser.add_argument("--record", action="store_true", help="the last run becomes the recorded one")
    options = parser.parse_args()
    if not options.last.exists():
        print(f"there is no {options.last.name}: run benchmarks/discovery.py first", file=sys.stderr)
        return 1
    if options.record:
        shutil.copyfile(options.last, options.recorded)
        return 0
    found, wrong = compare(json.loads(options.recorded.read_text()), json.loads(options.last.read_text()))
    if found:
        print(table([("change", "figure", "recorded", "now", "ratio", ""), *(each.row() for each in found)]))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
