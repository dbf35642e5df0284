"""`mizzen dashboards`: Grafana's, for the mesh's metrics."""

import json
from pathlib import Path

import click

from mizzen.dashboards.pages import DASHBOARDS
from mizzen.errors import UserError


@click.command("dashboards")
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for the files, one for each dashboard.",
)
def command(*, output: Path) -> None:
    """Write Grafana dashboards of the mesh, its services, its workloads and the control plane (docs/dashboards.md)."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        for dashboard in DASHBOARDS:
            path = output / f"{dashboard.uid}.json"
            path.write_text(json.dumps(dashboard.to_json(), indent=2) + "\n")
            click.echo(path)
    except OSError as error:
        raise UserError(
            f"cannot write into {output}: {error.strerror}", "choose another folder with --output"
        ) from None
