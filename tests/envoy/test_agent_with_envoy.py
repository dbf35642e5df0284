"""The agent as a process with a real Envoy, against a stand-in for the daemon."""

import asyncio
import os
import re
import signal
import ssl
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mizzen import __version__
from mizzen.agent.metrics import RESERVED
from tests.support.agent_mesh import (
    Daemon,
    free_address,
    free_port,
    running_agent,
    serve_app_over_mtls,
    until,
)
from tests.support.exposition import read_strictly, value_of
from tests.support.metrics_servers import answering, ok
from tests.support.repository import read, section

pytestmark = pytest.mark.envoy

CEILING_BYTES = 45 << 20  # what is promised; benchmarks/agent.py has the figure

# The first asks how the application is to be probed.
FIRST_REPORTS = [(False, "not probed yet"), (True, "")]


@pytest.fixture
async def daemon(tmp_path):
    daemon = Daemon(tmp_path)
    await daemon.start()
    yield daemon
    await daemon.close()


class App:
    """An HTTP application whose answers can be held back."""

    def __init__(self) -> None:
        self.hold = asyncio.Event()
        self.hold.set()
        self.waiting = 0
        self._server = None

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.waiting += 1
                await self.hold.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def app():
    async with App() as app:
        yield app


class Caller:
    """A client with a certificate of the mesh."""

    def __init__(self, daemon: Daemon) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        san = [x509.UniformResourceIdentifier("spiffe://cluster.local/ns/shop/sa/buyer")]
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        file = daemon.folder / "caller.pem"
        file.write_text(pem + daemon.authority.sign(key.public_key(), san, timedelta(hours=1)))
        self.tls = ssl.create_default_context(cadata=daemon.authority.root_pem)
        self.tls.check_hostname = False
        self.tls.load_cert_chain(file)

    async def connect(self, address: str, port: int) -> "Connection":
        return Connection(*await asyncio.open_connection(address, port, ssl=self.tls))


class Connection:
    def __init__(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer
        certificate = writer.get_extra_info("peercert")
        self.serial = certificate["serialNumber"]
        self.identity = dict(certificate["subjectAltName"])["URI"]

    async def send(self) -> None:
        self.writer.write(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")
        await self.writer.drain()

    async def answer(self) -> tuple[bytes, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        return head.lower(), await self.reader.readexactly(5)

    async def request(self) -> bytes:
        await self.send()
        return (await self.answer())[1]

    def close(self) -> None:
        self.writer.transport.abort()


async def test_it_becomes_ready_and_serves_with_the_certificate_it_asked_for(daemon, app):
    address, port = free_address(), free_port()
    serve_app_over_mtls(daemon, address, port, app.port)
    async with running_agent(daemon, address) as agent:
        await until(agent.is_ready, "readiness")
        assert daemon.proofs == ["token"]
        assert daemon.nodes[0] == f"sidecar~{address}~app-1.shop~shop.svc.cluster.local"
        connection = await Caller(daemon).connect(address, port)
        assert connection.identity == "spiffe://cluster.local/ns/shop/sa/seller"
        assert await connection.request() == b"hello"
        connection.close()
        await until(lambda: daemon.health == FIRST_REPORTS, "the health report")
        status = await agent.status()
        assert status["ready"] is True
        assert status["residentBytes"] < CEILING_BYTES
        code, metrics = await agent.http("/stats/prometheus")
        assert code == 200
        assert b"mizzen_agent_ready 1\n" in metrics
        assert b"envoy_server_state" in metrics
    assert daemon.rejected == []


async def test_only_envoys_user_can_open_what_the_agent_leaves_in_the_state_folder(daemon):
    async with running_agent(daemon, free_address()) as agent:
        await until(agent.is_ready, "readiness")
        modes = {path.name: path.stat().st_mode & 0o777 for path in agent.state_dir.iterdir()}
        sockets = {"sds.sock": 0o600, "envoy-admin.sock": 0o600, "debug.sock": 0o600}
        assert modes == {**sockets, "bootstrap.json": 0o600, "audit": 0o700}
        assert agent.state_dir.stat().st_mode & 0o777 == 0o700


async def test_a_renewed_certificate_is_served_without_a_failed_request(daemon, app):
    daemon.life_seconds = 3.0
    address, port = free_address(), free_port()
    serve_app_over_mtls(daemon, address, port, app.port)
    async with running_agent(daemon, address, "--cert-ttl", "3") as agent:
        await until(agent.is_ready, "readiness")
        caller = Caller(daemon)
        kept = await caller.connect(address, port)
        serials = {kept.serial}
        while len(serials) < 3:
            assert await kept.request() == b"hello"
            fresh = await caller.connect(address, port)
            assert await fresh.request() == b"hello"
            serials.add(fresh.serial)
            fresh.close()
            await asyncio.sleep(0.01)
        assert await kept.request() == b"hello"
        kept.close()
        assert set(daemon.proofs[1:]) == {"spiffe://cluster.local/ns/shop/sa/seller"}


async def test_a_killed_envoy_comes_back_and_the_daemon_hears_of_it(daemon, app):
    address, port = free_address(), free_port()
    serve_app_over_mtls(daemon, address, port, app.port)
    async with running_agent(daemon, address) as agent:
        await until(agent.is_ready, "readiness")
        await until(lambda: daemon.health == FIRST_REPORTS, "the first health report")
        os.kill((await agent.status())["envoy"]["pid"], signal.SIGKILL)
        await until(
            lambda: any(not healthy for healthy, _ in daemon.health[len(FIRST_REPORTS) :]),
            "the report of its end",
        )
        await until(lambda: daemon.health[-1] == (True, ""), "the report of its return")
        connection = await Caller(daemon).connect(address, port)
        assert await connection.request() == b"hello"
        connection.close()
        assert (await agent.status())["envoy"]["restarts"] == 1
        assert any("was killed by SIGKILL" in line for line in agent.log)


async def test_sigterm_lets_a_request_in_flight_finish(daemon, app):
    address, port = free_address(), free_port()
    serve_app_over_mtls(daemon, address, port, app.port)
    async with running_agent(daemon, address, "--drain-seconds", "20") as agent:
        await until(agent.is_ready, "readiness")
        connection = await Caller(daemon).connect(address, port)
        app.hold.clear()
        await connection.send()
        await until(lambda: app.waiting == 1, "the request at the application")
        agent.child.send_signal(signal.SIGTERM)
        await until(lambda: (False, "draining") in daemon.health, "the report")
        assert (await agent.http("/healthz/ready"))[1] == b"not ready: draining\n"
        app.hold.set()
        head, body = await connection.answer()
        assert body == b"hello"
        assert b"connection: close" in head
        connection.close()
        assert (await agent.child.wait()).ok
        assert any("drained in" in line for line in agent.log)


async def test_the_agent_may_start_before_the_daemon_and_outlive_it(daemon):
    address = free_address()
    await daemon.close()
    async with running_agent(daemon, address) as agent:
        await until(lambda: any("cannot be reached" in line for line in agent.log), "the complaint")
        assert not await agent.is_ready()
        await daemon.start()
        await until(agent.is_ready, "readiness")
        await daemon.close()
        assert await agent.is_ready()
        await daemon.start()


async def test_another_daemon_at_that_address_is_not_trusted(daemon, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    impostor = Daemon(other)
    await impostor.start()
    (other / "root.pem").write_text(daemon.authority.root_pem)
    async with running_agent(impostor, free_address()) as agent:
        await until(lambda: any("is not the one that" in line for line in agent.log), "the complaint")
        assert impostor.proofs == []
    await impostor.close()


@pytest.mark.skipif(os.getuid() != 0, reason="could not run here: only root can give Envoy a user of its own")
async def test_no_process_survives_a_killed_agent(daemon):
    async with running_agent(daemon, free_address()) as agent:
        await until(agent.is_ready, "readiness")
        envoy = (await agent.status())["envoy"]["pid"]
        agent.child.send_signal(signal.SIGKILL)
        await agent.child.wait()
        await until(
            lambda: not Path(f"/proc/{envoy}").exists() or " Z " in Path(f"/proc/{envoy}/stat").read_text(),
            "Envoy's end",
        )


async def test_prometheus_gets_envoys_the_agents_and_the_applications_metrics_in_one_valid_answer(daemon):
    body = b"# TYPE shop_orders_total counter\nshop_orders_total 3\n# TYPE envoy_server_live gauge\nenvoy_server_live 0\n"
    address = free_address()
    async with (
        answering(ok(body), host=address) as app,
        running_agent(daemon, address, "--application-metrics", f"{app.port}/m") as agent,
    ):
        await until(partial(says_its_version, agent), "Envoy's version")
        for path in ("/stats/prometheus", "/metrics"):
            code, metrics = await agent.http(path)
            assert code == 200
            families = read_strictly(metrics.decode())
            assert value_of(families, "shop_orders_total") == 3
            assert value_of(families, "envoy_server_live") == 1
            assert value_of(families, "mizzen_agent_ready") == 1
            assert value_of(families, "istio_agent_scrape_failures_total", type="application") == 0
        assert app.heard[0].startswith(b"GET /m HTTP/1.1\r\n")
        own = {name: one.type for name, one in families.items() if name.encode().startswith(RESERVED)}
        rows = section(read("docs/metrics.md"), "### Of the agent")
        assert own == dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", rows, re.MULTILINE)), "both ways"
        versions = families["mizzen_agent_build_info"].samples[0].labels
        assert versions["version"] == __version__
        asked = len(app.heard)
        _, of_proxy = await agent.http("/stats/proxy")
        assert value_of(read_strictly(of_proxy.decode()), "mizzen_agent_ready") == 1
        assert "envoy_server_live" not in of_proxy.decode(), "the daemon does not read it"
        assert len(app.heard) == asked


async def says_its_version(agent) -> bool:
    if not await agent.is_ready():
        return False
    _, metrics = await agent.http("/stats/proxy")
    return f'envoy_version="{version("envoy-server")}"'.encode() in metrics
