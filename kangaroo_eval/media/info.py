"""What is known of a clip before any of it is decoded for good: `probe`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kangaroo_eval.errors import MediaError
from kangaroo_eval.media import pictures
from kangaroo_eval.media.index import Index, read
from kangaroo_eval.types import Frames, Video


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Info:
    """A clip: `total` frames at `times` (seconds from the first visible frame of the *file*), `duration`
    seconds from its first frame to the end of its last.

    `fps` is the file's average frame rate; `width` and `height` are those of an upright frame; `absent` counts
    frames that the file's header promises but a truncated file no longer holds. `first` is the clip's first
    frame in the file. `source` is what decoding needs: the file's index, or the names of the pictures. `whole`
    is the file that a bounded clip was cut from.
    """

    total: int
    times: NDArray[np.float64]
    fps: float
    duration: float
    width: int
    height: int
    codec: str
    first: int
    absent: int
    source: Index | tuple[str, ...]
    whole: Info | None = None


def probe(video: Video) -> Info:
    """Index the video and cut it to the clip. MissingVideo or MediaError, in one line with file and reason."""
    if video.frames_dir is not None:
        found = pictures.read(video.frames_dir, video.fps, video.pictures)
        times = np.arange(len(found.names)) / found.fps
        whole = Info(
            total=len(times),
            times=times,
            fps=found.fps,
            duration=len(times) / found.fps,
            width=found.width,
            height=found.height,
            codec=found.codec,
            first=0,
            absent=0,
            source=found.names,
        )
        return _cut(video.frames_dir, whole, video.start, video.end)
    index = read(video.path)
    whole = Info(
        total=len(index.times),
        times=index.times,
        fps=index.fps,
        duration=index.duration,
        width=index.width,
        height=index.height,
        codec=index.codec,
        first=0,
        absent=index.absent,
        source=index,
    )
    return _cut(video.path, whole, video.start, video.end)


def unseen(info: Info, indices: Sequence[int]) -> Frames:
    """The frames `indices` of the clip without their pixels, which are of shape (n, 0, 0, 3)."""
    return Frames(
        pixels=np.empty((len(indices), 0, 0, 3), np.uint8),
        times=tuple(float(info.times[index]) for index in indices),
        total=info.total,
        duration=info.duration,
        absent=info.absent,
    )


def _cut(name: str, whole: Info, start: float | None, end: float | None) -> Info:
    """The frames with `start <= time < end`.

    Where no frame begins in a clip that overlaps the video (it is shorter than a frame), the frame on screen
    at its start is the clip. MediaError where it lies wholly past the end or before the start, or is reversed.
    """
    if start is None and end is None:
        return whole
    begin = 0.0 if start is None else start
    until = whole.duration if end is None else end
    if math.isnan(begin) or math.isnan(until):
        # It compares as neither before nor after anything, and some other part would be taken.
        raise MediaError(f"{name}: the clip {begin}-{until} s has a bound that is no number")
    if begin >= whole.duration or until <= 0 or until < begin:
        raise MediaError(
            f"{name}: the clip {begin:.3f}-{until:.3f} s is not in the video, which is {whole.duration:.3f} s long"
        )
    first, last = np.searchsorted(whole.times, [begin, until], side="left")
    if last <= first:
        first = max(0, int(np.searchsorted(whole.times, begin, side="right")) - 1)
        last = first + 1
    ends = [*whole.times[last : last + 1], whole.duration]
    times = whole.times[first:last]
    return Info(
        total=len(times),
        times=times,
        fps=whole.fps,
        duration=float(ends[0] - times[0]),
        width=whole.width,
        height=whole.height,
        codec=whole.codec,
        first=int(first),
        absent=whole.absent,
        source=whole.source,
        whole=whole,
    )
