"""What telling of traffic costs: requests per second and latency through two sidecars, with metrics and without, in one run.

A lab with two pairs of client and server, all with sidecars and mutual TLS; a Telemetry switches metrics off for one pair. A server is an
Envoy that answers by itself, and `wrk` asks from inside the client. Beside them, without a mesh: the same through two Envoys that only
pass HTTP on in the clear, and straight to the server. Rounds of all of them alternate; the figures are medians, and ratios are what
counts. Where the machine is shared, throughput swings by a third from second to second: the CPU time of the two sidecars for a request,
as a multiple of what the server itself takes for it in the same seconds, swings by a twentieth.

Run: python benchmarks/telemetry.py [--rounds 12] [--seconds 2] (needs the package wrk, and root)
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # running labs are the tests'

from mizzen.envoy_binary import envoy_path
from mizzen.lab.definition import LabDefinition, Port, Workload
from mizzen.lab.modes import Mode
from tests.support.lab import Lab, running_lab, until

CONNECTIONS = 32
FLUSH_SECONDS = 6  # after which Envoy has merged what its threads counted
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
MESH = """
apiVersion: v1
kind: Service
metadata: {name: server, namespace: told}
spec: {selector: {app: server}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: quiet}
spec: {selector: {app: server}, ports: [{name: http, port: 8080}]}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: quiet, namespace: quiet}
spec: {metrics: [{overrides: [{disabled: true}]}]}
"""


@dataclass(frozen=True, slots=True)
class Figures:
    per_second: float
    p50: float  # milliseconds
    p99: float
    failed: int
    proxies: float | None = None  # CPU time of both sidecars for a request, in that of the server


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
    pairs = (
        workload
        for namespace in ("told", "quiet")
        for workload in (
            Workload(
                name=f"client-{namespace}",
                namespace=namespace,
                labels={"app": "client"},
                command=caller,
                ports=(9000,),
            ),
            Workload(
                name=f"server-{namespace}",
                namespace=namespace,
                labels={"app": "server"},
                command=server,
                ports=(port,),
            ),
        )
    )
    return LabDefinition(
        name="telemetry",
        workloads=(
            *pairs,
            Workload(name="stranger", command=caller, ports=(9000,), sidecar=False),
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


def cpu_seconds(lab: Lab) -> dict[str, float]:
    """Of what runs below each instance's agent (its Envoy) and of its application, by "proxy/NAME" and "app/NAME"."""
    children: dict[int, list[int]] = {}
    times: dict[int, float] = {}
    inside: dict[int, int] = {}  # the lab's own numbers of its processes
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                numbers = _found(r"^NSpid:\t(.*)", (folder / "status").read_text()).split()
                if len(numbers) > 1:
                    inside[int(numbers[-1])] = int(folder.name)
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(folder.name))
                times[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def below(pid: int) -> float:
        return sum(times.get(child, 0.0) + below(child) for child in children.get(pid, []))

    found = {}
    for one in lab.status().instances:
        if one.agent is not None and one.agent.pid:
            found[f"proxy/{one.workload}"] = below(inside[one.agent.pid])
        if one.application is not None and one.application.pid:
            found[f"app/{one.workload}"] = times[inside[one.application.pid]] + below(
                inside[one.application.pid]
            )
    return found


def sidecar(lab: Lab, workload: str) -> tuple[float, int]:
    """What a sidecar's Envoy has allocated, in MB, and the number of series that it has of the mesh."""
    url = f"http://{lab.address(workload)}:15020/stats/prometheus"
    text = lab.request(workload, url)[2].decode()
    allocated = float(_found(r"^envoy_server_memory_allocated\S* (\d+)", text)) / 1e6
    return allocated, sum(line.startswith("istio_") for line in text.splitlines())


def start_relays(lab: Lab, folder: Path) -> None:
    """Two Envoys that pass HTTP on in the clear, beside the caller without a sidecar."""
    onward = {"route": {"cluster": "next"}}
    for name, port, upstream, upstream_port in (
        ("far", 8082, lab.address("plain"), 8080),
        ("near", 8081, "127.0.0.1", 8082),
    ):
        config = envoy_config(onward, port, upstream, upstream_port)
        ask(lab, "stranger", envoy(folder, name, config), "start")
    url = "http://127.0.0.1:8081/"
    until(lambda: lab.request("stranger", url)[0] == 200, "the Envoys without a mesh run")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("this needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "mesh").mkdir()
        (folder / "mesh" / "services.yaml").write_text(MESH)
        with running_lab(folder / "mesh", definition=definition(folder), mode=Mode.ROOTED) as lab:
            start_relays(lab, folder)
            compare(lab, options.rounds, options.seconds)


def compare(lab: Lab, rounds: int, seconds: int) -> None:
    plain = f"http://{lab.address('plain')}:8080/"
    runs = {
        "two sidecars, no metrics": ("client-quiet", "http://server:8080/", "quiet"),
        "two sidecars, all of Istio's metrics": ("client-told", "http://server:8080/", "told"),
        "two Envoys, no mesh": ("stranger", "http://127.0.0.1:8081/", ""),
        "no proxy": ("stranger", plain, ""),
    }
    found: dict[str, list[Figures]] = {name: [] for name in runs}
    for caller, url, _ in runs.values():
        measured(lab, caller, url, 1)  # connections are made, code and caches are warm
    for number in range(rounds):
        for name, (caller, url, pair) in runs.items():
            before = cpu_seconds(lab)
            figures = measured(lab, caller, url, seconds)
            assert not figures.failed, f"{name}: {figures.failed} requests failed"
            if pair:
                spent = {one: time - before[one] for one, time in cpu_seconds(lab).items()}
                proxies = spent[f"proxy/client-{pair}"] + spent[f"proxy/server-{pair}"]
                figures = replace(figures, proxies=proxies / spent[f"app/server-{pair}"])
            found[name].append(figures)
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    print_figures(found)
    # Ten times as many requests: nothing grows.
    pair = ("client-told", "server-told")
    measured(lab, "client-told", "http://server:8080/", seconds)
    time.sleep(FLUSH_SECONDS)
    before_many = {name: sidecar(lab, name) for name in pair}
    measured(lab, "client-told", "http://server:8080/", 10 * seconds)
    time.sleep(FLUSH_SECONDS)
    print(
        "\n| sidecar | series | after 10 times the requests | MB | after |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for name, (memory, series) in before_many.items():
        memory_after, series_after = sidecar(lab, name)
        print(f"| {name} | {series} | {series_after} | {memory:.1f} | {memory_after:.1f} |")


def print_figures(found: Mapping[str, Sequence[Figures]]) -> None:
    base = statistics.median(one.per_second for one in next(iter(found.values())))
    print("| | requests/s | ratio | p50 ms | p99 ms | CPU of both sidecars, in the server's |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, each in found.items():
        rate, p50, p99 = (
            statistics.median(getattr(one, key) for one in each) for key in ("per_second", "p50", "p99")
        )
        multiples = [one.proxies for one in each if one.proxies is not None]
        cpu = f"{statistics.median(multiples):.2f}" if multiples else ""
        print(f"| {name} | {rate:,.0f} | {rate / base:.2f} | {p50:.2f} | {p99:.2f} | {cpu} |")


if __name__ == "__main__":
    main()
