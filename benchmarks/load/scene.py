"""A mesh, its daemon and its fleet, and the measuring of one event at a time."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

from benchmarks.load.meshes import Concern, Mesh, MeshShape
from benchmarks.load.processes import Credentials, DaemonProcess, FleetProcess, free_port
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE

PATIENCE_SECONDS = 300.0
_QUIET_SECONDS = 0.3  # after the last ACK that was waited for: what else an event does counts, too
_IN_ORDER = (CLUSTER, ENDPOINT, LISTENER, ROUTE)
"""Of the types that an event changes, the last one here is taken last."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one event. Milliseconds from the write of the file, in whole."""

    proxies: int
    first_ack_ms: float
    last_ack_ms: float
    cpu_seconds: float
    fleet_cpu_seconds: float
    bytes: int
    query_runs: int


@dataclass(frozen=True, slots=True)
class Start:
    """Of all proxies at once, until each holds everything."""

    proxies: int
    seconds: float
    cpu_seconds: float
    fleet_cpu_seconds: float
    bytes: int
    memory_mb: float


class Scene:
    """One mesh that runs. `port` stays, so that the daemon can be restarted under its proxies."""

    def __init__(self, folder: Path, shape: MeshShape, program: Sequence[str] = ()) -> None:
        self.shape = shape
        self.mesh = Mesh(folder / "config", shape)
        self.mesh.write()
        self._folder = folder
        self._program = program
        self._port = free_port()
        self.daemon = self._start_daemon()
        self.credentials = Credentials(folder / "credentials")
        namespaces = sorted({namespace for namespace, _ in self.mesh.workloads()})
        asyncio.run(self.credentials.join(self.daemon.reached, namespaces))
        self.fleet = self.fleet_for(self._port, self.mesh.workloads())

    @property
    def state_dir(self) -> Path:
        return self._folder / "state"

    @property
    def port(self) -> int:
        return self._port

    def fleet_for(self, port: int, workloads: Iterable[tuple[str, str]]) -> FleetProcess:
        """Proxies of these workloads, not connected yet, for whoever listens on the port."""
        fleet = FleetProcess(port)
        roots = str(self.daemon.reached.root_cert)
        fleet.order("add", proxies=self.credentials.of(workloads), roots=roots)
        return fleet

    def _start_daemon(self) -> DaemonProcess:
        return DaemonProcess(self.mesh.folder, self.state_dir, port=self._port, program=self._program)

    def close(self) -> None:
        self.fleet.stop()
        self.daemon.stop()

    # --- all at once

    def connect_all(self, *, warm: bool = False) -> Start:
        """Until every proxy holds everything; from a restart of the daemon on, if `restart`."""
        return self._until_synced(lambda: None, warm=warm)

    def reconnect_all(self, *, warm: bool) -> Start:
        """A storm of connections: all are cut, and are back at once."""
        return self._until_synced(lambda: self.fleet.order("disconnect"), warm=warm)

    def restart(self, *, warm: bool) -> Start:
        """The daemon restarts, and all come back at once: its own start counts."""

        def restart() -> None:
            self.fleet.order("disconnect")
            self.daemon.stop()
            self.daemon = self._start_daemon()

        return self._until_synced(restart, warm=warm, new_daemon=True)

    def _until_synced(self, before: Callable[[], Any], *, warm: bool, new_daemon: bool = False) -> Start:
        self.fleet.order("mark")
        cpu, fleet_cpu, began = self.daemon.cpu_seconds(), self.fleet.cpu_seconds(), time.monotonic()
        before()
        self.fleet.order("connect", warm=warm)
        synced = self.fleet.order("await", count=self.shape.proxies, seconds=PATIENCE_SECONDS, what="synced")
        status = self.fleet.order("status")
        return Start(
            synced["synced"],
            synced["last"] - began,
            self.daemon.cpu_seconds() - (0 if new_daemon else cpu),
            self.fleet.cpu_seconds() - fleet_cpu,
            status["bytes"],
            self.daemon.memory_mb(),
        )

    # --- one event

    def event(self, change: Callable[[], Concern]) -> Cost:
        """A change, until the last proxy that it concerns has ACKed it. Raises if one does not."""
        concern, cost = self._measured(change)
        if cost.proxies != concern.proxies:
            raise RuntimeError(f"{cost.proxies} proxies ACKed a change that concerns {concern.proxies}")
        return cost

    def _measured(self, change: Callable[[], Concern]) -> tuple[Concern, Cost]:
        runs = self.daemon.metrics()["mizzen_query_runs_total"]
        cpu, fleet_cpu = self.daemon.cpu_seconds(), self.fleet.cpu_seconds()
        # What is waited for is known when the files are written: until then everything is counted by its type.
        self.fleet.order("mark")
        began = time.monotonic()
        concern = change()
        type_url = max(concern.type_urls, key=_IN_ORDER.index)
        self.fleet.order("await", count=concern.proxies, seconds=PATIENCE_SECONDS, what=type_url)
        time.sleep(_QUIET_SECONDS)
        taken = self.fleet.order("taken", type_url=type_url)
        status = self.fleet.order("status")
        return concern, Cost(
            taken["count"],
            (taken["first"] - began) * 1e3,
            (taken["last"] - began) * 1e3,
            self.daemon.cpu_seconds() - cpu,
            self.fleet.cpu_seconds() - fleet_cpu,
            status["bytes"],
            round(self.daemon.metrics()["mizzen_query_runs_total"] - runs),
        )


@contextmanager
def scene(folder: Path, shape: MeshShape, program: Sequence[str] = ()) -> Iterator[Scene]:
    made = Scene(folder, shape, program)
    try:
        yield made
    finally:
        made.close()


def summary(costs: Sequence[Cost]) -> dict[str, float]:
    """Of some events of one kind: percentiles of the latencies, means of the CPU (which is counted in steps of 10 ms), medians of
    all else.
    """
    found: dict[str, float] = {"events": len(costs)}
    for name in ("first_ack_ms", "last_ack_ms"):
        values = [getattr(cost, name) for cost in costs]
        found[f"{name}_p50"] = percentile(values, 50)
        found[f"{name}_p99"] = percentile(values, 99)
    for name in ("cpu_seconds", "fleet_cpu_seconds"):
        found[name] = fmean(getattr(cost, name) for cost in costs)
    for name in ("proxies", "bytes", "query_runs"):
        found[name] = percentile([getattr(cost, name) for cost in costs], 50)
    return found


def percentile(values: Sequence[float], which: int) -> float:
    """By interpolation; of one value, that one."""
    return quantiles(values, n=100, method="inclusive")[which - 1] if len(values) > 1 else values[0]
