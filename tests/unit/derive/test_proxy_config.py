"""The settings of one proxy: from the most general place to the workload's own annotation."""

from mizzen.config.proxy_annotation import read
from mizzen.derive.proxy_config import proxy_config, proxy_settings
from mizzen.derive.workloads import workload_key
from mizzen.model.proxy import AS_THE_MESH
from tests.support.mesh import Mesh

MESH = """
apiVersion: mesh.istio.io/v1alpha1
kind: MeshConfig
metadata: {name: mesh}
spec:
  defaultConfig:
    concurrency: 2
    drainDuration: 30s
    proxyMetadata: {A: mesh, B: mesh, C: mesh, D: mesh}
"""
OBJECTS = """
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: root, namespace: istio-system}
spec: {concurrency: 3, environmentVariables: {B: root, C: root, D: root}}
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: general, namespace: shop}
spec: {environmentVariables: {C: namespace, D: namespace}}
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: own, namespace: shop}
spec: {selector: {matchLabels: {app: cart}}, concurrency: 4, environmentVariables: {D: selector}}
"""
WORKLOADS = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: cart-0, namespace: shop}
spec: {address: 10.0.0.1, labels: {app: cart}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: other-0
  namespace: shop
  annotations:
    proxy.istio.io/config: |
      concurrency: 0
      proxyMetadata: {D: annotation}
      proxyHeaders: {server: {disabled: true}}
spec: {address: 10.0.0.2, labels: {app: other}}
"""


def settings(name: str):
    return proxy_config(Mesh(MESH, OBJECTS, WORKLOADS).db, workload_key("shop", name))


def test_the_most_specific_place_that_says_something_holds():
    found = settings("cart-0")
    assert found.concurrency == 4
    assert found.drain_duration.total_seconds() == 30
    assert dict(found.proxy_metadata) == {"A": "mesh", "B": "root", "C": "namespace", "D": "selector"}


def test_the_workloads_own_annotation_is_over_all_objects():
    found = settings("other-0")
    assert found.concurrency == 0
    assert found.drain_duration.total_seconds() == 30
    assert found.proxy_metadata["D"] == "annotation"
    assert found.proxy_metadata["C"] == "namespace"


def test_a_workload_that_is_not_registered_has_what_the_mesh_has():
    assert settings("nobody").concurrency == 2


def test_only_what_discovery_serves_tells_proxies_apart():
    assert proxy_settings("concurrency: 7") == AS_THE_MESH
    assert proxy_settings("proxyHeaders: {server: {disabled: true}}") != AS_THE_MESH


def test_what_cannot_be_read_says_nothing_and_is_told():
    for text in ("concurrency: [", "concurrency: many", "concurency: 2"):
        found = read(text)
        assert not found.given
        assert found.findings


def test_what_has_no_effect_yet_is_told_in_an_annotation_too():
    (found,) = read("tracing: {sampling: 5}").findings
    assert found.code == "MZ0101"
    assert found.path[-1] == "tracing"
