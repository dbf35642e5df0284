"""What leaves the mesh for places that it does not know, by the policy that holds for the caller."""

import json
from collections.abc import Iterator

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from mizzen.lab.modes import Mode
from tests.support.lab import Lab, running_lab, until

pytestmark = pytest.mark.lab

# Says where it stands and by which host it was called.
PLACE = """
import http.server, json, os, threading

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"me": os.environ["MIZZEN_WORKLOAD"], "host": self.headers["Host"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

def serve(port):
    http.server.ThreadingHTTPServer((os.environ["HOST"], port), Handler).serve_forever()

threading.Thread(target=serve, args=(9999,), daemon=True).start()
serve(int(os.environ["PORT"]))
"""
# The mesh knows services on port 8080, none on 9999; nobody may call what is beyond.
CONFIG = """
apiVersion: v1
kind: Service
metadata: {name: open, namespace: shop}
spec: {selector: {app: open}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: beyond, namespace: away, annotations: {networking.istio.io/exportTo: "."}}
spec: {clusterIP: None, selector: {app: beyond}, ports: [{name: http, port: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: strict, namespace: shop}
spec: {workloadSelector: {labels: {app: strict}}, outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
"""
MESH = """
apiVersion: mesh.istio.io/v1alpha1
kind: MeshConfig
metadata: {name: mesh}
spec: {accessLogFile: /dev/stdout, outboundTrafficPolicy: {mode: %s}}
"""


def place(name: str, namespace: str = "shop", *, sidecar: bool = True) -> Workload:
    return Workload(
        name=name, namespace=namespace, labels={"app": name}, command=("python", "-c", PLACE), ports=(8080,),
        sidecar=sidecar,
    )  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("egress")
    (folder / "services.yaml").write_text(CONFIG)
    (folder / "mesh.yaml").write_text(MESH % "ALLOW_ANY")
    workloads = (place("open"), place("strict"), place("beyond", "away", sidecar=False))
    with running_lab(folder, definition=LabDefinition(name="egress", workloads=workloads)) as started:
        if started.file.mode == Mode.LOOPBACK.value:
            pytest.skip("could not run here: without network namespaces no traffic is captured")
        yield started


def beyond(lab: Lab, port: int) -> str:
    return f"http://{lab.address('beyond')}:{port}/"


def logged(lab: Lab, workload: str, *parts: str) -> bool:
    """Whether one line of a proxy's access log holds all of these."""
    lines = lab.log(f"{workload}-0.proxy").splitlines()
    return any(all(part in line for part in parts) for line in lines)


def test_allow_any_lets_requests_and_connections_through(lab: Lab) -> None:
    for port in (8080, 9999):
        status, _, body = lab.request("open", beyond(lab, port))
        assert (status, json.loads(body)["me"]) == (200, "beyond-0")
    until(lambda: logged(lab, "open", "200", "PassthroughCluster", "allow_any"), "the log names the route")


def test_registry_only_answers_502_and_the_log_says_by_which_route(lab: Lab) -> None:
    status, _, _ = lab.request("strict", beyond(lab, 8080))
    assert status == 502
    until(lambda: logged(lab, "strict", "502", "direct_response", "block_all"), "the log names the route")


def test_registry_only_closes_connections_and_the_log_says_in_which_cluster(lab: Lab) -> None:
    status, _, why = lab.request("strict", beyond(lab, 9999))
    assert status == 0, why
    until(lambda: logged(lab, "strict", "BlackHoleCluster"), "the log names the cluster")


def test_registry_only_lets_through_what_the_mesh_knows(lab: Lab) -> None:
    status, _, body = lab.request("strict", "http://open:8080/")
    assert (status, json.loads(body)["me"]) == (200, "open-0")


@pytest.mark.parametrize("port", [8080, 9999])
def test_the_host_that_a_request_names_is_resolved_whatever_address_it_was_sent_to(
    lab: Lab, port: int
) -> None:
    (lab.folder / "mesh.yaml").write_text(MESH % "ALLOW_ANY_DYNAMIC_DNS")
    host = f"beyond.away.svc.cluster.local:{port}"
    nowhere = f"http://203.0.113.7:{port}/"

    def answer() -> tuple[int, bytes]:
        status, _, body = lab.request("open", nowhere, {"Host": host})
        return status, body

    _, body = until(lambda: (found := answer())[0] == 200 and found, "the name is resolved")
    assert json.loads(body) == {"me": "beyond-0", "host": host}
    until(lambda: logged(lab, "open", "AllowAnyDynamicDNSCluster"), "the log names the cluster")
