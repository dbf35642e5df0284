"""What a sidecar takes for its application: ports whose protocol nobody said, servers that speak first, a Sidecar's ingress."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from mizzen.lab.modes import Mode
from tests.support.edge_secrets import leaf
from tests.support.lab import Lab, running_lab, until
from tests.support.load import delivered, write

pytestmark = pytest.mark.lab

# HTTP at three places, each of which says which it is, and a server that speaks first.
SERVER = """
import http.server, os, socket, socketserver, threading
class Http(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.server.place.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
class Greeting(socketserver.BaseRequestHandler):
    def handle(self): self.request.sendall(b"hello")
class UnixHttp(socketserver.ThreadingMixIn, http.server.HTTPServer):
    address_family = socket.AF_UNIX
    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        os.chmod(self.server_address, 0o777)
def serve(server, place):
    server.place = place
    threading.Thread(target=server.serve_forever).start()
serve(http.server.ThreadingHTTPServer((os.environ["HOST"], 8000), Http), "any")
serve(http.server.ThreadingHTTPServer((os.environ["HOST"], 8003), Http), "undeclared")
serve(http.server.ThreadingHTTPServer(("127.0.0.1", 8001), Http), "localhost")
serve(UnixHttp("SOCKET", Http), "socket")
serve(socketserver.ThreadingTCPServer((os.environ["HOST"], 9000), Greeting), "")
"""
# Reads what a TCP server says; what one says to a request over TLS.
CALLER = """
import http.server, os, socket, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        _, host, port, *tls = self.path.split("/")
        try:
            with socket.create_connection((host, int(port)), 10) as connection:
                if tls:
                    connection = ssl._create_unverified_context().wrap_socket(connection)
                    connection.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
                body = connection.makefile("rb").read() if tls else connection.recv(100)
        except OSError as error:
            body = repr(error).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
CONFIG = """
apiVersion: v1
kind: Service
metadata: {name: server, namespace: shop}
spec:
  selector: {app: server}
  ports:
  - {name: any, port: 80, targetPort: 8000}
  - {name: greeting, port: 90, targetPort: 9000}
---
apiVersion: v1
kind: Service
metadata: {name: caller, namespace: shop}
spec: {selector: {app: caller}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: stranger, namespace: shop}
spec: {selector: {app: stranger}, ports: [{name: http, port: 8080}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: secret, namespace: shop}
spec:
  selector: {matchLabels: {app: server}}
  action: DENY
  rules: [{to: [{operation: {paths: [/secret]}}]}]
"""
SERVICE = "server.shop.svc.cluster.local"  # whoever has no sidecar knows no shorter name
SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: server, namespace: shop}}
spec:
  workloadSelector: {{labels: {{app: server}}}}
  ingress: [{{port: {{number: 8000, protocol: HTTP, name: http}}, defaultEndpoint: "{endpoint}"}}]
"""

OWN_TLS = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: server, namespace: shop}}
spec: {{selector: {{matchLabels: {{app: server}}}}, portLevelMtls: {{"9443": {{mode: DISABLE}}}}}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: server, namespace: shop}}
spec:
  workloadSelector: {{labels: {{app: server}}}}
  ingress:
  - port: {{number: 9443, protocol: HTTPS, name: https}}
    defaultEndpoint: 127.0.0.1:8001
    tls: {{mode: SIMPLE, serverCertificate: {folder}/cert.pem, privateKey: {folder}/key.pem}}
"""


def workload(name: str, program: str, *ports: int, sidecar: bool = True) -> Workload:
    return Workload(
        name=name,
        namespace="shop",
        labels={"app": name},
        command=("python", "-c", program),
        ports=ports,
        sidecar=sidecar,
    )


@pytest.fixture(scope="module")
def shared() -> Iterator[Path]:
    """A folder of the server into which its proxy, which is another user, may look, too."""
    with tempfile.TemporaryDirectory(prefix="mizzen-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, shared) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("inbound")
    (folder / "shop.yaml").write_text(CONFIG)
    server = workload("server", SERVER.replace("SOCKET", str(shared / "server.sock")), 8000, 9000)
    callers = (workload("caller", CALLER, 8080), workload("stranger", CALLER, 8080, sidecar=False))
    with running_lab(folder, definition=LabDefinition(name="inbound", workloads=(server, *callers))) as made:
        if made.file.mode == Mode.LOOPBACK.value:
            pytest.skip("could not run here: without network namespaces nothing is captured")
        yield made


def take_back(lab: Lab, name: str) -> None:
    before = lab.admin("/api/v1/status")["revision"]
    (lab.folder / name).unlink()
    until(lambda: delivered(lab, before), f"{name} is taken back")


@pytest.mark.parametrize("source", ["caller", "stranger"])
def test_requests_are_judged_at_a_port_whose_protocol_nobody_said(lab: Lab, source: str) -> None:
    assert lab.request(source, f"http://{SERVICE}/")[::2] == (200, b"any")
    assert lab.request(source, f"http://{SERVICE}/secret")[0] == 403


@pytest.mark.parametrize("source", ["caller", "stranger"])
def test_requests_are_judged_at_a_port_that_nothing_declares(lab: Lab, source: str) -> None:
    url = f"http://{lab.address('server')}:8003"
    assert lab.request(source, url)[::2] == (200, b"undeclared")
    assert lab.request(source, f"{url}/secret")[0] == 403


@pytest.mark.parametrize("source", ["caller", "stranger"])
def test_a_server_that_speaks_first_is_heard_at_a_sniffed_port(lab: Lab, source: str) -> None:
    status, _, body = lab.request("caller", f"http://{source}:8080/{SERVICE}/90")
    assert (status, body) == (200, b"hello")


@pytest.mark.parametrize(
    ("endpoint", "place"), [("127.0.0.1:8001", b"localhost"), ("unix://SHARED/server.sock", b"socket")]
)
def test_a_sidecar_says_where_the_application_is(lab: Lab, shared: Path, endpoint: str, place: bytes) -> None:
    write(lab, "sidecar.yaml", SIDECAR.format(endpoint=endpoint.replace("SHARED", str(shared))))
    assert lab.request("caller", f"http://{SERVICE}/")[::2] == (200, place)
    take_back(lab, "sidecar.yaml")
    assert lab.request("caller", f"http://{SERVICE}/")[::2] == (200, b"any")


def test_a_sidecar_ends_tls_for_strangers_with_the_workloads_own_certificate(lab: Lab, shared: Path) -> None:
    for file, text in zip(("cert.pem", "key.pem"), leaf("server.example"), strict=True):
        (shared / file).write_bytes(text)
    write(lab, "tls.yaml", OWN_TLS.format(folder=shared))
    place = f"{lab.address('server')}/9443"
    said = until(lambda: _said_over_tls(lab, place), "the certificate is there")
    assert said.startswith(b"HTTP/1.1 200"), said
    assert said.endswith(b"localhost"), said
    assert lab.request("stranger", f"http://{place.replace('/', ':')}/")[0] == 0
    take_back(lab, "tls.yaml")


def _said_over_tls(lab: Lab, place: str) -> bytes:
    """What the server answers to a request over TLS; nothing where there is no handshake."""
    _, _, body = lab.request("caller", f"http://stranger:8080/{place}/tls")
    return body if body.startswith(b"HTTP") else b""
