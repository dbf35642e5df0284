"""Sessions: what each proxy should hold now, and who is woken when that is something else."""

import pytest

from mizzen.daemon.admission import AGENT
from mizzen.daemon.catalog import MeshCatalog
from mizzen.rpc.peer import Peer
from mizzen.translate.name_table import NAME_TABLE
from mizzen.xds.catalog import Node, Rejected
from mizzen.xds.resource import CLUSTER, ENDPOINT
from tests.support.mesh import Mesh

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: {port}}}]}}
"""
WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}, namespace: shop}}
spec: {{address: {address}, labels: {{app: {app}}}}}
"""


class World:
    def __init__(self, **options) -> None:
        self.mesh = Mesh(
            SERVICE.format(name="cart", port=80),
            SERVICE.format(name="search", port=90),
            *(WORKLOAD.format(name=f"cart-{n}", address=f"10.0.0.{n + 1}", app="cart") for n in range(2)),
            WORKLOAD.format(name="search-0", address="10.0.0.9", app="search"),
        )
        self.catalog = MeshCatalog(self.mesh.db, **options)
        self.woken: list[str] = []

    def connect(self, name: str, account: str = "default"):
        peer = Peer(f"spiffe://cluster.local/ns/shop/sa/{account}", "10.0.0.1:5", 1e10)
        session = self.catalog.connect(peer, Node(f"sidecar~10.0.0.1~{name}.shop~x", "", {}))
        session.on_change(lambda: self.woken.append(name))
        return session

    def refresh(self) -> list[str]:
        """The sessions concerned, which must be those that were woken."""
        concerned = [session.name for session in self.catalog.take_in(self.mesh.db.refresh())]
        woken, self.woken = self.woken, []
        assert sorted(f"shop/{name}" for name in woken) == sorted(concerned)
        return sorted(concerned)

    def apply(self, *texts: str) -> list[str]:
        self.mesh.apply(*texts)
        return self.refresh()


@pytest.fixture
def world():
    return World()


def test_who_is_not_admitted_leaves_no_trace(world):
    with pytest.raises(Rejected):
        world.connect("cart-0", account="thief")
    assert list(world.catalog.sessions) == []
    assert not world.mesh.db._reported


def test_replicas_get_the_same_snapshot_object(world):
    one, other = world.connect("cart-0"), world.connect("cart-1")
    assert one.name == "shop/cart-0"
    assert one.snapshot() is one.snapshot() is other.snapshot()
    assert list(world.catalog.sessions) == [one, other]


def test_an_endpoint_concerns_all_who_may_call_it_and_is_a_new_snapshot_for_them(world):
    sessions = [world.connect(name) for name in ("cart-0", "cart-1", "search-0")]
    assert world.refresh() == []
    before = sessions[0].snapshot()
    assert world.apply(WORKLOAD.format(name="search-0", address="10.7.7.7", app="search")) == [
        *("shop/cart-0", "shop/cart-1", "shop/search-0")
    ]
    assert sessions[0].snapshot() is not before
    assert sessions[0].snapshot().of(CLUSTER) is before.of(CLUSTER)


def test_a_workload_whose_labels_change_moves_to_another_view(world):
    moving, staying = world.connect("cart-1"), world.connect("cart-0")
    world.refresh()
    assert "inbound|80||" in moving.snapshot().of(CLUSTER)
    concerned = world.apply(WORKLOAD.format(name="cart-1", address="10.0.0.2", app="search"))
    assert "shop/cart-1" in concerned
    assert moving.view is not staying.view
    assert "inbound|90||" in moving.snapshot().of(CLUSTER)
    assert "inbound|80||" not in moving.snapshot().of(CLUSTER)
    assert "inbound|80||" in staying.snapshot().of(CLUSTER)
    assert moving.snapshot().of(ENDPOINT) is staying.snapshot().of(ENDPOINT)


ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: named, namespace: {namespace}}}
spec:
  hosts: [named.example]
  resolution: STATIC
  ports: [{{name: http, number: 7000}}]
  endpoints: [{{address: {address}}}]
"""


def test_a_workload_serves_what_names_its_address_in_its_own_namespace(world):
    session, other = world.connect("cart-0"), world.connect("cart-1")
    world.refresh()
    world.apply(ENTRY.format(namespace="other", address="10.0.0.1"))
    assert session.view is other.view
    world.apply(ENTRY.format(namespace="shop", address="10.0.0.1"))
    assert "inbound|7000||" in session.snapshot().of(CLUSTER)
    assert "inbound|7000||" not in other.snapshot().of(CLUSTER)
    world.mesh.remove("ServiceEntry", "shop", "named")
    world.refresh()
    assert session.view is other.view


def test_a_workload_that_is_unregistered_keeps_what_it_has(world):
    session = world.connect("search-0")
    world.refresh()
    world.mesh.remove("WorkloadEntry", "shop", "search-0")
    world.refresh()
    assert "inbound|90||" in session.snapshot().of(CLUSTER)
    assert world.apply(WORKLOAD.format(name="search-0", address="10.0.0.9", app="cart")) == ["shop/search-0"]
    assert "inbound|80||" in session.snapshot().of(CLUSTER)


def test_who_left_is_woken_no_more_and_nothing_stays_observed(world):
    sessions = [world.connect(name) for name in ("cart-0", "cart-1", "search-0")]
    world.refresh()
    sessions[0].close()
    sessions[0].wake()
    assert world.woken == []
    assert world.apply(SERVICE.format(name="new", port=80)) == ["shop/cart-1", "shop/search-0"]
    for session in sessions[1:]:
        session.close()
    assert list(world.catalog.sessions) == []
    assert not world.mesh.db._reported


def test_an_agent_holds_names_and_is_no_proxy(world):
    peer = Peer("spiffe://cluster.local/ns/shop/sa/default", "10.0.0.1:5", 1e10)
    agent = world.catalog.connect(peer, Node("sidecar~10.0.0.1~cart-0.shop~x", "", {}, AGENT))
    agent.on_change(lambda: world.woken.append("cart-0"))
    world.refresh()
    assert list(world.catalog.sessions) == []
    assert list(world.catalog.agent_sessions) == [agent]
    assert set(agent.snapshot().resources) == {NAME_TABLE}
    assert world.apply(WORKLOAD.format(name="search-0", address="10.7.7.7", app="search")) == []
    assert world.apply(SERVICE.format(name="new", port=80)) == ["shop/cart-0"]
    agent.close()
    assert list(world.catalog.agent_sessions) == []
    assert not world.mesh.db._reported


def test_two_sessions_of_one_workload_end_one_by_one(world):
    """A proxy comes back before its broken connection is found dead."""
    old, new = world.connect("search-0"), world.connect("search-0")
    world.refresh()
    old.close()
    assert world.apply(SERVICE.format(name="new", port=80)) == ["shop/search-0"]
    assert "outbound|80||new.shop.svc.cluster.local" in new.snapshot().of(CLUSTER)
