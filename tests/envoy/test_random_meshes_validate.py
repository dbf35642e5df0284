"""Whatever a mesh is made of, a real Envoy takes all that a proxy of it would hold, together."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mizzen.derive.inputs import RESOURCES
from mizzen.incremental import Database
from tests.support.mesh import sidecar
from tests.support.mesh_changes import Change, resources
from tests.support.validate import validate
from tests.support.watched import from_scratch

pytestmark = pytest.mark.envoy


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink would ask hundreds of Envoys
)
@given(st.lists(resources, min_size=10, max_size=40))
def test_envoy_takes_what_a_sidecar_of_any_mesh_holds(found: list[Any]) -> None:
    db = Database()
    for item in found:
        Change(RESOURCES, item.key, item).apply(db)
    assert validate(from_scratch(db, sidecar("shop", app="a", version="v1")).values()) == ""
