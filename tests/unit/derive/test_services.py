"""Services: who sees them."""

import pytest

from mizzen.derive.visibility import visible_host
from mizzen.model.proxy import OutboundScope
from tests.support.mesh import Mesh


def entry(namespace: str, export_to: str = "") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: e, namespace: {namespace}}}
spec: {{hosts: [api.example.com], {export_to}ports: [{{name: http, number: 80, protocol: HTTP}}], resolution: DNS}}
"""


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
    found = {ns: visible_host(mesh.db, OutboundScope(ns), "api.example.com") for ns in ("shop", "bank")}
    assert {ns for ns, ref in found.items() if ref} == seen


def test_the_callers_own_service_wins_over_an_older_one_of_the_same_host() -> None:
    mesh = Mesh(entry("shop"), entry("bank"))
    for namespace in ("shop", "bank"):
        found = visible_host(mesh.db, OutboundScope(namespace), "api.example.com")
        assert found is not None
        assert found.namespace == namespace
