"""How far the daemon is from a bare broadcast: the same bytes, to the same proxies, over streams of the same server.

The daemon's fleet and one that is connected to benchmarks.load.broadcast get events in turn, so that what else the machine
does falls on both. For each event of the daemon, the bare server sends a response of as many bytes as it sent to a proxy.
Everything is in milliseconds to the last ACK, as the fleet sends it, and medians. Two beginnings are measured:

- A health report: the call of an agent, on a connection that stands. From then on the daemon knows the change, so what
  counts is the way in (one small call), the computation, and the push. This is what `ratio` is of.
- A file: from its write. The daemon waits 15 to 30 ms for further writes first, then reads and decodes the file.

`spread` is from the first ACK to the last one, of either side. It leaves out everything that comes before the first push:
waiting, reading, computation. It is not the daemon's share of the work for each proxy alone, since the proxies read at the
same time, on the same cores. The CPU is that of the serving process, means, with the reading of all ACKs.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from statistics import fmean, median
from typing import Any

from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.config import Configuration

from benchmarks.load.meshes import Concern
from benchmarks.load.processes import TLS_CLOSES_SECONDS, BroadcastProcess, FleetProcess
from benchmarks.load.scene import PATIENCE_SECONDS, Scene
from mizzen.ca.server_identity import SERVER_NAME
from mizzen.daemon.health import METHOD
from mizzen.proto.api import HealthReport, HealthReportResponse
from mizzen.xds.resource import ENDPOINT
from tests.support.daemon import node_id


@dataclass(frozen=True, slots=True)
class Push:
    """From a beginning to the first and the last ACK of all proxies."""

    first_ack_ms: float
    last_ack_ms: float
    cpu_ms: float

    @property
    def spread_ms(self) -> float:
        return self.last_ack_ms - self.first_ack_ms


@dataclass(frozen=True, slots=True)
class Pair:
    """An event of the daemon, and a broadcast of as many bytes."""

    daemon: Push
    bare: Push
    bytes_a_proxy: int


@dataclass(frozen=True, slots=True)
class Fanout:
    """Medians of some pairs of one kind."""

    events: int
    proxies: int
    bytes_a_proxy: float
    daemon_first_ack_ms: float
    daemon_last_ack_ms: float
    bare_first_ack_ms: float
    bare_last_ack_ms: float
    daemon_cpu_ms: float
    bare_cpu_ms: float
    ratio: float
    spread_ratio: float


class Agent:
    """Reports the health of one workload, on a connection that stands. To be closed."""

    def __init__(self, port: int, context: ssl.SSLContext, workload: tuple[str, str]) -> None:
        self._node = node_id("/".join(workload))
        self._runner = asyncio.Runner()
        self._channel = self._runner.run(self._connected(port, context))

    async def _connected(self, port: int, context: ssl.SSLContext) -> Channel:
        config = Configuration(ssl_target_name_override=SERVER_NAME)
        return Channel("127.0.0.1", port, ssl=context, config=config)

    def report(self, *, healthy: bool) -> None:
        call: UnaryUnaryMethod[Any, Any] = UnaryUnaryMethod(
            self._channel, METHOD, HealthReport, HealthReportResponse
        )
        report = HealthReport(node_id=self._node, healthy=healthy, reason="" if healthy else "benchmark")
        self._runner.run(_called(call, report))

    def close(self) -> None:
        self._channel.close()
        self._runner.run(asyncio.sleep(TLS_CLOSES_SECONDS))
        self._runner.close()


async def _called(call: UnaryUnaryMethod[Any, Any], report: HealthReport) -> None:
    await call(report, timeout=PATIENCE_SECONDS)


class Bare:
    """The bare server and its fleet."""

    def __init__(self, of: Scene) -> None:
        self._server = BroadcastProcess(of.state_dir)
        self._fleet: FleetProcess = of.fleet_for(self._server.port, of.mesh.workloads())
        self._proxies = of.shape.proxies
        self._fleet.order("connect")
        synced = self._fleet.order("await", count=self._proxies, seconds=PATIENCE_SECONDS, what="synced")
        if synced["synced"] != self._proxies:
            raise RuntimeError(f"{synced['synced']} of {self._proxies} proxies reached the bare server")

    def push(self, size_bytes: int) -> Push:
        self._fleet.order("mark")
        cpu, began = self._server.cpu_seconds(), time.monotonic()
        self._server.broadcast(size_bytes)
        taken = self._fleet.order("await", count=self._proxies, seconds=PATIENCE_SECONDS, what=ENDPOINT)
        if taken["count"] != self._proxies:
            raise RuntimeError(f"a broadcast reached {taken['count']} of {self._proxies} proxies")
        self._server.await_acks()
        cpu_ms = (self._server.cpu_seconds() - cpu) * 1e3
        return Push((taken["first"] - began) * 1e3, (taken["last"] - began) * 1e3, cpu_ms)

    def close(self) -> None:
        self._fleet.stop()
        self._server.stop()


@contextmanager
def _bare(of: Scene) -> Iterator[Bare]:
    made = Bare(of)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def _agent(of: Scene, workload: tuple[str, str]) -> Iterator[Agent]:
    context = of.credentials.context(workload[0], of.daemon.reached.root_cert)
    made = Agent(of.port, context, workload)
    try:
        yield made
    finally:
        made.close()


def fanout(of: Scene, events: int) -> dict[str, dict[str, float]]:
    """Of an unscoped mesh whose proxies are connected: each endpoint concerns all of them."""
    workload, concern = of.mesh.replicated_workload()
    files: list[Pair] = []
    reports: list[Pair] = []
    with _bare(of) as bare, _agent(of, workload) as agent:
        bare.push(1)
        agent.report(healthy=True)  # no news: the connection stands from now on

        def report(*, healthy: bool) -> Concern:
            agent.report(healthy=healthy)
            return concern

        for number in range(1, events + 1):
            change = partial(of.mesh.change_endpoint, _FIRST_NUMBER + number)
            files.append(_pair(of, bare, change))
            reports.append(_pair(of, bare, partial(report, healthy=number % 2 == 0)))
        agent.report(healthy=True)
    return {
        "health report": asdict(_fanout(of.shape.proxies, reports)),
        "file": asdict(_fanout(of.shape.proxies, files)),
    }


_FIRST_NUMBER = 1 << 16
"""Of changes that nobody made before."""


def _pair(of: Scene, bare: Bare, change: Callable[[], Concern]) -> Pair:
    cost = of.event(change)
    size_bytes = round(cost.bytes / cost.proxies)
    daemon = Push(cost.first_ack_ms, cost.last_ack_ms, cost.cpu_seconds * 1e3)
    return Pair(daemon, bare.push(size_bytes), size_bytes)


def _fanout(proxies: int, pairs: Sequence[Pair]) -> Fanout:
    def middle(figure: Callable[[Pair], float]) -> float:
        return median(map(figure, pairs))

    daemon_last = middle(lambda pair: pair.daemon.last_ack_ms)
    bare_last = middle(lambda pair: pair.bare.last_ack_ms)
    return Fanout(
        len(pairs),
        proxies,
        middle(lambda pair: pair.bytes_a_proxy),
        middle(lambda pair: pair.daemon.first_ack_ms),
        daemon_last,
        middle(lambda pair: pair.bare.first_ack_ms),
        bare_last,
        fmean(pair.daemon.cpu_ms for pair in pairs),
        fmean(pair.bare.cpu_ms for pair in pairs),
        daemon_last / bare_last,
        middle(lambda pair: pair.daemon.spread_ms) / middle(lambda pair: pair.bare.spread_ms),
    )
