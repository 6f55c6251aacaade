"""Another harness's numbers of an imported run, beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kangaroo_eval.types import Score, ScoredSample


def beside(
    entry: Mapping[str, Any] | None, answers: Iterable[Mapping[str, Any]], scored: Sequence[ScoredSample]
) -> dict[str, Any] | None:
    """What the other harness recorded of a task, and of how many answers each of our readers thinks otherwise; None for a
    run of our own.

    `entry` is the run record's "recorded". Only answers that both harnesses decided are compared; "failures" are
    those that the other harness scored though there was no answer.
    """
    if entry is None:
        return None
    theirs: dict[str, float] = {}
    failures = 0
    for line in answers:
        score = (line.get("recorded") or {}).get("score")
        if line["status"] != "ok":
            failures += score is not None
        elif score is not None:
            theirs[line["id"]] = score
    return {
        **entry,
        "scored": len(theirs) + failures,
        "failures_scored": failures,
        "scored_differently": {
            "careful": _differ(theirs, ((each.id, each.careful) for each in scored)),
            "official": _differ(theirs, ((each.id, each.official) for each in scored)),
        },
    }


def _differ(theirs: Mapping[str, float], ours: Iterable[tuple[str, Score | None]]) -> int:
    return sum(
        abs(score.value - theirs[name]) > 1e-9
        for name, score in ours
        if name in theirs and score is not None and score.value is not None
    )
