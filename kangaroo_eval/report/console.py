"""Tables for a terminal that somebody looks at: as wide as it is, marks as bold, underline and grey."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from kangaroo_eval.report.published import BOLD, GREY, UNDERLINE
from kangaroo_eval.report.tables import Marked, Table

_STYLES = {BOLD: "bold", UNDERLINE: "underline", GREY: "bright_black"}
_GAP = 2
_HEADING_BREAK = re.compile(r"(?<=-)(?=\w)| ")
_ERROR_BREAK = re.compile(r" (?=± \d|\(\d)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal would obey: names and messages come out of files that others wrote."""


def rendered(parts: Sequence[Table | str], columns: int) -> str:
    """Tables, and lines between them, with ANSI styles in `columns` columns. Where a table is wider, its headings are put
    on several lines, then a value's error below it; where that is not enough it stays wider: a number is never cut."""
    out = io.StringIO()
    console = Console(
        file=out, width=columns, force_terminal=True, highlight=False, markup=False, emoji=False
    )
    for place, part in enumerate(parts):
        if place:
            console.print()
        if isinstance(part, str):
            console.print(_text(part))
            continue
        console.print(_text(part.title), style="bold")
        grid, needed = _grid(part, columns)
        console.width = max(columns, needed)
        console.print(grid)
        console.width = columns
        for note in part.notes:
            style = "yellow" if "CHECK:" in note else ""
            console.print(Padding(_text(note), (0, 0, 0, 2)), style=style)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _grid(table: Table, columns: int) -> tuple[Grid, int]:
    """The table without its title and notes, and how many columns it takes."""
    header, rows = table.header, table.rows
    if _needed(header, rows) > columns:
        header = _level([_HEADING_BREAK.sub("\n", name) for name in header])
    if _needed(header, rows) > columns:
        rows = [[row[0], *map(_in_lines, row[1:])] for row in rows]
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, _GAP - 1, 0, 0))
    for place, name in enumerate(header):
        grid.add_column(_text(name), justify="right" if place else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*map(_cell, row))
    return grid, _needed(header, rows)


def _level(names: Sequence[str]) -> list[str]:
    """With lines before the shorter ones, so that all end on the last line."""
    most = max(name.count("\n") for name in names)
    return ["\n" * (most - name.count("\n")) + name for name in names]


def _in_lines(cell: str) -> str:
    broken = _ERROR_BREAK.sub("\n", cell)
    return Marked(broken, cell.mark) if isinstance(cell, Marked) else broken


def _needed(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    widths = [
        max(cell_len(line) for cell in column for line in (*cell.splitlines(), ""))
        for column in zip(header, *rows, strict=True)
    ]
    return sum(widths) + _GAP * len(widths)


def _cell(cell: str) -> Text:
    return _text(cell, _STYLES[cell.mark] if isinstance(cell, Marked) else "")


def _text(text: str, style: str = "") -> Text:
    # Not the style of the whole text, which would underline what a cell is filled up with.
    return Text().append(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text), style=style)
