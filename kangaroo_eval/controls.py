"""Controls: the same questions with a part of what answers them taken away. What a score keeps without the video, it did not
get from the video.

Each control is a run of its own in `RUN/controls/<name>`, and resumes like one. What they say stands in the run's
results.json under each task's "controls", and in its reports.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.journal import read_results
from kangaroo_eval.paired import Difference, Pair, difference
from kangaroo_eval.permutation import all_turned, before
from kangaroo_eval.scores import read_scores
from kangaroo_eval.task import Task
from kangaroo_eval.types import ScoredSample

if TYPE_CHECKING:
    from kangaroo_eval.plan import RunConfig, TaskPlan
    from kangaroo_eval.protocols import Model

log = logging.getLogger(__name__)

FOLDER = "controls"
ALPHA = 0.05
"""Intervals of what a score loses are at 95 %."""


class Control(NamedTuple):
    """`about`: what is taken away. `wrapper`: "module:class" of `backends.wrapped` around the model, or None. `changes`: of
    the run's configuration."""

    about: str
    wrapper: str | None = None
    changes: Mapping[str, Any] = {}


CONTROLS: dict[str, Control] = {
    "blind": Control("no video", "kangaroo_eval.backends.blind:around"),
    "single-frame": Control("one frame", changes={"frames": 1, "fps": None, "max_frames": None}),
    "shuffle-frames": Control("frames out of order", "kangaroo_eval.backends.shuffled:around"),
    "shuffle-options": Control("options in another order", changes={"shuffle_options": True}),
}


def tasks_of(names: Sequence[str], plans: Sequence[TaskPlan]) -> dict[str, list[str]]:
    """Which tasks each control is for: those whose questions have options, and can be asked so. UserError for an unknown
    control, and for one that fits none of the tasks."""
    out: dict[str, list[str]] = {}
    for name in names:
        if name not in CONTROLS:
            raise UserError(f"--controls {name!r}: choose among {', '.join(CONTROLS)}, or all")
        reasons = []
        for plan in plans:
            reason = _unfit(name, plan)
            if reason:
                reasons.append(reason)
            else:
                out.setdefault(name, []).append(plan.task.name)
        if name not in out:
            raise UserError(f"--controls {name}: {'; '.join(reasons)}")
        for reason in reasons:
            log.warning("control %s left out: %s", name, reason)
    return out


def _unfit(name: str, plan: TaskPlan) -> str:
    if not any(sample.choices for sample in plan.samples):
        return f"{plan.task.name} has no questions with options"
    if name == "shuffle-options":
        try:
            all_turned(plan.task.name, plan.everything, plan.task.prompt)
        except UserError as error:
            return str(error)
    return ""


def control_config(config: RunConfig, name: str, tasks: Sequence[str], run: Path) -> RunConfig:
    """What the control `name` of the run in the folder `run` is asked."""
    return dataclasses.replace(
        config, tasks=tuple(tasks), controls=(), output=run / FOLDER / name, **CONTROLS[name].changes
    )


def control_model(model: Model, config: RunConfig, name: str) -> Model:
    """The model as the control has it. UserError where it cannot be had so."""
    from kangaroo_eval.registry import resolve

    wrapper = CONTROLS[name].wrapper
    if wrapper is None:
        return model
    around: Callable[[Model, str, Mapping[str, Any]], Model] = resolve(wrapper)
    return around(model, config.model, config.model_args)


def found(path: Path, task: Task, scored: Sequence[ScoredSample]) -> dict[str, Any]:
    """Of each control that was run for a task beside the run at `path`: its scores as results.json has them, and `lost`,
    what the run's score loses so, over the samples that both have answered (in points of the metric's scale)."""
    out: dict[str, Any] = {}
    for name in CONTROLS:
        entry = _entry(path / FOLDER / name, task.name)
        if entry is None:
            continue
        theirs = {each.id: each for each in read_scores(path / FOLDER / name, task.name)}
        both = [(each, theirs[each.id]) for each in scored if each.id in theirs]
        out[name] = {
            "about": CONTROLS[name].about,
            "status": entry["status"],
            "coverage": entry["coverage"],
            "careful": entry["careful"],
            "official": entry["official"],
            "lost": {reader: _lost(task, both, reader) for reader in ("careful", "official")},
        }
        if name == "shuffle-options":
            out[name]["same"] = _same(both)
    return out


def _entry(folder: Path, task: str) -> dict[str, Any] | None:
    if not (folder / "results.json").exists():
        return None
    entry = read_results(folder)["tasks"].get(task)
    return entry if isinstance(entry, dict) else None


def _lost(
    task: Task, both: Sequence[tuple[ScoredSample, ScoredSample]], reader: str
) -> dict[str, Any] | None:
    """The mean difference run - control with its interval; None where no sample has both scores."""
    pairs = []
    for mine, other in both:
        new, old = getattr(mine, reader), getattr(other, reader)
        if new is None or old is None or new.value is None or old.value is None:
            continue
        group = (task.group(mine) or "") if task.macro_over is not None else ""
        pairs.append(Pair(new.value, old.value, task.cluster(mine), group))
    if not pairs:
        return None
    made: Difference = difference(pairs)
    low, high = made.interval(ALPHA) if made.stderr is not None or made.identical else (None, None)
    return {"value": made.value, "low": low, "high": high, "n": made.n}


def _same(both: Sequence[tuple[ScoredSample, ScoredSample]]) -> dict[str, Any]:
    """How often the same option was chosen in both orders, among those questions that were turned and read twice."""
    same = [
        before(other.careful.answer, other.id, other.options) == mine.careful.answer
        for mine, other in both
        if mine.target != other.target and _letter(mine) and _letter(other)
        if mine.careful is not None and other.careful is not None and other.careful.answer is not None
    ]
    return {"value": sum(same) / len(same) if same else None, "n": len(same)}


def _letter(each: ScoredSample) -> bool:
    answer = each.careful.answer if each.careful else None
    return answer is not None and len(answer) == 1 and "A" <= answer < chr(ord("A") + each.options)
