"""What an agent costs beside its Envoy: time until ready, memory and CPU time, against a bare Python with asyncio.

The agent runs as it does in loopback mode, with a real Envoy and a stand-in for the daemon (a new certificate and an
empty configuration); the promise is under 45 MB, ready in about half a second.

Run: python benchmarks/agent.py
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the benchmarks' parts, and those of the tests

from benchmarks.load.processes import cpu_seconds, resident_mb
from mizzen.processes import Command, ToLines, start
from tests.support.agent_mesh import Daemon, free_address, running_agent, until

ROUNDS = 5
BARE = "import asyncio, ssl, time; print('up', flush=True); time.sleep(60)"


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
