"""Which Sidecar holds for a workload."""

import pytest

from mizzen.derive.scope import outbound_scope
from mizzen.derive.sidecars import sidecar_for
from mizzen.frozen import FrozenMap
from mizzen.model.proxy import ProxyKind
from tests.support.mesh import Mesh

CART = FrozenMap({"app": "cart"})


def sidecar(name: str, namespace: str = "shop", app: str = "", created: str = "") -> str:
    selector = f"workloadSelector: {{labels: {{app: {app}}}}}, " if app else ""
    return f"""
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: {name}, namespace: {namespace}{f", creationTimestamp: {created}" if created else ""}}}
spec: {{{selector}egress: [{{hosts: ["./*"]}}]}}
"""


@pytest.mark.parametrize(
    ("objects", "holds"),
    [
        pytest.param((), None, id="none"),
        pytest.param((sidecar("other", "bank"),), None, id="another namespace's"),
        pytest.param((sidecar("root", "istio-system"),), "root", id="the root namespace's default"),
        pytest.param((sidecar("root", "istio-system", "cart"),), None, id="not the root's with a selector"),
        pytest.param((sidecar("root", "istio-system"), sidecar("own")), "own", id="the namespace's default"),
        pytest.param((sidecar("a"), sidecar("z", app="cart")), "z", id="the one that selects it"),
        pytest.param((sidecar("a", app="pay"), sidecar("z")), "z", id="not one that selects another"),
        pytest.param(
            (sidecar("a", created="2025-01-01T00:00:00Z"), sidecar("z", created="2024-01-01T00:00:00Z")),
            "z",
            id="the oldest",
        ),
    ],
)
def test_the_most_specific_sidecar_holds(objects: tuple[str, ...], holds: str | None) -> None:
    found = sidecar_for(Mesh(*objects).db, "shop", CART)
    assert (found.name if found else None) == holds


def test_a_gateway_is_narrowed_by_no_sidecar() -> None:
    db = Mesh(sidecar("default")).db
    assert outbound_scope(db, ProxyKind.SIDECAR, "shop", CART).sidecar is not None
    assert outbound_scope(db, ProxyKind.GATEWAY, "shop", CART).sidecar is None
