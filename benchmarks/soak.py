"""The daemon under changes without end: 30 minutes in which nothing may grow, and after which everybody holds what is right.

See benchmarks/load/soak.py for what happens, and for what is judged. Exit status 1 where a verdict is against it.

Run: python benchmarks/soak.py [--minutes 30 --services 200 --proxies 400 --rate 50]

To find what grows: --only KIND [--times 10] leaves out all other kinds of change, --weigh FILE writes what the memory consists of.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the benchmarks' parts, and those of the tests

from benchmarks.load.meshes import MeshShape
from benchmarks.load.scene import scene
from benchmarks.load.soak import KINDS, Limits, Sample, Schedule, Soaked, soak
from benchmarks.load.text import sparkline, table

RESULTS = Path(__file__).parents[1] / "build" / "bench"
WEIGHED = Path(__file__).parent / "load" / "weighed.py"
_LONG_ENOUGH_MINUTES = 5  # for a verdict about memory: before, caches and logs of fixed sizes fill


def tell(sample: Sample) -> None:
    print(
        f"\r{sample.second:6.0f} s  {sample.memory_mb:6.1f} MB  {sample.connected} proxies",
        end="",
        flush=True,
    )


def minutes(samples: Sequence[Sample]) -> str:
    rows = [("minute", "memory MB", "CPU", "responses/s", "queries/s", "waiting", "oldest s", "proxies wait")]
    before = samples[0]
    for minute, group in groupby(samples, lambda sample: int(sample.second // 60)):
        of = list(group)
        seconds = of[-1].second - before.second
        if seconds:
            rows.append(
                (
                    str(minute + 1),
                    f"{of[-1].memory_mb:.1f}",
                    f"{(of[-1].cpu_seconds - before.cpu_seconds) / seconds:.0%}",
                    f"{(of[-1].responses - before.responses) / seconds:,.0f}",
                    f"{(of[-1].query_runs - before.query_runs) / seconds:,.0f}",
                    f"{max(sample.waiting_changes for sample in of):.0f}",
                    f"{max(sample.oldest_change_seconds for sample in of):.2f}",
                    f"{max(sample.waiting_proxies for sample in of):.0f}",
                )
            )
        before = of[-1]
    return table(rows)


def report(found: Soaked) -> None:
    print(f"\r{'':60}\n{minutes(found.samples)}\n")
    for name in ("memory_mb", "waiting_changes", "waiting_proxies", "oldest_change_seconds"):
        values = [getattr(sample, name) for sample in found.samples]
        print(f"{name:22} {sparkline(values)}  {min(values):,.1f} to {max(values):,.1f}")
    print(
        f"\n{found.changes:,} endpoint changes; memory over the last two thirds: {found.memory.first:.1f} MB "
        f"{found.memory.gain:+.2f} MB ({found.memory.share:+.2%}); {found.differing_proxies} proxies hold something else than "
        "they are sent when they connect anew"
    )
    for line in found.wrong:
        print(line)
    print("FAILED" if found.wrong else "passed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("services", 200), ("proxies", 400), ("rate", 50), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"default: {default}")
    parser.add_argument("--minutes", type=float, default=30, metavar="N", help="default: 30")
    parser.add_argument(
        "--only", action="append", choices=KINDS, help="may be given again; default: all kinds of change"
    )
    parser.add_argument(
        "--times", type=float, default=1.0, metavar="N", help="so many times as often; default: 1"
    )
    parser.add_argument(
        "--weigh", type=Path, metavar="FILE", help="write what the daemon's memory consists of"
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "soak.json", metavar="FILE")
    options = parser.parse_args()
    shape = MeshShape(options.services, options.proxies, scoped=True, seed=options.seed)
    schedule = Schedule(options.minutes * 60, endpoints_per_second=options.rate).only(
        options.only or KINDS, options.times
    )
    limits = Limits() if options.minutes >= _LONG_ENOUGH_MINUTES else Limits(memory_share=None)
    program = (str(WEIGHED), str(options.weigh.resolve())) if options.weigh else ()
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder), shape, program) as made:
        made.connect_all()
        found = soak(made, schedule, limits, tell)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(asdict(found), indent=2))
    report(found)
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
