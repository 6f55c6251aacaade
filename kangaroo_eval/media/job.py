"""One video from file to frames: what the pool's workers do, and what the pool does itself without workers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

from kangaroo_eval.errors import MediaError
from kangaroo_eval.media import subtitles
from kangaroo_eval.media.decoders import DECODERS
from kangaroo_eval.media.spec import FrameSpec, select, shape
from kangaroo_eval.types import Cue, Frames, Video, View


@dataclass(frozen=True, slots=True)
class Job:
    """A video and the frames wanted of it."""

    video: Video
    spec: FrameSpec


class Failure(NamedTuple):
    """Why a video gave no frames: the status for its samples, and one line with file and reason."""

    status: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What became of a job: `frames` and `view`, or `error`.

    `decode_seconds` is what indexing and decoding took where it was done; `wait_seconds` is how long the
    consumer had to wait for it.
    """

    job: Job
    frames: Frames | None
    view: View | None
    error: Failure | None
    decode_seconds: float
    wait_seconds: float


class Done(NamedTuple):
    """The outcome of a job and the seconds it took."""

    frames: Frames | None
    view: View | None
    error: Failure | None
    seconds: float


def do(job: Job, threads: int) -> Done:
    """Probe, select, decode and read the subtitles; the times alone for a `size` of 0. Bad media give an error, wrong use (UserError) is raised."""
    from kangaroo_eval.media import pictures
    from kangaroo_eval.media.info import probe, unseen

    began = time.perf_counter()
    try:
        info, wanted = select(probe(job.video), job.spec, job.video)
        if job.spec.size:
            decoder = DECODERS[job.spec.decoder]
            frames = decoder(job.video, info, wanted, shape(info, job.spec), threads)
        else:
            frames = unseen(info, wanted)
        if job.video.picture is not None:
            frames = pictures.appended(frames, job.video.picture)
        view = View(frames.times, info.fps, cues(job.video))
    except MediaError as error:
        return Done(None, None, Failure(error.status, str(error)), time.perf_counter() - began)
    return Done(frames, view, None, time.perf_counter() - began)


def cues(video: Video) -> tuple[Cue, ...]:
    """The video's subtitles; none where it has no subtitle file (many videos of a benchmark have not)."""
    if video.subtitles is None:
        return ()
    try:
        return subtitles.read(video.subtitles)
    except OSError as error:
        # A file that is named but cannot be read must not pass for a video without subtitles.
        raise MediaError(f"{video.subtitles}: subtitles cannot be read ({error.strerror})") from error
