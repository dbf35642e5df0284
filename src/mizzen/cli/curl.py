"""`mizzen curl`: a request from inside the mesh, as a workload would send it."""

from pathlib import Path

import click

from mizzen.cli.lab_options import chosen_lab, of_a_lab
from mizzen.errors import UserError
from mizzen.lab.client import ask
from mizzen.lab.protocol import CallRequest, Responses


@click.command("curl")
@click.option("--from", "source", required=True, metavar="WORKLOAD", help="Who sends it.")
@click.argument("url")
@click.option("-X", "--request", "method", default="GET", show_default=True, help="The method.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE")
@click.option("-d", "--data", default="", help="The body.")
@click.option("-i", "--include", is_flag=True, help="Print status and headers, too.")
@click.option(
    "--max-time", type=click.FloatRange(min=0.1), default=15.0, show_default=True, help="In seconds."
)
@of_a_lab
def command(
    source: str,
    url: str,
    *,
    method: str,
    headers: tuple[str, ...],
    data: str,
    include: bool,
    max_time: float,
    name: str | None,
    state_dir: Path | None,
) -> None:
    """Send a request to URL through WORKLOAD's sidecar, with its identity."""
    lab = chosen_lab(state_dir, name)
    call = CallRequest(
        source=source,
        url=url if "://" in url else f"http://{url}",
        method=method,
        headers=dict(_header(header) for header in headers),
        body=data.encode(),
        timeout_seconds=max_time,
    )
    response = ask(lab.control, call, Responses, max_time + 30).responses[0]
    if not response.status:
        raise UserError(f"no answer from {url}: {response.error}")
    if include:
        click.echo(f"HTTP {response.status}")
        for key, value in response.headers:
            click.echo(f"{key}: {value}")
        click.echo()
    click.echo(response.body, nl=False)


def _header(text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon or not key.strip():
        raise UserError(f"{text!r} is not NAME:VALUE", "such as -H 'end-user: jason'")
    return key.strip(), value.strip()
