"""Asks the application whether it is well, as a WorkloadGroup's `probe` or ProxyConfig's `readinessProbe` has it.

The daemon tells the probe in its answer to a health report, as JSON. Source: Kubernetes' readiness probes, of which Istio's
are a part: thresholds count results in a row; before the first success the application is not well.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec

from mizzen.agent.http_client import unverified_tls

_WELL_STATUSES: Final = range(200, 400)
_MOST_HEAD_BYTES: Final = 16 << 10

_log = logging.getLogger("mizzen.agent")


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    """A part of a probe. A newer daemon may send what this agent does not know."""


class Header(_Part, frozen=True, rename="camel"):
    name: str = ""
    value: str = ""


class HttpGet(_Part, frozen=True, rename="camel"):
    port: int
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    http_headers: tuple[Header, ...] = ()


class TcpSocket(_Part, frozen=True, rename="camel"):
    port: int
    host: str = ""


class Exec(_Part, frozen=True, rename="camel"):
    command: tuple[str, ...]


class Grpc(_Part, frozen=True, rename="camel"):
    port: int
    service: str = ""


class Probe(_Part, frozen=True, rename="camel"):
    """Seconds and counts; 0: Kubernetes' default."""

    initial_delay_seconds: int = 0
    timeout_seconds: int = 0
    period_seconds: int = 0
    success_threshold: int = 0
    failure_threshold: int = 0
    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: Exec | None = None
    grpc: Grpc | None = None


def read_probe(text: str) -> Probe | None:
    """None where there is none. What cannot be read is logged: a workload without a probe is better than none."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=Probe)
    except msgspec.DecodeError as error:
        _log.warning("the probe that the daemon sent cannot be read: %s", error)
        return None


@dataclass(slots=True)
class Verdict:
    """What a row of results means. `reason` is empty while the application is well."""

    success_threshold: int
    failure_threshold: int
    reason: str = "the application has not answered its probe yet"
    _successes: int = 0
    _failures: int = 0

    def take(self, failure: str) -> None:
        """One result: "" for a success, else what went wrong."""
        if failure:
            self._successes, self._failures = 0, self._failures + 1
            if self._failures >= self.failure_threshold or self.reason:
                self.reason = failure
        else:
            self._successes, self._failures = self._successes + 1, 0
            if self._successes >= self.success_threshold:
                self.reason = ""


class Prober:
    """Runs the probe that was `set` last. `reason` says why the application is not well; "" where it is, or is not asked."""

    def __init__(
        self, on_change: Callable[[], None], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._on_change = on_change
        self._sleep = sleep
        self._probe: Probe | None = None
        self._task: asyncio.Task[None] | None = None
        self.reason = ""

    def set(self, probe: Probe | None) -> None:
        if probe == self._probe:
            return
        self._probe = probe
        self.stop()
        self.reason = ""
        if probe is not None:
            verdict = Verdict(probe.success_threshold or 1, probe.failure_threshold or 3)
            self.reason = verdict.reason
            self._task = asyncio.create_task(self._run(probe, verdict))
        self._on_change()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, probe: Probe, verdict: Verdict) -> None:
        await self._sleep(probe.initial_delay_seconds)
        while True:
            verdict.take(await failure_of(probe))
            if verdict.reason != self.reason:
                self.reason = verdict.reason
                self._on_change()
            await self._sleep(probe.period_seconds or 10)


async def failure_of(probe: Probe) -> str:
    """Ask once: "" where the application is well, else what went wrong."""
    try:
        async with asyncio.timeout(probe.timeout_seconds or 1):
            if probe.http_get is not None:
                return await _http(probe.http_get)
            if probe.tcp_socket is not None:
                return await _tcp(probe.tcp_socket)
            if probe.exec is not None:
                return await _exec(probe.exec)
            if probe.grpc is not None:
                return await _grpc(probe.grpc)
    except TimeoutError:
        return f"its probe got no answer within {probe.timeout_seconds or 1} s"
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        return f"its probe failed: {error}"
    return ""


async def _http(asked: HttpGet) -> str:
    secure = (
        unverified_tls() if asked.scheme.upper() == "HTTPS" else None
    )  # as Kubernetes: nothing is verified
    host = asked.host or "127.0.0.1"
    reader, writer = await asyncio.open_connection(host, asked.port, ssl=secure)
    try:
        headers = {"Host": f"{host}:{asked.port}", "User-Agent": "mizzen-probe", "Connection": "close"}
        headers |= {header.name: header.value for header in asked.http_headers}
        lines = [f"GET {quote(asked.path or '/', safe='/?&=%:+,;@!$()*~')} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        status = int((await reader.readuntil(b"\r\n")).split()[1])
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return "" if status in _WELL_STATUSES else f"GET {asked.path or '/'} answered {status}"


async def _tcp(asked: TcpSocket) -> str:
    _, writer = await asyncio.open_connection(asked.host or "127.0.0.1", asked.port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


async def _exec(asked: Exec) -> str:
    process = await asyncio.create_subprocess_exec(
        *asked.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()  # SIGKILL is at once; without this nobody takes its status
        raise
    return "" if status == 0 else f"{asked.command[0]} ended with {status}"


async def _grpc(asked: Grpc) -> str:
    """grpc.health.v1.Health/Check, whose two messages have one field each."""
    from grpclib.client import Channel, UnaryUnaryMethod
    from grpclib.exceptions import GRPCError, StreamTerminatedError

    from mizzen.proto.api import HealthCheckRequest, HealthCheckResponse

    channel = Channel("127.0.0.1", asked.port)
    try:
        check = UnaryUnaryMethod(
            channel, "/grpc.health.v1.Health/Check", HealthCheckRequest, HealthCheckResponse
        )
        answer = await check(HealthCheckRequest(service=asked.service))
    except (GRPCError, StreamTerminatedError) as error:
        return f"its probe failed: {error}"
    finally:
        channel.close()
    return "" if answer.status == _SERVING else f"grpc.health.v1 answered {answer.status}, not SERVING"


_SERVING: Final = 1
