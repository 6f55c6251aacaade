"""Tables of controls: what a score keeps where a part of what answers the questions is taken away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kangaroo_eval.report.tables import Table, shown

_HEADER = ["task", "control", "official", "careful", "lost (careful)", "n", "same option"]


def controls(results: Mapping[str, Any]) -> list[Table]:
    """One table of all controls that were run beside a run; none where there were none."""
    rows, notes = [], []
    for task in results["tasks"].values():
        found = task.get("controls", {})
        if not found:
            continue
        own = [shown(task[reader], task["scale"]) for reader in ("official", "careful")]
        rows.append([task["label"], "none: the run", *own, "", str(task["answered"]), ""])
        for name, each in found.items():
            scores = [shown(each[reader], task["scale"]) for reader in ("official", "careful")]
            lost = each["lost"]["careful"]
            told = ["-", "0"] if lost is None else [_interval(lost), str(lost["n"])]
            rows.append([task["label"], f"{name}: {each['about']}", *scores, *told, _same(each.get("same"))])
        notes += _short(task)
        notes += _letters(task)
    if not rows:
        return []
    notes.append(
        "lost: by how much the run's score is above the control's, over the samples that both answered, with its 95 % "
        "interval (paired, clustered by video). same option: of the questions whose options moved, how often the same "
        "option was chosen."
    )
    return [Table(f"{results['run']['model']}: controls", _HEADER, rows, notes)]


def troubles(results: Mapping[str, Any]) -> list[str]:
    """Which controls lack answers: one line each."""
    return [line for task in results["tasks"].values() for line in _short(task)]


def _short(task: Mapping[str, Any]) -> list[str]:
    return [
        f"{task['label']}, control {name}: status {each['status']}, coverage {100 * each['coverage']:.1f} %."
        for name, each in task.get("controls", {}).items()
        if each["status"] != "ok"
    ]


def _interval(lost: Mapping[str, Any]) -> str:
    if lost["low"] is None:
        return f"{100 * lost['value']:+.1f}"
    return f"{100 * lost['value']:+.1f} [{100 * lost['low']:+.1f}, {100 * lost['high']:+.1f}]"


def _same(same: Mapping[str, Any] | None) -> str:
    if same is None or same["value"] is None:
        return ""
    return f"{100 * same['value']:.1f} % of {same['n']}"


def _letters(task: Mapping[str, Any]) -> list[str]:
    shares = task.get("letters")
    if not shares:
        return []
    said, key = (
        ", ".join(f"{letter} {100 * share:.0f}" for letter, share in shares[name].items())
        for name in ("said", "key")
    )
    return [f"{task['label']}: letters answered: {said}; letters of the key: {key} (% of the questions)."]
