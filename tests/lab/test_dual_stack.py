"""Both IP families: real requests over IPv6, captured and by mutual TLS, to services of one family and of both."""

import json
from collections.abc import Iterator

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from mizzen.lab.modes import Mode
from tests.support.lab import Lab, running_lab

pytestmark = pytest.mark.lab

# Tells the address at which it was called, and whether a proxy brought the caller's certificate.
APPLICATION = """
import http.server, json, os, socket, threading

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = {"at": self.connection.getsockname()[0], "client": self.headers.get("x-forwarded-client-cert", "")}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

class Sixth(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()

port = int(os.environ["PORT"])
threading.Thread(target=Sixth(("::", port), Handler).serve_forever).start()
http.server.ThreadingHTTPServer((os.environ["HOST"], port), Handler).serve_forever()
"""
CONFIG = """
apiVersion: v1
kind: Service
metadata: {name: six, namespace: shop}
spec: {clusterIPs: ["fd00:77::6"], ipFamilies: [IPv6], selector: {app: server}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: six-tcp, namespace: shop}
spec: {clusterIPs: ["fd00:77::7"], ipFamilies: [IPv6], selector: {app: server}, ports: [{name: tcp, port: 90, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: four, namespace: shop}
spec: {clusterIPs: [10.96.0.4], ipFamilies: [IPv4], selector: {app: server}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: both, namespace: shop}
spec:
  clusterIPs: [10.96.0.5, "fd00:77::5"]
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv4, IPv6]
  selector: {app: server}
  ports: [{name: http, port: 80, targetPort: 8080}]
"""


def dual(name: str) -> Workload:
    command = ("python", "-c", APPLICATION)
    return Workload(
        name=name, namespace="shop", labels={"app": name}, command=command, ports=(8080,), ipv6=True
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("dual")
    (folder / "services.yaml").write_text(CONFIG)
    definition = LabDefinition(name="dual", workloads=(dual("server"), dual("client")))
    with running_lab(folder, Mode.ROOTED, definition=definition) as lab:
        yield lab


@pytest.mark.parametrize(
    ("url", "family"),
    [
        pytest.param("http://six/", ":", id="a name of IPv6"),
        pytest.param("http://[fd00:77::6]/", ":", id="an address of IPv6"),
        pytest.param("http://six-tcp:90/", ":", id="TCP by IPv6"),
        pytest.param("http://four/", ".", id="a name of IPv4"),
        pytest.param("http://[fd00:77::5]/", "", id="both families, called by IPv6"),
        pytest.param("http://10.96.0.5/", "", id="both families, called by IPv4"),
    ],
)
def test_a_request_arrives_by_the_family_of_its_service(lab: Lab, url: str, family: str) -> None:
    status, _, body = lab.request("client", url)
    assert status == 200, body
    found = json.loads(body)
    assert family in found["at"]
    if ":90" not in url:  # a stream has no header for it
        assert "ns/shop/sa/default" in found["client"]
