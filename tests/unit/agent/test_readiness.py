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


async def test_the_certificate_comes_first_and_then_the_names(tmp_path):
    admin = EnvoyAdmin(Path(tmp_path / "none"))
    for certificate, names, missing in (
        (False, False, "no certificate from the daemon yet"),
        (True, False, "no names from the daemon yet"),
        (True, True, "does not answer"),
    ):
        readiness = Readiness(admin, lambda held=certificate: held, lambda held=names: held)
        assert missing in await readiness.missing()
