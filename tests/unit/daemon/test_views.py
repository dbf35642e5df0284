"""Views: what proxies share is one object, what did not change stays the same object, what failed stays in force."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from mizzen.daemon.views import Views
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database
from mizzen.model.proxy import Binding
from mizzen.translate import bundle as bundles
from mizzen.translate import endpoints
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.support.mesh import Mesh, gateway, sidecar
from tests.support.mesh_changes import APPS, Change, changes
from tests.support.watched import from_scratch

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: {port}}}]}}
"""
WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}-0, namespace: shop}}
spec: {{address: {address}, labels: {{app: {name}}}}}
"""
CART, SEARCH = sidecar("shop", app="cart"), sidecar("shop", app="search")
CART_ENDPOINTS = "outbound|80||cart.shop.svc.cluster.local"


@pytest.fixture
def mesh():
    return Mesh(
        *(SERVICE.format(name=name, port=80) for name in ("cart", "search")),
        WORKLOAD.format(name="cart", address="10.0.0.1"),
        WORKLOAD.format(name="search", address="10.0.0.2"),
    )


def slots(view):
    return {
        (type_url, name): found
        for type_url, resources in view.snapshot.resources.items()
        for name, found in resources.items()
    }


def test_replicas_have_one_view_and_one_snapshot(mesh):
    views = Views(mesh.db)
    one, other = views.acquire(CART), views.acquire(sidecar("shop", app="cart"))
    assert one is other
    assert one.snapshot is other.snapshot


def test_views_share_the_mappings_of_what_does_not_tell_them_apart(mesh):
    views = Views(mesh.db)
    cart, search = views.acquire(CART).snapshot, views.acquire(SEARCH).snapshot
    for type_url in (CLUSTER, ENDPOINT, ROUTE):
        assert cart.of(type_url)
        assert cart.of(type_url) is search.of(type_url)
    assert cart.of(LISTENER) is not search.of(LISTENER)


def test_a_view_holds_what_is_derived_from_scratch(mesh):
    for key in (CART, SEARCH, gateway("shop", app="cart")):
        assert slots(Views(mesh.db).acquire(key)) == from_scratch(mesh.db, key)


def test_a_moved_endpoint_leaves_all_other_mappings_the_same_objects(mesh):
    views = Views(mesh.db)
    view = views.acquire(CART)
    views.take_in(mesh.db.refresh())
    before = view.snapshot
    mesh.apply(WORKLOAD.format(name="cart", address="10.7.7.7"))
    assert views.take_in(mesh.db.refresh()) == {view}
    assert view.snapshot is not before
    assert view.snapshot.revision == mesh.db.revision
    for type_url in (CLUSTER, LISTENER, ROUTE):
        assert view.snapshot.of(type_url) is before.of(type_url)
    differing = {
        name for name, found in view.snapshot.of(ENDPOINT).items() if before.of(ENDPOINT)[name] is not found
    }
    assert differing == {CART_ENDPOINTS}


def test_a_refresh_that_found_nothing_new_makes_no_snapshot(mesh):
    views = Views(mesh.db)
    view = views.acquire(CART)
    before = view.snapshot
    assert views.take_in(mesh.db.refresh()) == set()  # it reports all that is observed since just now
    mesh.apply(WORKLOAD.format(name="unrelated", address="10.9.9.9"))
    assert views.take_in(mesh.db.refresh()) == set()
    assert view.snapshot is before


def test_what_comes_and_goes_reaches_every_view_that_holds_the_list(mesh):
    views = Views(mesh.db)
    cart, search = views.acquire(CART), views.acquire(SEARCH)
    name = "outbound|80||new.shop.svc.cluster.local"
    mesh.apply(SERVICE.format(name="new", port=80))
    assert views.take_in(mesh.db.refresh()) == {cart, search}
    assert name in cart.snapshot.of(CLUSTER)
    assert cart.snapshot.of(ENDPOINT) is search.snapshot.of(ENDPOINT)
    assert cart.ref(CLUSTER, name) is not None
    mesh.remove("Service", "shop", "new")
    views.take_in(mesh.db.refresh())
    assert name not in search.snapshot.of(CLUSTER)
    assert cart.ref(CLUSTER, name) is None


def test_a_released_view_leaves_nothing_observed(mesh):
    views = Views(mesh.db)
    cart, again, search = views.acquire(CART), views.acquire(CART), views.acquire(SEARCH)
    views.take_in(mesh.db.refresh())
    mesh.apply(SERVICE.format(name="cart", port=81))  # its port moves: sets are left and entered
    views.take_in(mesh.db.refresh())
    mesh.db.refresh()
    for view in (cart, search, again):
        assert mesh.db._reported
        views.release(view)
    assert not mesh.db._reported
    assert not list(views)
    assert not views._collections
    assert not views._holders


@pytest.fixture
def broken(monkeypatch):
    """Queries that a test makes fail, by name."""
    names = set()

    def may_fail(query):
        function = query.function

        def run(db, *key):
            made = function(db, *key)  # what it reads is recorded: it runs again when that changes
            if query.name in names:
                raise RuntimeError("a bug")
            return made

        monkeypatch.setattr(query, "function", run)

    for query in (endpoints.load_assignment, bundles.bundle, bundles.members):
        may_fail(query)
    return names


def test_a_resource_that_cannot_be_made_keeps_its_last_good_version(mesh, broken):
    views = Views(mesh.db)
    view = views.acquire(CART)
    good = view.snapshot.of(ENDPOINT)[CART_ENDPOINTS]
    broken.add("load_assignment")
    mesh.apply(WORKLOAD.format(name="cart", address="10.7.7.7"), SERVICE.format(name="new", port=80))
    views.take_in(mesh.db.refresh())
    assert view.snapshot.of(ENDPOINT)[CART_ENDPOINTS] is good
    assert "outbound|80||new.shop.svc.cluster.local" not in view.snapshot.of(ENDPOINT)
    assert "outbound|80||new.shop.svc.cluster.local" in view.snapshot.of(CLUSTER)
    failed = {(type_url, name): failure for type_url, name, failure in views.failures()}
    assert "a bug" in str(failed[ENDPOINT, CART_ENDPOINTS])
    assert "load_assignment" in str(failed[ENDPOINT, CART_ENDPOINTS])
    broken.clear()
    mesh.apply(WORKLOAD.format(name="cart", address="10.8.8.8"))
    views.take_in(mesh.db.refresh())
    assert view.snapshot.of(ENDPOINT)[CART_ENDPOINTS] is not good
    assert (ENDPOINT, CART_ENDPOINTS) not in {failure[:2] for failure in views.failures()}


def test_lists_that_cannot_be_made_stay_as_they_were(mesh, broken):
    views = Views(mesh.db)
    view = views.acquire(CART)
    before = slots(view).keys()
    broken.add("members")
    mesh.apply(SERVICE.format(name="cart", port=81))
    views.take_in(mesh.db.refresh())
    assert slots(view).keys() == before
    assert {name for _, name, _ in views.failures()} >= {""}
    broken.clear()
    mesh.apply(SERVICE.format(name="cart", port=82))
    views.take_in(mesh.db.refresh())
    assert not list(views.failures())
    assert slots(view) == from_scratch(mesh.db, CART)


def test_a_bundle_that_cannot_be_made_leaves_the_lists_that_it_named_and_these_go_on(mesh, broken):
    views = Views(mesh.db)
    view = views.acquire(CART)
    broken.add("bundle")
    mesh.apply(
        SERVICE.format(name="admin", port=90).replace("{app: admin}", "{app: cart}"),  # another inbound port
    )
    views.take_in(mesh.db.refresh())
    assert "outbound|90||admin.shop.svc.cluster.local" in view.snapshot.of(CLUSTER)
    assert "inbound|90||" not in view.snapshot.of(CLUSTER)
    assert [(type_url, name) for type_url, name, _ in views.failures()] == [("", "")]
    broken.clear()
    mesh.apply(SERVICE.format(name="admin", port=91).replace("{app: admin}", "{app: cart}"))
    views.take_in(mesh.db.refresh())
    assert not list(views.failures())
    assert slots(view) == from_scratch(mesh.db, CART)


def test_another_list_does_not_take_away_what_can_no_longer_be_made(mesh, broken):
    views = Views(mesh.db)
    view = views.acquire(CART)
    search = "outbound|80||search.shop.svc.cluster.local"
    good = view.snapshot.of(ENDPOINT)[search]
    broken.add("load_assignment")
    mesh.apply(
        WORKLOAD.format(name="search", address="10.7.7.7"),
        SERVICE.format(name="admin", port=90).replace("{app: admin}", "{app: cart}"),  # another inbound port
    )
    views.take_in(mesh.db.refresh())
    assert "inbound|90||" in view.snapshot.of(CLUSTER)
    assert view.snapshot.of(ENDPOINT)[search] is good


KEYS = (
    sidecar("shop", app="a", version="v1"),
    sidecar("shop", app="a", version="v2"),
    sidecar("bank", app="b"),
    sidecar("bank", app="a", binding=Binding("127.1.0.1", 15002, FrozenMap({8080: 18080}))),
    *(gateway("shop", app=app) for app in APPS),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.lists(changes, max_size=6), st.sampled_from(KEYS)), min_size=1, max_size=8))
def test_after_any_changes_and_comings_and_goings_views_hold_what_is_derived_from_scratch(
    steps: list[tuple[list[Change], object]],
) -> None:
    db = Database()
    views = Views(db)
    held = {}
    for batch, key in steps:
        with db.batch():
            for change in batch:
                change.apply(db)
        views.take_in(db.refresh())
        if key in held:
            views.release(held.pop(key))
        else:
            held[key] = views.acquire(key)
        for view_key, view in held.items():
            assert slots(view) == from_scratch(db, view_key)
    for view in held.values():
        views.release(view)
    assert not db._reported
