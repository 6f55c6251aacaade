"""Imported runs: the other harness's number as it recorded it, beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kangaroo_eval.report.tables import Table, shown


def recorded(results: Mapping[str, Any]) -> list[Table]:
    """One table for an imported run; none for a run of our own."""
    rows, notes, by = [], [], ""
    for task in results["tasks"].values():
        found = task.get("recorded")
        if not found:
            continue
        by = found["by"]
        ours = [shown(task[reader], task["scale"]) for reader in ("official", "careful")]
        differ = [str(found["scored_differently"][reader]) for reader in ("official", "careful")]
        for part, metrics in found["metrics"].items():
            for name, value in metrics.items() or (("-", None),):
                rows.append(
                    [task["label"], part, name, "-" if value is None else f"{value:g}", *ours, *differ]
                )
        if found["failures_scored"]:
            notes.append(
                f"{task['label']}: {found['failures_scored']} of the {found['scored']} scores that {by} recorded are of "
                "requests that failed: no answer of the model."
            )
    if not rows:
        return []
    notes.append(
        "recorded: as its file says, on its own scale; ours in points, over all of its parts together."
    )
    header = [
        "task",
        "its task",
        "metric",
        "recorded",
        "official",
        "careful",
        "differ (official)",
        "(careful)",
    ]
    return [Table(f"Recorded by {by}, and read by our readers", header, rows, notes)]
