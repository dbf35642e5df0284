"""Whom Prometheus is to scrape."""

import pytest

from mizzen.config.decode import decode
from mizzen.daemon.catalog import MeshCatalog
from mizzen.daemon.store import Store
from mizzen.daemon.targets import ScrapeTargets
from mizzen.incremental import Database
from mizzen.rpc.peer import Peer
from mizzen.sources.change import Change
from mizzen.xds.catalog import Node


def entry(name: str, address: str, labels: str = "") -> str:
    return f"""\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}, namespace: shop}}
spec: {{address: "{address}", labels: {{{labels}}}, serviceAccount: cart}}
---
"""


SIDECAR = "security.istio.io/tlsMode: istio"


class Mesh:
    def __init__(self, text: str) -> None:
        self.db = Database()
        store = Store(self.db)
        store.apply(Change(upserts=decode(text, "mesh.yaml").located))
        store.commit()
        self.catalog = MeshCatalog(self.db)

    def connect(self, name: str, address: str):
        peer = Peer("spiffe://cluster.local/ns/shop/sa/cart", "10.0.0.1:5", 1e10)
        return self.catalog.connect(peer, Node(f"sidecar~{address}~{name}.shop~x", "", {}))

    def targets(self) -> dict[str, dict[str, str]]:
        found = ScrapeTargets(self.db, self.catalog).prometheus()
        return {target: one.labels for one in found for target in one.targets}


def test_a_target_is_called_by_what_the_workload_is_called():
    mesh = Mesh(entry("cart-0", "10.0.0.1", f"{SIDECAR}, app: cart, version: v2"))
    assert mesh.targets() == {
        "10.0.0.1:15020": {
            "__metrics_path__": "/stats/prometheus",
            "namespace": "shop",
            "pod": "cart-0",
            "workload": "cart-0",
            "app": "cart",
            "version": "v2",
        }
    }


def test_replicas_of_a_deployment_have_its_name_in_common():
    pod = """\
apiVersion: v1
kind: Pod
metadata:
  name: cart-5d9c7b6f4-abcde
  namespace: shop
  labels: {security.istio.io/tlsMode: istio, pod-template-hash: 5d9c7b6f4}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: cart-5d9c7b6f4, uid: x, controller: true}]
spec: {serviceAccountName: cart, containers: [{name: a}]}
status: {phase: Running, podIPs: [{ip: "fd00::1"}]}
"""
    (labels,) = Mesh(pod).targets().values()
    assert (labels["pod"], labels["workload"]) == ("cart-5d9c7b6f4-abcde", "cart")
    assert list(Mesh(pod).targets()) == ["[fd00::1]:15020"]


def test_who_has_a_proxy_is_a_target_and_stays_one_while_it_is_away():
    mesh = Mesh(
        entry("cart-0", "10.0.0.1", SIDECAR) + entry("edge-0", "10.0.0.2") + entry("plain-0", "10.0.0.3")
    )
    assert list(mesh.targets()) == ["10.0.0.1:15020"]
    session = mesh.connect("edge-0", "10.0.0.2")
    assert list(mesh.targets()) == ["10.0.0.1:15020", "10.0.0.2:15020"]
    session.close()
    assert list(mesh.targets()) == ["10.0.0.1:15020"]


@pytest.mark.parametrize("address", ["unix:///run/cart.sock", ""])
def test_what_has_no_address_is_no_target(address):
    assert Mesh(entry("cart-0", address, SIDECAR)).targets() == {}
