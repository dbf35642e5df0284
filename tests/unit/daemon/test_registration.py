"""Workloads that register themselves through a WorkloadGroup."""

from pathlib import Path

import pytest

from mizzen.config.decode import decode
from mizzen.config.resource import ResourceKey
from mizzen.config.types.networking import WorkloadEntry
from mizzen.daemon.admission import UnregisteredError
from mizzen.daemon.registration import Registrar
from mizzen.model.identity import SpiffeId
from mizzen.xds.catalog import Rejected
from tests.support.mesh import Mesh

GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: cart, namespace: shop}
spec:
  metadata: {labels: {app: cart}, annotations: {note: hello}}
  template:
    serviceAccount: cart
    labels: {version: v1}
    ports: {http: 8080}
    locality: eu/a
    network: vms
    weight: 3
"""
KEY = ResourceKey("WorkloadEntry", "shop", "cart-10-0-0-9")


class World:
    def __init__(self, folder: Path, group: str = GROUP) -> None:
        self.folder = folder
        self.registrar = Registrar(Mesh(group).db, folder, "a")

    def register(self, account: str = "cart", name: str = KEY.name, group: str = "cart") -> None:
        identity = SpiffeId("cluster.local", "shop", account)
        self.registrar.register(UnregisteredError(identity, "shop", name, "10.0.0.9", group))

    def entries(self) -> dict[ResourceKey, WorkloadEntry]:
        found = [decode(path.read_bytes(), path.name) for path in self.folder.glob("*.yaml")]
        errors = [each for decoded in found for each in decoded.diagnostics if each.severity.value == "error"]
        assert errors == []
        return {each.resource.key: each.resource for decoded in found for each in decoded.located}


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def test_the_entry_is_made_of_the_template(world):
    world.register()
    (resource,) = world.entries().values()
    assert resource.key == KEY
    assert dict(resource.labels) == {"version": "v1", "app": "cart"}
    assert resource.annotations["note"] == "hello"
    spec = resource.spec
    assert (spec.address, spec.service_account, dict(spec.ports)) == ("10.0.0.9", "cart", {"http": 8080})
    assert (spec.locality, spec.network, spec.weight) == ("eu/a", "vms", 3)


def test_a_member_that_is_probed_waits_for_its_first_report(tmp_path):
    world = World(tmp_path, GROUP + "  probe: {tcpSocket: {port: 8080}}\n")
    world.register()
    (resource,) = world.entries().values()
    assert resource.annotations["proxy.istio.io/health-checks-enabled"] == "true"


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"account": "other"}, "whose service account is cart"),
        ({"group": "nobody"}, "there is no WorkloadGroup shop/nobody"),
        ({"name": "../../etc/x"}, "is no name and address of a workload"),
    ],
)
def test_who_may_not_join_is_told_why(world, wanted, reason):
    with pytest.raises(Rejected, match=reason):
        world.register(**wanted)
    assert world.entries() == {}


def test_who_names_no_group_is_not_registered(world):
    world.register(group="")
    assert world.entries() == {}
