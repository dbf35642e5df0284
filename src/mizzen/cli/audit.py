"""`mizzen audit`: what AuthorizationPolicies decided, from the audit logs of a lab or of folders."""

import json
from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from pathlib import Path
from typing import Any

import click

from mizzen.cli.columns import print_columns
from mizzen.cli.lab_options import chosen_lab, of_a_lab
from mizzen.errors import UserError
from mizzen.lab.protocol import is_called

_COLUMNS = ("time", "verdict", "caller", "workload", "request", "policy")


@click.command("audit")
@click.argument("workload", required=False)
@click.option("--denied", is_flag=True, help="Only what was denied.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True),
    help="Logs of an agent (--audit-dir), or a folder of such folders.",
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many of the last decisions.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the lines as they were written.")
@of_a_lab
def command(
    workload: str | None,
    *,
    denied: bool,
    folder: Path | None,
    lines: int,
    as_json: bool,
    name: str | None,
    state_dir: Path | None,
) -> None:
    """Show the decisions of the proxies, the oldest first; of one WORKLOAD, or of all.

    Every denial is there, and what was allowed as far as the MeshConfig asks for it (docs/audit-log.md).
    """
    place = folder or Path(chosen_lab(state_dir, name).state) / "audit"
    found = [one for one in decisions(place) if _is_meant(one, workload, denied=denied)][-lines:]
    if as_json:
        for one in found:
            click.echo(json.dumps(one))
        return
    if not found:
        click.echo("nothing was denied" if denied else "nothing was written: no policy denied anything")
        return
    print_columns([_COLUMNS, *map(_row, found)])


def decisions(place: Path) -> Iterable[Mapping[str, Any]]:
    """Everything in the logs below a folder, by time. Raises UserError."""
    files = sorted(place.rglob("audit.log*"))
    try:
        return list(merge(*(list(_lines(file)) for file in files), key=lambda one: str(one.get("time", ""))))
    except OSError as error:
        raise UserError(
            f"cannot read {error.filename}: {error.strerror}", "run it as the user of the agents"
        ) from error


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open(errors="replace") as text:
        for line in text:
            try:
                found = json.loads(line)
            except ValueError:
                continue  # a line that is being written
            if isinstance(found, dict):
                yield found


def _is_meant(one: Mapping[str, Any], workload: str | None, *, denied: bool) -> bool:
    if denied and one.get("verdict") != "denied":
        return False
    instance = str(one.get("workload"))
    of = instance.rsplit("-", 1)[0]
    return workload is None or is_called(workload, str(one.get("namespace")), of, instance)


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    request = " ".join(str(one[name]) for name in ("method", "host", "path", "status") if name in one)
    caller = str(one.get("caller") or f"plaintext from {one.get('caller_address', 'somewhere')}")
    return (
        str(one.get("time", "")),
        str(one.get("verdict", "")),
        caller.removeprefix("spiffe://"),
        f"{one.get('namespace', '')}/{one.get('workload', '')}",
        request or f"connection to {one.get('address', '')}",
        str(one.get("policy") or one.get("details", "")).removeprefix("rbac_access_denied_matched_policy"),
    )
