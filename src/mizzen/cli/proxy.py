"""`mizzen proxy`: what proxies run, from a daemon's socket or, as a workload, from an agent's."""

import json
from pathlib import Path
from typing import Any

import click

from mizzen.cli.columns import print_columns
from mizzen.cli.lab_options import chosen_socket, of_a_lab
from mizzen.cli.local_api import read_document
from mizzen.errors import UserError

_COLUMNS = ("proxy", "kind", "connected", "state")
_SOCKET = click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A daemon's admin.sock or an agent's debug.sock.  [default: the lab's daemon]",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("proxy")
def command() -> None:
    """Show which proxies there are and what they run.

    A daemon's own socket shows all. An agent's shows what the daemon lets its workload see: the proxies of its namespace, or
    all to a workload of the root namespace (istio-system).
    """


@command.command("list")
@_JSON
@_SOCKET
@of_a_lab
def list_proxies(
    *, as_json: bool, socket_path: Path | None, name: str | None, state_dir: Path | None
) -> None:
    """List the proxies, and whether each runs what it should."""
    document = read_document(chosen_socket(socket_path, state_dir, name), "workloads")
    workloads = [one for one in document["workloads"] if one["kind"] != "application"]
    if as_json:
        click.echo(json.dumps(workloads, indent=2))
        return
    print_columns([_COLUMNS, *map(_row, workloads)])


@command.command("config")
@click.argument("proxy")
@_SOCKET
@of_a_lab
def config(proxy: str, *, socket_path: Path | None, name: str | None, state_dir: Path | None) -> None:
    """Print what PROXY (namespace/name) should run, as JSON. Secrets are left out."""
    namespace, slash, workload = proxy.partition("/")
    if not (namespace and slash and workload) or "/" in workload:
        raise UserError(f"{proxy!r} is no namespace/name", "see `mizzen proxy list`")
    where = chosen_socket(socket_path, state_dir, name)
    click.echo(json.dumps(read_document(where, f"proxies/{namespace}/{workload}/config"), indent=2))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    behind = sorted(
        f"{each['typeName']} {each['state']}" for each in one["sync"] if each["state"] != "synced"
    )
    state = ", ".join(behind) or ("synced" if one["connected"] else "")
    return one["name"], one["kind"], "yes" if one["connected"] else "no", state
