"""What the daemon costs with many proxies, for each kind of change: from the write of a file to the last ACK.

The daemon and the proxies are processes of their own (benchmarks/load), over real gRPC and mTLS, on the same cores: latencies hold
the proxies' side, too. Two kinds of mesh: scoped (each proxy imports about 20 services) and unscoped (everybody imports
everything, Istio's default). In the latter an endpoint's change is held against a bare broadcast of the same bytes
(benchmarks/load/fanout.py says what is in these figures).

The anchor is Istio: it waits at least 100 ms after an event before it computes anything, and a mesh of 1,000 services and
2,000 proxies takes 1 vCPU and 1.5 GB.

Run: python benchmarks/discovery.py [--services 1000 --proxies 2000 --mesh scoped --events 100] [--only "one endpoint"]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the benchmarks' parts, and those of the tests

from benchmarks.load.churn import churn
from benchmarks.load.fanout import fanout
from benchmarks.load.meshes import Concern, MeshShape
from benchmarks.load.scene import Scene, Start, scene, summary

ISTIO_DEBOUNCE_MS = 100
ISTIO_MEMORY_MB = 1500
RESULTS = Path(__file__).parents[1] / "build" / "bench"


def kinds(of: Scene) -> dict[str, Callable[[int], Concern]]:
    """Each kind of change, by a number that makes it another one each time."""
    mesh = of.mesh
    return {
        "one endpoint": mesh.change_endpoint,
        "a scale-up by 10": lambda number: mesh.scale_up(number, 10),
        "a VirtualService": mesh.change_virtual_service,
        "a policy of one workload": mesh.change_policy,
        "a new service": mesh.new_service,
        "a mesh-wide setting": mesh.change_mesh_setting,
    }


def measure(of: Scene, options: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for, as JSON."""
    found: dict[str, Any] = {"shape": asdict(of.shape)}
    empty_mb = of.daemon.memory_mb()
    cold = of.connect_all()
    show_start("from no proxy to all synced", cold)
    found["starts"] = {"cold": asdict(cold)}
    found["memory_mb"] = {"without proxies": empty_mb, "synced": of.daemon.memory_mb()}
    found["changes"] = {}
    heading()
    for name, change in kinds(of).items():
        if options.only and name not in options.only:
            continue
        events = max(options.events if name == "one endpoint" else options.events // 5, 3)
        costs = [of.event(partial(change, number)) for number in range(1, events + 1)]
        found["changes"][name] = summary(costs)
        show_change(name, found["changes"][name])
    found["memory_mb"]["after the changes"] = of.daemon.memory_mb()
    if options.broadcasts and not of.shape.scoped:
        found["fanout"] = fanout(of, options.broadcasts)
        show_fanout(found["fanout"])
    if options.churn_seconds:
        found["churn"] = churn(of, options.churn_rate, options.churn_seconds)
    if options.restarts:
        for name, again in {
            "a storm of reconnections": lambda: of.reconnect_all(warm=True),
            "the daemon restarts, warm": lambda: of.restart(warm=True),
            "the daemon restarts, cold": lambda: of.restart(warm=False),
        }.items():
            started = again()
            found["starts"][name] = asdict(started)
            show_start(name, started)
    return found


def heading() -> None:
    print(
        f"\n{'change':28}{'proxies':>8}{'first ACK':>15}{'last ACK':>17}{'CPU':>9}{'bytes':>13}{'queries':>9}"
    )
    print(f"{'':36}{'p50':>8}{'p99':>7}{'p50':>10}{'p99':>7}{'ms':>9}{'sent':>13}{'re-run':>9}")


def show_change(name: str, found: Mapping[str, float]) -> None:
    print(
        f"{name:28}{found['proxies']:8,.0f}{found['first_ack_ms_p50']:8,.0f}{found['first_ack_ms_p99']:7,.0f}"
        f"{found['last_ack_ms_p50']:10,.0f}{found['last_ack_ms_p99']:7,.0f}{found['cpu_seconds'] * 1e3:9,.0f}"
        f"{found['bytes']:13,.0f}{found['query_runs']:9,.0f}",
        flush=True,
    )


def show_fanout(found: Mapping[str, Mapping[str, float]]) -> None:
    print("\nan endpoint changes, against a bare broadcast of as many bytes to as many proxies:")
    print(f"{'':35}{'daemon, ms':>21}{'bare, ms':>21}{'ratio of':>24}")
    print(
        f"{'known by':18}{'proxies':>8}{'bytes':>9}"
        + f"{'first':>7}{'last':>7}{'CPU':>7}" * 2
        + f"{'last':>8}"
        f"{'spread':>8}{'CPU':>8}"
    )
    for name, of in found.items():
        times = "".join(
            f"{of[f'{side}_{what}_ms']:7,.0f}"
            for side in ("daemon", "bare")
            for what in ("first_ack", "last_ack", "cpu")
        )
        print(
            f"{name:18}{of['proxies']:8,.0f}{of['bytes_a_proxy']:9,.0f}{times}{of['ratio']:8.2f}"
            f"{of['spread_ratio']:8.2f}{of['daemon_cpu_ms'] / of['bare_cpu_ms']:8.2f}",
            flush=True,
        )


def show_start(name: str, start: Start) -> None:
    print(
        f"{name:28} {start.proxies:,} in {start.seconds:.1f} s: the daemon {start.cpu_seconds:.1f} s of CPU, the fleet "
        f"{start.fleet_cpu_seconds:.1f} s; {start.bytes:,} bytes; {start.memory_mb:,.0f} MB "
        f"({start.memory_mb / ISTIO_MEMORY_MB:.2f} x Istio's)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (
        ("services", 200),
        ("proxies", 400),
        ("events", 20),
        ("seed", 1),
        ("churn-rate", 1000),
        ("churn-seconds", 10),
        ("broadcasts", 15),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"default: {default}")
    parser.add_argument("--mesh", choices=("scoped", "unscoped", "both"), default="both")
    parser.add_argument("--only", action="append", metavar="CHANGE", help="repeatable; default: all")
    parser.add_argument("--restarts", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--json", type=Path, default=RESULTS / "discovery.json", metavar="FILE")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="the daemon under cProfile")
    options = parser.parse_args()
    program = ("-m", "cProfile", "-o", str(options.profile), "-m", "mizzen.daemon") if options.profile else ()
    found: dict[str, Any] = {}
    for mesh in ("scoped", "unscoped") if options.mesh == "both" else (options.mesh,):
        shape = MeshShape(options.services, options.proxies, scoped=mesh == "scoped", seed=options.seed)
        print(f"\n== {mesh}: {options.services:,} services, {options.proxies:,} proxies", flush=True)
        with tempfile.TemporaryDirectory() as folder, scene(Path(folder), shape, program) as made:
            found[mesh] = measure(made, options)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
