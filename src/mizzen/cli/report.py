"""Diagnostics on a terminal: by file, place first, wrapped to the width."""

import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import click

from mizzen.cli.lines import clean
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.resource import path_text

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_OF_A_KIND = "MZ0103"  # says the same of every object of a kind
_INDENT = "    "
_NARROWEST = 40  # columns: on less nothing can be read anyway
_WIDEST = 110

ORDER = tuple(Severity)
"""From the worst on."""


def width() -> int | None:
    """Columns to wrap to; None where the output is not a terminal: programs want whole lines."""
    if not sys.stdout.isatty():
        return None
    return min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST)


def merged(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """With one line for a kind that nothing implements yet, however many objects there are of it."""
    counts = Counter(found.message for found in diagnostics if found.code == _OF_A_KIND)
    made = []
    for found in diagnostics:
        if found.code != _OF_A_KIND:
            made.append(found)
        elif others := counts.pop(found.message, 0):
            more = f" (and so for {counted(others - 1, 'object')} more)" if others > 1 else ""
            made.append(replace(found, message=found.message + more))
    return made


def print_report(diagnostics: Sequence[Diagnostic], columns: int | None) -> None:
    for index, (_, group) in enumerate(groupby(diagnostics, _file)):
        if index:
            click.echo()
        _print(_lines(group, columns))


def _print(lines: Iterable[str]) -> None:
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in lines:
        click.echo(line, color=colour)


def _file(diagnostic: Diagnostic) -> str:
    return diagnostic.location.file if diagnostic.location else ""


def _lines(diagnostics: Iterable[Diagnostic], columns: int | None) -> Iterator[str]:
    for found in diagnostics:
        place = f"{found.location}: " if found.location else ""
        head = f"{place}{found.severity.value} {found.code}: "
        first, *rest = _wrapped(f"{head}{clean(found.message)}", columns, "")
        styled = click.style(found.severity.value, fg=_COLOURS[found.severity], bold=True)
        yield clean(first).replace(f"{found.severity.value} {found.code}", f"{styled} {found.code}", 1)
        yield from rest
        subject = ", ".join(filter(None, (str(found.resource or ""), path_text(found.path))))
        if subject:
            yield from (click.style(line, dim=True) for line in _wrapped(clean(subject), columns, _INDENT))
        yield from _wrapped(clean(found.advice), columns, _INDENT)


def _wrapped(text: str, columns: int | None, indent: str) -> list[str]:
    """Long words (places, names) are never broken: people copy them."""
    if columns is None:
        return [indent + text]
    lines = textwrap.wrap(
        text,
        columns,
        initial_indent=indent,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [indent]


def print_check(
    question: str, why: str, found: Sequence[Diagnostic], *, passed: bool, columns: int | None
) -> None:
    """A question of the posture report, with its answer."""
    mark = click.style("pass", fg="green", bold=True) if passed else click.style("fail", fg="red", bold=True)
    first, *rest = _wrapped(f"pass  {question}", columns, "")
    _print([first.replace("pass", mark, 1), *rest])
    if found:
        _print(click.style(line, dim=True) for line in _wrapped(why[0].upper() + why[1:], columns, _INDENT))
        inner = None if columns is None else columns - len(_INDENT)
        _print(_INDENT + line for line in _lines(found, inner))


def counted(number: int, noun: str) -> str:
    """1 error, 2 errors."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def totals(diagnostics: Iterable[Diagnostic]) -> str:
    """2 errors, 1 warning; "no problems" where there are none."""
    severities = [found.severity for found in diagnostics]
    told = [counted(severities.count(each), each.value) for each in ORDER if each in severities]
    return ", ".join(told) or "no problems"
