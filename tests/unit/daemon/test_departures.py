"""What proxies needed that have left is kept for a minute."""

import pytest

from mizzen.daemon.catalog import MeshCatalog
from mizzen.daemon.departures import KEPT_SECONDS, Departures
from mizzen.rpc.peer import Peer
from mizzen.xds.catalog import Node
from mizzen.xds.resource import ENDPOINT
from tests.support.mesh import Mesh

MESH = """
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{name: http, port: 80}]}
"""
WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: cart-0, namespace: shop}}
spec: {{address: {address}, labels: {{app: cart}}}}
"""


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.departures = Departures(lambda: self.now)
        self.mesh = Mesh(MESH, WORKLOAD.format(address="10.0.0.1"))
        self.catalog = MeshCatalog(self.mesh.db, left=self.departures.left)

    def connect(self):
        peer = Peer("spiffe://cluster.local/ns/shop/sa/default", "10.0.0.1:5", 1e10)
        return self.catalog.connect(peer, Node("sidecar~10.0.0.1~cart-0.shop~x", "", {}))

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds
        self.departures.release_due()
        self.refresh()

    def refresh(self) -> None:
        self.catalog.take_in(self.mesh.db.refresh())

    @property
    def runs(self) -> int:
        return self.mesh.db.runs.total()

    @property
    def observed(self) -> int:
        return len(self.mesh.db._reported)


@pytest.fixture
def world():
    return World()


def test_who_comes_back_within_a_minute_costs_no_query(world):
    session = world.connect()
    before = session.snapshot()
    session.close()
    assert list(world.catalog.sessions) == []
    world.pass_seconds(KEPT_SECONDS - 1)
    runs = world.runs
    assert world.connect().snapshot() is before
    assert world.runs == runs


def test_what_changes_meanwhile_is_there_on_return(world):
    world.connect().close()
    world.refresh()
    world.mesh.apply(WORKLOAD.format(address="10.7.7.7"))
    world.refresh()
    runs = world.runs
    endpoints = world.connect().snapshot().of(ENDPOINT)
    assert b"10.7.7.7" in endpoints["outbound|80||cart.shop.svc.cluster.local"].body
    assert world.runs == runs


def test_who_stays_away_is_forgotten_with_all_that_was_kept(world):
    world.connect().close()
    assert world.observed
    world.pass_seconds(KEPT_SECONDS)
    assert not world.observed
    runs = world.runs
    world.connect()
    assert world.runs > runs


def test_who_came_back_keeps_what_an_old_departure_releases(world):
    world.connect().close()
    session = world.connect()
    observed = world.observed
    world.pass_seconds(KEPT_SECONDS)
    assert world.observed == observed
    session.close()
    world.pass_seconds(KEPT_SECONDS)
    assert not world.observed


def test_who_comes_and_goes_is_kept_once(world):
    for _ in range(10):
        world.connect().close()
    assert len(world.departures._kept) == 1
    world.pass_seconds(KEPT_SECONDS)
    assert not world.observed


def test_the_oldest_go_first_and_alone():
    now, gone = 0.0, []
    departures = Departures(lambda: now)
    for who in ("a", "b", "a"):  # a came back and left again
        departures.left(who, lambda who=who: gone.append(who))
        now += 10
    assert gone == ["a"]  # the first of its two departures
    now = KEPT_SECONDS + 10
    departures.release_due()
    assert gone == ["a", "b"]
    now = KEPT_SECONDS + 20
    departures.release_due()
    assert gone == ["a", "b", "a"]
