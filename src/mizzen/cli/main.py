"""The entry point of `mizzen`: the table of commands, and the one place where errors become lines.

Each command is a module of `mizzen.cli` that offers `command`, a click command. Help and completion know the
commands from the table alone, so that the first page imports none of them (`mizzen --help` is fast, and works where
the libraries of the mesh do not).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from mizzen import __version__
from mizzen.errors import UserError


@dataclass(frozen=True, slots=True)
class Entry:
    """A command's line on the first page."""

    name: str
    summary: str

    def load(self) -> click.Command:
        module = import_module(f"mizzen.cli.{self.name.replace('-', '_')}")
        command: click.Command = module.command
        return command


GROUPS: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "A whole mesh on this machine",
        (
            Entry("up", "Bring up the mesh that a folder describes"),
            Entry("status", "Show workloads, traffic and delivery of a running mesh"),
            Entry("proxy", "Show which proxies there are and what they run"),
            Entry("mtls", "Show who still speaks plaintext, before STRICT is switched on"),
            Entry("audit", "Show what AuthorizationPolicies let in and denied"),
            Entry("logs", "Print what a workload, its agent and its proxy wrote"),
            Entry("curl", "Send a request from inside the mesh, as a workload"),
            Entry("down", "Stop a running mesh"),
        ),
    ),
    (
        "Configuration",
        (
            Entry("analyze", "Find mistakes in configuration, or report how secure it is"),
            Entry("validate", "Check every object of configuration by itself"),
            Entry("crds", "Print CustomResourceDefinitions of Istio's kinds"),
        ),
    ),
    (
        "The parts, one by one",
        (
            Entry("serve", "Run the daemon: configuration, discovery, CA, admin API"),
            Entry("agent", "Run a workload's agent and its Envoy"),
            Entry("log", "Show or change what a running daemon logs"),
            Entry("prometheus", "Tell Prometheus whom to scrape"),
            Entry("dashboards", "Write Grafana dashboards"),
            Entry("token", "Issue a join token for a workload"),
            Entry("ca", "Show, rotate, back up the certificate authority; revoke"),
        ),
    ),
    (
        "This program",
        (
            Entry("version", "Print the versions of Mizzen and its Envoy"),
            Entry("completion", "Print the shell's completion script"),
        ),
    ),
)

COMMANDS = {entry.name: entry for _, entries in GROUPS for entry in entries}


class LazyGroup(click.Group):
    """A group whose commands come from the table; each is imported when it is called, not before."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        return entry.load() if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
            meant = f"did you mean {close[0]!r}?" if close else "'mizzen --help' lists the commands"
            raise click.UsageError(f"there is no command {name!r}: {meant}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [
            CompletionItem(entry.name, help=entry.summary)
            for entry in COMMANDS.values()
            if entry.name.startswith(incomplete)
        ]
        # Not Group's own: it would load every command for its help.
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, entries in GROUPS:
            with formatter.section(title):
                formatter.write_dl([(entry.name.ljust(width), entry.summary) for entry in entries])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    options_metavar="",
    subcommand_metavar="COMMAND [OPTIONS]",
)
@click.version_option(__version__, "--version", message="mizzen %(version)s")
def cli() -> None:
    """Mizzen: a service mesh on stock Envoy, with Istio's APIs.

    \b
    Try it:  mizzen up samples/bookinfo
    More:    mizzen COMMAND --help
    """  # noqa: D301  # click keeps the lines after a real backspace as they are


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 1 failed, 2 misused, 130 interrupted."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: Sequence[str]) -> int:
    """Run a command and give its exit code; whatever goes wrong ends as one line on stderr."""
    try:
        return _exit_code(cli.main(list(arguments) or ["--help"], prog_name="mizzen", standalone_mode=False))
    except UserError as error:
        return _fail(str(error))
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "mizzen"
        return _fail(f"{_one_line(error.format_message())} (see '{path} --help')", code=2)
    except click.ClickException as error:
        return _fail(_one_line(error.format_message()))
    except (click.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:  # noqa: BLE001 - the door: a traceback is for the report, not for the terminal
        from mizzen.cli.crash import report_crash

        return _fail(report_crash(error, arguments))


def _exit_code(result: Any) -> int:
    # Without standalone mode click returns what the command returned, or the code given to ctx.exit().
    return result if isinstance(result, int) else 0


def _fail(message: str, *, code: int = 1) -> int:
    click.echo(f"mizzen: {message}", err=True)
    return code


def _one_line(message: str) -> str:
    return " ".join(message.split()).rstrip(".")
