"""Whatever the daemon and the agent write is theirs alone, also where they are started with a umask of 0."""

import asyncio
import os
import stat
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from grpclib.exceptions import GRPCError, ProtocolError

from mizzen.processes import Command, ToLines, start
from mizzen.xds.resource import CLUSTER
from tests.support.agent_mesh import Daemon, free_address, free_port, running_agent
from tests.support.agent_mesh import until as until_so
from tests.support.daemon import Reached, identity
from tests.support.discovery import until

GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: cart, namespace: shop}
spec: {template: {serviceAccount: cart, labels: {app: cart}}}
"""
OPEN = ("/bin/sh", "-c", 'umask 0; exec "$@"', "sh")


def open_to_others(folder: Path) -> list[str]:
    """What group or others may touch. Links have no mode of their own."""
    found = [folder, *folder.rglob("*")]
    return [
        f"{stat.filemode(each.lstat().st_mode)} {each.relative_to(folder)}"
        for each in found
        if not each.is_symlink() and each.lstat().st_mode & 0o077
    ]


@asynccontextmanager
async def daemon_process(config: Path, state: Path):
    port = free_port()
    argv = (
        *OPEN, sys.executable, "-m", "mizzen.daemon", "--config", str(config), "--state-dir", str(state),
        "--listen", f"127.0.0.1:{port}",
    )  # fmt: skip
    log: list[str] = []
    child = start(Command(name="daemon", argv=argv, stdout=ToLines(log.append), stderr=ToLines(log.append)))
    try:
        await until(lambda: "ready" in log, seconds=30)
        yield Reached(port, state)
    finally:
        await child.stop(grace_seconds=10)


async def test_what_the_daemon_writes(tmp_path):
    config, state = tmp_path / "config", tmp_path / "state"
    config.mkdir()
    (config / "group.yaml").write_text(GROUP)
    async with daemon_process(config, state) as daemon:
        cart = await daemon.join(identity("shop", "cart"))
        for _ in range(100):  # it registers itself, then is let in
            if await is_served(daemon, cart):
                break
            await asyncio.sleep(0.05)
        await until(lambda: list(state.rglob("*.yaml")))
        files = {each.name for each in state.rglob("*")}
        assert {"ca-key.pem", "join-token.key", "admin.sock", "daemon.lock", "workloads"} <= files
        assert open_to_others(state) == []
    assert open_to_others(state) == []


async def is_served(daemon, context):
    metadata = {"WORKLOAD_GROUP": "cart"}
    try:
        async with daemon.proxy(context, "shop/cart-10-0-0-1", metadata=metadata) as proxy:
            await proxy.subscribe(CLUSTER)
            await proxy.receive(CLUSTER)
    except (GRPCError, ProtocolError):  # it is not registered yet
        return False
    return True


@pytest.mark.envoy
async def test_what_the_agent_and_its_envoy_write(tmp_path):
    daemon = Daemon(tmp_path)
    await daemon.start()
    async with running_agent(daemon, free_address(), in_child=(partial(os.umask, 0),)) as agent:
        await until_so(agent.is_ready, "the agent's readiness", 30)
        files = {each.name for each in agent.state_dir.rglob("*")}
        assert {"sds.sock", "debug.sock", "bootstrap.json", "envoy-admin.sock"} <= files
        assert open_to_others(agent.state_dir) == []
    await daemon.close()
