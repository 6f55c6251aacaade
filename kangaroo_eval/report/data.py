"""Every number of several runs as CSV, one a line, and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kangaroo_eval.predictions import no_formula

FIELDS = (
    "run",
    "model",
    "frames",
    "task",
    "data",
    "status",
    "tag",
    "value",
    "reader",
    "score",
    "stderr",
    "n",
    "unreadable",
    "coverage",
    "scale",
)


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """CSV. `tag` and `value` are empty for a task's headline; `score` is on the metric's own scale, empty for none."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for run in runs:
        writer.writerows(_lines(run))
    return out.getvalue()


def document(runs: Sequence[Mapping[str, Any]]) -> str:
    """The results of all runs as they are in their results.json, in one JSON list."""
    return json.dumps(list(runs), ensure_ascii=False, indent=1)


def _lines(run: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    about = run["run"]
    for name, task in run["tasks"].items():
        common = {
            "run": about.get("id", ""),
            "model": _text(about["model"]),
            "frames": about["frames"],
            "task": name,
            "data": task["data"],
            "status": task["status"],
            "coverage": task["coverage"],
            "scale": task["scale"],
        }
        places = [("", "", task)]
        places += [
            (tag, value, pair) for tag, values in task["breakdown"].items() for value, pair in values.items()
        ]
        for tag, value, pair in places:
            for reader in ("official", "careful"):
                found = pair[reader]
                yield {
                    **common,
                    "tag": _text(tag),
                    "value": _text(value),
                    "reader": reader,
                    "score": found["value"],
                    "stderr": found["stderr"],
                    "n": found["n"],
                    "unreadable": found["unreadable"],
                }


def _text(text: object) -> str:
    return no_formula(str(text))
