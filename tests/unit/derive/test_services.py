"""Services: who sees them, by which address, under which name."""

from ipaddress import IPv4Address

import pytest

from mizzen.derive.services import ALLOCATION_POOL, allocated_addresses, names, visible_hosts
from mizzen.model.proxy import OutboundScope
from tests.support.mesh import Mesh

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{{spec}ports: [{{name: http, port: 80}}]}}
"""


def service(name: str, spec: str = "") -> str:
    return SERVICE.format(name=name, spec=spec)


def entry(namespace: str, export_to: str = "") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: e, namespace: {namespace}}}
spec: {{hosts: [api.example.com], {export_to}ports: [{{name: http, number: 80, protocol: HTTP}}], resolution: DNS}}
"""


def test_a_new_service_moves_no_other_services_address() -> None:
    mesh = Mesh(*(service(f"s{index}") for index in range(50)))
    before = dict(allocated_addresses(mesh.db))
    mesh.apply(service("newcomer"))
    after = dict(allocated_addresses(mesh.db))
    assert len(set(after.values())) == 51
    assert {ref: after[ref] for ref in before} == before
    assert all(IPv4Address(address) in ALLOCATION_POOL for address in after.values())


def test_headless_services_are_named_by_their_endpoints_and_others_by_their_address() -> None:
    mesh = Mesh(
        service("virtual", "clusterIP: 10.96.0.1, "),
        service("headless", "clusterIP: None, selector: {app: h}, "),
        """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: h-0, namespace: shop, labels: {app: h}}
spec: {address: 10.0.0.5}
""",
    )
    assert dict(names(mesh.db)) == {
        "virtual.shop.svc.cluster.local": ("10.96.0.1",),
        "headless.shop.svc.cluster.local": ("10.0.0.5",),
    }


@pytest.mark.parametrize(
    ("export_to", "seen"),
    [
        ("", {"shop", "bank"}),
        ('exportTo: ["*"], ', {"shop", "bank"}),
        ('exportTo: ["."], ', {"shop"}),
        ("exportTo: [bank], ", {"bank"}),
        ('exportTo: ["~"], ', set()),
    ],
)
def test_who_sees_a_service(export_to: str, seen: set[str]) -> None:
    mesh = Mesh(entry("shop", export_to))
    assert {
        ns for ns in ("shop", "bank") if "api.example.com" in visible_hosts(mesh.db, OutboundScope(ns))
    } == seen


def test_the_callers_own_service_wins_over_an_older_one_of_the_same_host() -> None:
    mesh = Mesh(entry("shop"), entry("bank"))
    assert {
        ns: visible_hosts(mesh.db, OutboundScope(ns))["api.example.com"].namespace for ns in ("shop", "bank")
    } == {
        "shop": "shop",
        "bank": "bank",
    }
