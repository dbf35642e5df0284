"""Writes docs/analysis.md: every analyzer, posture check and code of theirs, from the code. `--check` only compares."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mizzen.analysis.left_out import LEFT_OUT
from mizzen.analysis.posture.report import CHECKS
from mizzen.analysis.registry import ANALYZERS
from mizzen.config.diagnostics import CATALOGUE

PAGE = Path(__file__).parents[1] / "docs" / "analysis.md"

_HEAD: Final = """\
# Analysis

<!-- Written by scripts/analysis_page.py from the code. -->

What is wrong *between* objects: `mizzen analyze FOLDER` says it before anything ships, the daemon while it runs. Codes are
Istio's where the meaning is Istio's. What is wrong within one object stands in [diagnostics.md](diagnostics.md); `mizzen validate` is that
part alone.

A finding can be suppressed where it is wanted: `--suppress 'IST0102=Namespace shop'`, or the annotation
`galley.istio.io/analyze-suppress: IST0102` on the object.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_analyzers(), *_posture(), *_codes(), *_left_out()])


def _analyzers() -> Iterator[str]:
    yield "## What is asked\n"
    yield from ("| question | of | codes |", "| --- | --- | --- |")
    for analyzer in ANALYZERS:
        question = _docstring(f"mizzen.analysis.analyzers.{analyzer.name}")
        note = " (with `--all`)" if analyzer.asked_for else ""
        yield f"| {question}{note} | {', '.join(analyzer.kinds)} | {', '.join(analyzer.codes)} |"
    yield ""


def _docstring(module: str) -> str:
    words = __import__(module, fromlist=["__doc__"]).__doc__ or ""
    return words.strip().partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def _posture() -> Iterator[str]:
    yield "## Posture\n"
    yield "`mizzen analyze --posture` asks how secure the mesh is as configured.\n"
    yield from ("| question | why it matters | codes |", "| --- | --- | --- |")
    for check in CHECKS:
        yield f"| {check.question} | {check.why} | {', '.join(check.codes)} |"
    yield ""


def _codes() -> Iterator[str]:
    yield "## Codes\n"
    used = {code for source in (*ANALYZERS, *CHECKS) for code in source.codes}
    for code in (found for name, found in CATALOGUE.items() if name in used or name == "IST0001"):
        advice = code.what_to_do[0].upper() + code.what_to_do[1:]
        yield f"### {code.code} {code.title}\n\n{code.severity.value.capitalize()}. {advice}.\n"


def _left_out() -> Iterator[str]:
    yield "## What Istio says and Mizzen does not\n"
    yield from ("| Istio's message | why not |", "| --- | --- |")
    yield from (f"| {name} | {reason} |" for name, reason in LEFT_OUT.items())
    yield ""


def main() -> int:
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        print(f"{PAGE.name} is not what the code says: run python {Path(sys.argv[0]).name}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
