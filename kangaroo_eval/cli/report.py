"""`kangaroo-eval report RUN...`: the tables again."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from kangaroo_eval.errors import UserError
from kangaroo_eval.journal import SCHEMA

FORMATS = ("terminal", "markdown")


def command(options: argparse.Namespace) -> int:
    """Print or write the report of every run given."""
    from kangaroo_eval.journal import write_text
    from kangaroo_eval.report import markdown, terminal

    if options.format not in FORMATS:
        raise UserError(f"--format {options.format!r}: choose one of {', '.join(FORMATS)}")
    parts = []
    for name in options.runs:
        data = _results(Path(name))
        colour = sys.stdout.isatty() and not options.output
        try:
            parts.append(markdown(data) if options.format == "markdown" else terminal(data, colour=colour))
        except (LookupError, TypeError, AttributeError) as error:
            raise UserError(
                f"{name}/results.json is not whole; `kangaroo-eval score {name}` makes it anew"
            ) from error
    text = "\n\n".join(parts)
    if options.output:
        if not Path(options.output).parent.is_dir():
            raise UserError(f"--output {options.output}: there is no folder {Path(options.output).parent}")
        write_text(Path(options.output), text + "\n")
    else:
        print(text)
    return 0


def _results(path: Path) -> dict[str, Any]:
    file = path / "results.json"
    if not file.is_file():
        raise UserError(
            f"{path} has no results.json: give a run directory; `kangaroo-eval score {path}` makes it"
        )
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{file} cannot be read: {error}; `kangaroo-eval score {path}` makes it anew"
        ) from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise UserError(f"{file}: schema {SCHEMA} expected; `kangaroo-eval score {path}` makes it anew")
    return found
