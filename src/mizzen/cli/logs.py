"""`mizzen logs`: what a workload, its sidecar or the daemon wrote."""

import time
from collections import deque
from pathlib import Path

import click

from mizzen.cli.lab_options import chosen_lab, of_a_lab
from mizzen.errors import UserError
from mizzen.lab.client import ask
from mizzen.lab.protocol import LabStatus, StatusRequest

_POLL_SECONDS = 0.2
_BLOCK_BYTES = 1 << 16


@click.command("logs")
@click.argument("workload", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="How many of the last lines.",
)
@click.option("--app", "kind", flag_value="app", default=True, help="The application's output.  [default]")
@click.option("--proxy", "kind", flag_value="proxy", help="The sidecar's: agent, Envoy and its access log.")
@click.option("--daemon", "kind", flag_value="daemon", help="The daemon's; needs no WORKLOAD.")
@of_a_lab
def command(
    workload: str | None, *, follow: bool, lines: int, kind: str, name: str | None, state_dir: Path | None
) -> None:
    """Print the log of WORKLOAD (reviews-v1, bookinfo/reviews-v1, or one instance such as reviews-v1-0)."""
    lab = chosen_lab(state_dir, name)
    status = ask(lab.control, StatusRequest(), LabStatus)
    path = _path(status, workload, kind)
    try:
        _print(path, lines, follow=follow)
    except FileNotFoundError:
        raise UserError(f"nothing has been written to {path} yet") from None


def _path(status: LabStatus, workload: str | None, kind: str) -> Path:
    if kind == "daemon":
        return Path(status.daemon_log)
    if workload is None:
        raise UserError("no workload is named", "give one, such as reviews-v1, or --daemon")
    found = [instance for instance in status.instances if instance.is_called(workload)]
    if not found:
        names = ", ".join(sorted({instance.workload for instance in status.instances}))
        raise UserError(f"no workload named {workload} in this lab", f"these are: {names}")
    if len(found) > 1:
        raise UserError(
            f"{workload} has {len(found)} instances", ", ".join(instance.name for instance in found)
        )
    path = found[0].logs.get(kind)
    if path is None:
        there = ", ".join(f"--{kind}" for kind in found[0].logs)
        raise UserError(f"{workload} has no such process", f"ask for {there}")
    return Path(path)


def _print(path: Path, lines: int, *, follow: bool) -> None:
    with path.open("rb") as file:
        click.echo(b"".join(deque(file, maxlen=lines)), nl=False)
        while follow:
            if block := file.read(_BLOCK_BYTES):
                click.echo(block, nl=False)
                continue
            if path.stat().st_size < file.tell():  # its beginning was moved aside to keep it bounded
                file.seek(0)
            time.sleep(_POLL_SECONDS)
