"""Runs of another harness's tasks: its own number, as it recorded it or makes it of our answers, beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kangaroo_eval.report.tables import Table, shown


def recorded(results: Mapping[str, Any]) -> list[Table]:
    """One table for a run with numbers of another harness; none for any other."""
    rows, notes, by = [], [], ""
    for task in results["tasks"].values():
        found = task.get("recorded")
        if not found:
            continue
        by = found["by"]
        ours = [shown(task[reader], task["scale"]) for reader in ("official", "careful")]
        # Of a run of our own the other harness has totals alone.
        compared = found["scored"] > 0
        differ = [
            str(found["scored_differently"][reader]) if compared else "-"
            for reader in ("official", "careful")
        ]
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
        "recorded: its own number, on its own scale; ours in points, over all of its parts together."
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
    whose = "Recorded by" if results["run"].get("sampler") is None else "Numbers of"
    return [Table(f"{whose} {by}, and read by our readers", header, rows, notes)]
