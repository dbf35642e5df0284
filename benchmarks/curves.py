"""How the daemon's costs grow: with the number of proxies, and with the number of services, scoped and unscoped.

Each point is a mesh, a daemon and a fleet of its own (benchmarks/load). What should not grow is what a change costs in a scoped
mesh: it concerns as many proxies in a large mesh as in a small one. In an unscoped mesh an endpoint concerns everybody, so its
cost grows with the proxies, and with the services only as far as the proxies that get it hold more.

Last ACKs are p50 from the write of a file; CPU is the daemon's, a mean; bytes and queries are medians of an event.

Run: python benchmarks/curves.py [--quick] [--mesh scoped] [--axis proxies] [--events 9]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the benchmarks' parts, and those of the tests

from benchmarks.load.meshes import Concern, Mesh, MeshShape
from benchmarks.load.scene import scene, summary
from benchmarks.load.text import sparkline, table

RESULTS = Path(__file__).parents[1] / "build" / "bench"


@dataclass(frozen=True)
class Axis:
    """Sizes of one number, while the other stays."""

    name: str
    sizes: Sequence[int]
    fixed: int

    def shapes(self, *, scoped: bool) -> Iterator[MeshShape]:
        for size in self.sizes:
            if self.name == "proxies":
                yield MeshShape(services=self.fixed, proxies=size, scoped=scoped)
            else:
                yield MeshShape(services=size, proxies=self.fixed, scoped=scoped)


AXES = (
    Axis("proxies", (250, 500, 1000, 2000), fixed=1000),
    Axis("services", (125, 250, 500, 1000), fixed=1000),
)
QUICK = (Axis("proxies", (25, 50, 100), fixed=50), Axis("services", (20, 40, 80), fixed=50))

KINDS: Mapping[str, Callable[[Mesh, int], Concern]] = {
    "an endpoint": Mesh.change_endpoint,
    "a VirtualService": Mesh.change_virtual_service,
    "a policy of one workload": Mesh.change_policy,
}

CHANGE_COLUMNS: Mapping[str, tuple[str, float, str]] = {
    "concerned": ("proxies", 1, ",.0f"),
    "last ACK ms": ("last_ack_ms_p50", 1, ",.0f"),
    "CPU ms": ("cpu_seconds", 1e3, ",.0f"),
    "KB": ("bytes", 1e-3, ",.1f"),
    "queries": ("query_runs", 1, ",.0f"),
}
START_COLUMNS: Mapping[str, tuple[str, float, str]] = {
    "seconds": ("seconds", 1, ",.1f"),
    "CPU s": ("cpu_seconds", 1, ",.1f"),
    "MB sent": ("bytes", 1e-6, ",.1f"),
    "memory MB": ("memory_mb", 1, ",.0f"),
}
"""Heading -> name of the figure, its factor, its format."""


def point(shape: MeshShape, events: int) -> dict[str, Any]:
    """All figures of a shape."""
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder), shape) as made:
        start = made.connect_all()
        changes = {}
        for name, change in KINDS.items():
            costs = [made.event(partial(change, made.mesh, number)) for number in range(1, events + 1)]
            changes[name] = summary(costs)
    return {"shape": asdict(shape), "start": asdict(start), "changes": changes}


def curves(
    axes: Sequence[Axis], meshes: Sequence[str], measured: Callable[[MeshShape], dict[str, Any]]
) -> dict[str, Any]:
    """Each axis of each mesh, shown as soon as it is there. Shapes that two axes share are measured once."""
    points: dict[MeshShape, dict[str, Any]] = {}
    found: dict[str, Any] = {}
    for mesh in meshes:
        for axis in axes:
            for shape in axis.shapes(scoped=mesh == "scoped"):
                if shape not in points:
                    points[shape] = measured(shape)
            of_axis = [points[shape] for shape in axis.shapes(scoped=mesh == "scoped")]
            found.setdefault(mesh, {})[axis.name] = of_axis
            show(mesh, axis, of_axis)
    return found


def show(mesh: str, axis: Axis, points: Sequence[Mapping[str, Any]]) -> None:
    other = "services" if axis.name == "proxies" else "proxies"
    print(f"\n== {mesh}: by {axis.name}, of {axis.fixed:,} {other}")
    for name in KINDS:
        show_table(axis, name, CHANGE_COLUMNS, [each["changes"][name] for each in points])
    show_table(axis, "from no proxy to all synced", START_COLUMNS, [each["start"] for each in points])


def show_table(
    axis: Axis, name: str, columns: Mapping[str, tuple[str, float, str]], rows: Sequence[Mapping[str, float]]
) -> None:
    """A row for each size, and what becomes of each column."""
    lines = [(axis.name, *columns)]
    for size, row in zip(axis.sizes, rows, strict=True):
        cells = (f"{row[figure] * factor:{form}}" for figure, factor, form in columns.values())
        lines.append((f"{size:,}", *cells))
    lines.append(("", *(sparkline([row[figure] for row in rows]) for figure, _, _ in columns.values())))
    print(f"\n{name}\n{table(lines)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small meshes, few events: a minute")
    parser.add_argument("--mesh", choices=("scoped", "unscoped", "both"), default="both")
    parser.add_argument("--axis", choices=("proxies", "services", "both"), default="both")
    parser.add_argument("--events", type=int, metavar="N", help="of each kind, a point; default: 9, quick 3")
    parser.add_argument("--json", type=Path, default=RESULTS / "curves.json", metavar="FILE")
    options = parser.parse_args()
    axes = [axis for axis in (QUICK if options.quick else AXES) if options.axis in {axis.name, "both"}]
    meshes = ("scoped", "unscoped") if options.mesh == "both" else (options.mesh,)
    events = options.events or (3 if options.quick else 9)
    found = curves(axes, meshes, partial(point, events=events))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
