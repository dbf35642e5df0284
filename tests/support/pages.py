"""Reads the documentation's pages as scripts: the files that a page shows, and the commands that it runs.

A fence below a line with a path in bold is that file; if the line goes on "in place of `text`", the fence replaces that
text in it. A `console` fence holds commands ("$ ...") with what they print below, where "..." stands for anything. The
lines of a `sh` fence are commands that print nothing worth showing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

_FENCE = re.compile(
    r"(?:^\*\*`(?P<path>[^`]+)`\*\*(?:, in place of `(?P<old>[^`]+)`)?\n\n)?"
    r"^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Write:
    path: str
    text: str


@dataclass(frozen=True)
class Replace:
    """Exactly one occurrence of `old` becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Run:
    command: str
    expected: str = ""

    def is_answered_by(self, output: str) -> bool:
        pattern = re.escape(self.expected.strip()).replace(re.escape("..."), ".*?")
        return re.fullmatch(pattern, output.strip(), re.DOTALL) is not None


Step = Write | Replace | Run


def read_steps(page: str) -> Iterator[Step]:
    """The steps of a page of Markdown, in their order."""
    for fence in _FENCE.finditer(page):
        text = fence["text"]
        if fence["old"]:
            yield Replace(fence["path"], fence["old"], text.rstrip("\n"))
        elif fence["path"]:
            yield Write(fence["path"], text)
        elif fence["language"] == "sh":
            yield from (Run(line) for line in text.splitlines())
        elif fence["language"] == "console":
            yield from _transcript(text)


def _transcript(text: str) -> Iterator[Run]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield Run(command, expected)
