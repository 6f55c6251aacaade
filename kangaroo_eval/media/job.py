"""One video from file to frames: what the pool's workers do, and what the pool does itself without workers."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import NamedTuple

from kangaroo_eval.errors import MediaError
from kangaroo_eval.media import subtitles
from kangaroo_eval.media.decoders import DECODERS
from kangaroo_eval.media.spec import FrameSpec, select, shape
from kangaroo_eval.media.store import Store, Stored
from kangaroo_eval.types import Cue, Frames, Video, View


@dataclass(frozen=True, slots=True)
class Job:
    """A video and the frames wanted of it.

    Where there is a `store`, frames come from it, or go into it when they are decoded; those of the formulas `also` go into it
    in the same pass.
    """

    video: Video
    spec: FrameSpec
    store: Store | None = None
    also: tuple[FrameSpec, ...] = ()


class Failure(NamedTuple):
    """Why a video gave no frames: the status for its samples, and one line with file and reason."""

    status: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What became of a job: `frames` and `view`, or `error`.

    `decode_seconds` is what indexing and decoding took where it was done; `wait_seconds` is how long the
    consumer had to wait for it; `stored` says that nothing was decoded, for the frames were in the store.
    """

    job: Job
    frames: Frames | None
    view: View | None
    error: Failure | None
    decode_seconds: float
    wait_seconds: float
    stored: bool = False


class Done(NamedTuple):
    """The outcome of a job, the seconds it took, and whether the frames were in the store."""

    frames: Frames | None
    view: View | None
    error: Failure | None
    seconds: float
    stored: bool = False


def do(job: Job, threads: int) -> Done:
    """Probe, select, decode and read the subtitles; the times alone for a `size` of 0. Bad media give an error, wrong use (UserError) is raised."""
    from kangaroo_eval.media import pictures
    from kangaroo_eval.media.filling import fill

    began = time.perf_counter()
    try:
        if job.store is not None and job.also and job.spec.size:
            kept, stored = fill(job.video, (*job.also, job.spec), job.store, threads)
        else:
            kept, stored = _kept(job, threads)
        frames = kept.frames
        if job.video.picture is not None:
            frames = pictures.appended(frames, job.video.picture)
        view = View(frames.times, kept.fps, cues(job.video))
    except MediaError as error:
        return Done(None, None, Failure(error.status, str(error)), time.perf_counter() - began)
    return Done(frames, view, None, time.perf_counter() - began, stored)


def _kept(job: Job, threads: int) -> tuple[Stored, bool]:
    """The frames of a job, and whether they were in the store."""
    key = None
    if job.store is not None and job.spec.size:
        with contextlib.suppress(OSError):
            # A video that cannot be read is told of by whoever decodes it.
            key = job.store.key(job.video, job.spec)
    if job.store is None or key is None:
        return decoded(job.video, job.spec, threads), False
    found = job.store.read(key)
    if found is not None:
        return found, True
    return job.store.write(key, decoded(job.video, job.spec, threads)), False


def decoded(video: Video, spec: FrameSpec, threads: int) -> Stored:
    """The frames that `spec` wants, from the video itself. MediaError for one that does not give them."""
    from kangaroo_eval.media.info import probe, unseen

    info, wanted = select(probe(video), spec, video)
    if not spec.size:
        return Stored(unseen(info, wanted), info.fps)
    return Stored(DECODERS[spec.decoder](video, info, wanted, shape(info, spec), threads), info.fps)


def cues(video: Video) -> tuple[Cue, ...]:
    """The video's subtitles; none where it has no subtitle file (many videos of a benchmark have not)."""
    if video.subtitles is None:
        return ()
    try:
        return subtitles.read(video.subtitles)
    except OSError as error:
        # A file that is named but cannot be read must not pass for a video without subtitles.
        raise MediaError(f"{video.subtitles}: subtitles cannot be read ({error.strerror})") from error
