"""Everybody's scope: whoever shares it holds, byte for byte, what a scope of its own would give."""

from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings

from mizzen.config.resource import Resource
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.realm import told_apart
from mizzen.incremental import Database
from mizzen.translate import bundle as bundles
from tests.support.mesh import Mesh, sidecar
from tests.support.mesh_changes import called
from tests.support.watched import from_scratch

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
VIEWS = (sidecar("shop", app="a", version="v1"), sidecar("bank", app="b"), sidecar("nowhere", app="a"))


def database(objects: list[Resource[Any]]) -> Database:
    db = Database()
    with db.batch():
        for found in objects:
            db.set(RESOURCES, found.key, found)
    return db


@settings(RELAXED, max_examples=300)
@given(called)
def test_to_share_a_scope_changes_no_byte(objects: list[Resource[Any]]) -> None:
    shared = database(objects)
    with mock.patch.object(bundles, "realm", lambda _db, scope: scope):
        alone = [from_scratch(database(objects), view) for view in VIEWS]
    assert [from_scratch(shared, view) for view in VIEWS] == alone


SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{ports: [{{name: http, port: 80}}]}}
"""
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: d, namespace: {namespace}}}
spec: {{host: {host}, exportTo: ["{to}"]}}
"""
ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: r, namespace: shop}}
spec: {{hosts: [cart], exportTo: ["{to}"], http: [{{match: [{{sourceNamespace: "{source}"}}], route: [{{destination: {{host: cart}}}}]}}]}}
"""
TWO = (SERVICE.format(name="cart", namespace="shop"), SERVICE.format(name="fund", namespace="bank"))


def test_who_is_told_apart_and_why():
    for text, expected in (
        ("", set()),
        (RULE.format(namespace="shop", host="cart", to="*"), set()),
        (RULE.format(namespace="shop", host="cart", to="."), {"shop", "."}),
        (RULE.format(namespace="shop", host="cart", to="bank"), {"shop", "bank"}),
        (RULE.format(namespace="bank", host="cart.shop.svc.cluster.local", to="*"), {"bank"}),
        (RULE.format(namespace="bank", host='"*.cluster.local"', to="*"), {"bank"}),
        (ROUTE.format(to="*", source=""), set()),
        (ROUTE.format(to="*", source="bank"), {"bank"}),
        (ROUTE.format(to="bank", source=""), {"shop", "bank"}),
    ):
        mesh = Mesh(*TWO, *([text] if text else []))
        assert told_apart(mesh.db) == {"istio-system"} | expected, text


def test_a_host_that_could_be_a_short_name_tells_its_namespace_apart():
    entry = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e, namespace: bank}
spec: {hosts: [cart], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
"""
    assert told_apart(Mesh(*TWO, entry).db) == {"istio-system", "shop"}


def test_namespaces_that_nothing_tells_apart_share_their_clusters_and_what_a_change_costs():
    mesh = Mesh(*TWO)
    views = [sidecar(f"team-{number}", app="a") for number in range(10)]
    for view in views:
        from_scratch(mesh.db, view)
        mesh.db.observe(bundles.bundle, view)
    mesh.db.refresh()
    sets = {
        found for view in views for found in bundles.bundle(mesh.db, view).sets if found.common is not None
    }
    assert (
        len([found for found in sets if found.common is bundles.outbound_clusters]) == 3
    )  # one for each type
    assert len([found for found in sets if found.common is bundles.outbound_routes]) == len(views)
