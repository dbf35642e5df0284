"""What telling of traffic costs: requests per second and latency through two sidecars, with telemetry and without, in one run.

A lab with a client and a server, both with sidecars and mutual TLS; the server is an Envoy that answers by itself, and `wrk` asks
from inside the client. Beside them, without a mesh: the same through two Envoys that only pass HTTP on in the clear, and
straight to the server. Rounds of all of them alternate; the figures are medians, and ratios are what counts: everything runs
on the same cores.

Run: python benchmarks/telemetry.py [--rounds 5] [--seconds 5] (needs the package wrk)
"""

import argparse
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # running labs are the tests'

from mizzen.envoy_binary import envoy_path
from mizzen.lab.definition import LabDefinition, Port, Workload
from mizzen.lab.modes import Mode
from tests.support.lab import Lab, running_lab, until
from tests.support.load import delivered

CONNECTIONS = 32
# Runs a program when it is asked to, so that its traffic is captured as an application's is; `/start` does not wait.
CALLER = """
import http.server, subprocess, urllib.parse
class Caller(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = urllib.parse.urlparse(self.path)
        words = urllib.parse.parse_qs(asked.query)["word"]
        said = b""
        if asked.path == "/start":
            subprocess.Popen(words)
        else:
            said = subprocess.run(words, capture_output=True, timeout=300).stdout
        self.send_response(200)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", 9000), Caller).serve_forever()
"""
SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: server, namespace: default}
spec: {selector: {app: server}, ports: [{name: http, port: 8080}]}
"""
OFF = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: quiet, namespace: istio-system}
spec: {metrics: [{overrides: [{disabled: true}]}]}
"""


@dataclass(frozen=True, slots=True)
class Figures:
    per_second: float
    p50: float  # milliseconds
    p99: float
    failed: int


def envoy_config(answer: Mapping[str, Any], port: int, upstream: str = "", upstream_port: int = 0) -> str:
    """A static Envoy: one listener, one route, one cluster at most; no statistics of routes, no logs."""
    http = "type.googleapis.com/envoy.extensions.filters."
    manager = {
        "@type": http + "network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "x",
        "route_config": {
            "virtual_hosts": [
                {"name": "x", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **answer}]}
            ]
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": http + "http.router.v3.Router"}}],
    }
    resources: dict[str, Any] = {
        "listeners": [
            {
                "name": "x",
                "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
                "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
            }
        ]
    }
    if upstream:
        address = {"socket_address": {"address": upstream, "port_value": upstream_port}}
        resources["clusters"] = [
            {
                "name": "next",
                "type": "STRICT_DNS",
                "load_assignment": {
                    "cluster_name": "next",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
                },
            }
        ]
    return json.dumps({"static_resources": resources})


def envoy(folder: Path, name: str, config: str) -> tuple[str, ...]:
    (folder / f"{name}.json").write_text(config)
    options = ("--use-dynamic-base-id", "--concurrency", "2", "-l", "error", "--disable-hot-restart")
    return (str(envoy_path()), "-c", str(folder / f"{name}.json"), *options)


def definition(folder: Path) -> LabDefinition:
    answer = {"direct_response": {"status": 200, "body": {"inline_string": "x" * 100}}}
    (folder / "caller.py").write_text(CALLER)
    caller = ("python", str(folder / "caller.py"))
    server = envoy(folder, "server", envoy_config(answer, 8080))
    port = Port(number=8080, name="http")
    return LabDefinition(
        name="telemetry",
        workloads=(
            Workload(name="client", labels={"app": "client"}, command=caller, ports=(9000,)),
            Workload(name="stranger", command=caller, ports=(9000,), sidecar=False),
            Workload(name="server", labels={"app": "server"}, command=server, ports=(port,)),
            Workload(name="plain", command=server, ports=(port,), sidecar=False),
        ),
    )


def ask(lab: Lab, caller: str, words: Sequence[str], what: str = "run", seconds: float = 120) -> str:
    """What a program says that a workload runs."""
    query = urllib.parse.urlencode([("word", word) for word in words])
    url = f"http://127.0.0.1:9000/{what}?{query}"
    status, _, body = lab.request(caller, url, timeout_seconds=seconds)
    assert status == 200, body
    return body.decode()


def measured(lab: Lab, caller: str, url: str, seconds: int) -> Figures:
    """One run of wrk from inside a workload."""
    text = ask(lab, caller, ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", url])
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Figures(
        float(_found(r"Requests/sec:\s+([\d.]+)", text)),
        _milliseconds(_found(r"^ +50% +(\S+)", text)),
        _milliseconds(_found(r"^ +99% +(\S+)", text)),
        int(failed[1]) if failed else 0,
    )


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, text
    return found[1]


def _milliseconds(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)(us|ms|s)", text)
    assert found, text
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def switch(lab: Lab, text: str) -> None:
    """Telemetry as a document says; the sidecars have it when this returns."""
    path = lab.folder / "telemetry.yaml"
    before = lab.admin("/api/v1/status")["revision"]
    if path.exists() == bool(text):
        return
    path.write_text(text) if text else path.unlink()
    until(lambda: delivered(lab, before), "the sidecars have the Telemetry")
    time.sleep(1.5)  # the old listeners' connections are drained


def address(lab: Lab, workload: str) -> str:
    return next(one.address for one in lab.status().instances if one.workload == workload)


def sidecar(lab: Lab, workload: str) -> tuple[float, int]:
    """What a sidecar's Envoy has allocated, in MB, and the number of series that it has of the mesh."""
    url = f"http://{address(lab, workload)}:15020/stats/prometheus"
    text = lab.request(workload, url)[2].decode()
    allocated = float(_found(r"^envoy_server_memory_allocated\S* (\d+)", text)) / 1e6
    return allocated, sum(line.startswith("istio_") for line in text.splitlines())


def start_relays(lab: Lab, folder: Path) -> None:
    """Two Envoys that pass HTTP on in the clear, beside the caller without a sidecar."""
    onward = {"route": {"cluster": "next"}}
    for name, port, upstream, upstream_port in (
        ("far", 8082, address(lab, "plain"), 8080),
        ("near", 8081, "127.0.0.1", 8082),
    ):
        config = envoy_config(onward, port, upstream, upstream_port)
        ask(lab, "stranger", envoy(folder, name, config), "start")
    url = "http://127.0.0.1:8081/"
    until(lambda: lab.request("stranger", url)[0] == 200, "the Envoys without a mesh run")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("this needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "mesh").mkdir()
        (folder / "mesh" / "services.yaml").write_text(SERVICES)
        with running_lab(folder / "mesh", definition=definition(folder), mode=Mode.ROOTED) as lab:
            start_relays(lab, folder)
            compare(lab, options.rounds, options.seconds)


def compare(lab: Lab, rounds: int, seconds: int) -> None:
    mesh = "http://server:8080/"
    found: dict[str, list[Figures]] = {}

    def measure(name: str, caller: str, url: str) -> None:
        figures = measured(lab, caller, url, seconds)
        assert not figures.failed, f"{name}: {figures.failed} requests failed"
        found.setdefault(name, []).append(figures)

    measured(lab, "client", mesh, 1)  # connections are made, code and caches are warm
    for number in range(rounds):
        for text, name in ((OFF, "two sidecars, no metrics"), ("", "two sidecars, all of Istio's metrics")):
            switch(lab, text)
            measure(name, "client", mesh)
        measure("two Envoys, no mesh", "stranger", "http://127.0.0.1:8081/")
        measure("no proxy", "stranger", f"http://{address(lab, 'plain')}:8080/")
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    base = statistics.median(one.per_second for one in found["two sidecars, no metrics"])
    print("| | requests/s | ratio | p50 ms | p99 ms |\n| --- | ---: | ---: | ---: | ---: |")
    for name, each in found.items():
        rate, p50, p99 = (
            statistics.median(getattr(one, key) for one in each) for key in Figures.__slots__[:3]
        )
        print(f"| {name} | {rate:,.0f} | {rate / base:.2f} | {p50:.2f} | {p99:.2f} |")
    # Ten times as many requests: nothing grows.
    before = {name: sidecar(lab, name) for name in ("client", "server")}
    measured(lab, "client", mesh, 10 * seconds)
    after = {name: sidecar(lab, name) for name in ("client", "server")}
    print(
        "\n| sidecar | series | after 10 times the requests | MB | after |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for name, (memory, series) in before.items():
        print(f"| {name} | {series} | {after[name][1]} | {memory:.1f} | {after[name][0]:.1f} |")


if __name__ == "__main__":
    main()
