"""Reports: one results.json or several as text for the terminal, Markdown, LaTeX, CSV, JSON or HTML. Reads no model, no
video, no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kangaroo_eval.report.controls import controls
from kangaroo_eval.report.published import BOLD, GREY, UNDERLINE
from kangaroo_eval.report.recorded import recorded
from kangaroo_eval.report.tables import (
    Marked,
    Table,
    breakdowns,
    elsewhere,
    overview,
    published_tables,
    run_names,
)
from kangaroo_eval.report.timing import timing

_PLAIN = {BOLD: "*", UNDERLINE: "+", GREY: "-"}
_PLAIN_LEGEND = "* best open model, + second, - proprietary value that Kangaroo beats"
_LEGEND = "bold: best open model, underlined: second, grey: proprietary value that Kangaroo beats"
_MARKDOWN = {BOLD: "**{}**", UNDERLINE: "<u>{}</u>", GREY: "*{}*"}
_MARKDOWN_LEGEND = "**bold**: best open model; <u>underlined</u>: second; *italic*: proprietary value that Kangaroo beats (grey in the paper)"

Runs = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def as_list(runs: Runs) -> list[Mapping[str, Any]]:
    """One run's results, or several, as a list."""
    return [runs] if isinstance(runs, Mapping) else list(runs)


def terminal(runs: Runs, *, columns: int | None = None) -> str:
    """The tables as text. For a terminal of that many `columns` the marks are bold, underline and grey; else they are
    signs, and every row is one line: for files, pipes and logs."""
    many = as_list(runs)
    marked = published_tables(many)
    tables = [*marked]
    for run, name in _named(many):
        tables += [*elsewhere(run), *breakdowns(run, 1, name), *controls(run), *recorded(run), *timing(run)]
    tables += [overview(run) for run in many]
    parts: list[Table | str] = [*tables]
    if marked:
        parts.insert(1, _LEGEND if columns else _PLAIN_LEGEND)
    return _for_terminal(parts, columns)


def markdown(runs: Runs) -> str:
    """The whole report: overviews, published tables, every breakdown."""
    many = as_list(runs)
    tables = published_tables(many)
    parts = ["# kangaroo-eval report", *(_markdown(overview(run)) for run in many), *map(_markdown, tables)]
    if tables:
        parts.append(_MARKDOWN_LEGEND)
    for run, name in _named(many):
        own = [*recorded(run), *controls(run), *elsewhere(run), *breakdowns(run, None, name), *timing(run)]
        parts += map(_markdown, own)
    return "\n\n".join(parts) + "\n"


def whole(runs: Runs) -> list[Table]:
    """Every table of a whole report, in order: overviews, the paper's three, those published elsewhere, breakdowns."""
    many = as_list(runs)
    tables = [overview(run) for run in many] + published_tables(many, whole=True)
    for run, name in _named(many):
        tables += [
            *recorded(run),
            *controls(run),
            *elsewhere(run),
            *breakdowns(run, None, name),
            *timing(run),
        ]
    return tables


def _named(runs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each run with the name that tells it from the others; "" where it is alone."""
    return zip(runs, run_names(runs) if len(runs) > 1 else [""], strict=True)


def text_tables(tables: Sequence[Table], *, columns: int | None = None) -> str:
    """Tables as text; `columns` as for `terminal`."""
    return _for_terminal(tables, columns)


def _for_terminal(parts: Sequence[Table | str], columns: int | None) -> str:
    if columns:
        from kangaroo_eval.report import console

        return console.rendered(parts, columns)
    return "\n\n".join(part if isinstance(part, str) else _text(part) for part in parts)


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


def _text(table: Table) -> str:
    grid = _grid(table, "simple", lambda text, mark: text + _PLAIN[mark])
    return "\n".join([table.title, grid, *(f"  {note}" for note in table.notes)])


def _markdown(table: Table) -> str:
    def style(text: str, mark: str) -> str:
        return _MARKDOWN[mark].format(text)

    escaped = table._replace(
        rows=[[cell if isinstance(cell, Marked) else _safe(cell) for cell in row] for row in table.rows]
    )
    notes: Sequence[str] = [f"- {_plain(note)}" for note in table.notes]
    grid = _grid(escaped, "pipe", style)
    return "\n\n".join([f"## {_plain(table.title)}", grid, *(["\n".join(notes)] if notes else [])])


def _plain(text: str) -> str:
    """A line that shows no picture, link or tag of another's making: what a model is called, or wrote."""
    return text.replace("](", "]\\(").replace("<", "&lt;").replace("\n", " ")


def _safe(text: str) -> str:
    """A cell that stays one cell whatever a model wrote into it."""
    return _plain(text.replace("\\", "\\\\")).replace("|", "\\|")
