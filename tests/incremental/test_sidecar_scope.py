"""What a Sidecar leaves out costs its proxies nothing: neither queries nor bytes."""

import pytest

from mizzen.incremental.nodes import Log
from tests.incremental.test_mesh_log import OTHER, SERVICE, VIRTUAL_SERVICE, WORKLOAD, mesh_of, touches
from tests.support.mesh import Mesh, sidecar
from tests.support.watched import Watched, names

SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default, namespace: narrow}}
spec: {{egress: [{{hosts: [{hosts}]}}]}}
"""
NARROW = sidecar("narrow", app="own")
NOTHING_ELSE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec: {hosts: [outside.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
"""
CHANGES = {
    "a new service": SERVICE.format(name="new", namespace="shop"),
    "a changed service": SERVICE.format(name="s1", namespace="shop").replace("port: 80,", "port: 81,"),
    "a new workload": WORKLOAD.format(name="s1", namespace="shop", address="10.7.7.7"),
    "a new ServiceEntry": NOTHING_ELSE,
    "a VirtualService": VIRTUAL_SERVICE.format(export_to="*", timeout="1s"),
}


def narrowed(size: int, hosts: str = '"./*", "other/*"') -> tuple[Mesh, Watched]:
    mesh = mesh_of(size)
    own = SERVICE.format(name="own", namespace="narrow").replace("spec:", "spec:\n  clusterIP: 10.96.0.9")
    mesh.apply(own, SIDECAR.format(hosts=hosts))
    return mesh, Watched(mesh.db, NARROW, OTHER)


def of_the_narrowed(log: Log) -> list[str]:
    return sorted(name for name, key in log.ran if touches(key, "narrow"))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_outside_of_a_scope_reruns_no_query_of_it(change: str) -> None:
    mesh, watched = narrowed(5)
    held = watched.resources(NARROW)
    with mesh.db.recording() as log:
        mesh.apply(change)
        assert watched.refresh()  # others see it
    assert of_the_narrowed(log) == []
    assert watched.resources(NARROW) == held


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_even_where_every_namespace_is_looked_at_the_cost_does_not_grow(change: str) -> None:
    ran = []
    for size in (5, 50):
        mesh, watched = narrowed(size, '"*/own.narrow.svc.cluster.local"')
        held = watched.resources(NARROW)
        with mesh.db.recording() as log:
            mesh.apply(change)
            watched.refresh()
        assert watched.resources(NARROW) == held
        ran.append(of_the_narrowed(log))
    assert ran[0] == ran[1]
    assert set(ran[0]) <= {
        "_offers",
        "_visible",
        "exported_services",
        "mesh_virtual_services",
    }


def test_a_change_inside_of_a_scope_is_seen() -> None:
    """The counterpart: the tests above could pass for the wrong reason."""
    mesh, watched = narrowed(5)
    mesh.apply(SERVICE.format(name="new", namespace="other"))
    changed = names(watched.refresh())
    assert "Cluster outbound|80||new.other.svc.cluster.local" in changed
