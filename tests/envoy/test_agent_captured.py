"""A whole agent in a network namespace of its own: Envoy as another user, traffic captured, the daemon reached."""

import json
import os
import sys

import pytest
from tests.support.capture_scene import CANNOT, ENVOY_UID

from mizzen.processes import Command, run

pytestmark = pytest.mark.envoy


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give Envoy a user of its own")
async def test_envoy_runs_as_its_own_user_and_the_agent_reaches_the_daemon_past_the_capture(tmp_path):
    argv = (sys.executable, "-m", "tests.support.capture_scene", "agent", str(tmp_path))
    finished = await run(Command(name="scene", argv=argv), timeout_seconds=60)
    if finished.exit.status == CANNOT:
        pytest.skip(finished.stderr)
    assert finished.exit.ok, finished.stderr
    assert json.loads(finished.stdout) == {"envoy": ENVOY_UID, "socket": ENVOY_UID, "body": "hello"}
