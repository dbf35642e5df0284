"""`mizzen up samples/bookinfo --check`, as a user types it, in each mode of the lab."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mizzen.lab.modes import Mode
from tests.support.lab import BOOKINFO

pytestmark = pytest.mark.lab

# What loopback mode must never claim to have proved.
BEYOND_LOOPBACK = (
    "workloads have network namespaces and addresses of their own",
    "STRICT refuses plaintext from a caller without a sidecar",
    "an application that knows nothing of the mesh is captured by its sidecar",
)


@pytest.mark.parametrize("mode", list(Mode))
def test_every_statement_is_proved(mode: Mode, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mizzen", "up", str(BOOKINFO), "--check", "--mode", str(mode)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "MIZZEN_STATE_DIR": str(tmp_path), "COLUMNS": "200"},
    )
    if done.returncode and "this machine cannot run the lab" in done.stderr:
        pytest.skip(f"could not run here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    proved = re.findall(r"^✓ proved +(.*)$", done.stdout, re.MULTILINE)
    not_shown = re.findall(r"^- not shown +(.*)$", done.stdout, re.MULTILINE)
    assert len(proved) + len(not_shown) >= 20
    assert set(not_shown) == (set(BEYOND_LOOPBACK) if mode is Mode.LOOPBACK else set())
    assert "failed" not in done.stdout.replace("0 failed", "")
