"""The table of a series of runs: over checkpoints, or over numbers of frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kangaroo_eval.report.published import BOLD
from kangaroo_eval.report.tables import Marked, Table, shown


def table(runs: Sequence[tuple[str, Mapping[str, Any]]], over: str = "checkpoint") -> Table:
    """One line a run (a checkpoint, or whatever the runs differ in), in the order given, with both readers' scores of every
    task; the best ones are marked."""
    tasks = list(dict.fromkeys(name for _, run in runs for name in run["tasks"]))
    columns = [(name, reader) for name in tasks for reader in ("official", "careful")]
    found = {
        column: [run["tasks"].get(column[0], {}).get(column[1], {}).get("value") for _, run in runs]
        for column in columns
    }
    best = {
        column: max((v for v in values if v is not None), default=None) for column, values in found.items()
    }
    rows = []
    for place, (name, run) in enumerate(runs):
        cells: list[str] = [name]
        for task, reader in columns:
            entry = run["tasks"].get(task)
            if entry is None:
                cells.append("-")
                continue
            text = shown(entry[reader], entry["scale"])
            value = found[task, reader][place]
            is_best = value is not None and value == best[task, reader] and len(runs) > 1
            cells.append(Marked(text, BOLD) if is_best else text)
        covered = [entry["coverage"] for entry in run["tasks"].values()]
        cells.append(f"{100 * min(covered):.1f} %")
        rows.append(cells)
    labels = {
        name: next(run["tasks"][name]["label"] for _, run in runs if name in run["tasks"]) for name in tasks
    }
    header = [over, *(f"{labels[task]} {reader}" for task, reader in columns), "coverage"]
    notes = [
        "±: standard error, clustered by video. Whether two runs differ is for `kangaroo-eval compare` to say, "
        "which pairs their answers."
    ]
    return Table(
        f"Scores over {over}s" if over == "checkpoint" else f"Scores over {over}", header, rows, notes
    )
