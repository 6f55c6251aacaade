"""Reports: one results.json or several as text for the terminal, Markdown, LaTeX, CSV, JSON or HTML. Reads no model, no
video, no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kangaroo_eval.report.controls import controls
from kangaroo_eval.report.published import BOLD, GREY, UNDERLINE
from kangaroo_eval.report.recorded import recorded
from kangaroo_eval.report.tables import Marked, Table, breakdowns, elsewhere, overview, published_tables
from kangaroo_eval.report.timing import timing

_ANSI = {BOLD: "\x1b[1m", UNDERLINE: "\x1b[4m", GREY: "\x1b[90m"}
_PLAIN = {BOLD: "*", UNDERLINE: "+", GREY: "-"}
_PLAIN_LEGEND = "* best open model, + second, - proprietary value that Kangaroo beats"
_LEGEND = "bold: best open model, underlined: second, grey: proprietary value that Kangaroo beats"
_MARKDOWN = {BOLD: "**{}**", UNDERLINE: "<u>{}</u>", GREY: "*{}*"}
_MARKDOWN_LEGEND = "**bold**: best open model; <u>underlined</u>: second; *italic*: proprietary value that Kangaroo beats (grey in the paper)"

Runs = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def as_list(runs: Runs) -> list[Mapping[str, Any]]:
    """One run's results, or several, as a list."""
    return [runs] if isinstance(runs, Mapping) else list(runs)


def terminal(runs: Runs, *, colour: bool = False) -> str:
    """The tables as text. With `colour` the marks are ANSI bold, underline and grey, else signs."""

    def style(text: str, mark: str) -> str:
        return f"{_ANSI[mark]}{text}\x1b[0m" if colour else text + _PLAIN[mark]

    many = as_list(runs)
    marked = published_tables(many)
    tables = [*marked]
    for run in many:
        tables += [*elsewhere(run), *breakdowns(run, most=1), *controls(run), *recorded(run), *timing(run)]
    tables += [overview(run) for run in many]
    parts = [_text(table, "simple", style) for table in tables]
    if marked:
        parts.insert(1, _LEGEND if colour else _PLAIN_LEGEND)
    return "\n\n".join(parts)


def markdown(runs: Runs) -> str:
    """The whole report: overviews, published tables, every breakdown."""
    many = as_list(runs)
    tables = published_tables(many)
    parts = ["# kangaroo-eval report", *(_markdown(overview(run)) for run in many), *map(_markdown, tables)]
    if tables:
        parts.append(_MARKDOWN_LEGEND)
    for run in many:
        parts += map(
            _markdown, [*recorded(run), *controls(run), *elsewhere(run), *breakdowns(run), *timing(run)]
        )
    return "\n\n".join(parts) + "\n"


def whole(runs: Runs) -> list[Table]:
    """Every table of a whole report, in order: overviews, the paper's three, those published elsewhere, breakdowns."""
    many = as_list(runs)
    tables = [overview(run) for run in many] + published_tables(many, whole=True)
    for run in many:
        tables += [*recorded(run), *controls(run), *elsewhere(run), *breakdowns(run), *timing(run)]
    return tables


def text_tables(tables: Sequence[Table]) -> str:
    """Tables for a terminal."""
    return "\n\n".join(_text(table, "simple", lambda text, mark: text + _PLAIN[mark]) for table in tables)


def markdown_tables(tables: Sequence[Table]) -> str:
    """Tables as Markdown."""
    return "\n\n".join(map(_markdown, tables))


Style = Callable[[str, str], str]


def _grid(table: Table, form: str, style: Style) -> str:
    from tabulate import tabulate

    rows = [
        [style(cell, cell.mark) if isinstance(cell, Marked) else cell for cell in row] for row in table.rows
    ]
    align = ("left", *["right"] * (len(table.header) - 1))
    return str(tabulate(rows, headers=table.header, tablefmt=form, disable_numparse=True, colalign=align))


def _text(table: Table, form: str, style: Style) -> str:
    return "\n".join([table.title, _grid(table, form, style), *(f"  {note}" for note in table.notes)])


def _markdown(table: Table) -> str:
    def style(text: str, mark: str) -> str:
        return _MARKDOWN[mark].format(text)

    escaped = table._replace(
        rows=[[cell if isinstance(cell, Marked) else _safe(cell) for cell in row] for row in table.rows]
    )
    notes: Sequence[str] = [f"- {note}" for note in table.notes]
    grid = _grid(escaped, "pipe", style)
    return "\n\n".join([f"## {table.title}", grid, *(["\n".join(notes)] if notes else [])])


def _safe(text: str) -> str:
    """A cell that stays one cell whatever a model wrote into it."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
