"""A gateway's servers, met by real clients: which certificate they are shown, what is asked of them, where they come out.
One lab for all tests of this file; each leaves it as it was.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from mizzen.lab.definition import LabDefinition, Workload
from mizzen.lab.modes import Mode
from tests.support.edge_client import Seen, call, stranger
from tests.support.edge_secrets import leaf, roots, secret, tls_secret
from tests.support.http3_client import http3_client
from tests.support.lab import Lab, running_lab, until
from tests.support.lab_servers import SERVER
from tests.support.load import write
from tests.support.signed_files import signed_files

pytestmark = pytest.mark.lab

HTTPS = 443
MESH = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop, annotations: {gateway.mizzen.dev/http3: "true"}}
spec:
  selector: {app: edge}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [one.test]
    tls: {httpsRedirect: true}
  - port: {number: 443, name: one, protocol: HTTPS}
    hosts: [one.test]
    tls: {mode: SIMPLE, credentialName: one}
  - port: {number: 443, name: two, protocol: HTTPS}
    hosts: ["*.two.test"]
    tls: {mode: SIMPLE, credentialName: two}
  - port: {number: 443, name: mutual, protocol: HTTPS}
    hosts: [mutual.test]
    tls: {mode: MUTUAL, credentialName: mutual}
  - port: {number: 443, name: optional, protocol: HTTPS}
    hosts: [optional.test]
    tls: {mode: OPTIONAL_MUTUAL, credentialName: mutual}
  - port: {number: 443, name: through, protocol: TLS}
    hosts: [through.test]
    tls: {mode: PASSTHROUGH}
  - port: {number: 443, name: late, protocol: HTTPS}
    hosts: [late.test]
    tls: {mode: SIMPLE, credentialName: late}
  - port: {number: 9000, name: tcp, protocol: TCP}
    hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [one.test, a.two.test, mutual.test, optional.test, late.test]
  gateways: [edge]
  http: [{route: [{destination: {host: web}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: through, namespace: shop}
spec:
  hosts: [through.test]
  gateways: [edge]
  tls:
  - match: [{sniHosts: [through.test]}]
    route: [{destination: {host: naked, port: {number: 443}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: tcp, namespace: shop}
spec:
  hosts: [tcp.test]
  gateways: [edge]
  tcp:
  - match: [{port: 9000}]
    route: [{destination: {host: web, port: {number: 80}}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: naked, namespace: shop}
spec: {selector: {app: naked}, ports: [{name: tls, port: 443, targetPort: 8443}]}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("edge")
    (folder / "mesh.yaml").write_text(MESH)
    (folder / "one.yaml").write_text(tls_secret("shop", "one", "one.test"))
    (folder / "two.yaml").write_text(tls_secret("shop", "two", "a.two.test"))
    chain, key = leaf("mutual.test")
    (folder / "mutual.yaml").write_text(
        secret("shop", "mutual", cert=chain, key=key, cacert=roots("partners"))
    )
    certificates = tmp_path_factory.mktemp("certificates")
    for path in (certificates, *certificates.parents[:3]):
        path.chmod(0o755)
    signed_files(certificates, server="through.test")
    workloads = (
        Workload(name="edge", namespace="shop", labels={"app": "edge"}, gateway=True, ports=(80,)),
        _server("web", "8000=http"),
        _server("naked", "8443=tls", sidecar=False, certificates=str(certificates)),
        stranger("shop"),
    )
    with running_lab(folder, definition=LabDefinition(name="edge", workloads=workloads)) as started:
        if started.file.mode == Mode.LOOPBACK.value:
            pytest.skip(
                "could not run here: without namespaces a gateway cannot have the ports that it needs"
            )
        yield started


def _server(name: str, port: str, *, sidecar: bool = True, certificates: str = "") -> Workload:
    return Workload(
        name=name,
        namespace="shop",
        labels={"app": name},
        command=("python", "-c", SERVER),
        ports=(int(port.partition("=")[0]),),
        env={"PORTS": port, "CERTIFICATES": certificates},
        sidecar=sidecar,
    )


def https(lab: Lab, host: str, **asked: object) -> Seen:
    given = {"address": lab.address("edge-0"), "port": HTTPS, "host": host, "sni": host, **asked}
    return call(lab, **given)[0]


def eventually(lab: Lab, host: str, **asked: object) -> Seen:
    """The answer, once there is one: delivery is awaited, not what Envoy does with it."""
    found: Seen = until(lambda: (seen := https(lab, host, **asked)).status and seen, f"{host} answers")
    return found


def shown(host: str, ca: str = "edge-ca") -> str:
    return leaf(host, ca)[0].decode()


def client(ca: str) -> dict[str, str]:
    chain, key = leaf("client.test", ca)
    return {"certificate": chain.decode(), "key": key.decode()}


def test_each_server_name_has_its_certificate(lab):
    for host in ("one.test", "a.two.test"):
        seen = eventually(lab, host, ca=roots().decode())
        assert (seen.status, json.loads(seen.body)["me"], seen.certificate) == (200, "web-0", shown(host))


def test_a_server_name_that_nobody_serves_is_refused(lab):
    assert https(lab, "nobody.test").status == 0


def test_a_host_of_another_server_is_not_found(lab):
    """The certificate was chosen by the server name; the routes are those of that server."""
    assert https(lab, "a.two.test", sni="one.test").status == 404


def test_http2_and_http1_are_offered(lab):
    assert https(lab, "one.test", alpn=["http/1.1"]).alpn == "http/1.1"
    seen = https(lab, "one.test", alpn=["h2", "http/1.1"])
    assert (seen.alpn, seen.status) == ("h2", 200)


def test_plain_http_is_redirected(lab):
    (seen,) = call(lab, address=lab.address("edge-0"), port=80, host="one.test", path="/x?y=1")
    assert (seen.status, seen.headers["location"]) == (301, "https://one.test/x?y=1")


def test_mutual_takes_only_certificates_of_its_roots(lab):
    assert eventually(lab, "mutual.test", **client("partners")).status == 200
    assert https(lab, "mutual.test").status == 0
    assert https(lab, "mutual.test", **client("strangers")).status == 0


def test_optional_mutual_takes_callers_without_a_certificate_and_checks_those_that_are_shown(lab):
    assert eventually(lab, "optional.test").status == 200
    assert https(lab, "optional.test", **client("partners")).status == 200
    assert https(lab, "optional.test", **client("strangers")).status == 0


def test_passthrough_leads_to_the_servers_own_certificate(lab):
    seen = eventually(lab, "through.test")
    assert (seen.status, json.loads(seen.body)["sni"]) == (200, "through.test")
    assert seen.certificate not in {shown(host) for host in ("one.test", "a.two.test", "mutual.test")}


def test_tcp_comes_out_at_the_service(lab):
    (seen,) = call(
        lab,
        address=lab.address("edge-0"),
        port=9000,
        raw="GET / HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n",
    )
    assert "200 OK" in seen.body


def test_a_missing_secret_closes_its_server_alone_and_opens_it_when_it_appears(lab):
    assert https(lab, "late.test").status == 0
    assert https(lab, "one.test").status == 200
    write(lab, "late.yaml", tls_secret("shop", "late", "late.test"))
    assert eventually(lab, "late.test").certificate == shown("late.test")


def test_a_certificate_is_replaced_under_load_and_no_request_fails(lab):
    found: list[Seen] = []
    stop = threading.Event()

    def load() -> None:
        given = {"address": lab.address("edge-0"), "port": HTTPS, "host": "one.test", "sni": "one.test"}
        while not stop.is_set():
            found.extend(call(lab, **given, count=20))

    calling = threading.Thread(target=load)
    calling.start()
    try:
        for number in range(10):
            before = len(found)
            ca = f"generation-{number % 2}"
            write(lab, "one.yaml", tls_secret("shop", "one", "one.test", ca))
            until(lambda ca=ca: https(lab, "one.test").certificate == shown("one.test", ca), "it is in force")
            until(lambda before=before: len(found) > before, "the load goes on")
    finally:
        stop.set()
        calling.join()
        write(lab, "one.yaml", tls_secret("shop", "one", "one.test"))
    assert Counter(f"{seen.status} {seen.error}" for seen in found) == {"200 ": len(found)}
    assert {shown("one.test", "generation-0"), shown("one.test", "generation-1")} <= {
        seen.certificate for seen in found
    }


def test_a_bad_secret_leaves_the_last_good_one_in_force(lab):
    chain, _ = leaf("one.test")
    until(lambda: https(lab, "one.test").certificate == shown("one.test"), "the first one is back")
    (lab.folder / "one.yaml").write_text(
        secret("shop", "one", "kubernetes.io/tls", tls_crt=chain, tls_key=b"nonsense")
    )
    until(lambda: "not usable for TLS" in json.dumps(lab.admin("/api/v1/diagnostics")), "it is told")
    assert https(lab, "one.test").certificate == shown("one.test")
    write(lab, "one.yaml", tls_secret("shop", "one", "one.test", "another-ca"))
    write(lab, "one.yaml", tls_secret("shop", "one", "one.test"))


def test_http3_is_told_of_and_served(lab):
    seen = eventually(lab, "one.test")
    assert seen.headers["alt-svc"] == 'h3=":443"; ma=86400'
    lab.add(http3_client("quic", "shop", lab.address("edge-0"), "one.test", roots()))
    try:
        answer = until(lambda: _by_http3(lab), "HTTP/3 is answered")
        assert json.loads(answer)["me"] == "web-0"
    finally:
        lab.remove("quic")


def _by_http3(lab: Lab) -> bytes | None:
    url = f"http://{lab.address('quic-0')}:8000/"
    status, headers, body = lab.request("stranger", url, {"Host": "one.test"})
    return body if status == 200 and headers.get("x-protocol") == "HTTP/3" else None
