"""The table of where a run's time went, with a bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kangaroo_eval.report.tables import Table
from kangaroo_eval.timing import PHASES

_WIDTH = 30
_SIGNS = {"wait": "w", "vision": "v", "prefill": "p", "generate": "g", "model": "m"}


def timing(results: Mapping[str, Any]) -> list[Table]:
    """One line a task: shares of the time in which its questions were answered. None where no time is known."""
    rows, notes = [], []
    for name, spent in results.get("time", {}).get("tasks", {}).items():
        shares = parts(spent)
        total = sum(shares.values())
        if not total:
            continue
        label = results["tasks"].get(name, {}).get("label", name)
        told = [
            f"{100 * shares[part] / total:.1f}" if part in shares else ""
            for part in ("wait", *PHASES, "model")
        ]
        rows.append([label, f"{total:.1f}", *told, bar(shares)])
        notes.append(
            f"{label}: {spent['videos']} videos, {spent['stored']} of them out of the frame store, took {spent['decode']:.1f} s "
            f"to decode beside the model; {spent['answers']} answers of {spent['new_tokens']} tokens to "
            f"{spent['prompt_tokens']}."
        )
    if not rows:
        return []
    notes += _forecast(results)
    header = ["task", "seconds", "wait %", *(f"{phase} %" for phase in PHASES), "model %", "bar"]
    return [Table(f"{results['run']['model']}: where the time went", header, rows, notes)]


def parts(spent: Mapping[str, Any]) -> dict[str, float]:
    """Seconds by part: waiting for frames, each phase that the model tells, and the rest of its time ("model")."""
    phases = {name: spent["phases"][name] for name in PHASES if spent["phases"].get(name)}
    return {"wait": spent["wait"], **phases, "model": max(0.0, spent["model"] - sum(phases.values()))}


def bar(shares: Mapping[str, float]) -> str:
    """A letter for each thirtieth of the time: w, v, p, g and m for the parts in their order."""
    total, text, so_far = sum(shares.values()), "", 0.0
    for name, seconds in shares.items():
        so_far += seconds
        text += _SIGNS[name] * (round(_WIDTH * so_far / total) - len(text))
    return text


def _forecast(results: Mapping[str, Any]) -> list[str]:
    """How good the forecast was, where there was one."""
    known = results["time"].get("forecast")
    took = sum(sum(parts(spent).values()) for spent in results["time"]["tasks"].values())
    if not known or not took:
        return []
    return [
        f"forecast by --dry-run measure: {known['seconds']:.1f} s beside {took:.1f} s ({100 * known['seconds'] / took - 100:+.0f} %)."
    ]
