"""`mizzen status`: what runs in a lab, and how far the mesh has brought it."""

import json
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import click
import msgspec

from mizzen.admin.schema import MeshStatus, WorkloadStatus
from mizzen.cli.lab_options import chosen_lab, of_a_lab
from mizzen.lab.client import ask
from mizzen.lab.protocol import InstanceStatus, LabStatus, ProcessStatus, StatusRequest
from mizzen.lab.state import LabFile

_DAEMON_SECONDS = 5.0


@click.command("status")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON: the lab's processes and the daemon's view of the mesh.",
)
@of_a_lab
def command(*, as_json: bool, name: str | None, state_dir: Path | None) -> None:
    """Show the workloads of a running lab: processes, identity, and whether the proxy has its configuration."""
    lab = chosen_lab(state_dir, name)
    status = ask(lab.control, StatusRequest(), LabStatus)
    mesh = _mesh_status(lab)
    if as_json:
        click.echo(
            json.dumps({"lab": msgspec.to_builtins(status), "mesh": msgspec.to_builtins(mesh)}, indent=2)
        )
    else:
        _print(lab, status, mesh)


def _mesh_status(lab: LabFile) -> MeshStatus | None:
    """None where the daemon does not answer: the lab may be fine all the same."""
    direct = build_opener(ProxyHandler({}))
    try:
        with direct.open(f"{lab.admin_url}/api/v1/status", timeout=_DAEMON_SECONDS) as answer:
            return msgspec.json.decode(answer.read(), type=MeshStatus)
    except (URLError, OSError, msgspec.DecodeError):
        return None


def _print(lab: LabFile, status: LabStatus, mesh: MeshStatus | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    state = "ready" if status.ready else "not ready"
    console.print(f"{status.name}: {state} ({status.mode}), {lab.folder}", soft_wrap=True)
    for label, url in (("ingress", lab.ingress_url), ("console", lab.admin_url)):
        if url:
            console.print(f"  {label}  {url}")
    if mesh is None:
        console.print("  the daemon does not answer; the proxies go on with what they have")
    table = Table(box=None, pad_edge=False)
    for heading in ("WORKLOAD", "ADDRESS", "APPLICATION", "SIDECAR", "CONFIGURATION", "IDENTITY"):
        table.add_column(heading, no_wrap=True)
    known = {workload.name: workload for workload in mesh.workloads} if mesh else {}
    for instance in status.instances:
        table.add_row(*_row(instance, known.get(f"{instance.namespace}/{instance.name}")))
    console.print(table, soft_wrap=True)


def _row(instance: InstanceStatus, workload: WorkloadStatus | None) -> tuple[str, ...]:
    application = _process(instance.application) if instance.application else "-"
    known = (_delivery(workload), workload.identity) if workload else ("?", "?")
    return (
        f"{instance.namespace}/{instance.name}",
        instance.address,
        application,
        _process(instance.agent),
        *known,
    )


def _process(process: ProcessStatus) -> str:
    state = "runs" if process.pid else process.ended or "waits"
    return f"{state}, {process.restarts} restarts" if process.restarts else state


def _delivery(workload: WorkloadStatus) -> str:
    if not workload.connected:
        return "not connected"
    states = {sync.state for sync in workload.sync}
    return next((state for state in ("rejected", "pending") if state in states), "synced")
