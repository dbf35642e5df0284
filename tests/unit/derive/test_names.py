"""What DNS answers about each kind of service."""

import pytest

from mizzen.derive.inputs import UNHEALTHY
from mizzen.derive.names import names
from mizzen.derive.workloads import workload_key
from mizzen.model.name import Name
from tests.support.mesh import Mesh

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: s, namespace: shop}}
spec: {{{spec}, ports: [{{name: http, port: 80}}]}}
"""
WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {name}, namespace: shop, labels: {{app: s}}}}
spec: {{address: {address}}}
"""
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: e, namespace: shop}}
spec: {{hosts: ["{host}"], {spec}, ports: [{{name: http, number: 80, protocol: HTTP}}]}}
"""
HOST = "s.shop.svc.cluster.local"
INSTANCES = (WORKLOAD.format(name="s-0", address="10.0.0.1"), WORKLOAD.format(name="s-1", address="fd00::1"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SERVICE.format(spec="clusterIP: 10.96.0.1"), {HOST: Name(("10.96.0.1",))}),
        (
            SERVICE.format(spec='clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, "fd00::1"]'),
            {HOST: Name(("10.96.0.1", "fd00::1"))},
        ),
        (
            SERVICE.format(spec="type: ExternalName, externalName: Example.COM."),
            {HOST: Name(external_name="example.com")},
        ),
        (
            ENTRY.format(host="*.Example.com", spec="resolution: STATIC, addresses: [10.5.5.5]"),
            {"*.example.com": Name(("10.5.5.5",))},
        ),
        (ENTRY.format(host="*.example.com", spec="resolution: NONE"), {}),
    ],
)
def test_a_service_is_named_by_its_addresses(text, expected):
    assert names(Mesh(text, *INSTANCES).db) == expected


def test_a_headless_service_has_all_its_instances_and_each_by_its_name():
    mesh = Mesh(SERVICE.format(spec="clusterIP: None, selector: {app: s}"), *INSTANCES)
    both = {f"s-0.{HOST}": Name(("10.0.0.1",)), f"s-1.{HOST}": Name(("fd00::1",))}
    assert names(mesh.db) == {HOST: Name(("10.0.0.1", "fd00::1")), **both}
    mesh.db.set(UNHEALTHY, workload_key("shop", "s-1"), "draining")
    assert names(mesh.db) == {HOST: Name(("10.0.0.1",)), f"s-0.{HOST}": Name(("10.0.0.1",))}


POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{app: s}}}}
spec: {{{spec}}}
status: {{podIPs: [{{ip: {address}}}, {{ip: "{address_6}"}}]}}
"""


def pod(name: str, number: int, spec: str) -> str:
    return POD.format(name=name, spec=spec, address=f"10.0.0.{number}", address_6=f"fd00::{number}")


def test_a_pod_has_a_name_where_it_has_a_host_name_below_this_service():
    mesh = Mesh(
        SERVICE.format(spec="clusterIP: None, selector: {app: s}"),
        pod("s-0", 1, "hostname: s-0, subdomain: s"),
        pod("s-1", 2, "hostname: s-1, subdomain: other"),
        pod("s-2", 3, ""),
    )
    numbers = (1, 2, 3)
    assert set(names(mesh.db)) == {HOST, f"s-0.{HOST}"}
    assert names(mesh.db)[f"s-0.{HOST}"] == Name(("10.0.0.1", "fd00::1"))
    assert set(names(mesh.db)[HOST].addresses) == {
        address for number in numbers for address in (f"10.0.0.{number}", f"fd00::{number}")
    }


def test_an_endpoint_that_has_no_ip_address_has_no_name():
    mesh = Mesh(
        SERVICE.format(spec="clusterIP: None, selector: {app: s}"),
        WORKLOAD.format(name="s-0", address="s-0.example.com"),
    )
    assert names(mesh.db) == {}
