"""`mizzen mtls`: whether STRICT mutual TLS can be switched on."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from mizzen.cli.columns import print_columns
from mizzen.cli.lab_options import SOCKET, chosen_socket, of_a_lab
from mizzen.cli.lines import clean, duration
from mizzen.cli.local_api import read_document

_REFUSED = 1  # the exit code of a dry run that found somebody
_NO_PROXY = "no proxy"


@click.group("mtls")
def command() -> None:
    """Show how far mutual TLS has come."""


@command.command("report")
@click.option("--namespace", "-n", metavar="NS", help="Only workloads of this namespace.")
@click.option(
    "--dry-run", is_flag=True, help="Say what STRICT would refuse; exit 1 if it would refuse anybody."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@SOCKET
@of_a_lab
def report(
    *,
    namespace: str | None,
    dry_run: bool,
    as_json: bool,
    socket_path: Path | None,
    name: str | None,
    state_dir: Path | None,
) -> None:
    """Show for each workload who still reaches it in plaintext, by the counts of the proxies.

    Proxies count from their own start, so let the report see as much traffic as matters: who calls once a month is not in it after
    a week. A caller without a proxy has no name; the application's own log may know its address.
    """
    where = chosen_socket(socket_path, state_dir, name)
    document = read_document(where, "mutual-tls")
    workloads = [
        one for one in document["workloads"] if namespace in {None, one["workload"].partition("/")[0]}
    ]
    if as_json:
        import json

        click.echo(json.dumps({**document, "workloads": workloads}, indent=2))
    elif dry_run:
        _say_refused(workloads, time.time() - document["since"])
    else:
        _print_table(workloads)
    if dry_run and any(_refused(workloads)):
        sys.exit(_REFUSED)


def _print_table(workloads: list[dict[str, Any]]) -> None:
    rows = [("workload", "mode", "mutual", "plaintext", "in plaintext from")]
    for one in workloads:
        callers = [f"{caller['source'] or _NO_PROXY} {caller['total']:,}" for caller in one["callers"]]
        rows.append(
            (
                one["workload"],
                one["mode"],
                f"{one['mutualTotal']:,}",
                f"{one['plaintextTotal']:,}",
                ", ".join(callers),
            )
        )
    print_columns(rows)
    open_ones = [one for one in workloads if one["mode"] != "STRICT"]
    ready = sum(not one["plaintextTotal"] for one in open_ones)
    click.echo(f"\n{ready} of {len(open_ones)} workloads that are not STRICT have seen no plaintext")


def _refused(workloads: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each workload that plaintext reaches, with each of those who send it."""
    return ((one, caller) for one in workloads if one["mode"] != "STRICT" for caller in one["callers"])


def _say_refused(workloads: list[dict[str, Any]], seconds: float) -> None:
    found = list(_refused(workloads))
    if not found:
        click.echo(
            f"STRICT would refuse nobody who called so far; the daemon has watched for {duration(seconds)}"
        )
        return
    click.echo("STRICT would refuse:")
    for one, caller in found:
        last = caller["lastSeen"]
        ago = f"the last {duration(time.time() - last)} ago" if last else "before the daemon watched"
        who = (
            f"{caller['source']}, whose proxy speaks plaintext: see its DestinationRules"
            if caller["source"]
            else "callers without a proxy"
        )
        click.echo(clean(f"  {one['workload']}: {caller['total']:,} from {who} ({ago})"))
