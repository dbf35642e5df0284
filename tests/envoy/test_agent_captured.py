"""A whole agent in a network namespace of its own: Envoy as another user, traffic captured, the daemon reached."""

import json
import os
import sys

import pytest

from mizzen.processes import Command, run
from tests.support.capture_scene import CANNOT, ENVOY_UID

pytestmark = pytest.mark.envoy


@pytest.mark.parametrize("interception", ["redirect", "tproxy"])
@pytest.mark.parametrize(("mode", "envoy_uid"), [("uid", ENVOY_UID), ("mark", 0)])
async def test_envoy_runs_as_its_own_user_and_the_agent_reaches_the_daemon_past_the_capture(
    mode, envoy_uid, interception, tmp_path
):
    """Without a second user (`mark`) Envoy runs as the only one there is, and marks what it sends. It answers by IPv4 and
    IPv6; for TPROXY as another user than root, too.
    """
    if mode == "uid" and os.getuid() != 0:
        pytest.skip("could not run here: only root can give Envoy a user of its own")
    argv = (sys.executable, "-m", "tests.support.capture_scene", "agent", mode, interception, str(tmp_path))
    finished = await run(Command(name="scene", argv=argv), timeout_seconds=60)
    if finished.exit.status == CANNOT:
        pytest.skip(f"could not run here: {finished.stderr}")
    assert finished.exit.ok, finished.stderr
    assert json.loads(finished.stdout) == {"envoy": envoy_uid, "socket": envoy_uid, "bodies": ["hello"] * 2}
