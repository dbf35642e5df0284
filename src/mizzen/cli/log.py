"""`mizzen log`: what a running daemon logs, by scope."""

import json
from pathlib import Path

import click

from mizzen.cli.columns import print_columns
from mizzen.cli.lab_options import SOCKET, chosen_socket, of_a_lab
from mizzen.cli.local_api import change_document, read_document
from mizzen.logs import parse_levels

_DOCUMENT = "log-levels"


@click.command("log")
@click.option("--level", metavar="SCOPE:LEVEL,...", help="Change these, or with one level all.")
@click.option("--reset", is_flag=True, help="Back to the levels with which the daemon started.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@SOCKET
@of_a_lab
def command(
    *,
    level: str | None,
    reset: bool,
    as_json: bool,
    socket_path: Path | None,
    name: str | None,
    state_dir: Path | None,
) -> None:
    """Show how much a running daemon logs, by scope, or change it until it ends.

    Levels, from the most that is said to the least: debug, info, warn, error, fatal, none. What has been logged, `mizzen
    logs` prints.
    """
    if reset and level is not None:
        raise click.UsageError("--reset and --level exclude each other")
    levels = parse_levels(level) if level is not None else None
    where = chosen_socket(socket_path, state_dir, name)
    if levels is not None:
        found = change_document(where, _DOCUMENT, {"levels": dict(levels)})["levels"]
    elif reset:
        found = change_document(where, _DOCUMENT, None)["levels"]
    else:
        found = read_document(where, _DOCUMENT)["levels"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        print_columns([("scope", "level"), *found.items()])
