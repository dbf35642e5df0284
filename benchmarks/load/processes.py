"""The daemon and the fleet as processes, and what they cost."""

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from mizzen.ca.server_identity import SERVER_NAME
from tests.support.daemon import Reached, identity, node_id

ROOT = Path(__file__).parents[2]
TLS_CLOSES_SECONDS = 0.1
"""What a loop has to run on after its last connection was closed: TLS says farewell, and waits for an answer."""


class DaemonProcess:
    """`mizzen serve` over a folder of YAML. `state` is kept from one to the next, so that a restart is one."""

    def __init__(self, config: Path, state: Path, *, port: int = 0, program: Sequence[str] = ()) -> None:
        self.reached = Reached(port or free_port(), state)
        self._admin_port = free_port()
        self._log = state.parent / "daemon.log"
        began = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, *(program or ("-m", "mizzen.daemon"))),
                    *("--config", str(config), "--state-dir", str(state)),
                    *("--listen", f"127.0.0.1:{self.reached.port}"),
                    *("--admin-address", f"127.0.0.1:{self._admin_port}"),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            sys.exit(self._log.read_text())
        self.start_seconds = time.monotonic() - began

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def memory_mb(self) -> float:
        return resident_mb(self.pid)

    def metrics(self) -> dict[str, float]:
        """The sum of each metric over its labels."""
        with urlopen(f"http://127.0.0.1:{self._admin_port}/metrics") as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? (\S+)$", text, re.MULTILINE):
            found[name] = found.get(name, 0.0) + float(value)
        return found

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class FleetProcess:
    """Simulated proxies (benchmarks.load.fleet), which take orders."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load.fleet", "127.0.0.1", str(port), SERVER_NAME],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def order(self, name: str, /, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"order": name, **arguments}).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit("the fleet died")
        return json.loads(answer)

    def cpu_seconds(self) -> float:
        return cpu_seconds(self._process.pid)

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class BroadcastProcess:
    """A bare server in the daemon's place (benchmarks.load.broadcast), with the CA of the daemon's `state`."""

    def __init__(self, state: Path) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load.broadcast", str(state), str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            sys.exit("the broadcasting server died")

    def broadcast(self, size_bytes: int) -> None:
        """A response of so many bytes to everybody."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % size_bytes)
        self._process.stdin.flush()

    def await_acks(self) -> None:
        """Until it has read the ACKs of the last broadcast."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"done\n":
            sys.exit("the broadcasting server died")

    def cpu_seconds(self) -> float:
        return cpu_seconds(self._process.pid)

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@dataclass(frozen=True)
class Credentials:
    """A file of a certificate and its key for each namespace: replicas share an identity."""

    folder: Path

    async def join(self, reached: Reached, namespaces: Iterable[str]) -> None:
        self.folder.mkdir(exist_ok=True)
        for namespace in namespaces:
            got = await reached.credentials(identity(namespace))
            self._file(namespace).write_text(got.chain_pem + got.key.reveal())
        await asyncio.sleep(TLS_CLOSES_SECONDS)

    def of(self, workloads: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Proxies, as the fleet adds them."""
        return [(node_id(f"{namespace}/{name}"), str(self._file(namespace))) for namespace, name in workloads]

    def context(self, namespace: str, roots: Path) -> ssl.SSLContext:
        """To call the daemon as the agent of a workload."""
        context = ssl.create_default_context(cafile=str(roots))
        context.set_alpn_protocols(["h2"])
        context.load_cert_chain(self._file(namespace))
        return context

    def _file(self, namespace: str) -> Path:
        return self.folder / f"{namespace}.pem"


def cpu_seconds(pid: int) -> float:
    """Of the process and of its helpers that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
