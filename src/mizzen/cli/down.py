"""`mizzen down`: stop a running lab."""

import os
import time
from pathlib import Path

import click

from mizzen.cli.lab_options import STATE_DIR
from mizzen.errors import UserError
from mizzen.lab.client import ask
from mizzen.lab.protocol import Done, StopRequest
from mizzen.lab.state import find_lab, running_labs, state_root

_LIMIT_SECONDS = 30.0
_POLL_SECONDS = 0.1


@click.command("down")
@click.argument("name", required=False)
@STATE_DIR
def command(name: str | None, *, state_dir: Path | None) -> None:
    """Stop the lab NAME, or the only one that runs. What is in flight is finished first."""
    root = state_root(state_dir, os.environ)
    lab = find_lab(root, name)
    ask(lab.control, StopRequest(), Done)
    deadline = time.monotonic() + _LIMIT_SECONDS
    while any(running.name == lab.name for running in running_labs(root)):
        if time.monotonic() > deadline:
            raise UserError(f"{lab.name} does not end", f"kill -9 {lab.launcher_pid} ends it at once")
        time.sleep(_POLL_SECONDS)
    click.echo(f"{lab.name} is down; its logs are in {lab.state}/logs")
