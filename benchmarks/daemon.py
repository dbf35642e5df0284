"""What the daemon costs with many proxies: from an event to the last ACK, over real gRPC and TLS.

The daemon is a process of its own; this one plays the proxies: each subscribes as Envoy does, and ACKs at once. How
many queries a change re-runs is counted in this process, on the same mesh. Both processes share the machine, so that
latencies hold the cost of the proxies' side, too.

The anchor is Istio: it waits at least 100 ms after an event before it computes anything, and a mesh of 1,000 services
and 2,000 proxies takes 1 vCPU and 1.5 GB.

Run: python benchmarks/daemon.py [--services 1000 --proxies 2000] [--profile FILE]
"""

import argparse
import asyncio
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parents[1]))  # the proxies' side is the tests'

from mizzen.daemon.store import Store
from mizzen.daemon.views import Views
from mizzen.derive.workloads import workload, workload_key
from mizzen.incremental import Database
from mizzen.model.proxy import ProxyKind, ProxyView
from mizzen.sources.files import FileSource
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.support.daemon import Reached, identity
from tests.support.discovery import DeltaClient

ISTIO_DEBOUNCE_SECONDS = 0.1
ISTIO_MEMORY_MB = 1500
PORTS = (("http", 8080), ("http-api", 9080), ("grpc", 9090), ("http-admin", 8888))


@dataclass(frozen=True)
class Mesh:
    """One file for a service and its workloads; services take turns over the namespaces and the ports."""

    folder: Path
    services: int
    endpoints: int
    namespaces: int

    def write(self) -> None:
        for service in range(self.services):
            self.write_service(service)
        self.write_route(timeout_seconds=5)

    def namespace(self, service: int) -> str:
        return f"team-{service % self.namespaces}"

    def write_service(self, place: int, weight: int = 1) -> None:
        """`weight` is that of its first endpoint: what an endpoint change changes."""
        port_name, port = PORTS[place // self.namespaces % len(PORTS)]
        app, namespace = f"app-{place}", self.namespace(place)
        service = (
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: {app}, namespace: {namespace}}}\n"
            f"spec: {{selector: {{app: {app}}}, ports: [{{name: {port_name}, port: {port}}}]}}\n"
        )
        documents = [service]
        for number in range(self.endpoints):
            address = f"127.{place // 250 + 1}.{place % 250}.{number + 1}"
            documents.append(
                "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"
                f"metadata: {{name: {app}-{number}, namespace: {namespace}}}\n"
                f"spec: {{address: {address}, weight: {weight if number == 0 else 1}, "
                f"labels: {{app: {app}, version: v1, security.istio.io/tlsMode: istio}}}}\n"
            )
        self._replace(f"{app}.yaml", "---\n".join(documents))

    def write_route(self, timeout_seconds: int) -> None:
        self._replace(
            "route.yaml",
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
            f"metadata: {{name: app-0, namespace: {self.namespace(0)}}}\n"
            "spec:\n  hosts: [app-0]\n  http:\n"
            f"  - timeout: {timeout_seconds}s\n    route: [{{destination: {{host: app-0}}}}]\n",
        )

    def _replace(self, name: str, text: str) -> None:
        (self.folder / f".{name}").write_text(text)
        (self.folder / f".{name}").rename(self.folder / name)

    def workloads(self, count: int) -> Iterator[tuple[str, str]]:
        """(namespace, name) of those that have a proxy: first of each service its first endpoint."""
        for place in range(count):
            number, service = divmod(place, self.services)
            yield self.namespace(service), f"app-{service}-{number}"


class DaemonProcess:
    """`mizzen serve`, and what it costs."""

    def __init__(self, folder: Path, config: Path, profile: Path | None) -> None:
        self.reached = Reached(free_port(), folder / "state")
        self._admin_port = free_port()
        profiling = ["-m", "cProfile", "-o", str(profile)] if profile else []
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [
                *(sys.executable, *profiling, "-m", "mizzen.daemon"),
                *("--config", str(config), "--state-dir", str(folder / "state")),
                *("--listen", f"127.0.0.1:{self.reached.port}"),
                *("--admin-address", f"127.0.0.1:{self._admin_port}"),
            ],
            stdout=subprocess.PIPE,
            stderr=(folder / "daemon.log").open("wb"),
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            sys.exit((folder / "daemon.log").read_text())
        self.start_seconds = time.perf_counter() - began

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/statm").read_text()
        return int(status.split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6

    def sent_bytes(self) -> int:
        with urlopen(f"http://127.0.0.1:{self._admin_port}/metrics") as answer:
            found = re.findall(
                r"^mizzen_xds_sent_bytes_total\S* (\S+)$", answer.read().decode(), re.MULTILINE
            )
        return round(sum(map(float, found)))

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Fleet:
    """The proxies. `taken` counts the responses of a type that were ACKed since `expect`."""

    size: int
    taken: dict[str, int] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    last_ack: float = 0.0

    def told(self, type_url: str) -> None:
        self.taken[type_url] = self.taken.get(type_url, 0) + 1
        self.last_ack = time.perf_counter()
        self.changed.set()

    async def all_take(self, *type_urls: str) -> float:
        """Wait until every proxy took a response of these types; when the last one did."""
        while any(self.taken.get(type_url, 0) < self.size for type_url in type_urls):
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 300)
        return self.last_ack

    async def follow(self, proxy: DeltaClient) -> None:
        """As Envoy: clusters and their endpoints, listeners and their routes."""
        await proxy.subscribe(CLUSTER)
        await proxy.subscribe(LISTENER)
        wanted: set[str] = set()
        while True:
            response = await proxy.receive(seconds=3600)
            names = [found.name for found in response.resources]
            await proxy.ack(response)
            self.told(response.type_url)
            if response.type_url in {CLUSTER, LISTENER} and response.type_url not in wanted:
                wanted.add(response.type_url)
                if response.type_url == CLUSTER:
                    await proxy.subscribe(ENDPOINT, *(name for name in names if name.startswith("outbound|")))
                else:
                    ports = (name.partition("_")[2] for name in names if name.startswith("0.0.0.0_"))
                    await proxy.subscribe(ROUTE, *ports)


@dataclass(frozen=True)
class Cost:
    seconds: float
    cpu_seconds: float
    sent_bytes: int


async def measure(
    daemon: DaemonProcess, fleet: Fleet, event: Callable[[], Awaitable[None]], *type_urls: str
) -> Cost:
    fleet.taken.clear()
    cpu, sent, began = daemon.cpu_seconds(), daemon.sent_bytes(), time.perf_counter()
    await event()
    ended = await fleet.all_take(*type_urls)
    # What the daemon does with the last ACKs counts, too; nothing is timed any more.
    await asyncio.sleep(0.2)
    return Cost(ended - began, daemon.cpu_seconds() - cpu, daemon.sent_bytes() - sent)


def median(costs: list[Cost]) -> Cost:
    columns = zip(*((cost.seconds, cost.cpu_seconds, cost.sent_bytes) for cost in costs), strict=True)
    return Cost(*map(statistics.median, columns))  # type: ignore[arg-type]  # an odd number of whole numbers


@dataclass(frozen=True)
class Queries:
    """How many ran: for everything, and after each change."""

    total: int
    health: int
    endpoint: int
    route: int


def count_queries(mesh: Mesh, proxies: int) -> Queries:
    """The daemon's computation, without a daemon around it."""
    source, db = FileSource([mesh.folder]), Database()
    store, views = Store(db), Views(db)

    def take_in() -> None:
        store.apply(source.load())
        store.commit()
        views.take_in(db.refresh())

    def ran(change: Callable[[], object]) -> int:
        with db.recording() as log:
            change()
            take_in()
        return len(log.ran)

    def connect_all() -> None:
        take_in()
        for namespace, name in mesh.workloads(proxies):
            found = db.value(workload, workload_key(namespace, name))
            assert found is not None
            views.acquire(ProxyView(ProxyKind.SIDECAR, namespace, found.labels, found.ports))

    return Queries(
        ran(connect_all),
        ran(lambda: store.report_health(workload_key(mesh.namespace(1), "app-1-1"), "draining")),
        ran(lambda: mesh.write_service(1, weight=77)),
        ran(lambda: mesh.write_route(timeout_seconds=77)),
    )


async def run(options: argparse.Namespace, folder: Path) -> None:
    mesh = Mesh(folder / "config", options.services, options.endpoints, options.namespaces)
    mesh.folder.mkdir()
    mesh.write()
    queries = count_queries(mesh, options.proxies)
    daemon = DaemonProcess(folder, mesh.folder, options.profile)
    try:
        await run_fleet(options, mesh, daemon, queries)
    finally:
        daemon.stop()


async def run_fleet(options: argparse.Namespace, mesh: Mesh, daemon: DaemonProcess, queries: Queries) -> None:
    empty_mb = daemon.memory_mb()
    fleet = Fleet(options.proxies)
    contexts = {
        f"team-{number}": await daemon.reached.join(identity(f"team-{number}"))
        for number in range(mesh.namespaces)
    }
    tasks: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as stack:

        async def connect_all() -> None:
            for namespace, name in mesh.workloads(options.proxies):
                connecting = daemon.reached.proxy(contexts[namespace], f"{namespace}/{name}")
                proxy = await stack.enter_async_context(connecting)
                tasks.append(asyncio.create_task(fleet.follow(proxy)))

        async def file(number: int) -> None:
            mesh.write_service(1, weight=number)

        async def health(number: int) -> None:
            context, name = contexts[mesh.namespace(1)], f"{mesh.namespace(1)}/app-1-1"
            await daemon.reached.report_health(context, name, healthy=number % 2 == 0, reason="draining")

        async def route(number: int) -> None:
            mesh.write_route(timeout_seconds=number)

        full = await measure(daemon, fleet, connect_all, CLUSTER, ENDPOINT, LISTENER, ROUTE)
        synced_mb = daemon.memory_mb()
        found = {}
        for name, event, type_url in (
            ("an endpoint's health", health, ENDPOINT),
            ("an endpoint in a file", file, ENDPOINT),
            ("a route seen by all", route, ROUTE),
        ):
            costs = [
                await measure(daemon, fleet, partial(event, number), type_url)
                for number in range(101, 101 + options.changes)
            ]
            found[name] = median(costs)
        memory = (empty_mb, synced_mb, daemon.memory_mb())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    report(options, daemon, queries, full, found, memory)


def report(
    options: argparse.Namespace,
    daemon: DaemonProcess,
    queries: Queries,
    full: Cost,
    changes: dict[str, Cost],
    memory_mb: tuple[float, float, float],
) -> None:
    empty, synced, after = memory_mb
    runs = dict(zip(changes, (queries.health, queries.endpoint, queries.route), strict=True))
    print(
        f"{options.services:,} services of {options.endpoints} endpoints, {options.proxies:,} proxies "
        f"in {options.namespaces} namespaces; medians of {options.changes}"
    )
    for name, cost in changes.items():
        print(f"{name}:")
        print(
            f"  event to last ACK  {cost.seconds / ISTIO_DEBOUNCE_SECONDS:9.2f} x Istio's debounce alone   "
            f"({cost.seconds * 1e3:,.0f} ms)"
        )
        print(
            f"  queries re-run     {runs[name] / queries.total:9.3%} of all ({runs[name]:,} of {queries.total:,})"
        )
        print(
            f"  bytes pushed       {cost.sent_bytes / full.sent_bytes:9.3%} of full state ({cost.sent_bytes:,})"
        )
        print(
            f"  the daemon's CPU   {cost.cpu_seconds / full.cpu_seconds:9.3%} of full state's "
            f"({cost.cpu_seconds * 1e3:,.0f} ms; {cost.cpu_seconds / options.proxies * 1e6:,.0f} us a proxy)"
        )
    print("full state, from no proxy to all synced:")
    print(
        f"  {full.seconds:.1f} s, {full.cpu_seconds:.1f} s of CPU "
        f"({full.cpu_seconds / options.proxies * 1e3:.1f} ms a proxy), {full.sent_bytes:,} bytes; "
        f"before it the daemon started in {daemon.start_seconds:.1f} s"
    )
    print(
        f"memory of the daemon: {synced / ISTIO_MEMORY_MB:.2f} x what Istio takes for 1,000 services and 2,000 proxies "
        f"({empty:,.0f} MB without proxies, {synced:,.0f} MB with, {after:,.0f} MB after the changes)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (
        ("services", 200),
        ("endpoints", 2),
        ("proxies", 100),
        ("namespaces", 10),
        ("changes", 5),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"default: {default}")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="the daemon under cProfile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(options, Path(folder)))


if __name__ == "__main__":
    main()
