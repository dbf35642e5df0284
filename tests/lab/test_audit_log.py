"""The audit log of real proxies: every denial, of HTTP and of streams, with who asked, what for, and which rule decided."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mizzen.cli.audit import command, decisions
from mizzen.lab.definition import LabDefinition, Workload
from tests.support.lab import Lab, running_lab, until

pytestmark = pytest.mark.lab

FLUSHED_SECONDS = 30.0  # Envoy writes every ten
MESH = """
apiVersion: mesh.istio.io/v1alpha1
kind: MeshConfig
metadata: {name: default, annotations: {mizzen.dev/audit-allowed-percent: "100"}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8000}, {name: tcp, port: 9000, targetPort: 8002}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/caller]}}]
    to: [{operation: {ports: ["8000"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-secrets, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  action: DENY
  rules:
  - to: [{operation: {paths: [/secret*], ports: ["8000"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: later, namespace: shop, annotations: {istio.io/dry-run: "true"}}
spec:
  selector: {matchLabels: {app: web}}
  action: DENY
  rules:
  - to: [{operation: {paths: [/soon], ports: ["8000"]}}]
"""


def workload(name: str, *ports: int, sidecar: bool = True) -> Workload:
    return Workload(
        name=name,
        namespace="shop",
        service_account=name,
        labels={"app": name},
        command=("python", "-c", SERVER),
        ports=ports,
        sidecar=sidecar,
    )


SERVER = """
import http.server, os, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
servers = [http.server.ThreadingHTTPServer((os.environ["HOST"], int(port)), Handler) for name, port in os.environ.items() if name == "PORT" or name.startswith("PORT_")] or [http.server.ThreadingHTTPServer(("127.0.0.1", 8099), Handler)]
for port in (8000, 8002):
    if not any(server.server_address[1] == port for server in servers):
        servers.append(http.server.ThreadingHTTPServer((os.environ["HOST"], port), Handler))
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "mesh.yaml").write_text(MESH)
    workloads = (
        workload("web", 8000, 8002),
        workload("caller"),
        workload("stranger"),
        workload("naked", sidecar=False),
    )
    with running_lab(folder, definition=LabDefinition(name="audit", workloads=workloads)) as started:
        yield started


def place(lab: Lab) -> Path:
    return Path(lab.file.state) / "audit"


def awaited(lab: Lab, **wanted: str) -> Mapping[str, Any]:
    def found() -> Mapping[str, Any] | None:
        lines = (one for one in decisions(place(lab)) if wanted.items() <= one.items())
        return next(lines, None)

    return until(found, lambda: f"{wanted} is written: {list(decisions(place(lab)))[-5:]}", FLUSHED_SECONDS)


def test_each_decision_with_who_what_and_why(lab: Lab) -> None:
    assert lab.request("caller", "http://web/open?token=hush")[0] == 200
    allowed = awaited(lab, path="/open", verdict="allowed")
    assert allowed["caller"] == "spiffe://cluster.local/ns/shop/sa/caller"
    assert allowed["policy"] == "ns[shop]-policy[readers]-rule[0]"
    assert (allowed["workload"], allowed["namespace"], allowed["method"]) == ("web-0", "shop", "GET")
    assert "hush" not in json.dumps(allowed)

    assert lab.request("caller", "http://web/secrets/1")[0] == 403
    denied = awaited(lab, path="/secrets/1")
    assert denied["verdict"] == "denied"
    assert denied["details"] == "rbac_access_denied_matched_policy[ns[shop]-policy[no-secrets]-rule[0]]"

    assert lab.request("stranger", "http://web/open2")[0] == 403
    nobody = awaited(lab, path="/open2")
    assert nobody["caller"] == "spiffe://cluster.local/ns/shop/sa/stranger"
    assert nobody["details"] == "rbac_access_denied_matched_policy[none]"

    assert lab.request("naked", "http://web/plain")[0] == 403
    plain = awaited(lab, path="/plain")
    assert "caller" not in plain
    assert plain["caller_address"]

    assert lab.request("caller", "http://web/soon")[0] == 200
    assert awaited(lab, path="/soon")["dry_run_deny"] == "ns[shop]-policy[later]-rule[0]"


def test_a_connection_that_is_denied(lab: Lab) -> None:
    assert lab.request("caller", "http://web:9000/stream")[0] in {0, 503}
    denied = until(
        lambda: next((one for one in decisions(place(lab)) if ":8002" in one.get("address", "")), None),
        "it is written",
        FLUSHED_SECONDS,
    )
    assert (denied["verdict"], denied["caller"]) == ("denied", "spiffe://cluster.local/ns/shop/sa/caller")


def test_the_command_shows_them(lab: Lab) -> None:
    lab.request("stranger", "http://web/shown")
    awaited(lab, path="/shown")
    found = CliRunner().invoke(command, ["web", "--denied", "--folder", str(place(lab))])
    assert found.exit_code == 0
    head, *rows = found.output.splitlines()
    assert head.split() == ["time", "verdict", "caller", "workload", "request", "policy"]
    assert any("/shown 403" in row and "sa/stranger" in row for row in rows)
    assert all("denied" in row for row in rows)


def test_files_are_private(lab: Lab) -> None:
    for file in place(lab).rglob("audit.log"):
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
