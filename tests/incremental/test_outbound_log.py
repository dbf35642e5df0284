"""What a change costs the outbound listeners, and who shares them."""

from tests.incremental.test_mesh_log import (
    OTHER,
    RESOURCE_QUERIES,
    SHOP,
    VIRTUAL_SERVICE,
    WORKLOAD,
    mesh_of,
    queries,
)
from tests.support.watched import Watched, names

HEADLESS = """
apiVersion: v1
kind: Service
metadata: {name: queue, namespace: shop}
spec:
  clusterIP: None
  selector: {app: queue}
  ports: [{name: tcp, port: 7000}, {name: http, port: 7001}]
"""
TCP_ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: tcp, namespace: shop}}
spec:
  hosts: [s1]
  exportTo: ["."]
  tcp: [{{match: [{{port: 9000}}], route: [{{destination: {{host: s2, subset: {subset}}}}}]}}]
"""


def test_an_instance_of_a_headless_service_brings_its_own_listener_and_no_other() -> None:
    mesh = mesh_of(10)
    mesh.apply(HEADLESS, WORKLOAD.format(name="queue", namespace="shop", address="10.5.0.1"))
    watched = Watched(mesh.db, SHOP, OTHER)
    second = WORKLOAD.format(name="queue", namespace="shop", address="10.5.0.2")
    with mesh.db.recording() as log:
        mesh.apply(second.replace("name: queue-0", "name: queue-1"))
        changed = names(watched.refresh())
    listeners = [name for name in changed if name.startswith("Listener ")]
    assert listeners == ["Listener 10.5.0.2_7000"]  # which both namespaces share
    assert queries(log).count("outbound_listener") == 1
    built = RESOURCE_QUERIES - {"bundle", "members", "references", "outbound_listeners", "planned_listeners"}
    assert built & set(queries(log)) == {"outbound_listener"}


def test_http_alone_makes_a_headless_service_cost_no_listener() -> None:
    mesh = mesh_of(10)
    mesh.apply(
        HEADLESS.replace("{name: tcp, port: 7000}, ", ""),
        WORKLOAD.format(name="queue", namespace="shop", address="10.5.0.1"),
    )
    watched = Watched(mesh.db, SHOP, OTHER)
    with mesh.db.recording() as log:
        mesh.apply(WORKLOAD.format(name="queue", namespace="shop", address="10.5.0.2"))
        watched.refresh()
    assert not RESOURCE_QUERIES & set(queries(log))


def test_namespaces_share_the_listeners_of_services_that_no_rule_of_theirs_concerns() -> None:
    mesh = mesh_of(5)
    mesh.apply(TCP_ROUTE.format(subset="v1"))
    watched = Watched(mesh.db, SHOP, OTHER)
    shop, other = (watched.resources(view) for view in (SHOP, OTHER))
    apart = {slot for slot in shop.keys() & other.keys() if shop[slot] is not other[slot]}
    routed = {slot for slot in shop if slot[1].endswith("_9000") and b"v1|s2" in shop[slot].body}
    assert len(routed) == 1
    assert {slot for slot in apart if slot[0].endswith("Listener") and slot[1] != "virtualInbound"} == routed


def test_a_changed_tcp_route_reruns_its_listener_and_no_plan() -> None:
    mesh = mesh_of(10)
    mesh.apply(TCP_ROUTE.format(subset="v1"))
    watched = Watched(mesh.db, SHOP, OTHER)
    with mesh.db.recording() as log:
        mesh.apply(TCP_ROUTE.format(subset="v2"))
        (changed,) = names(watched.refresh())
    assert changed.startswith("Listener ")
    assert RESOURCE_QUERIES & set(queries(log)) == {"outbound_listener"}


def test_an_http_route_reruns_no_listener() -> None:
    mesh = mesh_of(10)
    mesh.apply(TCP_ROUTE.format(subset="v1"), VIRTUAL_SERVICE.format(export_to="*", timeout="1s"))
    watched = Watched(mesh.db, SHOP, OTHER)
    with mesh.db.recording() as log:
        mesh.apply(VIRTUAL_SERVICE.format(export_to="*", timeout="2s"))
        watched.refresh()
    assert RESOURCE_QUERIES & set(queries(log)) == {"sidecar_routes"}
