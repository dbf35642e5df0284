"""Puts the agent's parts together, and carries a workload from its start to its drained end."""

import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import AsyncExitStack, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from mizzen import __version__
from mizzen.agent import ports
from mizzen.agent.application_metrics import fetch, host_of
from mizzen.agent.audit import FOLDER, AuditLog
from mizzen.agent.bootstrap import bootstrap_text, build_bootstrap, write_bootstrap
from mizzen.agent.capture import AGENT_MARK, capture
from mizzen.agent.cardinality import Budget
from mizzen.agent.certificates import Certificates
from mizzen.agent.credentials import Credentials
from mizzen.agent.daemon import Daemon, Daemons
from mizzen.agent.debug import Debug
from mizzen.agent.dns import DnsFigures, DnsServer
from mizzen.agent.dns_upstream import RESOLVER_FILE, Upstream, configured_servers
from mizzen.agent.drain import Drain
from mizzen.agent.envoy import Envoy, envoy_uid
from mizzen.agent.envoy_admin import AdminError, EnvoyAdmin
from mizzen.agent.health import DRAINING, Health, HealthReporter, HealthReporters
from mizzen.agent.http import HttpServer, Request, Response
from mizzen.agent.mesh_metrics import own_facts
from mizzen.agent.metrics import AgentFigures, exposition_of
from mizzen.agent.name_discovery import NameDiscovery
from mizzen.agent.probe import Prober, read_probe
from mizzen.agent.readiness import Readiness
from mizzen.agent.scrape import Fetch, Scrapes, Sources
from mizzen.agent.sds import SecretService, private_socket, serve_secrets
from mizzen.agent.settings import ADMIN_SOCKET, BOOTSTRAP_FILE, DEBUG_SOCKET, SDS_SOCKET, Settings
from mizzen.agent.tasks import cancel, first_of
from mizzen.envoy_binary import envoy_path
from mizzen.errors import UserError
from mizzen.listening import listening_ports

_POLL_UNTIL_READY_SECONDS: Final = 0.05
_POLL_READY_SECONDS: Final = 2.0
PROXY_METRICS: Final = "/stats/proxy"  # without the application's

_log = logging.getLogger("mizzen.agent")


class Agent:
    """One workload's agent. Works in the state folder: make it the process's current one before `run`."""

    def __init__(self, settings: Settings, started: float) -> None:
        """`started`: when the agent was started, by the monotonic clock. Raises UserError."""
        own_mark = AGENT_MARK if settings.captures else 0
        self._settings = settings
        self._started = started
        self._uid = envoy_uid(settings, os.geteuid(), Path("/proc/self/uid_map").read_text())
        each = tuple(Daemon(address, settings.root_cert, own_mark) for address in settings.daemons)
        daemons = Daemons(each)
        self._secrets = SecretService()
        captures_ipv6 = settings.captures and settings.capture.ipv6
        self._names = NameDiscovery(
            daemons, settings.node_id, settings.namespace, captures_ipv6=captures_ipv6
        )
        self._certificates = Certificates(settings, daemons, self._publish)
        self._admin = EnvoyAdmin(Path(ADMIN_SOCKET))
        self._audit = AuditLog(settings.audit_dir or Path(FOLDER), self._admin, self._uid)
        self._readiness = Readiness(
            self._admin, lambda: self._credentials is not None, lambda: self._names.table is not None
        )
        self._health = HealthReporters(
            HealthReporter(daemon, settings.node_id, lambda: self._credentials, on_answer=self._take_probe)
            for daemon in each
        )
        servers = settings.dns_upstream or configured_servers(RESOLVER_FILE)
        self._upstream = Upstream(servers, own_mark)
        self._dns_figures = DnsFigures()
        self._dns = [
            (DnsServer(lambda: self._names.table, self._upstream, self._dns_figures), address)
            for address in _dns_addresses(settings)
        ]
        self._envoy_version = ""
        self._scrapes = Scrapes(
            Sources(
                self._admin,
                own_facts(settings),
                Budget(settings.metric_series),
                self._own_metrics,
                _application_of(settings),
            )
        )
        self._http = HttpServer(
            {
                "/healthz/ready": self._ready,
                "/stats/prometheus": self._scrapes.merged,
                "/metrics": self._scrapes.merged,  # as Istio's agent
                PROXY_METRICS: self._scrapes.of_proxy,
                "/status": self._status,
            }
        )
        self._debug = HttpServer({}, Debug(daemons, lambda: self._credentials).read)
        self._bootstrap = bootstrap_text(build_bootstrap(settings))
        self._envoy = Envoy(
            settings,
            self._bootstrap,
            settings.envoy or envoy_path(),
            self._uid,
            on_line=_envoy_said,
            on_exit=self._envoy_ended,
        )
        self._look_again = asyncio.Event()
        self._missing = "starting"
        self._prober = Prober(self._look_again.set)
        self._knows_probe = False

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """Serve until `stop`, then drain; `hurry` cuts the draining short. Raises UserError where it cannot start."""
        async with AsyncExitStack() as running:
            await self._start(running)
            tasks = [
                asyncio.create_task(work)
                for work in (
                    self._certificates.keep(),
                    self._health.run(),
                    self._names.run(),
                    self._watch(),
                    self._audit.run(),
                )
            ]
            running.push_async_callback(cancel, *tasks)
            await first_of(stop.wait(), *(_never_ends(task) for task in tasks))
            await cancel(*tasks)
            self._prober.stop()
            self._missing = DRAINING.reason
            self._health.set(DRAINING)
            drain = Drain(self._settings, self._admin, self._health.report)
            await first_of(drain.run(), hurry.wait())

    async def _start(self, running: AsyncExitStack) -> None:
        """Envoy first, as it takes longest; it waits for its certificate and the daemon by itself."""
        if self._settings.captures:
            capture(self._settings.capture, self._settings.capture_backend)
        write_bootstrap(self._bootstrap, Path(BOOTSTRAP_FILE), self._uid)
        secrets = await serve_secrets(self._secrets, private_socket(Path(SDS_SOCKET), self._uid))
        running.push_async_callback(secrets.close)
        self._audit.prepare()
        self._envoy.start()
        running.push_async_callback(self._envoy.stop)
        await self._http.start(self._settings.address, ports.STATUS)
        running.push_async_callback(self._http.close)
        await self._debug.start_on(private_socket(Path(DEBUG_SOCKET), None))
        running.push_async_callback(self._debug.close)
        for server, address in self._dns:
            await server.start(address, ports.DNS)
            running.push_async_callback(server.close)

    @property
    def _credentials(self) -> Credentials | None:
        return self._certificates.current

    def _publish(self, credentials: Credentials) -> None:
        self._secrets.publish(credentials)
        self._names.use(credentials)

    async def _watch(self) -> None:
        """Follow readiness, so that the daemon hears of every change without asking."""
        was_ready = False
        while True:
            self._look_again.clear()
            self._missing = await self._readiness.missing()
            if not self._missing and not self._envoy_version:
                self._envoy_version = await self._ask_version()
            if not self._missing and not was_ready:
                was_ready = True
                _log.info("ready after %.2f s", time.monotonic() - self._started)
            if was_ready:
                # The first report asks how the application is to be probed: until then nobody knows that it is well.
                unknown = "" if self._knows_probe else "not probed yet"
                reason = self._missing or self._application_missing() or unknown or self._prober.reason
                self._health.set(Health(healthy=not reason, reason=reason))
            pause = _POLL_READY_SECONDS if self._health.health.healthy else _POLL_UNTIL_READY_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look_again.wait(), pause)

    async def _ask_version(self) -> str:
        try:
            return await self._admin.version()
        except AdminError:
            return ""  # it has just gone: asked again when it is back

    def _take_probe(self, text: str) -> None:
        self._prober.set(read_probe(text))
        if not self._knows_probe:
            self._knows_probe = True
            self._look_again.set()

    def _application_missing(self) -> str:
        """What keeps traffic away though the proxy is ready; it does not make the proxy unready."""
        closed = set(self._settings.application_ports) - listening_ports(self._settings.address)
        return f"the application does not listen on port {min(closed)}" if closed else ""

    def _envoy_ended(self, why: str, delay_seconds: float) -> None:
        _log.error("%s; it starts again in %.1f s", why, delay_seconds)
        self._envoy_version = ""
        self._look_again.set()

    async def _ready(self, _request: Request) -> Response:
        missing = self._missing if self._missing == DRAINING.reason else await self._readiness.missing()
        if missing:
            return Response(f"not ready: {missing}\n".encode(), HTTPStatus.SERVICE_UNAVAILABLE)
        return Response(b"ready\n")

    def _own_metrics(self) -> bytes:
        """Raises OSError."""
        credentials = self._credentials
        figures = AgentFigures(
            version=__version__,
            envoy_version=self._envoy_version,
            envoy_restarts=self._envoy.restarts,
            certificates_issued=self._certificates.issued,
            certificate_expires=credentials.not_after if credentials is not None else 0.0,
            ready=not self._missing,
            resident_bytes=_resident_bytes(),
            dns=self._dns_figures,
        )
        return exposition_of(figures)

    async def _status(self, _request: Request) -> Response:
        credentials = self._credentials
        document: dict[str, Any] = {
            "name": f"{self._settings.namespace}/{self._settings.name}",
            "nodeId": self._settings.node_id,
            "identity": str(self._settings.identity),
            "interception": self._settings.interception.value,
            "pid": os.getpid(),
            "residentBytes": _resident_bytes(),
            "ready": not self._missing,
            "missing": self._missing,
            "envoy": {"pid": self._envoy.pid, "restarts": self._envoy.restarts, "uid": self._uid},
            "certificate": {
                "issued": self._certificates.issued,
                "notBefore": credentials.not_before if credentials is not None else None,
                "notAfter": credentials.not_after if credentials is not None else None,
            },
            "dns": {
                "following": self._names.connected,
                "names": len(self._names.table.names) if self._names.table is not None else None,
                "upstream": [str(server) for server in self._upstream.servers],
            },
        }
        return Response.of_json(document)


def prepare_state_dir(settings: Settings) -> None:
    """Make the state folder, private to the workload, and work in it. Raises UserError."""
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.state_dir.chmod(0o700)
        uid = envoy_uid(settings, os.geteuid(), Path("/proc/self/uid_map").read_text())
        if uid is not None:
            os.chown(settings.state_dir, uid, -1)
        os.chdir(settings.state_dir)
    except OSError as error:
        raise UserError(f"the state folder {settings.state_dir} cannot be used: {error.strerror}") from None


async def run(settings: Settings, started: float) -> None:
    """Run the agent until SIGTERM or SIGINT; a second one ends it without waiting for connections."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def asked_to_stop() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop)
    await Agent(settings, started).run(stop, hurry)


def _dns_addresses(settings: Settings) -> tuple[str, ...]:
    """Where captured questions are redirected to; without capture the application asks at the workload's address."""
    if not settings.captures:
        return (settings.address,)
    return ("127.0.0.1", "::1") if settings.capture.ipv6 else ("127.0.0.1",)


def _application_of(settings: Settings) -> Fetch | None:
    """How the application is asked for its metrics; without capture it listens on a port of its own."""
    metrics = settings.application_metrics
    if metrics is None:
        return None
    port = settings.app_ports.get(metrics.port, metrics.port)
    return partial(fetch, metrics, host_of(settings.address), port)


def _envoy_said(line: str) -> None:
    sys.stderr.write(f"envoy {line}\n")
    sys.stderr.flush()


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


async def _never_ends(task: asyncio.Task[None]) -> None:
    """Wait for a task that must not end; its error ends the agent."""
    await asyncio.shield(task)
    raise AssertionError(f"{task.get_name()} ended")
