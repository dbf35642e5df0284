"""`mizzen status`: what runs in a lab, and how far the mesh has brought it."""

import json
import time
from pathlib import Path

import click
import msgspec

from mizzen.cli.lab_options import chosen_lab, of_a_lab


@click.command("status")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON: the lab's processes and the daemon's view of the mesh.",
)
@of_a_lab
def command(*, as_json: bool, name: str | None, state_dir: Path | None) -> None:
    """Show the workloads of a running lab, their traffic, and how far configuration has been delivered."""
    from mizzen.cli.running_lab import RunningLab
    from mizzen.cli.tables import print_status
    from mizzen.cli.view import Watch

    lab = RunningLab(chosen_lab(state_dir, name))
    snapshot = Watch(lab, time.monotonic).look()
    if as_json:
        click.echo(json.dumps({"lab": lab.status(), "mesh": msgspec.to_builtins(snapshot.mesh)}, indent=2))
    else:
        print_status(snapshot)
