"""What an agent costs beside its Envoy: time until ready, memory and CPU time, against a bare Python with asyncio.

The agent runs as it does in loopback mode, with a real Envoy and a stand-in for the daemon (a new certificate and an
empty configuration); the promise is under 45 MB, ready in about half a second.

Run: python benchmarks/agent.py
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the stand-in for the daemon is the tests'

from mizzen.processes import Command, ToLines, start
from tests.support.agent_mesh import Daemon, free_address, running_agent, until

ROUNDS = 5
BARE = "import asyncio, ssl, time; print('up', flush=True); time.sleep(60)"


def cpu_seconds(pid: int) -> float:
    """Of the process and of its helpers that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


async def bare() -> tuple[float, float]:
    up: list[str] = []
    began = time.perf_counter()
    child = start(Command(name="python", argv=(sys.executable, "-c", BARE), stdout=ToLines(up.append)))
    await until(lambda: up)
    figures = time.perf_counter() - began, resident_mb(child.pid)
    await child.stop()
    return figures


async def agent(daemon: Daemon) -> tuple[float, float, float, float]:
    began = time.perf_counter()
    async with running_agent(daemon, free_address()) as running:
        await until(running.is_ready)
        seconds = time.perf_counter() - began
        envoy = (await running.status())["envoy"]["pid"]
        return seconds, resident_mb(running.child.pid), cpu_seconds(running.child.pid), resident_mb(envoy)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(folder))
        await daemon.start()
        rounds = [(await agent(daemon), await bare()) for _ in range(ROUNDS)]
        await daemon.close()
    agents, bares = zip(*rounds, strict=True)
    ready, resident, cpu, envoy = map(statistics.median, zip(*agents, strict=True))
    bare_up, bare_resident = map(statistics.median, zip(*bares, strict=True))
    print(
        f"memory: {resident / bare_resident:.1f} x a bare Python ({resident:.1f} MB, {bare_resident:.1f} MB)"
    )
    print(
        f"        {resident / envoy:.2f} x its Envoy ({envoy:.1f} MB, most of it the binary, shared by all Envoys)"
    )
    print(f"ready:  {ready / bare_up:.1f} x a bare Python ({ready:.2f} s, {bare_up:.2f} s)")
    print(f"CPU until ready, without Envoy's: {cpu:.2f} s")


if __name__ == "__main__":
    asyncio.run(main())
