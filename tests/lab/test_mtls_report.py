"""`mizzen mtls report` against a live mesh: who speaks plaintext is found, and what it says of STRICT comes true."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mizzen.cli.lab_options import daemon_socket
from mizzen.lab.definition import LabDefinition, Port, Workload
from tests.support.lab import Lab, running_lab, until
from tests.support.load import write

pytestmark = pytest.mark.lab

SERVER = ("python", "-m", "http.server", "8000")
MESH = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: quiet, namespace: shop}
spec: {selector: {app: quiet}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
# Its proxies speak plaintext to web.
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: old}
spec: {host: web.shop.svc.cluster.local, trafficPolicy: {tls: {mode: DISABLE}}}
"""
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
"""


def workload(name: str, namespace: str) -> Workload:
    return Workload(
        name=name,
        namespace=namespace,
        service_account=name,
        labels={"app": name},
        command=SERVER,
        ports=(Port(number=8000),),
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "mesh.yaml").write_text(MESH)
    workloads = (
        workload("web", "shop"),
        workload("quiet", "shop"),
        workload("modern", "shop"),
        workload("legacy", "old"),
    )
    with running_lab(folder, definition=LabDefinition(name="plain", workloads=workloads)) as started:
        yield started


def mizzen(lab: Lab, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mizzen", "mtls", "report", *words]
    return subprocess.run(
        [*command, "--socket", str(daemon_socket(lab.file))], capture_output=True, text=True, check=False
    )


def test_who_speaks_plaintext_is_found_and_strict_refuses_them(lab: Lab) -> None:
    web = lab.address("web")
    callers = (
        ("modern", "http://web.shop/", 5),
        ("legacy", "http://web.shop/", 3),
        ("outside", f"http://{web}:8000/", 2),
    )
    for caller, url, count in callers:
        assert {answer.status for answer in lab.requests(caller, url, count=count)} == {200}

    def counts() -> dict[str, tuple[int, int, dict[str, int]]]:
        found = json.loads(mizzen(lab, "--json", "-n", "shop").stdout)["workloads"]
        return {
            one["workload"]: (
                one["mutualTotal"],
                one["plaintextTotal"],
                {caller["source"]: caller["total"] for caller in one["callers"]},
            )
            for one in found
        }

    expected = {
        "shop/web-0": (5, 5, {"old/legacy-0": 3, "": 2}),
        "shop/quiet-0": (0, 0, {}),
        "shop/modern-0": (0, 0, {}),
    }
    until(lambda: counts() == expected, lambda: f"{counts()}")
    tried = mizzen(lab, "--dry-run")
    assert tried.returncode == 1, tried.stderr
    assert "shop/web-0: 3 from old/legacy-0, whose proxy speaks plaintext" in tried.stdout
    assert "shop/web-0: 2 from callers without a proxy" in tried.stdout
    assert "quiet" not in tried.stdout
    table = mizzen(lab).stdout
    assert "old/legacy-0 3, no proxy 2" in table
    assert "3 of 4 workloads that are not STRICT have seen no plaintext" in table

    write(lab, "strict.yaml", STRICT)
    until(lambda: lab.request("legacy", "http://web.shop/")[0] != 200, "STRICT refuses plaintext")
    assert lab.request("outside", f"http://{web}:8000/")[0] == 0
    assert lab.request("modern", "http://web.shop/")[0] == 200
    assert mizzen(lab, "--dry-run", "-n", "shop").returncode == 0
