"""A daemon's answers to probes while it starts and when it serves."""

import asyncio
import contextlib

import aiohttp

from mizzen.daemon.settings import Settings
from mizzen.daemon.wiring import Daemon
from tests.support.daemon import running_daemon


async def probe(socket, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
        session.get(f"http://localhost/healthz/{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_a_daemon_that_serves_is_ready(tmp_path):
    (tmp_path / "config").mkdir()
    async with running_daemon(Settings((tmp_path / "config",), tmp_path / "state", listen_port=0)) as daemon:
        async with asyncio.timeout(10):
            while (await probe(daemon.state_dir / "admin.sock", "ready"))[0] != 200:
                await asyncio.sleep(0.02)
        assert await probe(daemon.state_dir / "admin.sock", "live") == (200, "ok\n")


async def test_a_daemon_that_waits_for_an_external_ca_lives_and_says_so(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "state").mkdir(mode=0o700)
    settings = Settings((tmp_path / "config",), tmp_path / "state", listen_port=0, ca_command=("sleep", "60"))
    serving = asyncio.create_task(Daemon(settings).run(lambda: None))
    socket = tmp_path / "state" / "admin.sock"
    try:
        async with asyncio.timeout(10):
            while not socket.exists():
                await asyncio.sleep(0.02)
        assert await probe(socket, "live") == (200, "ok\n")
        status, words = await probe(socket, "ready")
        assert status == 503
        assert words.startswith("not ready: ")
        for reason in (
            "the daemon has no certificate of its own yet",
            "agents and proxies cannot connect yet",
        ):
            assert reason in words
        assert "root-cert.pem" in words
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    assert not socket.exists()
