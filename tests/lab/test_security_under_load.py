"""What a mesh's security goes through while callers never stop: certificates and the root rotate, mTLS becomes strict and lax again,
policies are edited. No request fails that should pass, none passes that should fail. One lab for all tests of this file.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mizzen.lab.commands import PROGRAMS, Programs
from mizzen.lab.definition import LabDefinition, Workload
from tests.support.lab import Lab, running_lab, until
from tests.support.load import Load, write

pytestmark = pytest.mark.lab

DRAIN_SECONDS = 5.0  # the agent's --listener-drain-seconds
LIFE_SECONDS, MARGIN_SECONDS = 10, 8
DAEMON = (
    *PROGRAMS.daemon,
    *("--certificate-ttl", str(LIFE_SECONDS)),
    *("--ca-margin", str(MARGIN_SECONDS)),
)
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
# Says what it gets in plaintext, on one connection for as long as that lasts.
HOLDER = """
import http.client, time
def at():
    return f"{time.monotonic():.2f}"
while True:
    try:
        connection = http.client.HTTPConnection("web", 80, timeout=2)
        connection.connect()
        print("new", at(), flush=True)
        while True:
            connection.request("GET", "/held")
            answer = connection.getresponse()
            answer.read()
            print(answer.status, at(), flush=True)
            time.sleep(0.05)
    except (OSError, http.client.HTTPException):
        print("closed", at(), flush=True)
        time.sleep(0.1)
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8000}]}
"""
MODE = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, namespace: shop}}
spec: {{mtls: {{mode: {mode}}}}}
"""
POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  rules:
  - from: [{{source: {{principals: [cluster.local/ns/shop/sa/caller]}}}}]
    to: [{{operation: {{paths: [{paths}]}}}}]
"""
NOTHING = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: nothing, namespace: shop}
spec: {template: {serviceAccount: nothing}}
"""
URL = "http://web/"


def workload(name: str, **more: object) -> Workload:
    settings = {"command": ("python", "-m", "http.server", "8001"), "ports": (8001,), **more}
    return Workload(name=name, namespace="shop", service_account=name, labels={"app": name}, **settings)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "web.yaml").write_text(SERVICE)
    (folder / "policy.yaml").write_text(NOTHING)
    (folder / "mode.yaml").write_text(MODE.format(mode="PERMISSIVE"))
    workloads = (
        workload("web", command=("python", "-c", SERVER), ports=(8000,)),
        workload("caller"),
        workload("stranger"),
        workload("naked", command=("python", "-u", "-c", HOLDER), ports=(), sidecar=False),
    )
    programs = Programs(daemon=DAEMON, agent=PROGRAMS.agent)
    with running_lab(
        folder, definition=LabDefinition(name="security", workloads=workloads), programs=programs
    ) as started:
        yield started


def statuses(lab: Lab, source: str, url: str = URL, count: int = 20) -> Counter:
    return Counter(answer.status for answer in lab.requests(source, url, count=count))


def settles(lab: Lab, source: str, url: str, status: int) -> None:
    """A connection that stood before a change may carry one request more by the policy of before; then it is closed. The caller's
    proxy has one for each of its threads, which take turns as the kernel likes. When these are gone, which is a matter of the drain
    time, there is no exception.
    """
    until(lambda: statuses(lab, source, url, 20) == {status: 20}, f"{url} gives {status}", DRAIN_SECONDS)
    assert statuses(lab, source, url) == {status: 20}


def held(lab: Lab) -> list[list[str]]:
    """What the workload without a sidecar has seen on the connections that it keeps."""
    return [line.split() for line in lab.log("naked-0.app").splitlines()]


def assert_refused(lab: Lab) -> None:
    """Further tries of the workload without a sidecar get no answer."""
    seen = len(held(lab))
    until(lambda: len(held(lab)) > seen + 3, "it is tried again")
    assert {line[0] for line in held(lab)[seen:]} <= {"closed", "new"}


def test_mtls_becomes_strict_and_permissive_again(lab: Lab) -> None:
    until(lambda: ["200"] in [line[:1] for line in held(lab)], "plaintext is served")
    with Load(lab, "caller", URL).running() as load:
        for _ in range(5):
            write(lab, "mode.yaml", MODE.format(mode="STRICT"))
            assert 200 not in statuses(lab, "naked")
            until(
                lambda: held(lab)[-1][0] == "closed",
                lambda: f"the old connection is closed: {held(lab)[-40:]}",
            )
            assert_refused(lab)
            write(lab, "mode.yaml", MODE.format(mode="PERMISSIVE"))
            assert statuses(lab, "naked") == {200: 20}
    assert load.failures == {}


def test_mtls_is_switched_off_and_on(lab: Lab) -> None:
    """Caller and called hear of it at different moments; whichever comes first, they understand each other."""
    with Load(lab, "caller", URL).running() as load:
        for mode in ("DISABLE", "PERMISSIVE") * 5:
            write(lab, "mode.yaml", MODE.format(mode=mode))
    assert load.failures == {}


def test_a_policy_is_edited(lab: Lab) -> None:
    with Load(lab, "caller", URL).running() as load:
        for paths in ('"/"', '"/", "/more"', '"/*"') * 4:
            write(lab, "policy.yaml", POLICY.format(paths=paths))
            assert statuses(lab, "stranger") == {403: 20}
            settles(lab, "caller", URL + "more", 403 if paths == '"/"' else 200)
        write(lab, "policy.yaml", NOTHING)
        settles(lab, "stranger", URL, 200)
    assert load.failures == {}


def roots(lab: Lab) -> list[str]:
    return re.findall(
        "-----BEGIN.*?-----END CERTIFICATE-----", (state(lab) / "ca" / "root-cert.pem").read_text(), re.DOTALL
    )


def state(lab: Lab) -> Path:
    return Path(lab.file.state) / "daemon"


def ca(lab: Lab, *arguments: str) -> str:
    command = [sys.executable, "-m", "mizzen", "ca", *arguments, "--state-dir", str(state(lab))]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def test_leaves_and_the_root_rotate(lab: Lab) -> None:
    """Every certificate ends several times over meanwhile, and at the end nothing that the old root signed is left."""
    write(lab, "mode.yaml", MODE.format(mode="STRICT"))
    before = roots(lab)
    patience = 3 * (LIFE_SECONDS + MARGIN_SECONDS)
    with Load(lab, "caller", URL).running() as load:
        assert "the old one signs" in ca(lab, "rotate")
        assert len(roots(lab)) == 2
        until(lambda: "next root signs" in ca(lab, "status"), "the next root signs", patience)
        until(lambda: "none under way" in ca(lab, "status"), "the rotation is done", patience)
    after = roots(lab)
    assert len(after) == 1
    assert after != before
    assert load.failures == {}
    renewed = re.findall(r"certificate number (\d+)", lab.log("web-0.proxy"))
    assert len(renewed) >= 2 * patience / 3 / LIFE_SECONDS
