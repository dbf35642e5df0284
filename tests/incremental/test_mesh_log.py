"""The engine's claims for a whole mesh, by its log: what a change re-runs, and above all what it does not."""

from dataclasses import replace

import pytest

from mizzen.config.decode import decode
from mizzen.derive.inbound import InboundScope
from mizzen.derive.inputs import RESOURCES, UNHEALTHY
from mizzen.derive.workloads import workload_key
from mizzen.incremental.nodes import Log
from mizzen.model.proxy import OutboundScope, ProxyView
from tests.support.edge_secrets import tls_secret
from tests.support.mesh import Mesh, agent, gateway, sidecar
from tests.support.mesh_changes import Change
from tests.support.watched import Watched, from_scratch, names

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{app: {name}}}
  ports:
  - {{name: http, port: 80, targetPort: 8080}}
  - {{name: tcp-admin, port: 9000}}
"""
WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}-0, namespace: {namespace}}}
spec:
  address: {address}
  serviceAccount: {name}
  labels: {{app: {name}, security.istio.io/tlsMode: istio}}
"""
VIRTUAL_SERVICE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: s1, namespace: shop}}
spec:
  hosts: [s1]
  exportTo: ["{export_to}"]
  http:
  - timeout: {timeout}
    route: [{{destination: {{host: s1}}}}]
"""
SHOP = sidecar("shop", app="s1")
OTHER = sidecar("other", app="x")
EDGE = gateway("shop", app="edge")
AGENT = agent("shop", app="s1")

RESOURCE_QUERIES = {
    "bundle",
    "bound_inbound",
    "gateway_listener",
    "gateway_routes",
    "http_proxy",
    "http_proxy_routes",
    "inbound_cluster",
    "planned_listeners",
    "members",
    "outbound_cluster",
    "outbound_clusters",
    "outbound_listener",
    "outbound_listeners",
    "references",
    "service_clusters",
    "sidecar_hosts",
    "sidecar_routes",
    "sniffed_routes",
    "virtual_inbound",
    "virtual_outbound",
}
"""What makes listeners, routes and clusters, and what lists them."""


def mesh_of(size: int) -> Mesh:
    numbered = [(f"s{index}", f"10.0.{index}.1") for index in range(size)]
    return Mesh(
        *(SERVICE.format(name=name, namespace="shop") for name, _ in numbered),
        *(WORKLOAD.format(name=name, namespace="shop", address=address) for name, address in numbered),
        SERVICE.format(name="x", namespace="other"),
        WORKLOAD.format(name="x", namespace="other", address="10.9.9.9"),
    )


def queries(log: Log) -> list[str]:
    return sorted(name for name, _ in log.ran)


def moved(size: int) -> tuple[Log, list[str]]:
    """Move the one endpoint of a service in a mesh of `size` services: what ran, and what changed."""
    mesh = mesh_of(size)
    watched = Watched(mesh.db, SHOP, OTHER, EDGE)
    with mesh.db.recording() as log:
        mesh.apply(WORKLOAD.format(name="s1", namespace="shop", address="10.7.7.7"))
        changed = watched.refresh()
    return log, names(changed)


def test_a_moved_endpoint_reruns_its_own_endpoints_and_nothing_of_the_other_services() -> None:
    log, changed = moved(10)
    assert changed == [
        "ClusterLoadAssignment outbound|80||s1.shop.svc.cluster.local",
        "ClusterLoadAssignment outbound|9000||s1.shop.svc.cluster.local",
    ]
    assert queries(log) == [
        "load_assignment",
        "load_assignment",
        "resource",
        "resource",
        "selected_workloads",
        "service_accounts",
        "service_endpoints",
        "service_endpoints",
        "workload",
    ]


SECURE = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: secure, namespace: shop}
spec:
  selector: {app: edge}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [one.test]
    tls: {mode: SIMPLE, credentialName: cert}
"""


def test_a_replaced_certificate_is_sent_and_nothing_else_is_made() -> None:
    mesh = mesh_of(3)
    mesh.apply(SECURE, tls_secret("shop", "cert", "one.test"))
    watched = Watched(mesh.db, SHOP, EDGE)
    with mesh.db.recording() as log:
        mesh.apply(tls_secret("shop", "cert", "two.test"))
        changed = watched.refresh()
    assert names(changed) == ["Secret kubernetes://cert"]
    assert queries(log) == ["gateway_secrets", "key_pair", "key_pair_secret", "resource"]


def test_a_secret_that_nobody_names_concerns_nobody() -> None:
    mesh = mesh_of(3)
    mesh.apply(SECURE, tls_secret("shop", "cert", "one.test"))
    watched = Watched(mesh.db, SHOP, EDGE)
    with mesh.db.recording() as log:
        mesh.apply(tls_secret("shop", "other", "two.test"), tls_secret("other", "cert", "two.test"))
        assert watched.refresh() == []
    assert queries(log) == []


def test_the_cost_of_a_moved_endpoint_does_not_grow_with_the_mesh() -> None:
    (small, _), (large, _) = moved(10), moved(100)
    assert queries(small) == queries(large)
    assert len(small.ran) == len(large.ran) == 9
    assert len(small.verified) == len(large.verified)


def test_a_moved_endpoint_reruns_the_names_of_headless_services_alone() -> None:
    mesh = mesh_of(10)
    headless = SERVICE.replace("  ports:", "  clusterIP: None\n  ports:")
    mesh.apply(headless.format(name="s2", namespace="shop"))
    watched = Watched(mesh.db, AGENT)
    for name, expected in (("s1", []), ("s2", ["NameTable s2.shop.svc.cluster.local"])):
        with mesh.db.recording() as log:
            mesh.apply(WORKLOAD.format(name=name, namespace="shop", address="10.7.7.7"))
            assert names(watched.refresh()) == expected
        assert queries(log).count("name_table") == queries(log).count("service_names") == len(expected)
        assert not {"name_tables", "bundle", "members"} & set(queries(log))


def test_a_new_service_sends_agents_its_own_names_alone() -> None:
    mesh = mesh_of(10)
    watched = Watched(mesh.db, AGENT)
    with mesh.db.recording() as log:
        mesh.apply(SERVICE.format(name="new", namespace="shop"))
        assert names(watched.refresh()) == ["NameTable new.shop.svc.cluster.local"]
    assert queries(log).count("name_table") == 1


def test_an_unhealthy_workload_and_its_recovery_rerun_only_endpoints() -> None:
    mesh = mesh_of(10)
    watched = Watched(mesh.db, SHOP, OTHER, EDGE)
    key = workload_key("shop", "s1-0")
    for change in (Change(UNHEALTHY, key, "draining"), Change(UNHEALTHY, key, None)):
        with mesh.db.recording() as log:
            change.apply(mesh.db)
            changed = watched.refresh()
        assert len(changed) == 2
        assert queries(log).count("load_assignment") == queries(log).count("service_endpoints") == 2
        assert not RESOURCE_QUERIES & set(queries(log))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("weight: 1", "weight: 5"),
        ("locality: eu/1", "locality: eu/2"),
        ("labels: {app: s1, version: v1}", "labels: {app: s1, version: v2}"),
        ("labels: {app: s1}", "labels: {app: s1, security.istio.io/tlsMode: istio}"),
    ],
)
def test_whatever_of_an_endpoint_changes_no_listener_route_or_cluster_runs(before: str, after: str) -> None:
    entry = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: s1-0, namespace: shop, labels: {{app: s1}}}}
spec: {{address: 10.0.1.1, serviceAccount: s1, {field}}}
"""
    mesh = mesh_of(10)
    mesh.apply(entry.format(field=before))
    watched = Watched(mesh.db, SHOP, OTHER, EDGE)
    with mesh.db.recording() as log:
        mesh.apply(entry.format(field=after))
        changed = watched.refresh()
    assert len(changed) == 2
    assert not RESOURCE_QUERIES & set(queries(log))


def test_a_new_replica_reruns_its_endpoints_but_no_listener_route_or_cluster() -> None:
    mesh = mesh_of(10)
    watched = Watched(mesh.db, SHOP, OTHER, EDGE)
    with mesh.db.recording() as log:
        replica = WORKLOAD.format(name="s1", namespace="shop", address="10.7.7.7")
        mesh.apply(replica.replace("name: s1-0", "name: s1-1"))
        changed = watched.refresh()
    assert len(changed) == 2
    assert not RESOURCE_QUERIES & set(queries(log))


def test_only_the_cluster_of_a_dns_service_runs_when_its_endpoint_moves() -> None:
    entry = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: outside, namespace: shop}}
spec:
  hosts: [outside.example.com]
  resolution: DNS
  ports: [{{name: http, number: 80, protocol: HTTP}}]
  endpoints: [{{address: {address}}}]
"""
    mesh = mesh_of(10)
    mesh.apply(entry.format(address="a.example.com"))
    watched = Watched(mesh.db, SHOP)
    with mesh.db.recording() as log:
        mesh.apply(entry.format(address="b.example.com"))
        changed = watched.refresh()
    assert names(changed) == ["Cluster outbound|80||outside.example.com"]
    assert RESOURCE_QUERIES & set(queries(log)) == {"outbound_cluster"}


def test_a_comment_and_moved_lines_are_no_change_at_all() -> None:
    mesh = mesh_of(3)
    text = VIRTUAL_SERVICE.format(export_to="*", timeout="1s")
    mesh.apply(text)
    watched = Watched(mesh.db, SHOP, OTHER)
    commented = "# A comment,\n# and another.\n" + text.replace("spec:", "spec:  # here too\n")
    (before,), (after,) = decode(text, "vs.yaml").located, decode(commented, "vs.yaml").located
    revision = mesh.db.revision
    with mesh.db.recording() as log:
        mesh.db.set(RESOURCES, after.resource.key, after.resource)
        assert watched.refresh() == []
    assert after.locate(("spec", "http")).line == before.locate(("spec", "http")).line + 3
    assert mesh.db.revision == revision
    assert (log.ran, log.verified) == ([], [])


@pytest.mark.parametrize(
    "step",
    [
        pytest.param((None, "1s"), id="added"),
        pytest.param(("1s", "2s"), id="changed"),
        pytest.param(("1s", None), id="removed"),
    ],
)
def test_a_virtual_service_that_a_namespace_cannot_see_does_not_touch_it(
    step: tuple[str | None, str | None],
) -> None:
    before, after = step
    mesh = mesh_of(5)
    if before:
        mesh.apply(VIRTUAL_SERVICE.format(export_to=".", timeout=before))
    watched = Watched(mesh.db, SHOP, OTHER)
    held = watched.resources(OTHER)
    with mesh.db.recording() as log:
        if after:
            mesh.apply(VIRTUAL_SERVICE.format(export_to=".", timeout=after))
        else:
            mesh.remove("VirtualService", "shop", "s1")
        changed = watched.refresh()
    assert names(changed) == ["RouteConfiguration 80"]  # of the namespace that sees it
    assert all(watched.resources(OTHER)[slot] is item for slot, item in held.items())
    concerns_other = {name for name, key in log.ran if touches(key, "other")}
    assert concerns_other <= {"_visible", "_is_told_apart"}


def touches(key: object, namespace: str) -> bool:
    """Whether a query's key speaks of a client's namespace: by itself, in a scope, or in a view."""
    if isinstance(key, tuple):
        return any(touches(part, namespace) for part in key)
    return key == namespace or (
        isinstance(key, OutboundScope | InboundScope | ProxyView) and key.namespace == namespace
    )


def test_a_virtual_service_for_all_is_seen_by_all() -> None:
    """The counterpart: the test above could pass for the wrong reason."""
    mesh = mesh_of(5)
    watched = Watched(mesh.db, SHOP, OTHER)
    mesh.apply(VIRTUAL_SERVICE.format(export_to="*", timeout="1s"))
    assert names(watched.refresh()) == ["RouteConfiguration 80", "RouteConfiguration 80"]


def test_fifty_replicas_share_one_view_and_every_byte() -> None:
    mesh = mesh_of(3)
    for index in range(50):
        replica = WORKLOAD.format(name="s1", namespace="shop", address=f"10.8.0.{index + 1}")
        mesh.apply(replica.replace("name: s1-0", f"name: s1-{index}"))
    entries = [mesh.object("WorkloadEntry", "shop", f"s1-{index}") for index in range(50)]
    views = {sidecar("shop", **entry.spec.labels) for entry in entries}
    (view,) = views
    assert isinstance(view, ProxyView)
    watched = Watched(mesh.db, view)
    listeners = {name for type_url, name in watched.resources(view) if type_url.endswith("Listener")}
    assert "virtualInbound" in listeners

    alone = mesh_of(3)
    one = from_scratch(alone.db, view)
    for (type_url, name), item in watched.resources(view).items():
        if type_url.endswith("Listener"):
            assert one[type_url, name].body == item.body


def test_workloads_that_no_route_tells_apart_share_their_routes() -> None:
    mesh = mesh_of(5)
    first, second = sidecar("shop", app="s1", version="v1"), sidecar("shop", app="s2", version="v2")
    watched = Watched(mesh.db, first, second)
    shared = watched.views[first].keys() & watched.views[second].keys()
    differing = {slot for slot in shared if watched.views[first][slot] != watched.views[second][slot]}
    assert {name for _, name in differing} == {"virtualInbound"}


EJECTING_RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: s1, namespace: shop}}
spec: {{host: s1, trafficPolicy: {{outlierDetection: {{interval: {interval}}}}}}}
"""
WEST, EAST = (replace(SHOP, locality=locality) for locality in ("eu/west", "eu/east"))


def shared(watched: Watched, first: ProxyView, second: ProxyView) -> tuple[set[str], set[str]]:
    """The names of the resources that two views hold as one, and of those that they hold apart."""
    one, other = watched.views[first], watched.views[second]
    assert one.keys() == other.keys()
    apart = {slot for slot in one if one[slot] != other[slot]}
    return {name for _, name in one.keys() - apart}, {name for _, name in apart}


def test_where_callers_stand_makes_no_difference_without_a_setting() -> None:
    watched = Watched(mesh_of(10).db, WEST, EAST)
    assert shared(watched, WEST, EAST)[1] == set()


def test_a_locality_setting_for_one_service_leaves_all_others_shared() -> None:
    mesh = mesh_of(10)
    watched = Watched(mesh.db, WEST, EAST)
    with mesh.db.recording() as log:
        mesh.apply(EJECTING_RULE.format(interval="1s"))
        changed = watched.refresh()
    own = {f"outbound|{port}||s1.shop.svc.cluster.local" for port in (80, 9000)}
    assert shared(watched, WEST, EAST)[1] == own  # their endpoints: the clusters themselves are the same
    listener = {name for name in names(changed) if name.startswith("Listener ")}  # its key names the rules
    assert set(names(changed)) - listener == {
        f"{kind} {name}" for kind in ("Cluster", "ClusterLoadAssignment") for name in own
    }
    assert [name for name, _ in log.ran].count("service_clusters") == 2  # of s1 alone, once for each place
    with mesh.db.recording() as log:
        mesh.apply(EJECTING_RULE.format(interval="2s"))
        changed = watched.refresh()
    assert names(changed) == [f"Cluster {name}" for name in sorted(own)]
    assert not {"outbound_clusters", "service_clusters", "load_assignment"} & set(queries(log))


def test_a_moved_endpoint_of_a_service_with_localities_reruns_its_endpoints_once_for_each_place() -> None:
    mesh = mesh_of(10)
    mesh.apply(EJECTING_RULE.format(interval="1s"))
    watched = Watched(mesh.db, WEST, EAST)
    with mesh.db.recording() as log:
        mesh.apply(WORKLOAD.format(name="s1", namespace="shop", address="10.7.7.7"))
        assert len(watched.refresh()) == 4
    assert queries(log).count("load_assignment") == 4
    assert not RESOURCE_QUERIES & set(queries(log))


SELECTIVE_RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: s2, namespace: shop}
spec:
  host: s2
  workloadSelector: {matchLabels: {version: v1}}
  trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}
"""


def test_a_rule_for_selected_callers_tells_only_its_service_apart() -> None:
    mesh = mesh_of(5)
    mesh.apply(SELECTIVE_RULE)
    picked, other = sidecar("shop", app="s1", version="v1"), sidecar("shop", app="s1", version="v2")
    watched = Watched(mesh.db, picked, other)
    one, two = watched.resources(picked), watched.resources(other)
    differing = {slot for slot in one if one[slot].version != two[slot].version}
    clusters = {name for _, name in differing if name != "virtualInbound"}
    assert clusters == {f"outbound|{port}||s2.shop.svc.cluster.local" for port in (80, 9000)}


def test_a_new_service_reruns_no_look_up_of_another() -> None:
    """Its port's routes and the lists of its callers are made anew; how each other destination is reached is not."""
    ran = []
    for size in (5, 40):
        mesh = mesh_of(size)
        watched = Watched(mesh.db, SHOP, OTHER, EDGE)
        with mesh.db.recording() as log:
            mesh.apply(SERVICE.format(name="new", namespace="shop"))
            watched.refresh()
        ran.append([name for name in queries(log) if name != "virtual_addresses"])
    assert ran[0] == ran[1]
    assert ran[0].count("outbound_cluster") == 2
