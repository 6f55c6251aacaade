"""`kangaroo-eval compare A B`: what changed from run A to run B."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from kangaroo_eval.cli.common import columns, user_path
from kangaroo_eval.errors import UserError

FORMATS = ("terminal", "markdown")


def command(options: argparse.Namespace) -> int:
    """Print or write the comparison; 0, or 5 for runs that were not asked the same."""
    from kangaroo_eval.compare import compare
    from kangaroo_eval.journal import write_text
    from kangaroo_eval.report import markdown_tables, text_tables
    from kangaroo_eval.report.compared import comparison_tables
    from kangaroo_eval.sides import read_side

    if options.format is None:
        options.format = "markdown" if str(options.output or "").endswith(".md") else "terminal"
    if options.format not in FORMATS:
        raise UserError(f"--format {options.format!r}: choose one of {', '.join(FORMATS)}")
    if not 0 < options.alpha < 1:
        raise UserError(f"--alpha {options.alpha:g}: give a probability, more than 0 and less than 1")
    if options.flips < 0:
        raise UserError(f"--flips {options.flips}: give 0 or more")
    old, new = (read_side(user_path(name)) for name in (options.before, options.after))
    found = compare(new, old, force=options.force)
    pages = new.path / "view" / "index.html" if new.path else None
    page = pages.resolve().as_uri() if pages and pages.is_file() else None
    tables = comparison_tables(found, alpha=options.alpha, flips=options.flips, page=page)
    wide = None if options.output else columns()
    text = markdown_tables(tables) if options.format == "markdown" else text_tables(tables, columns=wide)
    if options.output:
        write_text(user_path(options.output), text + "\n")
    elif not options.quiet:
        print(text)
    if options.json:
        print(json.dumps(summary(found, 0, options.alpha)))
    sys.stdout.flush()
    return 0


def summary(found: Any, code: int, alpha: float) -> dict[str, Any]:
    """What `--json` prints: the second run's numbers as `run --json` has them (fractions, and a judge's on its scale), with the
    differences in points of a hundred and their intervals at `level`, 1 - alpha."""
    from kangaroo_eval.compare import Comparison
    from kangaroo_eval.sides import scale_of, value

    assert isinstance(found, Comparison)
    tasks = {}
    for task in found.tasks:
        low, high = task.careful.interval(alpha)
        scores = {reader: value(task.new, reader) for reader in ("careful", "official")}
        scale = scale_of(task.name)
        tasks[task.name] = {
            **{reader: None if each is None else scale * each / 100 for reader, each in scores.items()},
            "n": task.careful.n,
            "coverage": task.new.coverage,
            "difference": 100 * task.careful.value,
            "interval": [_finite(100 * low), _finite(100 * high)],
            "gained": len(task.gained),
            "lost": len(task.lost),
        }
    path = found.new.path
    return {
        "exit": code,
        "run": None if path is None else str(path),
        "model": found.new.model,
        "level": 1 - alpha,
        "tasks": tasks,
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if abs(value) != float("inf") else None
