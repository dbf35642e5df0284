"""`mizzen up`: a whole mesh on this machine."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from mizzen.cli.lab_options import STATE_DIR
from mizzen.errors import UserError
from mizzen.lab.definition import LabDefinition, Workload, extra_workload
from mizzen.lab.launcher import LabHandle, Options, launch
from mizzen.lab.modes import Mode
from mizzen.lab.plan import Progress, Stopping
from mizzen.lab.reading import FILE, check_extra, read_definition
from mizzen.lab.startup import StartupError
from mizzen.lab.state import state_root


@click.command("up")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--check", is_flag=True, help="Prove that the mesh works by real requests, print a table, and exit."
)
@click.option("--no-ui", is_flag=True, help="Print plain lines, even on a terminal.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="The port of the ingress.  [default: 8080 or the next free]"
)
@click.option("--name", help="The lab's name.  [default: from lab.yaml]")
@click.option(
    "--mode",
    type=click.Choice([str(mode) for mode in Mode]),
    help="How to isolate it.  [default: the best possible]",
)
@click.option(
    "--workload",
    "extra",
    multiple=True,
    metavar="NAME=COMMAND:PORT",
    help="Add a workload, with a service of its own.",
)
@STATE_DIR
def command(
    folder: Path | None,
    *,
    check: bool,
    no_ui: bool,
    port: int | None,
    name: str | None,
    mode: str | None,
    extra: tuple[str, ...],
    state_dir: Path | None,
) -> int:
    """Bring up the mesh that FOLDER describes: its lab.yaml and the mesh's own YAML.

    Everything runs in namespaces of its own and ends with this command. Without FOLDER, the workloads are those of
    --workload.
    """
    options = Options(
        definition=_definition(folder, bool(extra)),
        extra=tuple(_extra(option) for option in extra),
        folder=(folder or Path.cwd()).absolute(),
        config=() if folder is None else (folder.absolute(),),
        state_root=state_root(state_dir, os.environ),
        name=name,
        port=port,
        mode=Mode(mode) if mode else None,
    )
    check_extra(options.definition, options.extra)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with _launched(options) as lab:
        try:
            if check:
                return 0 if _prove(lab, options.definition) else 1
            return _use(lab, ui=not no_ui and sys.stdout.isatty())
        except KeyboardInterrupt:
            click.echo("stopping: the sidecars finish what is in flight")
            lab.stop(click.echo)
    return 0


def _definition(folder: Path | None, has_extra: bool) -> LabDefinition:
    if folder is None:
        if not has_extra:
            raise UserError("nothing to bring up", "name a folder, such as samples/bookinfo, or a --workload")
        return LabDefinition()
    if has_extra and not (folder / FILE).exists():
        return LabDefinition()
    return read_definition(folder / FILE)


def _extra(option: str) -> Workload:
    try:
        return extra_workload(option)
    except ValueError as error:
        raise UserError(str(error)) from None


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _launched(options: Options) -> LabHandle:
    try:
        return launch(options, click.echo)
    except StartupError as error:
        for line in error.lines:
            click.echo(f"  | {line}", err=True)
        raise


def _prove(lab: LabHandle, definition: LabDefinition) -> bool:
    """--check: whether nothing failed."""
    from mizzen.cli.running_lab import RunningLab
    from mizzen.cli.tables import print_checks
    from mizzen.lab.checks import Bench, run_checks

    _announce(lab)
    bench = Bench(lab.lab, definition, RunningLab(lab.lab).admin_get)
    return print_checks(list(run_checks(bench, click.echo)), mode=str(lab.lab.mode))


def _use(lab: LabHandle, *, ui: bool) -> int:
    """Until the lab ends, or the user ends it."""
    if ui:
        from mizzen.cli.running_lab import RunningLab
        from mizzen.cli.view import run_view

        run_view(RunningLab(lab.lab))
    else:
        _announce(lab)
        _follow(lab)
    if lab.ended_well():
        return 0
    raise UserError(lab.how_it_ended(), f"everything in it is gone; its logs are in {lab.lab.state}/logs")


def _announce(lab: LabHandle) -> None:
    click.echo(f"{lab.lab.name} is up ({lab.lab.mode})")
    if lab.lab.ingress_url:
        click.echo(f"  ingress  {lab.lab.ingress_url}")
    click.echo(f"  console  {lab.lab.admin_url}")
    click.echo(f"  logs     {lab.lab.state}/logs")
    for limit in lab.limits:
        click.echo(f"  note: {limit}")


def _follow(lab: LabHandle) -> None:
    while (report := lab.next_report()) is not None:
        match report:
            case Progress(text):
                click.echo(text)
            case Stopping(reason):
                click.echo(f"stopping: {reason}")
