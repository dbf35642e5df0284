"""The options by which a command finds its lab."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mizzen.lab.commands import Layout
from mizzen.lab.state import LabFile, find_lab, state_root

STATE_DIR = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="MIZZEN_STATE_DIR",
    help="Where labs keep logs and state.  [default: mizzen in the user's state folder]",
)
SOCKET = click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A daemon's admin.sock.  [default: the lab's daemon]",
)
_LAB = click.option("--lab", "name", metavar="NAME", help="Which lab, where several run.")


def of_a_lab(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --lab and --state-dir."""
    return _LAB(STATE_DIR(command))


def chosen_lab(state_dir: Path | None, name: str | None) -> LabFile:
    """Raises UserError where no such lab runs."""
    return find_lab(state_root(state_dir, os.environ), name)


def chosen_socket(given: Path | None, state_dir: Path | None, name: str | None) -> Path:
    """The admin.sock that is `given`, or that of the lab's daemon. Raises UserError where no such lab runs."""
    return given or daemon_socket(chosen_lab(state_dir, name))


def daemon_socket(lab: LabFile) -> Path:
    """The admin.sock of a lab's daemon."""
    return Layout(Path(lab.state), Path(lab.control).parent / "private").admin_socket
