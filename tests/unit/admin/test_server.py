"""The JSON API over real sockets: its documents, its errors, and whom it does not answer."""

import asyncio
import contextlib
import socket
import stat

import aiohttp
import msgspec
import pytest
from prometheus_client import CollectorRegistry, Counter

from mizzen.admin.patience import AdminLimits
from mizzen.admin.schema import MeshName, MeshStatus, MutualTlsReport, ScrapeTarget, ServiceAddress
from mizzen.admin.server import AdminServer
from mizzen.errors import UserError
from mizzen.logs import LogLevels
from tests.support.discovery import until
from tests.support.mesh_status import bookinfo_status


class Source:
    broken = False

    def status(self):
        if self.broken:
            raise RuntimeError("boom")
        return bookinfo_status()

    def mutual_tls(self):
        return MutualTlsReport(since=1.0, workloads=())

    def scrape_targets(self):
        return [ScrapeTarget(targets=("10.0.0.1:15020",), labels={"app": "reviews"})]

    def names(self):
        return {"reviews.bookinfo.svc.cluster.local": MeshName(addresses=("10.96.0.3",))}

    def service_addresses(self):
        return [ServiceAddress(address="10.96.0.3", port=80, endpoints=(("10.0.0.1", 9080),))]

    async def config_dump(self, proxy):
        return {"clusters": []} if proxy == "bookinfo/reviews-v1-0" else None


class Client:
    def __init__(self, session, base):
        self.session, self.base = session, base

    def get(self, path, **more):
        return self.session.get(self.base + path, allow_redirects=False, **more)

    async def json(self, path):
        async with self.get(path) as response:
            assert response.status == 200
            assert response.content_type == "application/json"
            return await response.json()

    async def status(self, path, host=None, method="GET"):
        headers = {"Host": host} if host is not None else {}
        async with self.session.request(method, self.base + path, headers=headers) as response:
            return response.status


@pytest.fixture
def source():
    return Source()


@pytest.fixture
async def server(source):
    registry = CollectorRegistry()
    Counter("mizzen_pushes", "pushes", registry=registry).inc(3)
    one = AdminServer(source, registry, hosts=["mesh.example"])
    yield one
    await one.close()


@pytest.fixture
async def client(server):
    host, port = await server.listen_tcp("127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        yield Client(session, f"http://{host}:{port}")


async def test_the_status_is_the_documented_document(client):
    async with client.get("/api/v1/status") as response:
        assert msgspec.json.decode(await response.read(), type=MeshStatus) == bookinfo_status()


@pytest.mark.parametrize("part", ["workloads", "diagnostics", "changes"])
async def test_a_part_of_the_status(client, part):
    whole = await client.json("/api/v1/status")
    assert whole[part]
    assert await client.json(f"/api/v1/{part}") == {part: whole[part]}


async def test_traffic_and_names(client):
    assert (await client.json("/api/v1/traffic"))["windowSeconds"] == 10.0
    addresses = await client.json("/api/v1/service-addresses")
    assert addresses == {
        "addresses": [{"address": "10.96.0.3", "port": 80, "endpoints": [["10.0.0.1", 9080]]}]
    }
    names = await client.json("/api/v1/names")
    assert names == {
        "names": {"reviews.bookinfo.svc.cluster.local": {"addresses": ["10.96.0.3"], "externalName": ""}}
    }


async def test_prometheus_finds_its_targets(client):
    """Its HTTP service discovery wants a bare list, and takes no other type."""
    async with client.get("/api/v1/prometheus/targets", headers={"Accept": "application/json"}) as response:
        assert response.headers["Content-Type"] == "application/json"
        assert await response.json() == [{"targets": ["10.0.0.1:15020"], "labels": {"app": "reviews"}}]


async def test_a_proxys_configuration_is_for_the_socket_alone(server, client, tmp_path):
    await server.listen_unix(tmp_path / "admin.sock")
    async with aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(tmp_path / "admin.sock"))
    ) as session:
        private = Client(session, "http://localhost")
        assert await private.json("/api/v1/proxies/bookinfo/reviews-v1-0/config") == {"clusters": []}
        async with private.get("/api/v1/proxies/bookinfo/nobody/config") as response:
            assert (response.status, await response.json()) == (404, {"error": "no proxy bookinfo/nobody"})
    for proxy in ("reviews-v1-0", "nobody"):
        assert await client.status(f"/api/v1/proxies/bookinfo/{proxy}/config") == 403


async def test_the_levels_of_the_log_are_changed_through_the_socket_alone(source, tmp_path, caplog):
    levels = LogLevels(("left", "right"), {"right": "warn"})
    levels.reset()
    server = AdminServer(source, CollectorRegistry(), logs=levels)
    path, wanted = "/api/v1/log-levels", {"levels": {"left": "debug"}}
    host, port = await server.listen_tcp("127.0.0.1", 0)
    await server.listen_unix(tmp_path / "admin.sock")
    connector = aiohttp.UnixConnector(str(tmp_path / "admin.sock"))
    async with aiohttp.ClientSession() as public, aiohttp.ClientSession(connector=connector) as owner:
        for method in ("PUT", "DELETE"):
            async with public.request(method, f"http://{host}:{port}{path}", json=wanted) as response:
                assert response.status == 403
        async with public.get(f"http://{host}:{port}{path}") as response:
            assert await response.json() == {"levels": {"left": "info", "right": "warn"}}

        async def ask(method, body=None):
            async with owner.request(method, f"http://localhost{path}", data=body) as response:
                return response.status, await response.json()

        assert await ask("PUT", msgspec.json.encode(wanted)) == (
            200,
            {"levels": {"left": "debug", "right": "warn"}},
        )
        assert "log levels are now {'left': 'debug', 'right': 'warn'}" in caplog.text
        for body, words in (
            (b'{"levels": {"up": "debug"}}', "there is no scope 'up': these are: left, right, all"),
            (b'{"levels": {"left": 7}}', "Expected `str`, got `int`"),
            (b"nonsense", "malformed"),
            (b"x" * 20_000, "Maximum request body size"),
        ):
            status, answer = await ask("PUT", body)
            assert status in (400, 413)
            assert words in answer["error"]
        assert await ask("DELETE") == (200, {"levels": {"left": "info", "right": "warn"}})
    await server.close()


async def test_metrics_and_health(client):
    async with client.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        assert "mizzen_pushes_total 3.0" in await response.text()
    for path, words in (("/healthz", "ok\n"), ("/healthz/live", "ok\n"), ("/healthz/ready", "ready\n")):
        async with client.get(path) as response:
            assert (response.status, await response.text()) == (200, words)


async def test_who_is_not_ready_says_why_and_is_alive(source, tmp_path):
    missing = ["no configuration", "no CA"]
    server = AdminServer(source, CollectorRegistry(), missing=lambda: missing)
    host, port = await server.listen_tcp("127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        client = Client(session, f"http://{host}:{port}")
        async with client.get("/healthz/ready") as response:
            assert (response.status, await response.text()) == (503, "not ready: no configuration; no CA\n")
        assert await client.status("/healthz/live") == 200
        missing.clear()
        assert await client.status("/healthz/ready") == 200
    await server.close()


async def test_the_console_comes_whole_and_from_here_alone(client):
    async with client.get("/") as response:
        assert (response.status, response.headers["Location"]) == (302, "/console/")
    for path, kind in (("", "text/html"), ("console.css", "text/css"), ("console.js", "text/javascript")):
        async with client.get(f"/console/{path}") as response:
            assert (response.status, response.content_type) == (200, kind)
            assert "script-src 'self'" in response.headers["Content-Security-Policy"]
            assert "unsafe" not in response.headers["Content-Security-Policy"]
            assert "://" not in (await response.text()).replace("http://www.w3.org/2000/svg", "").replace(
                "spiffe://", ""
            )


@pytest.mark.parametrize("path", ["/api/v1/status", "/", "/nowhere", "/api/v1/proxies/a/b/config"])
async def test_every_answer_is_guarded_against_other_sites(client, path):
    async with client.get(path, headers={"Origin": "http://evil.example"}) as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:15014", "127.0.0.1:15014", "[::1]:8", "10.1.2.3", "mesh.example:1"]
)
async def test_names_that_cannot_be_rebound_are_served(client, host):
    assert await client.status("/api/v1/status", host=host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:15014", "localhost.evil.example", "127.0.0.1.evil.example", ""]
)
async def test_other_names_are_refused(client, host):
    for path in ("/api/v1/status", "/metrics", "/console/", "/healthz", "/nowhere"):
        assert await client.status(path, host=host) == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_can_be_changed(client, method):
    assert await client.status("/api/v1/status", method=method) == 405


async def test_a_fault_of_the_daemon_is_an_answer_too(client, source, caplog):
    source.broken = True
    async with client.get("/api/v1/status") as response:
        assert response.status == 500
        assert "boom" not in await response.text()
    assert "boom" in caplog.text


async def test_a_socket_that_was_handed_in(server):
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    await server.listen(sock)
    async with aiohttp.ClientSession() as session:
        assert await Client(session, f"http://127.0.0.1:{port}").status("/healthz") == 200


async def test_a_unix_socket_is_for_its_owner_and_takes_any_host(server, tmp_path):
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    await server.listen_unix(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
        assert await Client(session, "http://anything.example").status("/api/v1/status") == 200
    await server.close()
    assert not path.exists()


async def test_an_address_that_is_taken_is_one_clear_line(server, client):
    port = int(client.base.rpartition(":")[2])
    with pytest.raises(UserError, match=r"Address already in use.*--admin-address"):
        await server.listen_tcp("127.0.0.1", port)


async def test_a_path_that_cannot_be_a_socket_is_one_clear_line(server, tmp_path):
    for path in (tmp_path / "missing" / "admin.sock", tmp_path / ("x" * 120)):
        with pytest.raises(UserError, match="--state-dir"):
            await server.listen_unix(path)


@pytest.fixture
async def impatient(source):
    """A server that looks all the time, and its port."""
    limits = AdminLimits(connections=3, idle_seconds=0.3, look_seconds=0.01)
    one = AdminServer(source, CollectorRegistry(), limits=limits)
    yield (await one.listen_tcp("127.0.0.1", 0))[1]
    await one.close()


async def ended(reader):
    with contextlib.suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 10)


async def test_slow_heads_and_silent_connections_end(impatient):
    """Bytes that come one by one do not help."""
    reader, slow = await asyncio.open_connection("127.0.0.1", impatient)
    silent, other = await asyncio.open_connection("127.0.0.1", impatient)
    dripping = asyncio.create_task(drip(slow))
    await ended(reader)
    await ended(silent)
    dripping.cancel()
    slow.transport.abort()
    other.transport.abort()


async def drip(writer):
    writer.write(b"GET /healthz HTTP/1.1\r\nX: ")
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.01)


async def test_connections_beyond_their_number_end(impatient):
    opened = [await asyncio.open_connection("127.0.0.1", impatient) for _ in range(10)]
    waiting = [asyncio.create_task(ended(reader)) for reader, _ in opened]
    await asyncio.gather(*waiting)
    for _, writer in opened:
        writer.transport.abort()


async def test_who_does_not_read_the_answer_is_dropped(source):
    now = [0.0]
    limits = AdminLimits(look_seconds=0.01)
    source.names = lambda: {
        f"{number}.example": MeshName(addresses=("10.0.0.1",)) for number in range(200_000)
    }
    server = AdminServer(source, CollectorRegistry(), limits=limits, clock=lambda: now[0])
    _, port = await server.listen_tcp("127.0.0.1", 0)
    deaf = socket.create_connection(("127.0.0.1", port))
    deaf.sendall(b"GET /api/v1/names HTTP/1.1\r\nHost: localhost\r\n\r\n")
    (connection,) = await connections(server, 1)
    await until(lambda: connection.transport.get_write_buffer_size() > 2**20)
    now[0] = 31.0
    assert await connections(server, 0) == []
    deaf.close()
    await server.close()


async def connections(server, number):
    await until(lambda: len(server._runner.server.connections) == number)
    return server._runner.server.connections
