"""Whom Prometheus is to scrape, from a daemon that runs: by its admin socket, and by the command."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from mizzen.cli.prometheus import command
from mizzen.daemon.settings import Settings
from mizzen.xds.resource import CLUSTER
from tests.support.daemon import identity, running_daemon

EDGE = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: edge, namespace: shop}
spec: {address: 10.0.0.2, serviceAccount: edge, labels: {app: edge, version: v1}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: plain, namespace: shop}
spec: {address: 10.0.0.3, serviceAccount: plain}
"""


@pytest.fixture
async def daemon(tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    (config / "mesh.yaml").write_text(EDGE)
    async with running_daemon(Settings(config=(config,), state_dir=tmp_path / "state", listen_port=0)) as one:
        yield one


async def targets(daemon, *options):
    """In a thread: it blocks."""
    arguments = ["targets", "--socket", str(daemon.state_dir / "admin.sock"), *map(str, options)]
    result = await asyncio.to_thread(CliRunner().invoke, command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


async def test_a_proxy_that_connects_is_a_target(daemon, tmp_path):
    assert json.loads(await targets(daemon)) == []
    edge = await daemon.join(identity("shop", "edge"))
    async with daemon.proxy(edge, "shop/edge") as proxy:
        await proxy.subscribe(CLUSTER)
        await proxy.ack(await proxy.receive())
        printed = await targets(daemon)
        file = tmp_path / "targets.json"
        assert await targets(daemon, "--output", file) == ""
    assert file.read_text() == printed
    (found,) = json.loads(printed)
    assert found["targets"] == ["10.0.0.2:15020"]
    assert found["labels"].items() >= {"pod": "edge", "app": "edge", "version": "v1"}.items()
