"""Configuration changes while a caller sends without a pause: no request is lost. One lab for all tests of this file."""

from collections.abc import Iterator

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from tests.support.lab import Lab, running_lab, until
from tests.support.load import Load, write

pytestmark = pytest.mark.lab

# Answers with its version, on connections that stay open.
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["VERSION"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: 8000}}]}}
---
"""
WEB = SERVICE.format(name="web")
SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec:
  host: web
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
"""
ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: shop}}
spec:
  hosts: [web]
  http:
  - route: [{routes}]
"""
SPLIT = "{{destination: {{host: web, subset: v1}}, weight: {v1}}}, {{destination: {{host: web, subset: v2}}, weight: {v2}}}"
PLAIN = "{destination: {host: web}}"
# The name that the caller uses stays; the service behind it is another.
SHOP = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: shop}
spec: {hosts: [shop.example.com], location: MESH_INTERNAL, resolution: STATIC, ports: [{name: http, number: 80, protocol: HTTP}]}
---
"""
SHOP_ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: shop}}
spec:
  hosts: [shop.example.com]
  http: [{{route: [{{destination: {{host: {name}}}}}]}}]
"""
CALLER = "caller"
# Eighteen sidecars that leave at once keep this machine busy, and the news of it takes longer to reach the caller.
PATIENT = ("--drain-min-seconds", "4", "--drain-seconds", "7")
URL = "http://web/"


def web(version: str, replicas: int = 1, name: str = "") -> Workload:
    return Workload(
        name=name or f"web-{version}",
        namespace="shop",
        labels={"app": "web", "version": version},
        command=("python", "-c", SERVER),
        ports=(8000,),
        replicas=replicas,
        env={"VERSION": version},
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "web.yaml").write_text(WEB)
    idle = Workload(
        name=CALLER,
        namespace="shop",
        labels={"app": CALLER},
        command=("python", "-m", "http.server", "8001"),
        ports=(8001,),
    )
    definition = LabDefinition(name="load", workloads=(web("v1"), web("v2"), idle))
    with running_lab(folder, definition=definition, agent_options=PATIENT) as started:
        yield started


def test_weights_moved_a_hundred_times(lab: Lab) -> None:
    with Load(lab, CALLER, URL).running() as load:
        for step in range(100):
            share = step % 101
            routes = ROUTES.format(routes=SPLIT.format(v1=share, v2=100 - share))
            write(lab, "web.yaml", WEB + SUBSETS + routes)
    assert load.failures == {}
    assert {response.body for response in load.responses} == {b"v1", b"v2"}
    write(lab, "web.yaml", WEB)


def test_a_subset_added_and_removed(lab: Lab) -> None:
    """Rule and route come and go in one change: the cluster before the route, and after it."""
    only_v2 = ROUTES.format(routes="{destination: {host: web, subset: v2}}")
    with Load(lab, CALLER, URL).running() as load:
        for _ in range(10):
            write(lab, "web.yaml", WEB + SUBSETS + only_v2)
            write(lab, "web.yaml", WEB)
    assert load.failures == {}
    assert {response.body for response in load.responses} == {b"v1", b"v2"}


def test_a_service_renamed(lab: Lab) -> None:
    def behind(name: str) -> str:
        return SERVICE.format(name=name) + SHOP + SHOP_ROUTES.format(name=name)

    write(lab, "web.yaml", behind("web"))
    with Load(lab, CALLER, "http://shop.example.com/").running() as load:
        for name in ("shop-front", "web", "shop-front", "web"):
            write(lab, "web.yaml", behind(name))
    assert load.failures == {}
    write(lab, "web.yaml", WEB)


def test_endpoints_scaled_from_two_to_twenty_and_back(lab: Lab) -> None:
    """By real workloads, which are drained when they leave."""
    with Load(lab, CALLER, URL).running() as load:
        lab.add(web("v3", replicas=18, name="more"))
        until(lambda: any(response.body == b"v3" for response in load.responses), "the new ones are called")
        lab.remove("more")
    assert load.failures == {}
    assert len(lab.status().instances) == 3
