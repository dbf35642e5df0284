"""A real Prometheus scrapes a lab: its query API gives the counts that were sent, and every dashboard's query has an answer.

Where the package prometheus is not installed the same counts are asserted on what the agents say, and the dashboards are left to
`tests/unit/test_dashboards.py`.
"""

import json
import re
import shutil
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mizzen.cli.lab_options import daemon_socket
from mizzen.cli.local_api import read_document
from mizzen.dashboards.pages import DASHBOARDS
from mizzen.lab.definition import LabDefinition, Workload
from tests.support.lab import Lab, running_lab, until
from tests.support.scraping import counted
from tests.support.told_mesh import MESH, hop, stream

pytestmark = pytest.mark.lab

PROMETHEUS = shutil.which("prometheus")
IDLE = ("python", "-m", "http.server", "9090")
# Serves a file: the daemon's metrics, which nobody inside the lab's network may ask for.
MIRROR = """
import http.server, os, sys
class Mirror(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(open(sys.argv[1], "rb").read())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer((os.environ["HOST"], 8000), Mirror).serve_forever()
"""
CONFIG = """
global: {scrape_interval: 1s}
scrape_configs:
- job_name: mizzen-workloads
  file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
- job_name: mizzen
  file_sd_configs: [{files: [daemon.json], refresh_interval: 1s}]
"""

Counts = Callable[[str, tuple[str, ...], dict[str, str]], Counter[tuple[str, ...]]]
"""Of a metric, by labels, of the series that have these labels."""


@dataclass(frozen=True)
class Scene:
    lab: Lab
    counts: Counts
    ask: Callable[[str], list[dict[str, Any]]] | None  # a PromQL query; None: there is no Prometheus


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Iterator[Scene]:
    folder, own = tmp_path_factory.mktemp("mesh"), tmp_path_factory.mktemp("prometheus")
    own.chmod(0o755)
    (folder / "mesh.yaml").write_text(MESH)
    (own / "prometheus.yml").write_text(CONFIG)
    (own / "daemon.metrics").write_text("")
    command = (
        PROMETHEUS or "",
        f"--config.file={own}/prometheus.yml",
        f"--storage.tsdb.path={own}/data",
        "--web.listen-address=0.0.0.0:9090",
        "--log.level=warn",
    )
    workloads = (
        hop("front"),
        hop("middle"),
        hop("back", "v1"),
        hop("back", "v2"),
        stream("echo"),
        stream("caller"),
        Workload(
            name="mirror",
            command=("python", "-c", MIRROR, str(own / "daemon.metrics")),
            ports=(8000,),
            sidecar=False,
        ),
        Workload(name="prometheus", command=command if PROMETHEUS else IDLE, ports=(9090,), sidecar=False),
    )
    with running_lab(folder, definition=LabDefinition(name="scraped", workloads=workloads)) as lab:
        if PROMETHEUS is None:
            yield Scene(lab, lambda name, by, having: of_agents(lab, name, by, having), None)
            return
        targets = read_document(daemon_socket(lab.file), "prometheus/targets")
        (own / "targets.json").write_text(json.dumps(targets))
        (own / "daemon.json").write_text(json.dumps([{"targets": [f"{lab.address('mirror')}:8000"]}]))

        def ask(query: str) -> list[dict[str, Any]]:
            return asked(lab, query)

        with mirrored(lab, own / "daemon.metrics"):
            yield Scene(lab, lambda name, by, having: of_prometheus(ask, name, by, having), ask)


@contextmanager
def mirrored(lab: Lab, path: Path) -> Iterator[None]:
    """Keeps a copy of the daemon's metrics in a file."""
    stop = threading.Event()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def copy() -> None:
        while not stop.wait(0.5):
            with opener.open(f"{lab.file.admin_url}/metrics", timeout=10) as answer:
                unfinished = path.with_suffix(".unfinished")
                unfinished.write_bytes(answer.read())
                unfinished.replace(path)

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def asked(lab: Lab, query: str) -> list[dict[str, Any]]:
    """The vector that a query gives now."""
    url = f"http://{lab.address('prometheus')}:9090/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    status, _, body = lab.request("outside", url)
    assert status == 200, f"{query}: {body!r}"
    document = json.loads(body)
    assert document["status"] == "success", f"{query}: {document}"
    return list(document["data"]["result"])


def of_prometheus(
    ask: Callable[[str], list[dict[str, Any]]], name: str, by: tuple[str, ...], having: dict[str, str]
) -> Counter[tuple[str, ...]]:
    selector = ", ".join(f'{label}="{value}"' for label, value in having.items())
    found = ask(f"sum({name}{{{selector}}}) by ({', '.join(by)})")
    return Counter(
        {tuple(one["metric"].get(label, "") for label in by): int(one["value"][1]) for one in found}
    )


def of_agents(lab: Lab, name: str, by: tuple[str, ...], having: dict[str, str]) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for one in ("front", "middle", "back-v1", "back-v2", "echo", "caller"):
        found += counted(lab, name, one, by, **having)
    return found


SENT = {
    ("front", "v1", "/", 200): 7,
    ("front", "v1", "/?status=503", 503): 3,
    ("front", "v2", "/", 200): 5,
    ("front", "v2", "/secret", 403): 2,
    ("middle", "v1", "/?status=404", 404): 4,
}


@pytest.fixture(scope="module")
def sent(scene: Scene) -> Scene:
    """The requests that are counted. Nobody else sends any."""
    for (caller, version, path, status), count in SENT.items():
        headers = {"version": version, "x-envoy-max-retries": "0"}
        answers = scene.lab.requests(caller, f"http://back{path}", headers, count=count)
        assert {answer.status for answer in answers} == {status}
    return scene


@pytest.mark.parametrize("reporter", ["source", "destination"])
def test_prometheus_counts_what_was_sent(sent: Scene, reporter: str) -> None:
    """Per version, per response code, per identity."""
    by = ("source_principal", "destination_version", "response_code")
    expected = {
        (f"spiffe://cluster.local/ns/shop/sa/{caller}", version, str(status)): count
        for (caller, version, _, status), count in SENT.items()
    }
    having = {"reporter": reporter, "destination_service_name": "back"}

    def found() -> Counter[tuple[str, ...]]:
        return sent.counts("istio_requests_total", by, having)

    until(lambda: found() == expected, lambda: f"{found()}", 30)
    timed = sent.counts("istio_request_duration_milliseconds_count", (), having)
    until(lambda: timed, "histograms are there")


VARIABLES = {
    "$__rate_interval": "1m",
    "$service": "back.shop.svc.cluster.local",
    "$tcp_service": "echo.shop.svc.cluster.local",
    "$namespace": "shop",
    "$workload": "back-v1-0",
    "$caller": "front-0",
}


def test_every_query_of_every_dashboard_has_an_answer(sent: Scene) -> None:
    if sent.ask is None:
        assert (
            PROMETHEUS is None
        )  # what the queries name is compared with the docs in tests/unit/test_dashboards.py
        return
    back = f"http://{sent.lab.address('back-v1')}:8000/"
    waiting = {
        f"{dashboard.title}: {query}": re.sub(r"\$\w+", lambda name: VARIABLES[name[0]], query)
        for dashboard in DASHBOARDS
        for query in dashboard.queries()
    }
    deadline = time.monotonic() + 60
    while waiting and time.monotonic() < deadline:
        # A rate is of what goes on.
        for caller, url in (
            ("front", "http://back/"),
            ("front", "http://back/?status=404"),
            ("outside", back),
            ("caller", "http://127.0.0.1:8002/echo.shop.svc.cluster.local/9000/2"),
        ):
            sent.lab.request(caller, url)
        (sent.lab.folder / "more.yaml").write_text(
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: more-{int(time.monotonic())}, namespace: shop}}\n"
            "spec: {ports: [{name: http, port: 80}]}\n"
        )
        waiting = {name: query for name, query in waiting.items() if not _answered(sent, query)}
    assert list(waiting) == []


def _answered(scene: Scene, query: str) -> bool:
    assert scene.ask is not None
    return any(one["value"][1] != "NaN" for one in scene.ask(query))
