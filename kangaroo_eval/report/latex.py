"""Tables as a LaTeX document (booktabs) that compiles as it is, and whose tables can be copied out one by one."""

from __future__ import annotations

from collections.abc import Sequence

from kangaroo_eval.report.published import BOLD, GREY, UNDERLINE
from kangaroo_eval.report.tables import Marked, Table

_MARKS = {BOLD: r"\textbf{%s}", UNDERLINE: r"\underline{%s}", GREY: r"\textcolor{gray}{%s}"}
_SIGNS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "—": "---",
    "\n": " ",
}
_HEAD = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs,graphicx,xcolor}
\begin{document}
"""


def document(tables: Sequence[Table]) -> str:
    """All tables, each in a float of its own."""
    return _HEAD + "\n".join(map(table_float, tables)) + "\n\\end{document}\n"


def table_float(table: Table) -> str:
    """One table with its caption and notes, no wider than the page."""
    columns = "l" + "r" * (len(table.header) - 1)
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{escaped(table.title)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _row(table.header),
        r"\midrule",
        *map(_row, table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
        *(rf"\par\smallskip{{\footnotesize {escaped(note)}\par}}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is; signs that its usual fonts have not become a question mark."""
    out = []
    for sign in text:
        if sign in _SIGNS:
            out.append(_SIGNS[sign])
        else:
            out.append(sign if sign.isprintable() and ord(sign) < 0x250 else "?")
    return "".join(out)


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(text: str) -> str:
    if isinstance(text, Marked):
        return _MARKS[text.mark] % escaped(text)
    return "--" if text == "-" else escaped(text)
