"""What a proxy's configuration depends on: as little as possible, so that replicas share it."""

import pytest

from mizzen.config.resource import ResourceKey
from mizzen.derive.proxies import proxy_view
from mizzen.model.proxy import Capture, ProxyKind, ProxyView
from tests.support.mesh import Mesh

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{app: cart}}}}
spec: {{nodeName: {node}}}
status: {{podIP: {address}}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: s, namespace: shop{annotations}}}
spec: {{{field}ports: [{{name: http, port: 80}}]}}
"""
NETWORK = """
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: main}}
"""
REPLICAS = (
    POD.format(name="one", node="worker-1", address="10.0.0.1"),
    POD.format(name="two", node="worker-2", address="10.0.0.2"),
)


def view(mesh: Mesh, name: str) -> ProxyView:
    key = ResourceKey("Pod", "shop", name)
    found = mesh.db.value(proxy_view, key, ProxyKind.SIDECAR, None, "default", False, Capture())
    assert found is not None
    return found


def test_replicas_on_two_nodes_share_a_view() -> None:
    mesh = Mesh(*REPLICAS, SERVICE.format(field="", annotations=""))
    assert view(mesh, "one") == view(mesh, "two")


@pytest.mark.parametrize(
    ("field", "annotations"),
    [
        ("internalTrafficPolicy: Local, ", ""),
        ("trafficDistribution: PreferSameNode, ", ""),
        ("", ", annotations: {networking.istio.io/traffic-distribution: PreferSameNode}"),
    ],
)
def test_the_node_is_part_of_it_where_a_service_asks_for_it(field: str, annotations: str) -> None:
    mesh = Mesh(*REPLICAS, SERVICE.format(field=field, annotations=annotations))
    assert [view(mesh, name).node for name in ("one", "two")] == ["worker-1", "worker-2"]


def test_the_network_is_that_of_the_root_namespace() -> None:
    assert view(Mesh(*REPLICAS, NETWORK), "one").network == "main"
