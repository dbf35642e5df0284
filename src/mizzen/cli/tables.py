"""Tables that are printed once: the results of `--check`, and `mizzen status`."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from mizzen.cli.lines import BAD, BOLD, DIM, GOOD, cell, clean, row
from mizzen.cli.snapshot import Snapshot
from mizzen.cli.view import make_console, print_lines, render
from mizzen.lab.checks import Check, CheckState

_STYLES = {CheckState.PROVED: ("✓", GOOD), CheckState.FAILED: ("✗", BAD), CheckState.NOT_SHOWN: ("-", DIM)}
_STATE_WIDTH = max(len(state.value) for state in CheckState) + 2


def print_checks(checks: Sequence[Check], *, mode: str = "", console: Console | None = None) -> bool:
    """Print the table and a line that sums it up; whether nothing failed. Nothing is cut: evidence wraps."""
    console = console or make_console()
    for check in checks:
        mark, style = _STYLES[check.state]
        statement = _indented(check.statement, BOLD, console.width)
        console.print(
            row(cell(f"{mark} {check.state.value}", _STATE_WIDTH, style), statement[_STATE_WIDTH + 1 :])
        )
        if check.evidence:
            console.print(_indented(check.evidence, DIM, console.width))
    counts = {state: sum(check.state is state for check in checks) for state in CheckState}
    failed = counts[CheckState.FAILED]
    console.print(
        Text.assemble(
            "\n",
            (f"{counts[CheckState.PROVED]} proved", GOOD),
            ", ",
            (f"{failed} failed", BAD if failed else ""),
            f", {counts[CheckState.NOT_SHOWN]} not shown in this mode",
            f" ({mode})" if mode else "",
        )
    )
    return not failed


def _indented(words: str, style: str, width: int) -> Text:
    indent = _STATE_WIDTH + 1
    text = Text(clean(words), style)
    lines = text.wrap(Console(width=width), max(width - indent, 20))
    return Text("\n").join(Text(" " * indent).append_text(line) for line in lines)


def print_status(snapshot: Snapshot, console: Console | None = None) -> None:
    """`mizzen status`: what the live view shows, once and whole."""
    console = console or make_console()
    print_lines(render(snapshot, max(console.width, 80), None), console)
