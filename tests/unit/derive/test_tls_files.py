"""Whose settings name a file: what is told of one that cannot be read."""

from mizzen.config.decode import decode
from mizzen.daemon.store import Store
from mizzen.derive.tls_files import naming_file
from mizzen.incremental import Database
from mizzen.sources.change import Change

CONFIG = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: rule, namespace: shop}
spec:
  host: a.example.com
  trafficPolicy:
    tls: {mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem}
    portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE, caCertificates: /other.pem}}]
  subsets: [{name: v1, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /ca.pem}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: edge}
spec:
  selector: {app: edge}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: MUTUAL, serverCertificate: /c.pem, privateKey: /s.pem, caCertificates: /ca.pem}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: in, namespace: shop}
spec:
  workloadSelector: {labels: {app: in}}
  ingress:
  - port: {number: 443, name: https, protocol: HTTPS}
    tls: {mode: SIMPLE, serverCertificate: /c.pem, privateKey: /s.pem}
"""


def places(db, file):
    return {f"{key.kind} {'.'.join(map(str, path))}" for key, path in db.value(naming_file, file)}


def test_each_place_that_names_a_file_is_found():
    db = Database()
    store = Store(db)
    located = decode(CONFIG, "mesh.yaml").located
    assert len(located) == 3
    store.apply(Change(upserts=located))
    store.commit()
    rule = "DestinationRule spec.trafficPolicy"
    assert places(db, "/k.pem") == {f"{rule}.tls"}
    assert places(db, "/other.pem") == {f"{rule}.portLevelSettings.0.tls"}
    assert places(db, "/ca.pem") == {
        f"{rule}.tls",
        "DestinationRule spec.subsets.0.trafficPolicy.tls",
        "Gateway spec.servers.0.tls",
    }
    assert places(db, "/c.pem") == {f"{rule}.tls", "Gateway spec.servers.0.tls", "Sidecar spec.ingress.0.tls"}
    assert places(db, "/nowhere.pem") == set()
