"""What a run will take, from three videos of each task that are really decoded and asked about."""

from __future__ import annotations

import dataclasses
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kangaroo_eval.answering import Answering
from kangaroo_eval.grouping import by_video, file_bytes
from kangaroo_eval.loading import load
from kangaroo_eval.media import Decoded, Job, decode_ahead
from kangaroo_eval.media.store import EXACT, FORMS, Stored, packed
from kangaroo_eval.plan import RunConfig, TaskPlan, make_plan
from kangaroo_eval.protocols import Closable, Informed, Model
from kangaroo_eval.sheet import Sheet
from kangaroo_eval.timing import Spent, measure
from kangaroo_eval.types import Sample

VIDEOS = 3
ONCE = ("vision", "prefill")
"""Phases that are spent once a video, and not once a question."""


@dataclass(frozen=True, slots=True)
class TaskForecast:
    """What one task will take: `decode` and `model` in seconds of one worker and of the model, tokens of its prompts and
    answers, `bytes` of its frames in an exact frame store. `measured` questions are what it was reckoned from."""

    label: str
    videos: int
    questions: int
    measured: int
    decode: float
    model: float
    prompt_tokens: int
    new_tokens: int
    bytes: int
    failed: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run will take. `load` is what loading the model took here, `workers` how many decode beside it, `memory` the most
    bytes that it had: on the GPU (`gpu`), or of this process."""

    tasks: tuple[TaskForecast, ...]
    load: float
    workers: int
    memory: int
    gpu: bool

    @property
    def seconds(self) -> float:
        """Until every question is answered: decoding goes on beside the model, so the slower of the two decides."""
        return sum(max(task.model, task.decode / max(1, self.workers)) for task in self.tasks)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"seconds": round(self.seconds, 3), **dataclasses.asdict(self)}

    def __str__(self) -> str:
        from tabulate import tabulate

        rows = [
            [
                task.label,
                task.videos,
                task.questions,
                _span(task.decode / max(1, self.workers)),
                _span(task.model),
                f"{task.prompt_tokens:,}",
                f"{task.new_tokens:,}",
                f"{task.bytes / 1e9:.2f}",
            ]
            for task in self.tasks
        ]
        header = ["task", "videos", "questions", "decode", "model", "tokens read", "written", "frames GB"]
        bound = [
            "decoding" if each.decode > each.model * max(1, self.workers) else "the model"
            for each in self.tasks
        ]
        lines = [
            tabulate(rows, headers=header),
            f"in all {_span(self.seconds)}, after {_span(self.load)} of loading; decoding by {self.workers} workers goes on beside "
            f"the model, so what takes longer decides ({', '.join(dict.fromkeys(bound))})",
            f"at most {self.memory / 1e9:.2f} GB of {'the GPU' if self.gpu else 'this process'}; measured on "
            f"{sum(task.measured for task in self.tasks)} questions of {VIDEOS} videos a task",
        ]
        lines += [
            f"{task.label}: {task.failed} of the measured videos gave no frames"
            for task in self.tasks
            if task.failed
        ]
        return "\n".join(lines)


def forecast(config: RunConfig) -> Forecast:
    """Load the model, and reckon from what it does. Nothing is written. UserError as for a run."""
    plans = make_plan(config)
    began = time.perf_counter()
    model = load(config)
    loaded = time.perf_counter() - began
    workers = os.cpu_count() or 1 if config.workers is None else config.workers
    try:
        tasks = tuple(_task(plan, config, model) for plan in plans)
        memory, gpu = _memory()
    finally:
        if isinstance(model, Closable):
            model.close()
    return Forecast(tasks, loaded, workers, memory, gpu)


def _task(plan: TaskPlan, config: RunConfig, model: Model) -> TaskForecast:
    groups = by_video(plan.samples)
    chosen = _spread(groups)
    if isinstance(model, Informed):
        model.study(plan.task.name, plan.everything)
    # Once for nothing: what is made when it is first needed is not of every video.
    _ask(plan, config, model, chosen[:1], [])
    stored: list[int] = []
    spent = measure(_ask(plan, config, model, chosen, stored))
    questions = sum(map(len, chosen))
    failed = len(chosen) - len(stored)
    scale = len(groups) / max(1, spent.videos)
    return TaskForecast(
        label=plan.label,
        videos=len(groups),
        questions=len(plan.samples),
        measured=questions,
        decode=spent.decode * scale,
        model=_model_seconds(spent, len(groups), len(plan.samples)),
        prompt_tokens=_for_all(spent.prompt_tokens, spent, len(plan.samples)),
        new_tokens=_for_all(spent.new_tokens, spent, len(plan.samples)),
        bytes=round(sum(stored) / max(1, len(stored)) * len(groups)),
        failed=failed,
    )


def _model_seconds(spent: Spent, videos: int, questions: int) -> float:
    """What the model tells to be spent on the video counts by videos, everything else by questions."""
    once = sum(spent.phases.get(name, 0.0) for name in ONCE)
    return once / max(1, spent.videos) * videos + (spent.model - once) / max(1, spent.answers) * questions


def _for_all(count: int, spent: Spent, questions: int) -> int:
    return round(count / max(1, spent.answers) * questions)


def _spread(groups: Sequence[list[Sample]]) -> list[list[Sample]]:
    """Three videos: of a small, a middling and a large file."""
    ordered = sorted(groups, key=lambda group: file_bytes(group[0].video) or 0)
    places = [(2 * i + 1) * len(ordered) // (2 * VIDEOS) for i in range(VIDEOS)]
    return [ordered[place] for place in dict.fromkeys(places)]


def _ask(
    plan: TaskPlan, config: RunConfig, model: Model, groups: Sequence[list[Sample]], stored: list[int]
) -> list[dict[str, Any]]:
    """The lines of these questions; the bytes of each video's frames are added to `stored`."""
    sheet = Sheet()
    own = dataclasses.replace(plan, samples=tuple(sample for group in groups for sample in group))

    def decode(jobs: Iterable[Job]) -> Iterator[Decoded]:
        # One after the other, so that what is measured is one worker's time.
        for found in decode_ahead(jobs, workers=1, ahead=1, timeout=config.decode_timeout):
            if found.frames is not None:
                form = config.frame_store if config.frame_store in FORMS else EXACT
                stored.append(len(packed(Stored(found.frames, 1.0), form)) if found.frames.pixels.size else 0)
            yield found

    Answering(sheet.directory, own, config, model, None, decode).finish()
    return sheet.lines


def _memory() -> tuple[int, bool]:
    """The most bytes that the GPU had, else this process."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated()), True
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, False


def _span(seconds: float) -> str:
    """In words that fit its size."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
