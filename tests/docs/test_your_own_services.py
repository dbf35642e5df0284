"""The page "Put your own two services into a mesh" does what it says, in the best lab that this machine allows."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.pages import DOCS, Replace, Run, Write, read_steps

UP_SECONDS = 90
SETTLE_SECONDS = 20  # a change of YAML is in force long before
COMMAND_SECONDS = 60


class Reader:
    """Somebody with two terminals in one folder who does what the page says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".venv").symlink_to(sys.prefix)
        self.environment = {
            **os.environ,
            "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
            "MIZZEN_STATE_DIR": str(folder / "state"),
            "COLUMNS": "400",
        }
        self.lab: subprocess.Popen[bytes] | None = None
        self.settled = True  # False after an edit: the mesh may take a moment to follow

    def follow(self, step: Write | Replace | Run) -> None:
        match step:
            case Write(path, text):
                (self.folder / path).write_text(text)
                self.settled = False
            case Replace(path, old, new):
                text = (self.folder / path).read_text()
                assert text.count(old) == 1, f"{old!r} is not there once:\n{text}"
                (self.folder / path).write_text(text.replace(old, new))
                self.settled = False
            case Run(command) if command.startswith("mizzen up"):
                self.bring_up(command)
            case Run():
                self.run(step)

    def run(self, step: Run) -> None:
        deadline = time.monotonic() + (0 if self.settled else SETTLE_SECONDS)
        while not step.is_answered_by(output := self.output_of(step.command)):
            assert time.monotonic() < deadline, (
                f"$ {step.command}\nprinted:\n{output}\nthe page says:\n{step.expected}"
            )
            time.sleep(0.2)
        self.settled = True

    def output_of(self, command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def bring_up(self, command: str) -> None:
        log = self.folder / "up.log"
        with log.open("wb") as output:
            self.lab = subprocess.Popen(
                command.split(), cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
        deadline = time.monotonic() + UP_SECONDS
        while " is up" not in log.read_text():
            assert self.lab.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    def leave(self) -> None:
        if self.lab is not None:
            self.lab.terminate()
            self.lab.wait(COMMAND_SECONDS)


@pytest.fixture
def reader(tmp_path):
    reader = Reader(tmp_path)
    yield reader
    reader.leave()


@pytest.mark.lab
def test_the_page_does_what_it_says(reader):
    steps = list(read_steps((DOCS / "your-own-services.md").read_text()))
    assert len(steps) > 15, "the page has files and commands"
    for step in steps:
        reader.follow(step)
    assert reader.lab is not None
    assert reader.lab.wait(COMMAND_SECONDS) == 0, "`mizzen down` ends `mizzen up` well"
