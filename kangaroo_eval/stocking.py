"""Fill the frame store ahead of a run, which then decodes nothing: `kangaroo-eval data frames`."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kangaroo_eval.media import Job, decode_ahead
from kangaroo_eval.plan import RunConfig, TaskPlan, store_of
from kangaroo_eval.protocols import Model
from kangaroo_eval.record import frame_spec

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stocked:
    """What became of the videos: `decoded`, `there` before, `failed`; and what the store holds, in files and bytes."""

    folder: str
    decoded: int
    there: int
    failed: int
    files: int
    bytes: int

    def __str__(self) -> str:
        return (
            f"{self.decoded} videos decoded, {self.there} were there, {self.failed} give no frames; {self.folder} has "
            f"{self.files} files, {self.bytes / 1e9:.2f} GB"
        )


def stock(
    plans: Sequence[TaskPlan],
    config: RunConfig,
    model: Model,
    progress: Callable[[int, int], None] | None = None,
) -> Stocked:
    """Decode the frames that `config` would show to `model` of every video of the plans, those of `also_frames` in the same
    pass. `progress` is told videos done and in all. The configuration must name a store."""
    store = store_of(config)
    assert store is not None
    jobs = []
    for plan in plans:
        spec = frame_spec(config, plan.task, model)
        also = tuple(dataclasses.replace(spec, frames=count) for count in config.also_frames)
        # Frames do not depend on subtitles, and clips that differ in them alone are one.
        videos = dict.fromkeys(
            dataclasses.replace(sample.video, subtitles=None, picture=None) for sample in plan.samples
        )
        jobs += [Job(video, spec, store, also) for video in videos]
    workers = os.cpu_count() or 1 if config.workers is None else config.workers
    there = failed = 0
    for number, found in enumerate(decode_ahead(jobs, workers=workers, timeout=config.decode_timeout), 1):
        if found.error is not None:
            failed += 1
            log.warning("%s: %s", found.error.status, found.error.message)
        there += found.stored
        if progress is not None:
            progress(number, len(jobs))
    states = [state for _, state in store.files()]
    return Stocked(
        store.folder,
        len(jobs) - there - failed,
        there,
        failed,
        len(states),
        sum(each.st_size for each in states),
    )
