"""A real Envoy and its agent with two daemons: it begins at any, and moves to the other when that one is killed."""

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mizzen.agent.bootstrap import bootstrap_text, build_bootstrap
from mizzen.agent.envoy_admin import EnvoyAdmin
from mizzen.agent.settings import parse
from mizzen.envoy_binary import envoy_path
from mizzen.processes import Child, Command, ToLines, start
from tests.support.agent_mesh import free_address, free_port, running_agent, until
from tests.support.daemon import Reached, identity
from tests.wire.test_daemon import SERVICE

pytestmark = pytest.mark.envoy

ME = "shop/app-1"
APP = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: app-1, namespace: shop}}
spec: {{address: {address}, labels: {{app: app}}, serviceAccount: seller}}
"""


@dataclass
class Mesh:
    """Two daemons over one folder; for `running_agent`, the first of them."""

    folder: Path
    daemons: list[Reached]
    processes: list[Child]
    host: str = "127.0.0.1"

    @property
    def port(self) -> int:
        return self.daemons[0].port

    def write(self, name: str, text: str) -> None:
        (self.folder / "config" / name).write_text(text)

    async def where(self) -> Reached:
        """The daemon to which the proxy is connected, once it has everything."""
        found: list[Reached] = []

        async def connected() -> bool:
            found[:] = [
                each
                for each, process in zip(self.daemons, self.processes, strict=True)
                if process.exit is None and is_synced(await each.ask("status"))
            ]
            return bool(found)

        await until(connected, "a proxy that is connected", 20)
        (one,) = found
        return one

    async def kill(self, daemon: Reached) -> None:
        process = self.processes[self.daemons.index(daemon)]
        process.send_signal(signal.SIGKILL)
        await process.wait()


def is_synced(status) -> bool:
    me = next(each for each in status["workloads"] if each["name"] == ME)
    return me["connected"] and all(each["state"] == "synced" for each in me["sync"]) and len(me["sync"]) > 1


@pytest.fixture
def tmp_path():
    """A short one: sockets' paths are."""
    with tempfile.TemporaryDirectory(prefix="mz-") as folder:
        yield Path(folder)


@pytest.fixture
async def mesh(tmp_path):
    (tmp_path / "config").mkdir()
    mesh = Mesh(tmp_path, [], [])
    for number in range(20):
        mesh.write(f"service-{number}.yaml", SERVICE.format(name=f"s{number}", namespace="shop"))
    log: list[str] = []
    for name in ("a", "b"):
        daemon = Reached(free_port(), tmp_path / name, tmp_path / "shared")
        argv = (
            sys.executable, "-m", "mizzen.daemon", "--config", str(tmp_path / "config"),
            "--state-dir", str(daemon.state_dir), "--shared-dir", str(daemon.shared),
            "--listen", f"127.0.0.1:{daemon.port}", "--admin-address", "127.0.0.1:0",
        )  # fmt: skip
        mesh.daemons.append(daemon)
        mesh.processes.append(
            start(Command(name=name, argv=argv, stdout=ToLines(log.append), stderr=ToLines(log.append)))
        )
    try:
        await until(lambda: log.count("ready") == 2, "two daemons", 60)
        (tmp_path / "root.pem").write_text(mesh.daemons[0].root_cert.read_text())
        (tmp_path / "token").write_text(mesh.daemons[0].token(identity("shop", "seller")))
        yield mesh
    finally:
        await asyncio.gather(*(each.stop(grace_seconds=10) for each in mesh.processes))
        if sys.exc_info()[0] is not None:
            sys.stderr.write("\n".join(log))


async def versions(admin: EnvoyAdmin) -> dict[str, str]:
    """What Envoy runs of discovery: every dynamic resource with its version."""
    dump = json.loads(await admin.get("/config_dump?include_eds"))
    return dict(sorted(_versions(dump)))


def _versions(node):
    if isinstance(node, list):
        for each in node:
            yield from _versions(each)
    elif isinstance(node, dict):
        for field in ("cluster", "listener", "route_config", "endpoint_config"):
            if node.get("version_info") and field in node:
                name = node[field].get("name") or node[field].get("cluster_name")
                yield f"{field} {name}", node["version_info"]
        for each in node.values():
            yield from _versions(each)


async def received_bytes(admin: EnvoyAdmin) -> int:
    """From daemons, through TLS."""
    (found,) = (await admin.stats("xds-grpc.upstream_cx_rx_bytes_total")).values()
    return found


async def test_it_moves_to_the_other_when_its_daemon_is_killed_and_is_sent_nothing_again(mesh):
    address = free_address()
    mesh.write("app-1.yaml", APP.format(address=address))
    options = ("--daemon", f"127.0.0.1:{mesh.daemons[1].port}", "--http-proxy-port", "15002")
    async with running_agent(mesh, address, *options) as agent:
        await until(agent.is_ready, "readiness", 30)
        admin = EnvoyAdmin(agent.state_dir / "envoy-admin.sock")
        first = await mesh.where()
        (second,) = (each for each in mesh.daemons if each is not first)
        before, sent = await versions(admin), await second.sent_bytes()
        assert len(before) > 20
        got = await received_bytes(admin)

        await mesh.kill(first)
        assert await mesh.where() is second
        assert await second.sent_bytes() == sent
        assert await versions(admin) == before
        again = await received_bytes(admin) - got
        assert again < got / 20, "a handshake and what HTTP/2 says"
        assert await agent.is_ready()

        mesh.write("new.yaml", SERVICE.format(name="new", namespace="shop"))
        cluster = "cluster outbound|80||new.shop.svc.cluster.local"

        async def is_new() -> bool:
            return cluster in await versions(admin)

        await until(is_new, "a change of the configuration, by way of the other daemon", 20)
        assert await mesh.where() is second


PROXIES = 24  # one daemon alone gets them all with a chance of 2 / 2**24


async def test_proxies_that_start_spread_over_the_daemons(tmp_path):
    reached: asyncio.Queue[int] = asyncio.Queue()
    async with counting(0, reached) as first, counting(1, reached) as second:
        bootstrap = plain_bootstrap(first, second)
        chosen = []
        for number in range(PROXIES):
            async with bare_envoy(bootstrap, tmp_path / str(number)):
                chosen.append(await asyncio.wait_for(reached.get(), 20))
    assert reached.empty()
    assert set(chosen) == {0, 1}


@asynccontextmanager
async def counting(number: int, reached: asyncio.Queue[int]):
    """Tells who is connected to, and answers nothing. Gives its port."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.put_nowait(number)
        with contextlib.suppress(ConnectionError):
            await reader.read()  # until Envoy ends: one that was left would come again, to the next
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def plain_bootstrap(*ports: int) -> str:
    """The agent's, but without an agent that has a certificate for it."""
    daemons = [word for port in ports for word in ("--daemon", f"127.0.0.1:{port}")]
    rest = ["--name", "w", "--address", "127.0.0.1", "--root-cert", "r", "--state-dir", "s"]
    document = json.loads(bootstrap_text(build_bootstrap(parse([*rest, *daemons, "--interception", "none"]))))
    for cluster in document["static_resources"]["clusters"]:
        cluster.pop("transport_socket", None)
    return json.dumps(document)


@asynccontextmanager
async def bare_envoy(bootstrap: str, folder: Path):
    folder.mkdir()
    (folder / "bootstrap.json").write_text(bootstrap)
    flags = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "off")
    process = await asyncio.create_subprocess_exec(
        str(envoy_path()), "-c", "bootstrap.json", *flags, cwd=folder
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
