"""`mizzen prometheus`: whom Prometheus is to scrape, as a file that it watches, and a configuration that uses it.

Source: Prometheus' file service discovery (file_sd_configs) and HTTP service discovery (http_sd_configs).
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click
import yaml

from mizzen.cli.lab_options import SOCKET, chosen_socket, of_a_lab
from mizzen.cli.lines import clean
from mizzen.errors import UserError

_LOOK_SECONDS: Final = 5.0
_SCRAPE_SECONDS: Final = 15
_TARGETS_PATH: Final = "/api/v1/prometheus/targets"


@click.group("prometheus")
def command() -> None:
    """Tell Prometheus whom to scrape (docs/prometheus.md)."""


@command.command("targets")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write them into this file, which Prometheus watches, at once and only when they differ.",
)
@click.option("--watch", is_flag=True, help="Go on, and write whenever they change. Needs --output.")
@SOCKET
@of_a_lab
def targets(
    *, output: Path | None, watch: bool, socket_path: Path | None, name: str | None, state_dir: Path | None
) -> None:
    """Print the workloads' agents, in the form of Prometheus' file service discovery."""
    if watch and output is None:
        raise click.UsageError("--watch needs --output")

    def read() -> bytes:
        return _targets(socket_path, state_dir, name)

    if output is None:
        click.echo(read().decode(), nl=False)
    elif watch:
        keep_written(output, read, _wait, _say)
    else:
        write_if_changed(output, read())


@command.command("config")
@click.option(
    "--daemon",
    "daemons",
    multiple=True,
    default=("127.0.0.1:15014",),
    metavar="HOST:PORT",
    help="The admin address of a daemon (mizzen serve --admin-address); repeatable.  [default: 127.0.0.1:15014]",
)
@click.option(
    "--targets",
    "file",
    default="mizzen-targets.json",
    show_default=True,
    metavar="FILE",
    help="What `mizzen prometheus targets --output` writes, as Prometheus finds it from its configuration.",
)
@click.option(
    "--http", is_flag=True, help="Let Prometheus ask the daemons for the workloads, in place of a file."
)
def config(*, daemons: tuple[str, ...], file: str, http: bool) -> None:
    """Print a configuration of Prometheus that scrapes the daemons and all workloads."""
    discovery = (
        {"http_sd_configs": [{"url": f"http://{daemon}{_TARGETS_PATH}"} for daemon in daemons]}
        if http
        else {"file_sd_configs": [{"files": [file]}]}
    )
    click.echo(yaml.safe_dump(configuration(daemons, discovery), sort_keys=False), nl=False)


def configuration(daemons: Iterable[str], discovery: dict[str, Any]) -> dict[str, Any]:
    """`discovery`: where the workloads come from; each brings its path and its labels along."""
    return {
        "global": {"scrape_interval": f"{_SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {"job_name": "mizzen", "static_configs": [{"targets": list(daemons)}]},
            {"job_name": "mizzen-workloads", **discovery},
        ],
    }


def keep_written(
    path: Path, read: Callable[[], bytes], wait: Callable[[], None], say: Callable[[str], None]
) -> None:
    """Until `wait` raises. While nobody answers the file stays as it is, and `say` gets one line that says why."""
    said = ""
    while True:
        try:
            write_if_changed(path, read())
            said = ""
        except UserError as error:
            if str(error) != said:
                said = str(error)
                say(said)
        wait()


def write_if_changed(path: Path, content: bytes) -> None:
    """Whole or not at all: Prometheus reads at any time. Raises UserError."""
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        # Beside it, for the rename; hidden, as Prometheus may be told to read *.json.
        unfinished = path.with_name(f".{path.name}.unfinished")
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}", "choose another file with --output"
        ) from None


def _targets(socket_path: Path | None, state_dir: Path | None, name: str | None) -> bytes:
    import json

    from mizzen.cli.local_api import read_document

    where = chosen_socket(socket_path, state_dir, name)
    return json.dumps(read_document(where, _TARGETS_PATH.removeprefix("/api/v1/")), indent=2).encode() + b"\n"


def _wait() -> None:
    time.sleep(_LOOK_SECONDS)


def _say(words: str) -> None:
    click.echo(f"mizzen: {clean(words)}", err=True)
