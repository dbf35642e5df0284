"""Names as an application in the mesh sees them: its own resolver, captured, answered by the agent beside it."""

import json
import signal
from collections.abc import Iterator

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from mizzen.lab.modes import Mode
from tests.support.lab import Lab, running_lab, until

pytestmark = pytest.mark.lab

# Looks names up, asks the system's DNS server, or reads what a TCP server says.
CLIENT = """
import http.server, json, os, socket
from urllib.parse import parse_qs, urlparse
from mizzen.agent.dns_message import parse_answer

def resolve(name, family):
    try:
        found = socket.getaddrinfo(name, 80, getattr(socket, family), socket.SOCK_STREAM)
    except socket.gaierror as error:
        return error.strerror
    return sorted(address[0] for *_, address in found)

def ask(name, kind, transport, server=""):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = bytes.fromhex("1234 0100 0001 0000 0000 0000") + labels + bytes([0, 0, int(kind), 0, 1])
    server = server or next(line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver"))
    with socket.socket(type=socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect((server, 53))
        asking.send((len(query).to_bytes(2) if transport == "tcp" else b"") + query)
        answer = parse_answer(asking.recv(65535)[2 if transport == "tcp" else 0:])
    return [answer.code, sorted(record.data.hex() for record in answer.records)]

def read(host, port):
    with socket.create_connection((host, int(port)), 5) as connection:
        return connection.recv(100).decode()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = urlparse(self.path)
        arguments = {key: values[0] for key, values in parse_qs(asked.query).items()}
        try:
            found = globals()[asked.path[1:]](**arguments)
        except OSError as error:
            found = repr(error)
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
# Says its name to whoever connects, before it hears anything.
DATABASE = """
import os, socketserver
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(os.environ["MIZZEN_WORKLOAD"].encode())
socketserver.ThreadingTCPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
CONFIG = """
apiVersion: v1
kind: Service
metadata: {name: client, namespace: shop}
spec: {selector: {app: client}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, selector: {role: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: dual, namespace: shop}
spec: {clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9, "fd00::9"], selector: {app: one}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: old, namespace: shop}
spec: {type: ExternalName, externalName: dual.shop.svc.cluster.local}
"""
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  workloadSelector: {{labels: {{app: {name}}}}}
  ports: [{{name: tcp, number: 5432, protocol: TCP}}]
"""
DUAL = "dual.shop.svc.cluster.local"


def database(name: str) -> Workload:
    return Workload(
        name=name, namespace="shop", labels={"app": name, "role": "db"}, command=("python", "-c", DATABASE),
        ports=(5432,),
    )  # fmt: skip


class Client:
    """What the application finds out."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def __call__(self, what: str, **arguments: object):
        query = "&".join(f"{key}={value}" for key, value in arguments.items())
        status, _, body = self.lab.request("client", f"http://client:8080/{what}?{query}")
        assert status == 200, body
        return json.loads(body)

    def resolve(self, name: str, family: str = "AF_INET"):
        return self("resolve", name=name, family=family)

    def address_of(self, workload: str) -> str:
        return self.lab.address(workload)


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("dns")
    (folder / "services.yaml").write_text(CONFIG)
    for name in ("one", "two"):
        (folder / f"{name}.yaml").write_text(ENTRY.format(name=name))
    application = Workload(
        name="client", namespace="shop", labels={"app": "client"}, command=("python", "-c", CLIENT), ports=(8080,)
    )  # fmt: skip
    definition = LabDefinition(name="dns", workloads=(application, database("one"), database("two")))
    with running_lab(folder, definition=definition) as lab:
        if lab.file.mode == Mode.LOOPBACK.value:
            pytest.skip("could not run here: without network namespaces no DNS is captured")
        yield Client(lab)


def test_two_services_on_one_port_are_told_apart_by_the_addresses_allocated_to_them(client):
    one, two = (client.resolve(f"{name}.example.com") for name in ("one", "two"))
    assert len({*one, *two}) == 2
    assert all(address.startswith("240.240.") for address in (*one, *two))
    for name in ("one", "two"):
        assert client("read", host=f"{name}.example.com", port=5432) == f"{name}-0"


def test_a_headless_service_is_its_instances_and_each_can_be_called_by_name(client):
    addresses = {name: client.address_of(name) for name in ("one", "two")}
    assert client.resolve("db") == sorted(addresses.values())
    for name, address in addresses.items():
        for written in (f"{name}-0.db", f"{name}-0.db.shop.svc.cluster.local"):
            assert client.resolve(written) == [address]
        assert client("read", host=f"{name}-0.db", port=5432) == f"{name}-0"


def test_both_families_over_udp_and_tcp(client):
    assert client.resolve("dual") == client.resolve("DUAL.shop") == ["10.96.0.9"]
    assert client.resolve("dual", "AF_INET6") == ["fd00::9"]
    for transport in ("udp", "tcp"):
        asked = {
            kind: client("ask", name=DUAL, kind=kind, transport=transport) for kind in (1, 28, 15)
        }  # A, AAAA, MX
        assert asked == {1: [0, ["0a600009"]], 28: [0, ["fd000000000000000000000000000009"]], 15: [0, []]}
        assert client("ask", name="one.example.com", kind=28, transport=transport) == [0, []]
        assert client("ask", name="nobody.shop.svc.cluster.local", kind=1, transport=transport) == [3, []]


def test_who_asks_another_server_asks_that(client):
    for transport in ("udp", "tcp"):
        answer = client("ask", name=DUAL, kind=1, transport=transport, server="127.0.0.1")
        assert "ConnectionRefused" in answer


def test_an_external_name_stands_for_another(client):
    assert client.resolve("old") == ["10.96.0.9"]


def test_names_come_with_their_services_and_stay_while_the_daemon_is_away(client):
    new = client.lab.folder / "new.yaml"
    assert client.resolve("new.example.com") != ["10.5.5.5"]
    new.write_text(ENTRY.format(name="new").replace("location:", "addresses: [10.5.5.5]\n  location:"))
    until(lambda: client.resolve("new.example.com") == ["10.5.5.5"], "the new name is answered")
    client.lab.signal("daemon", number=signal.Signals.SIGSTOP.name)
    try:
        assert client.resolve("new.example.com") == ["10.5.5.5"]
    finally:
        client.lab.signal("daemon", number=signal.Signals.SIGCONT.name)
    new.unlink()
    until(lambda: client.resolve("new.example.com") != ["10.5.5.5"], "the name is gone")


def test_the_agent_says_how_its_names_stand(client):
    address = client.address_of("client")
    _, _, body = client.lab.request("client", f"http://{address}:15020/status")
    stands = json.loads(body)["dns"]
    assert stands["following"]
    assert stands["names"] >= 8
    assert len(stands["upstream"]) == 1
