"""Reports: a results.json as text for the terminal or as Markdown. Reads no model, no video, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kangaroo_eval.report.published import BOLD, GREY, UNDERLINE
from kangaroo_eval.report.tables import Table, breakdowns, elsewhere, overview, published_tables

_ANSI = {BOLD: "\x1b[1m", UNDERLINE: "\x1b[4m", GREY: "\x1b[90m"}
_PLAIN = {BOLD: "*", UNDERLINE: "+", GREY: "-"}
_PLAIN_LEGEND = "* best open model, + second, - proprietary value that Kangaroo beats"
_MARKDOWN = {BOLD: "**{}**", UNDERLINE: "<u>{}</u>", GREY: "*{}*"}
_MARKDOWN_LEGEND = "**bold**: best open model; <u>underlined</u>: second; *italic*: proprietary value that Kangaroo beats (grey in the paper)"


def terminal(results: Mapping[str, Any], *, colour: bool = False) -> str:
    """The tables as text. With `colour` the marks are ANSI bold, underline and grey, else signs."""

    def style(text: str, mark: str) -> str:
        return f"{_ANSI[mark]}{text}\x1b[0m" if colour else text + _PLAIN[mark]

    marked = published_tables(results, style)
    tables = [*marked, *elsewhere(results), *breakdowns(results, most=1), overview(results)]
    legend = "bold: best open model, underlined: second, grey: proprietary value that Kangaroo beats"
    parts = [_text(table, "simple") for table in tables]
    if marked:
        parts.insert(1, legend if colour else _PLAIN_LEGEND)
    return "\n\n".join(parts)


def markdown(results: Mapping[str, Any]) -> str:
    """The whole report: overview, published tables, every breakdown."""

    def style(text: str, mark: str) -> str:
        return _MARKDOWN[mark].format(text)

    tables = published_tables(results, style)
    parts = ["# kangaroo-eval report", _markdown(overview(results)), *map(_markdown, tables)]
    if tables:
        parts.append(_MARKDOWN_LEGEND)
    parts += map(_markdown, elsewhere(results))
    return "\n\n".join([*parts, *map(_markdown, breakdowns(results))]) + "\n"


def text_tables(tables: Sequence[Table]) -> str:
    """Tables for a terminal."""
    return "\n\n".join(_text(table, "simple") for table in tables)


def markdown_tables(tables: Sequence[Table]) -> str:
    """Tables as Markdown."""
    return "\n\n".join(map(_markdown, tables))


def _grid(table: Table, form: str) -> str:
    from tabulate import tabulate

    align = ("left", *["right"] * (len(table.header) - 1))
    return str(
        tabulate(table.rows, headers=table.header, tablefmt=form, disable_numparse=True, colalign=align)
    )


def _text(table: Table, form: str) -> str:
    return "\n".join([table.title, _grid(table, form), *(f"  {note}" for note in table.notes)])


def _markdown(table: Table) -> str:
    notes: Sequence[str] = [f"- {note}" for note in table.notes]
    return "\n\n".join([f"## {table.title}", _grid(table, "pipe"), *(["\n".join(notes)] if notes else [])])
