"""A report as one HTML file: tables, charts as SVG, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from kangaroo_eval.report import as_list, whole
from kangaroo_eval.report.published import BOLD, GREY, UNDERLINE
from kangaroo_eval.report.tables import Marked, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS = {BOLD: "<b>{}</b>", UNDERLINE: "<u>{}</u>", GREY: '<span class="grey">{}</span>'}
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #fff; --line: #d8d8de; --soft: #f4f4f7; --grey: #6d6d78 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8ec; --paper: #17171b; --line: #3a3a42; --soft: #212128; --grey: #9a9aa6 }
  figure svg { background: #fff; border-radius: 4px }
}
body { color: var(--ink); background: var(--paper); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem;
  padding: 0 1rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap }
caption { text-align: left; font-weight: 600; padding: .3rem 0; white-space: normal }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left }
thead th { border-bottom: 2px solid var(--ink) }
tbody tr:nth-child(even) { background: var(--soft) }
.grey, .notes { color: var(--grey) }
.notes { font-size: .85rem; max-width: 60rem; padding-left: 1.2rem }
section { margin: 2.2rem 0 }
figure { margin: 1.5rem 0 }
figure svg { max-width: 100%; height: auto }
"""


NO_CHARTS = 'without charts, which matplotlib draws: pip install "kangaroo-eval[report]"'


def document(
    runs: Mapping[str, Any] | Sequence[Mapping[str, Any]], charts: Mapping[str, Figure] | None
) -> str:
    """The page; `charts` None: it says that there are none. Every text is escaped: names and answers are other people's."""
    many = as_list(runs)
    names = ", ".join(dict.fromkeys(str(run["run"]["model"]) for run in many))
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>kangaroo-eval: {escape(names)}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{escape(names)}</h1>",
        "<p><b>bold</b>: best open model; <u>underlined</u>: second; "
        '<span class="grey">grey</span>: proprietary value that Kangaroo beats.</p>',
        *map(_section, whole(many)),
        *([f'<p class="notes">{escape(NO_CHARTS)}</p>'] if charts is None else ()),
        *(_figure(name, figure) for name, figure in (charts or {}).items()),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _section(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    listed = f'<ul class="notes">{notes}</ul>' if notes else ""
    return (
        f'<section><div class="scroll"><table><caption>{escape(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{listed}</section>"
    )


def _cell(text: str) -> str:
    shown = escape(text)
    return f"<td>{_MARKS[text.mark].format(shown) if isinstance(text, Marked) else shown}</td>"


def _figure(name: str, figure: Figure) -> str:
    from kangaroo_eval.report.plots import svg

    label = escape(name.replace("-", " "), quote=True)
    return f'<figure role="img" aria-label="{label}">{svg(figure)}<figcaption>{label}</figcaption></figure>'
