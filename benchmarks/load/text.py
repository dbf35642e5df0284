"""Figures as text."""

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """From the least value to the greatest; of more values than fit, the greatest of each few."""
    if not values:
        return ""
    a_bar = -(-len(values) // width)
    shown = [max(values[at : at + a_bar]) for at in range(0, len(values), a_bar)]
    least, span = min(values), max(values) - min(values)
    return "".join(_BARS[round((value - least) / span * (len(_BARS) - 1)) if span else 0] for value in shown)


def table(rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_row(row, widths) for row in rows)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join((first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)))
