"""When a workload is ready, by Envoy's statistics."""

from pathlib import Path

import pytest

from mizzen.agent.envoy_admin import EnvoyAdmin
from mizzen.agent.readiness import Readiness, missing_in

READY = {
    "cluster_manager.cds.update_success": 1,
    "listener_manager.lds.update_success": 1,
    "listener_manager.workers_started": 1,
    "server.state": 0,
}


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({}, ""),
        ({"cluster_manager.cds.update_success": 0}, "Envoy has no clusters from the daemon yet"),
        ({"listener_manager.lds.update_success": 0}, "Envoy has no listeners from the daemon yet"),
        ({"listener_manager.workers_started": 0}, "Envoy is starting its listeners"),
        ({"server.state": 2}, "Envoy is starting its listeners"),
    ],
)
def test_what_is_missing(changed, missing):
    assert missing_in({**READY, **changed}) == missing


def test_no_statistics_at_all_is_not_ready():
    assert missing_in({}) != ""


async def test_the_certificate_comes_first(tmp_path):
    admin = EnvoyAdmin(Path(tmp_path / "none"))
    assert await Readiness(admin, lambda: False).missing() == "no certificate from the daemon yet"
    assert "does not answer" in await Readiness(admin, lambda: True).missing()
