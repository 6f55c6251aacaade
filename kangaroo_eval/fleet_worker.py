"""What runs on a cluster for a run: decoding of one video, and a loaded model that answers one video's questions.

Nothing here writes a file: what became of each question goes back as the line that the run's only writer will journal.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kangaroo_eval.answering import Answering
from kangaroo_eval.errors import UserError
from kangaroo_eval.foreign import facts_of
from kangaroo_eval.loading import load
from kangaroo_eval.media import Decoded, Job
from kangaroo_eval.media.process import DecoderProcess
from kangaroo_eval.plan import RunConfig, TaskPlan
from kangaroo_eval.protocols import ChoiceRanker, Continuing, Informed, Model
from kangaroo_eval.record import frame_size, keep_aspect, plain
from kangaroo_eval.sheet import Sheet
from kangaroo_eval.types import Sample


class Told(NamedTuple):
    """What the run has to know of a model that is loaded elsewhere."""

    name: str
    model_hash: str | None
    dtype: str | None
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    frame_size: int
    keep_aspect: bool
    ranks: bool
    host: str


class Answered(NamedTuple):
    """The lines of one video's questions, and the model's notes and settings as they are now."""

    lines: list[dict[str, Any]]
    notes: tuple[str, ...]
    settings: Mapping[str, Any]


_decoder: list[DecoderProcess] = []


def decode_one(job: Job, timeout: float) -> tuple[Decoded, Decoded]:
    """A video's frames: without their pixels, which is all that the run needs, and with them. In a process of its own that lasts
    as long as this one, for a video may crash it or hang."""
    if not _decoder:
        _decoder.append(DecoderProcess(1))
    done = _decoder[0].run(job, timeout)
    whole = Decoded(job, done.frames, done.view, done.error, done.seconds, 0.0, done.stored)
    return dataclasses.replace(whole, frames=None), whole


class Answerer:
    """An actor: the model that the configuration names, on the device that the cluster gave this process."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._studied: str | None = None
        self._idle_since = 0.0

    def begin(self) -> Told:
        """Load the model, and tell of it. (What an actor's own beginning raises would come as its death.)"""
        self._model: Model = load(self._config)
        self._idle_since = time.perf_counter()
        if isinstance(self._model, Continuing):
            raise UserError(
                f"{self._model.name} answers through a server and gains nothing on a cluster: leave --ray and --gpus out"
            )
        facts = facts_of(self._model)
        return Told(
            self._model.name,
            facts.model_hash,
            facts.dtype,
            facts.notes,
            plain(facts.settings),
            frame_size(self._model),
            keep_aspect(self._model),
            isinstance(self._model, ChoiceRanker),
            os.uname().nodename,
        )

    def answer(self, plan: TaskPlan, samples: Sequence[Sample], decoded: Decoded) -> Answered:
        """Ask everything that is asked of one video. UserError and RunFailed concern the whole run."""
        began = time.perf_counter()
        if isinstance(self._model, Informed) and self._studied != plan.task.name:
            self._model.study(plan.task.name, plan.everything)
            self._studied = plan.task.name
        if decoded.frames is not None:
            # What comes out of the shared memory cannot be written to, which a model may rely on for its copies.
            frames = dataclasses.replace(decoded.frames, pixels=decoded.frames.pixels.copy())
            decoded = dataclasses.replace(decoded, frames=frames, wait_seconds=began - self._idle_since)
        sheet = Sheet()
        own = dataclasses.replace(plan, samples=tuple(samples))
        Answering(
            sheet.directory, own, self._config, self._model, None, lambda jobs: _only(jobs, decoded)
        ).finish()
        self._idle_since = time.perf_counter()
        facts = facts_of(self._model)
        return Answered(sheet.lines, facts.notes, plain(facts.settings))


def _only(jobs: Iterable[Job], decoded: Decoded) -> Iterator[Decoded]:
    for job in jobs:
        yield dataclasses.replace(decoded, job=job)
