"""A real external authorizer, over HTTP and gRPC: what it says counts, what it adds arrives, and what happens when it is gone."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from tests.support.lab import Lab, running_lab, until

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
AUTHORIZER = """
import asyncio, os
from tests.conformance.routing_e2e.echo.authorizer import serve_authorizer
async def main():
    await serve_authorizer(os.environ["HOST"])
    await asyncio.Event().wait()
asyncio.run(main())
"""
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (self.headers.get("x-ext-authz-check-result") or "nobody was asked").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
MESH = """
apiVersion: mesh.istio.io/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec:
  extensionProviders:
  - name: http
    envoyExtAuthzHttp:
      {service: guard.guards.svc.cluster.local, port: 8000, timeout: 2s, includeRequestHeadersInCheck: [x-ext-authz],
       headersToUpstreamOnAllow: [x-ext-authz-check-result]}
  - name: grpc
    envoyExtAuthzGrpc: {service: guard.guards.svc.cluster.local, port: 9000, timeout: 2s}
  - name: lax
    envoyExtAuthzHttp:
      {service: guard.guards.svc.cluster.local, port: 8000, timeout: 2s, failOpen: true, includeRequestHeadersInCheck: [x-ext-authz]}
  - name: told
    envoyExtAuthzGrpc: {service: guard.guards.svc.cluster.local, port: 9000, timeout: 2s, statusOnError: "503"}
---
apiVersion: v1
kind: Service
metadata: {name: guard, namespace: guards}
spec: {selector: {app: guard}, ports: [{name: http, port: 8000}, {name: grpc, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
# It hides the guard from what the workload itself may call.
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: ["./*"]}]}
"""
POLICY = """
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  action: CUSTOM
  provider: {{name: {name}}}
  rules: [{{to: [{{operation: {{paths: [/{name}]}}}}]}}]
"""
PROVIDERS = ("http", "grpc", "lax", "told")
ALLOW, DENY = {"x-ext-authz": "allow"}, {"x-ext-authz": "deny"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "mesh.yaml").write_text(MESH + "".join(POLICY.format(name=name) for name in PROVIDERS))
    guard = Workload(
        name="guard",
        namespace="guards",
        labels={"app": "guard"},
        command=(sys.executable, "-c", AUTHORIZER),
        ports=(8000,),
        env={"PYTHONPATH": str(ROOT)},
    )
    web = Workload(
        name="web", namespace="shop", labels={"app": "web"}, command=("python", "-c", SERVER), ports=(8000,)
    )
    idle = ("python", "-m", "http.server", "8001")
    caller = Workload(name="caller", namespace="shop", labels={"app": "caller"}, command=idle, ports=(8001,))
    with running_lab(
        folder, definition=LabDefinition(name="guard", workloads=(guard, web, caller))
    ) as started:
        yield started


def ask(lab: Lab, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    status, _, body = lab.request("caller", f"http://web/{path}", headers)
    return status, body


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_it_says_counts(lab: Lab, provider: str) -> None:
    assert ask(lab, provider, ALLOW)[0] == 200
    assert ask(lab, provider, DENY)[0] == 403
    assert ask(lab, provider, {})[0] == 403
    assert ask(lab, "elsewhere", DENY) == (200, b"nobody was asked")


def test_what_it_adds_arrives(lab: Lab) -> None:
    assert ask(lab, "http", ALLOW) == (200, b"allowed")
    assert ask(lab, "grpc", ALLOW) == (200, b"allowed")
    forged = {**ALLOW, "x-ext-authz-check-result": "forged"}
    assert ask(lab, "http", forged) == (200, b"allowed")


def test_when_it_is_gone_each_does_as_its_provider_says(lab: Lab) -> None:
    """The last test of the file: the authorizer does not come back."""
    lab.remove("guard")
    until(lambda: ask(lab, "http", ALLOW)[0] == 403, "its absence is noticed")
    assert ask(lab, "http", ALLOW)[0] == 403
    assert ask(lab, "grpc", ALLOW)[0] == 403
    assert ask(lab, "told", ALLOW)[0] == 503
    assert ask(lab, "lax", DENY)[0] == 200
    assert ask(lab, "elsewhere", DENY)[0] == 200
