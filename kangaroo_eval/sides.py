"""One side of a comparison: the scores of a run directory, or of a baseline file that was made from one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kangaroo_eval.errors import UserError, one_line, shown
from kangaroo_eval.journal import SCHEMA, answer_lines, read_asked, read_record, write_json
from kangaroo_eval.metrics import Point, estimate
from kangaroo_eval.registry import get_task
from kangaroo_eval.results import is_stale
from kangaroo_eval.scores import read_scores
from kangaroo_eval.task import Task

MODEL_KEYS = frozenset({"model", "model_hash", "asked", "dtype", "frame_size", "keep_aspect"})
"""What of a protocol is the model's own: two runs may differ in it and still be compared."""
RANKS = "ranks_choices"
"""A model's own as well, but where the official score of a task is that of a ranking."""
ANSWERS_KEYS = frozenset({"recorded", "data_root", "gold", "format"})
"""What of a task's protocol tells where answers made elsewhere came from, and what was said of them there."""
QUESTIONS = "questions"
"""The fingerprint of a task's questions and labels where `data_fingerprint` is that of a file with the answers too."""


# No judge's scale reaches further.
_LARGEST = 100.0
_MOST = 1e12
"""Samples or seconds that no run has."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One answered sample: its scores, as shares of the task's scale, by the careful and the official reader (None: outside the official
    denominator, or not decided), what was read, the video, and the group of a mean over groups. Where only the official
    reader can tell, as of open answers to another harness's tasks, its score stands for both."""

    careful: float
    official: float | None
    video: str
    group: str = ""
    read: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class SideTask:
    """A task's samples by id, how many were `asked`, and the seconds of the model's time an answer took on average
    (None: not known)."""

    samples: Mapping[str, Scored]
    asked: int
    seconds: float | None = None

    @property
    def coverage(self) -> float:
        """Answered of asked."""
        return len(self.samples) / self.asked if self.asked else 0.0


@dataclass(frozen=True, slots=True)
class Side:
    """A run or a baseline: its name for tables, the model, the protocol, the tasks; `path` is where it was read."""

    name: str
    model: str
    protocol: Mapping[str, Any]
    tasks: Mapping[str, SideTask] = field(default_factory=dict)
    path: Path | None = None


def read_side(path: Path) -> Side:
    """A run directory, or a baseline file. UserError for what is neither, and for a run without scores."""
    if path.is_file():
        return _baseline(path)
    record = read_record(path) if path.is_dir() else None
    if record is None:
        raise UserError(f"{path}: give a run directory (with a run.json) or a baseline file")
    tasks = {}
    for task in record["tasks"]:
        if not (path / f"{task}.scores.jsonl").exists():
            raise UserError(f"{path} has no scores of {task}: kangaroo-eval score {path} makes them")
        if is_stale(path, task, record["tasks"][task].get("judge")):
            raise UserError(
                f"{path}: the scores of {task} are not of its answers: kangaroo-eval score {path} makes them anew"
            )
        tasks[task] = _task(path, task)
    return Side(path.resolve().name, record["model"]["name"], record["protocol"], tasks, path)


def _task(path: Path, name: str) -> SideTask:
    task, scale, asked = _known(name), scale_of(name), read_asked(path, name)
    samples = {}
    for each in read_scores(path, name):
        told = each.careful
        # None is what a judge has not decided, and no other reader's word stands for that.
        if told is not None and told.value is None:
            told = each.official
        if told is None or told.value is None:
            continue
        samples[each.id] = Scored(
            careful=told.value / scale,
            official=None
            if each.official is None or each.official.value is None
            else each.official.value / scale,
            video=each.video if task is None else task.cluster(each),
            group=asked.get(each.id) or "",
            read=told.answer,
            target=each.target,
        )
    spent = {line["id"]: line.get("seconds") for line in answer_lines(path / f"{name}.answers.jsonl")}
    known = [seconds for seconds in spent.values() if isinstance(seconds, int | float)]
    return SideTask(samples, len(asked), sum(known) / len(known) if known else None)


def _baseline(path: Path) -> Side:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA:
            raise UserError(
                f"{path}: baseline schema {SCHEMA} expected, found {shown(str(found['schema']))}: make it anew with --accept"
            )
        tasks = {name: _baseline_task(name, entry) for name, entry in found["tasks"].items()}
        protocol = dict(found["protocol"])
        protocol["tasks"] = {name: dict(entry) for name, entry in protocol.get("tasks", {}).items()}
        return Side(path.name, str(found.get("model", path.stem)), protocol, tasks, path)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{path} is no baseline file ({one_line(error)}): make one with "
            "kangaroo-eval gate RUN --baseline FILE --accept"
        ) from error


def _baseline_task(name: str, entry: Mapping[str, Any]) -> SideTask:
    groups, official = entry.get("groups", {}), entry.get("official", {})
    scale = scale_of(name)
    samples = {
        key: Scored(
            careful=_sound(score) / scale,
            official=None if official.get(key) is None else _sound(official[key]) / scale,
            video=str(entry["videos"][key]),
            group=str(groups.get(key, "")),
        )
        for key, score in entry["scores"].items()
    }
    asked, seconds = entry.get("asked", len(samples)), entry.get("seconds")
    if not (isinstance(asked, int) and len(samples) <= asked < _MOST):
        raise ValueError(f"{asked!r} is no number of samples asked")
    if seconds is not None and not (isinstance(seconds, int | float) and 0 <= seconds < _MOST):
        raise ValueError(f"{seconds!r} is no time")
    return SideTask(samples, asked, seconds)


def _known(name: str) -> Task | None:
    """The task; None for a plug-in's that is not here."""
    try:
        return get_task(name)
    except UserError:
        return None


def scale_of(name: str) -> float:
    """What a judge's scores go to, of which files hold them and a side has shares."""
    task = _known(name)
    return 1 if task is None else task.scale


def _sound(score: Any) -> float:
    """A score of a baseline file: on a judge's scale at most. ValueError for others, which sums would not survive."""
    found = float(score)
    if not abs(found) <= _LARGEST:
        raise ValueError(f"{score!r} is no score")
    return found


def write_baseline(path: Path, side: Side) -> None:
    """Write a side as a baseline file: one line a sample, so that a review shows which ones changed."""
    tasks = {}
    for name, task in side.tasks.items():
        ordered, scale = dict(sorted(task.samples.items())), scale_of(name)
        grouped = {key: each.group for key, each in ordered.items() if each.group}
        tasks[name] = {
            "asked": task.asked,
            "seconds": None if task.seconds is None else round(task.seconds, 4),
            "scores": {key: plain(each.careful, scale) for key, each in ordered.items()},
            "official": {key: plain(each.official, scale) for key, each in ordered.items()},
            "videos": {key: each.video for key, each in ordered.items()},
            **({"groups": grouped} if grouped else {}),
        }
    write_json(path, {"schema": SCHEMA, "model": side.model, "protocol": dict(side.protocol), "tasks": tasks})


def plain(score: float | None, scale: float = 1) -> float | int | None:
    """A share of `scale` as a file has it: 1 and not 1.0, as a reviewer would write it."""
    if score is None:
        return None
    found = score if scale == 1 else round(score * scale, 9)
    return int(found) if found == int(found) else found


def value(task: SideTask, reader: str = "careful") -> float | None:
    """A side's own score of a task, in points from 0 to 100, over all of its answers."""
    points = [
        Point(score, each.video, each.group, readable=True)
        for each in task.samples.values()
        if (score := getattr(each, reader)) is not None
    ]
    found = estimate(points, macro=True).value if points else None
    return None if found is None else 100 * found


def differing(new: Side, old: Side) -> list[str]:
    """What of the two protocols differs, beside the models, in the tasks that both have: "key: old -> new"."""
    out = []
    ours, theirs = (
        {key: item for key, item in side.protocol.items() if key not in MODEL_KEYS} for side in (new, old)
    )
    shared = new.tasks.keys() & old.tasks.keys()
    if not any(_ranking(name) for name in shared):
        ours.pop(RANKS, None)
        theirs.pop(RANKS, None)
    for side in (ours, theirs):
        side["tasks"] = {
            name: {key: value for key, value in item.items() if not _of_answers(key)}
            for name, item in side.get("tasks", {}).items()
            if name in shared
        }
    for name in ours["tasks"].keys() & theirs["tasks"].keys():
        pair = (ours["tasks"][name], theirs["tasks"][name])
        # Which of the two says what was asked: a file's own fingerprint is of its answers too.
        left_out = "data_fingerprint" if all(QUESTIONS in each for each in pair) else QUESTIONS
        for each in pair:
            each.pop(left_out, None)
    for key, was, now in _unlike(theirs, ours, ""):
        out.append(f"{shown(key)}: {shown(str(was), 200)} -> {shown(str(now), 200)}")
    return sorted(out)


def _of_answers(key: str) -> bool:
    return key in ANSWERS_KEYS or key.startswith("recorded_")


def _ranking(name: str) -> bool:
    task = _known(name)
    return task is not None and task.ranking is not None


def _unlike(old: Any, new: Any, key: str) -> list[tuple[str, Any, Any]]:
    """Key, old and new value of all that differs; what only one side has differs from nothing."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for name in sorted({*old, *new}):
            found += _unlike(old.get(name), new.get(name), f"{key}.{name}" if key else str(name))
        return found
    return [] if old == new else [(key, old, new)]
