"""`kangaroo-eval report RUN...`: the tables again, in any format, and charts."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kangaroo_eval.cli.common import columns, user_path
from kangaroo_eval.errors import UserError
from kangaroo_eval.journal import read_results

FORMATS = ("terminal", "markdown", "latex", "csv", "json", "html")
_BY_ENDING = {
    ".md": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".json": "json",
    ".html": "html",
    ".htm": "html",
}


def command(options: argparse.Namespace) -> int:
    """Print or write the report of all runs together."""
    from kangaroo_eval.journal import write_text

    output = user_path(options.output) if options.output else None
    form = options.format or (_BY_ENDING.get(output.suffix.lower(), "terminal") if output else "terminal")
    if form not in FORMATS:
        raise UserError(f"--format {form!r}: choose one of {', '.join(FORMATS)}")
    runs = [read_results(user_path(name)) for name in options.runs]
    if output and not output.parent.is_dir():
        raise UserError(f"--output {options.output}: there is no folder {output.parent}")
    try:
        if output and output.is_dir():
            return _everything(options, runs, output)
        text = _rendered(form, runs, columns=None if output else columns())
        files = _plots(runs, user_path(options.plots)) if options.plots else []
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        if isinstance(error, UserError):
            raise
        names = " ".join(options.runs)
        raise UserError(
            f"{names}: a results.json is not whole; `kangaroo-eval score RUN` makes it anew"
        ) from error
    if output:
        write_text(output, text if text.endswith("\n") else text + "\n")
    else:
        print(text)
    for file in files:
        print(file, file=sys.stderr)
    return 0


def _everything(options: argparse.Namespace, runs: Sequence[Mapping[str, Any]], folder: Path) -> int:
    """Every format and every chart into a folder."""
    from kangaroo_eval.journal import write_text

    if options.format:
        raise UserError(
            f"--format {options.format}: {folder} is a folder, and gets every format; name a file"
        )
    for ending, form in _BY_ENDING.items():
        if ending != ".htm":
            text = _rendered(form, runs)
            write_text(folder / f"report{ending}", text if text.endswith("\n") else text + "\n")
    _plots(runs, folder / "plots")
    print(folder)
    return 0


def _rendered(form: str, runs: Sequence[Mapping[str, Any]], *, columns: int | None = None) -> str:
    from kangaroo_eval import report

    if form == "terminal":
        return report.terminal(runs, columns=columns)
    if form == "markdown":
        return report.markdown(runs)
    if form == "latex":
        from kangaroo_eval.report import latex

        return latex.document(report.whole(runs))
    if form == "html":
        from kangaroo_eval.report import page, plots

        if importlib.util.find_spec("matplotlib") is None:
            print(f"kangaroo-eval report: the page is {page.NO_CHARTS}", file=sys.stderr)
            return page.document(runs, None)
        return page.document(runs, plots.charts(runs))
    from kangaroo_eval.report import data

    return data.table(runs) if form == "csv" else data.document(runs)


def _plots(runs: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    from kangaroo_eval.report import plots

    return plots.save(plots.charts(runs), folder)
