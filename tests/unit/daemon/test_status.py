"""The documents of the JSON API: what is refused is traced to the line that made it, and no secret is in any."""

import json

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from mizzen.admin.schema import MeshName, MutualTlsReport, TrafficReport
from mizzen.config.decode import decode
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.resource import Location
from mizzen.daemon.catalog import MeshCatalog
from mizzen.daemon.delivery import DeliveryLog
from mizzen.daemon.metrics import DeliveryMetrics
from mizzen.daemon.refresher import Timing
from mizzen.daemon.status import DaemonStatus, Sources
from mizzen.daemon.store import Store
from mizzen.derive.workloads import workload_key
from mizzen.incremental import Database
from mizzen.model.proxy import OutboundScope
from mizzen.rpc.peer import Peer
from mizzen.sources.change import Change
from mizzen.translate import routes, virtual_hosts
from mizzen.xds.catalog import Node
from mizzen.xds.resource import CLUSTER, ROUTE, SECRET, Snapshot, discovery_resource
from mizzen.xds.status import SessionStatus, SyncState, TypeStatus

CONFIG = """\
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.1.1.1, selector: {app: cart}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart]
  http:
  - route: [{destination: {host: cart}}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: cart-0, namespace: shop}
spec: {address: 10.0.0.1, labels: {app: cart}, serviceAccount: cart}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: cart-1, namespace: shop}
spec: {address: 10.0.0.2, labels: {app: cart}, serviceAccount: cart}
"""


class World:
    """A daemon without its wires; `cart-0` is connected."""

    def __init__(self) -> None:
        self.db = Database()
        self.store = Store(self.db)
        self.located = {}
        self.diagnostics = []
        self.sync = []
        self.load(CONFIG)
        self.catalog = MeshCatalog(self.db)
        self.delivery = DeliveryLog(lambda: 50.0, DeliveryMetrics(CollectorRegistry()), lambda *_: None)
        self.status = DaemonStatus(
            db=self.db,
            catalog=self.catalog,
            delivery=self.delivery,
            sources=Sources(lambda: self.diagnostics, lambda: self.located),
            sync=lambda: self.sync,
            traffic=lambda: TrafficReport(
                window_seconds=10.0, requests_per_second=0.0, edges=(), splits=(), denials=()
            ),
            plaintext=lambda modes: MutualTlsReport(since=0.0, workloads=()),
            now=lambda: 60.0,
            started=10.0,
        )
        self.session = self.connect("cart-0")

    def load(self, text: str) -> None:
        located = decode(text, "mesh.yaml").located
        self.located = {found.resource.key: found for found in located}
        self.store.apply(Change(upserts=located))
        self.store.commit()

    def connect(self, name: str):
        peer = Peer("spiffe://cluster.local/ns/shop/sa/cart", "10.0.0.1:5", 1e10)
        return self.catalog.connect(peer, Node(f"sidecar~10.0.0.1~{name}.shop~x", "", {}))

    def workload(self, name: str):
        return next(found for found in self.status.status().workloads if found.name == name)


@pytest.fixture
def world():
    return World()


def test_every_registered_workload_is_listed_connected_or_not(world):
    world.sync = [SessionStatus(world.session, (TypeStatus(CLUSTER, SyncState.PENDING, 5, None),))]
    world.store.report_health(workload_key("shop", "cart-1"), "draining")
    world.store.commit()
    here, there = world.workload("shop/cart-0"), world.workload("shop/cart-1")
    assert (here.connected, here.healthy, here.certificate_expires) == (True, True, 1e10)
    assert here.identity == "spiffe://cluster.local/ns/shop/sa/cart"
    assert [(one.type_name, one.state, one.resources) for one in here.sync] == [("clusters", "pending", 5)]
    assert (there.connected, there.healthy, there.health_reason) == (False, False, "draining")
    assert there.certificate_expires is None
    assert there.sync == ()


def test_a_proxy_that_came_back_is_shown_as_its_new_session_is(world):
    """The server lists sessions in no order; the one that is broken is not found dead at once."""
    new = world.connect("cart-0")
    states = {world.session: SyncState.REJECTED, new: SyncState.SYNCED}
    for order in (list(states), list(states)[::-1]):
        world.sync = [SessionStatus(one, (TypeStatus(CLUSTER, states[one], 5, 1),)) for one in order]
        assert world.workload("shop/cart-0").sync[0].state == "synced"


def test_a_refusal_is_traced_to_file_line_and_column(world):
    world.delivery.rejected(world.session, ROUTE, "80", "c0ffee", "no such thing")
    (found,) = world.status.status().rejections
    assert (found.proxy, found.type_name, found.resource) == ("shop/cart-0", "routes", "80")
    assert (found.error, found.since) == ("no such thing", 50.0)
    assert "VirtualService shop/cart at mesh.yaml:12:5" in found.origins


def test_lines_are_those_of_now(world):
    world.delivery.rejected(world.session, ROUTE, "80", "c0ffee", "no such thing")
    world.load("# a comment\n" + CONFIG)
    assert "VirtualService shop/cart at mesh.yaml:13:5" in world.status.status().rejections[0].origins


def test_an_object_that_is_gone_has_no_line(world):
    world.delivery.rejected(world.session, ROUTE, "80", "c0ffee", "no such thing")
    world.located = {}
    assert "VirtualService shop/cart" in world.status.status().rejections[0].origins


def test_a_refused_resource_that_is_no_more_has_no_origins(world):
    world.delivery.rejected(world.session, ROUTE, "no such route", "c0ffee", "no such thing")
    assert world.status.status().rejections[0].origins == ()


def test_a_bug_is_a_diagnostic_and_no_failure_of_the_api(world, monkeypatch):
    def fails(db, *_):
        virtual_hosts.http_services(db, OutboundScope("shop"), 80)
        raise RuntimeError("a bug")

    monkeypatch.setattr(routes.sidecar_routes, "function", fails)
    world.delivery.rejected(world.session, ROUTE, "80", "c0ffee", "no such thing")
    world.load(CONFIG.replace("port: 80", "port: 80, targetPort: 8080"))
    world.load(CONFIG + "---\n" + CONFIG.split("---", maxsplit=1)[0].replace("name: cart", "name: more"))
    world.catalog.take_in(world.db.refresh())
    shown = world.status.status()
    (found,) = [one for one in shown.diagnostics if one.code == "MZ0901"]
    assert found.severity == "error"
    assert found.message.startswith("routes 80 could not be made: ")
    assert "a bug" in found.message
    assert shown.rejections[0].origins == ()


def test_diagnostics_are_shown_with_their_place_and_advice(world):
    world.diagnostics = [
        Diagnostic("MZ0003", "too large", None, ("spec", "http", 0), Location("big.yaml", 3, 5))
    ]
    (shown,) = world.status.status().diagnostics
    assert shown.code == "MZ0003"
    assert shown.location == "big.yaml:3:5"
    assert shown.message == "spec.http[0]: too large"
    assert shown.hint


def test_changes_are_shown_the_newest_first(world):
    for revision in (7, 8):
        world.delivery.changed(
            revision, [workload_key("shop", "cart-0")], [world.session], Timing(0.0, 0.0, 0.0)
        )
    shown = world.status.status().changes
    assert [(one.revision, one.objects, one.proxies) for one in shown] == [
        (8, ("WorkloadEntry shop/cart-0",), {"shop/cart-0": "pending"}),
        (7, ("WorkloadEntry shop/cart-0",), {"shop/cart-0": "pending"}),
    ]


def test_the_status_is_json(world):
    shown = json.loads(msgspec.json.encode(world.status.status()))
    assert (shown["started"], shown["now"], shown["trustDomain"]) == (10.0, 60.0, "cluster.local")


def test_what_has_no_proxy_finds_the_endpoints_of_a_service_at_its_address(world):
    (found,) = world.status.service_addresses()
    assert (found.address, found.port) == ("10.1.1.1", 80)
    assert found.endpoints == (("10.0.0.1", 80), ("10.0.0.2", 80))


def test_a_workload_without_a_proxy_is_told_from_one_that_is_away(world):
    assert world.workload("shop/cart-1").kind == "application"
    world.load(CONFIG.replace("labels: {app: cart}", "labels: {app: cart, security.istio.io/tlsMode: istio}"))
    assert world.workload("shop/cart-1").kind == "sidecar"


def test_names_are_the_meshs_dns(world):
    assert world.status.names() == {"cart.shop.svc.cluster.local": MeshName(addresses=("10.1.1.1",))}


async def test_what_a_proxy_should_run_is_dumped_by_type_and_name(world):
    dump = await world.status.config_dump("shop/cart-0")
    assert set(dump) == {"clusters", "endpoints", "listeners", "routes"}
    name = "outbound|80||cart.shop.svc.cluster.local"
    assert dump["clusters"][name]["config"]["name"] == name
    assert dump["clusters"][name]["version"] == world.session.snapshot().of(CLUSTER)[name].version
    assert json.loads(json.dumps(dump)) == dump


@pytest.mark.parametrize("name", ["shop/cart-1", "shop/none", ""])
async def test_who_is_not_connected_has_no_dump(world, name):
    assert await world.status.config_dump(name) is None


async def test_no_secret_is_dumped(world):
    secret = discovery_resource(SECRET, "kubernetes://shop/tls", b"PRIVATE KEY")
    held = world.session.snapshot()
    world.session.view.snapshot = Snapshot(1, {**held.resources, SECRET: {secret.name: secret}})
    dump = await world.status.config_dump("shop/cart-0")
    assert "secrets" not in dump
    assert "PRIVATE" not in json.dumps(dump)
