"""Pods and EndpointSlices: what a change of them re-runs does not grow with the mesh, and is no listener, route or cluster."""

import pytest

from mizzen.incremental.nodes import Log
from tests.incremental.test_mesh_log import RESOURCE_QUERIES, SERVICE, queries
from tests.support.mesh import Mesh, gateway, sidecar
from tests.support.watched import Watched, names

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{app: {app}, security.istio.io/tlsMode: istio}}}}
spec: {{serviceAccountName: {app}, nodeName: node}}
status: {{podIP: {address}, conditions: [{{type: Ready, status: "{ready}"}}]}}
"""
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {app}-1, namespace: shop, labels: {{kubernetes.io/service-name: {app}}}}}
ports: [{{name: http, port: 8080}}, {{name: tcp-admin, port: 9000}}]
endpoints: [{{addresses: [{address}], conditions: {{ready: {ready}}}, targetRef: {{kind: Pod, name: {app}-0}}}}]
"""
NODE = """
apiVersion: v1
kind: Node
metadata: {name: node, labels: {topology.kubernetes.io/region: eu}}
"""
CHANGES = {
    "a Pod with another address": POD.format(name="s1-0", app="s1", address="10.7.7.7", ready=True),
    "a Pod that is not ready": POD.format(name="s1-0", app="s1", address="10.0.1.1", ready=False),
    "a further Pod": POD.format(name="s1-1", app="s1", address="10.7.7.7", ready=True),
    "a slice": SLICE.format(app="s1", address="10.7.7.7", ready="true"),
    "a slice without ready endpoints": SLICE.format(app="s1", address="10.0.1.1", ready="false"),
}


def mesh_of(size: int, *, sliced: bool) -> Mesh:
    mesh = Mesh()
    for index in range(size):
        app, address = f"s{index}", f"10.0.{index}.1"
        mesh.apply(SERVICE.format(name=app, namespace="shop"))
        mesh.apply(POD.format(name=f"{app}-0", app=app, address=address, ready=True))
        if sliced:
            mesh.apply(SLICE.format(app=app, address=address, ready="true"))
    return mesh


def changed(size: int, change: str, *, sliced: bool) -> tuple[Log, list[str]]:
    mesh = mesh_of(size, sliced=sliced)
    watched = Watched(mesh.db, sidecar("shop", app="s1"), gateway("shop", app="edge"))
    with mesh.db.recording() as log:
        mesh.apply(change)
        return log, names(watched.refresh())


@pytest.mark.parametrize("sliced", [False, True], ids=["by selector", "by slices"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_endpoints_reruns_endpoints_alone(change: str, *, sliced: bool) -> None:
    small, assignments = changed(5, change, sliced=sliced)
    large, _ = changed(40, change, sliced=sliced)
    assert set(assignments) <= {
        "ClusterLoadAssignment outbound|80||s1.shop.svc.cluster.local",
        "ClusterLoadAssignment outbound|9000||s1.shop.svc.cluster.local",
    }
    assert not RESOURCE_QUERIES & set(queries(small))
    assert queries(small) == queries(large)
    assert len(small.verified) == len(large.verified)


def test_a_node_that_moves_reruns_the_endpoints_on_it_alone() -> None:
    log, assignments = changed(3, NODE, sliced=True)
    assert len(assignments) == 6
    assert not RESOURCE_QUERIES & set(queries(log))


def test_a_slice_replaces_what_the_selector_finds() -> None:
    _, assignments = changed(3, CHANGES["a slice without ready endpoints"], sliced=False)
    assert assignments
