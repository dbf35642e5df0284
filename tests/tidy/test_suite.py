"""What the suite promises about itself."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPTIONS = ("-q", "-n", "2", "--dist", "loadgroup", "-c", os.devnull)
LABS = """
import os, pathlib, pytest
pytestmark = pytest.mark.lab
@pytest.mark.parametrize("number", range(6))
def test_one(number):
    (pathlib.Path(os.environ["RAN"]) / f"{__name__}-{number}").write_text(os.environ["PYTEST_XDIST_WORKER"])
"""


def test_labs_run_one_at_a_time(tmp_path):
    """Also when pytest or pytest-xdist changed: grouping can stop without a word (pyproject.toml)."""
    labs, ran = tmp_path / "labs", tmp_path / "ran"
    labs.mkdir()
    ran.mkdir()
    (labs / "conftest.py").write_text("from tests.conftest import *")
    for name in ("first", "second"):
        (labs / f"test_{name}.py").write_text(LABS)
    command = [sys.executable, "-m", "pytest", *OPTIONS, str(labs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAN": str(ran)}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    workers = defaultdict(list)
    for file in ran.iterdir():
        workers[file.read_text()].append(file.name)
    assert sum(map(len, workers.values())) == 12, result.stdout + result.stderr
    assert len(workers) == 1, dict(workers)
