"""Plain text in columns, for lists that are printed whole and may be piped on."""

from collections.abc import Sequence

import click

from mizzen.cli.lines import clean


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Each column as wide as its longest cell; what a terminal would obey is taken out."""
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
