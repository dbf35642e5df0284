"""Lines of a terminal, cell by cell: aligned, cut to a width, and safe to print."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

GOOD, BAD, BUSY, WARN, DIM, BOLD = "green", "red", "cyan", "yellow", "dim", "bold"
_EIGHTHS = " ▏▎▍▌▋▊▉"


def clean(words: str) -> str:
    """What came from outside, without what a terminal would obey: escapes, bells, line ends."""
    return "".join(letter if letter.isprintable() else " " for letter in words)


def cell(words: str | Text, width: int, style: str = "", *, right: bool = False) -> Text:
    """Exactly `width` columns; what is longer ends in an ellipsis."""
    text = words.copy() if isinstance(words, Text) else Text(clean(words), style)
    text.truncate(max(width, 0), overflow="ellipsis")
    text.align("right" if right else "left", max(width, 0))
    return text


def row(*cells: Text) -> Text:
    return Text(" ").join(cells)


def spread(left: Text, right: Text, width: int) -> Text:
    """Both ends of a line; the left one is cut where they do not fit."""
    return row(cell(left, width - right.cell_len - 1), right)


def bar(share: float, width: int) -> str:
    """A horizontal bar of `share` (0 to 1) of the width, to an eighth of a column."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def rate(per_second: float) -> str:
    if 0 < per_second < 0.1:
        return "<0.1/s"
    return f"{per_second:.1f}/s" if per_second < 100 else f"{per_second:,.0f}/s"


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "0%"


def duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 2 * 86400 else f"{whole // 86400} days"


def milliseconds(value: float | None) -> str:
    """A duration; nothing where none was measured."""
    if value is None:
        return ""
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"


def short_name(name: str) -> str:
    """A workload's name without its namespace."""
    return name.rpartition("/")[2]


def short_identity(uri: str) -> str:
    """spiffe://<trust domain>/ns/<namespace>/sa/<account> as "<namespace>/<account>"; others as they are."""
    parts = uri.removeprefix("spiffe://").split("/")
    return f"{parts[2]}/{parts[4]}" if len(parts) == 5 and (parts[1], parts[3]) == ("ns", "sa") else uri


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with lines below it.

    `columns` stands beside the name in the heading; `least` is how many lines are worth showing at all; of two
    sections that compete for room the one with the lower `rank` wins.
    """

    name: str
    name_width: int
    columns: Text
    lines: Sequence[Text]
    rank: int
    least: int


def fit(sections: Sequence[Section], height: int) -> list[Text]:
    """The sections in their order in at most `height` lines: with air between them if it fits, else cut, else dropped."""
    present = [section for section in sections if section.lines]
    shown = _share_out(present, height)
    air = height - sum(1 + count for count in shown.values())
    lines: list[Text] = []
    for section in present:
        count = shown.get(section.rank, 0)
        if count:
            if air > 0:
                lines.append(Text())
                air -= 1
            lines += _written(section, count)
    return lines


def _share_out(sections: Sequence[Section], height: int) -> dict[int, int]:
    """How many lines each section gets, by rank: first the least of each, then what is left to the first in rank."""
    shown: dict[int, int] = {}
    room = height
    ranked = sorted(sections, key=lambda section: section.rank)
    for section in ranked:
        least = min(section.least, len(section.lines))
        if room > least:
            shown[section.rank] = least
            room -= 1 + least
    for section in ranked:
        if section.rank in shown:
            more = min(room, len(section.lines) - shown[section.rank])
            shown[section.rank] += more
            room -= more
    return shown


def _written(section: Section, count: int) -> list[Text]:
    hidden = len(section.lines) - count
    name = Text(section.name, BOLD)
    if hidden:
        name.append(f"  +{hidden} more", DIM)
    heading = row(cell(name, section.name_width), section.columns) if section.columns else name
    return [heading, *section.lines[:count]]
