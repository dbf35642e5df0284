"""What a workload's annotations say about its capture, in a whole lab: the caller's address by TPROXY, and exclusions."""

import json
from collections.abc import Iterator

import pytest

from mizzen.lab.definition import LabDefinition, Port, Workload
from mizzen.lab.modes import Mode
from tests.support.lab import Lab, running_lab

pytestmark = pytest.mark.lab

# An application that says as whom it sees its caller.
SEER = """
import http.server, json, os, sys, threading

class Seer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        seen = {"caller": self.client_address[0], "envoy": "x-request-id" in self.headers}
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

servers = [http.server.ThreadingHTTPServer(("0.0.0.0", port), Seer) for port in (8080, 9090)]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports:
  - {{name: http, port: 80, targetPort: 8080}}
  - {{name: http-open, port: 90, targetPort: 9090}}
---
"""
NAMES = ("plain", "open", "configured")
TPROXY = {"sidecar.istio.io/interceptionMode": "TPROXY"}
BY_CONFIG = {"proxy.istio.io/config": "interceptionMode: TPROXY"}
NOT_9090 = {"traffic.sidecar.istio.io/excludeInboundPorts": "9090"}


def seer(name: str, **annotations: str) -> Workload:
    return Workload(
        name=name,
        labels={"app": name},
        command="python seer.py",
        ports=(Port(number=8080), Port(number=9090)),
        annotations=annotations,
    )


@pytest.fixture(scope="module", params=[Mode.ROOTED, Mode.ROOTLESS])
def lab(request, tmp_path_factory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("seers")
    (folder / "seer.py").write_text(SEER)
    (folder / "services.yaml").write_text("".join(SERVICE.format(name=name) for name in NAMES))
    workloads = (seer("plain"), seer("open", **TPROXY, **NOT_9090), seer("configured", **BY_CONFIG))
    definition = LabDefinition(name="seers", workloads=workloads)
    with running_lab(folder, request.param, definition=definition) as started:
        yield started


def ask(lab: Lab, source: str, url: str, **call) -> dict:
    status, _, body = lab.request(source, url, **call)
    assert status == 200, body
    return json.loads(body)


def address(lab: Lab, workload: str) -> str:
    return next(found.address for found in lab.status().instances if found.name == f"{workload}-0")


def test_by_redirect_the_application_sees_its_proxy(lab):
    assert ask(lab, "open", "http://plain/") == {"caller": "127.0.0.6", "envoy": True}


def test_by_tproxy_the_application_sees_the_callers_address(lab):
    assert ask(lab, "plain", "http://open/") == {"caller": address(lab, "plain"), "envoy": True}
    for _ in range(5):  # on connections that are kept, and on new ones
        assert ask(lab, "outside", f"http://{address(lab, 'open')}:8080/")["envoy"]


def test_the_mode_may_be_a_setting_of_the_proxy(lab):
    assert ask(lab, "plain", "http://configured/") == {"caller": address(lab, "plain"), "envoy": True}


def test_a_workload_under_tproxy_calls_itself_by_its_service(lab):
    assert ask(lab, "open", "http://open/") == {"caller": address(lab, "open"), "envoy": True}


def test_an_excluded_port_is_called_without_a_proxy(lab):
    assert ask(lab, "outside", f"http://{address(lab, 'open')}:9090/")["envoy"] is False
    assert ask(lab, "outside", f"http://{address(lab, 'plain')}:9090/")["envoy"] is True
