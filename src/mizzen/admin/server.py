"""The daemon's HTTP side: the JSON API, the metrics, the console. It reads; what it can change is the levels of the log.

Whoever can reach it may read all of it, so it listens on loopback and on a unix socket unless told otherwise. A page
from elsewhere, open in a browser on this machine, must not read it either: no CORS headers, and the Host header
must be one that no foreign name can be made to resolve to (`HostCheck`).
"""

import asyncio
import contextlib
import logging
import socket
import stat
import time
from collections.abc import Awaitable, Callable, Collection
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from mizzen.admin.patience import AdminLimits, Patience
from mizzen.admin.source import AdminSource
from mizzen.console import read_pages
from mizzen.errors import UserError
from mizzen.logs import LogLevels

_LOG = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LEVELS = "/api/v1/log-levels"
_LONGEST_BODY = 1 << 14

_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Live data; and a console that was updated with the daemon must not come out of a cache.
    "Cache-Control": "no-store",
}


class AdminServer:
    """Serves one `AdminSource` on any number of sockets. `hosts`: further names that clients may call it by; `missing`: why the daemon
    is not ready, nothing where it is.
    """

    def __init__(
        self,
        source: AdminSource,
        registry: CollectorRegistry,
        *,
        hosts: Collection[str] = (),
        logs: LogLevels | None = None,
        missing: Callable[[], Collection[str]] = tuple,
        limits: AdminLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = Patience(limits or AdminLimits(), clock)
        middlewares = [self._patience.middleware(), _secure(_HostCheck(hosts)), _errors_as_json]
        app = web.Application(middlewares=middlewares, client_max_size=_LONGEST_BODY)
        levels = _log_levels(logs or LogLevels())
        app.add_routes([*_api(source), *levels, _metrics(registry), *_health(missing), *_console()])
        # Clients poll; none has an answer that is worth waiting for at shutdown.
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        self._paths: list[Path] = []
        self._starting = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    async def listen(self, sock: socket.socket) -> None:
        """Serve on a socket that was bound elsewhere; it belongs to the server from here on."""
        async with self._starting:
            if self._watching is None:
                await self._runner.setup()
                assert self._runner.server is not None
                self._watching = asyncio.create_task(self._patience.run(self._runner.server))
        await web.SockSite(self._runner, sock).start()

    async def listen_tcp(self, host: str, port: int) -> tuple[str, int]:
        """Serve on an address; port 0 takes a free one. Gives the address. UserError where it is taken."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
        except OSError as error:
            sock.close()
            raise UserError(
                f"cannot listen on {host}:{port} for the admin API ({error.strerror or error})",
                "choose another address with --admin-address",
            ) from error
        address = sock.getsockname()
        await self.listen(sock)
        return address[0], address[1]

    async def listen_unix(self, path: Path) -> None:
        """Serve on a unix socket for the owner alone. A socket that a dead daemon left there is replaced.

        The caller holds the lock of the folder: no living daemon loses its socket.
        """
        try:
            sock = _bind_unix(path)
        except OSError as error:
            raise UserError(
                f"cannot listen on {path} ({error.strerror or error})",
                "choose another state folder with --state-dir (the path of a socket has at most 107 bytes)",
            ) from error
        self._paths.append(path)
        await self.listen(sock)

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await self._runner.cleanup()
        for path in self._paths:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _bind_unix(path: Path) -> socket.socket:
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)  # nobody can connect before listen()
    except OSError:
        sock.close()
        raise
    return sock


class _HostCheck:
    """Which Host headers are answered: defence against DNS rebinding.

    A page of evil.example can make its own name resolve to 127.0.0.1 and then talk to this server as to its own
    origin, but the browser sends "Host: evil.example". Addresses and localhost cannot be rebound.
    """

    def __init__(self, hosts: Collection[str]) -> None:
        self._names = frozenset({"localhost", *(host.lower() for host in hosts)})

    def allows(self, request: web.Request) -> bool:
        if _is_private(request):
            return True
        name = _host_without_port(request.headers.get("Host", ""))
        return name in self._names or _is_address(name)


def _is_private(request: web.Request) -> bool:
    """Whether it came over the unix socket: from its owner, and from no browser."""
    return request.transport is None or isinstance(request.transport.get_extra_info("sockname"), str)


def _host_without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _secure(check: _HostCheck) -> Any:
    @web.middleware
    async def secure(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if check.allows(request):
            response = await handler(request)
        else:
            response = _json_error(
                421, "this name is not served here: use localhost, or start with --admin-host NAME"
            )
        response.headers.update(_SECURITY_HEADERS)
        return response

    return secure


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        response = _json_error(error.status, error.text or error.reason)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception:  # noqa: BLE001 - the door: whatever the daemon's side raised, the client gets an answer
        _LOG.exception("%s %s failed", request.method, request.path)
        return _json_error(500, "the daemon failed to answer; its log says why")


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)


def _json_error(status: int, message: str) -> web.Response:
    return _json({"error": message}, status)


def _api(source: AdminSource) -> list[web.RouteDef]:
    def document(name: str, read: Callable[[], Any]) -> web.RouteDef:
        async def answer(_: web.Request) -> web.Response:
            return _json(read())

        return web.get(f"/api/v1/{name}", answer)

    async def proxy_config(request: web.Request) -> web.Response:
        proxy = "{namespace}/{name}".format_map(request.match_info)
        if not _is_private(request):
            return _json_error(403, "debug data: ask the daemon's admin.sock or an agent's debug.sock")
        dump = await source.config_dump(proxy)
        return _json_error(404, f"no proxy {proxy}") if dump is None else _json(dump)

    async def proxy_start(request: web.Request) -> web.Response:
        workload = "{namespace}/{name}".format_map(request.match_info)
        start = source.proxy_start(workload)
        return _json_error(404, f"no workload {workload}") if start is None else _json(start)

    return [
        document("status", source.status),
        document("workloads", lambda: {"workloads": source.status().workloads}),
        document("traffic", lambda: source.status().traffic),
        document("mutual-tls", source.mutual_tls),
        document("diagnostics", lambda: {"diagnostics": source.status().diagnostics}),
        document("changes", lambda: {"changes": source.status().changes}),
        document("names", lambda: {"names": source.names()}),
        document("prometheus/targets", source.scrape_targets),
        document("service-addresses", lambda: {"addresses": source.service_addresses()}),
        web.get("/api/v1/proxies/{namespace}/{name}/config", proxy_config),
        web.get("/api/v1/workloads/{namespace}/{name}/proxy-start", proxy_start),
    ]


class _Levels(msgspec.Struct, frozen=True):
    levels: dict[str, str]


def _log_levels(logs: LogLevels) -> list[web.RouteDef]:
    """Who may open the daemon's own socket changes them, and nobody else."""

    async def read(_: web.Request) -> web.Response:
        return _json({"levels": logs.current()})

    def of_the_owner(change: Callable[[bytes], None]) -> _Handler:
        async def answer(request: web.Request) -> web.Response:
            if not _is_private(request):
                return _json_error(403, "the levels of the log are changed through the daemon's admin.sock")
            try:
                change(await request.read())
            except (UserError, msgspec.DecodeError) as error:
                return _json_error(400, str(error))
            _LOG.warning("log levels are now %s", logs.current())
            return _json({"levels": logs.current()})

        return answer

    return [
        web.get(_LEVELS, read),
        web.put(
            _LEVELS, of_the_owner(lambda body: logs.change(msgspec.json.decode(body, type=_Levels).levels))
        ),
        web.delete(_LEVELS, of_the_owner(lambda _: logs.reset())),
    ]


def _metrics(registry: CollectorRegistry) -> web.RouteDef:
    async def answer(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return web.get("/metrics", answer)


def _health(missing: Callable[[], Collection[str]]) -> list[web.RouteDef]:
    """For probes. Who answers is alive."""

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        reasons = missing()
        if reasons:
            return web.Response(status=503, text=f"not ready: {'; '.join(reasons)}\n")
        return web.Response(text="ready\n")

    return [web.get("/healthz", live), web.get("/healthz/live", live), web.get("/healthz/ready", ready)]


def _console() -> list[web.RouteDef]:
    def page(content_type: str, text: str) -> _Handler:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=text, content_type=content_type, charset="utf-8")

        return answer

    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/console/"})

    pages = {name: page(*content) for name, content in read_pages().items()}
    return [
        web.get("/", redirect),
        web.get("/console", redirect),
        web.get("/console/", pages["index.html"]),
        *(web.get(f"/console/{name}", answer) for name, answer in pages.items()),
    ]
