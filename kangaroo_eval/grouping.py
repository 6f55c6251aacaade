"""Questions by the video that they are about, and what is noted of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from kangaroo_eval.types import Frames, Sample, Video


def by_video(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Neighbours that are about the same video together."""
    groups: list[list[Sample]] = []
    for sample in samples:
        if groups and groups[-1][0].video == sample.video:
            groups[-1].append(sample)
        else:
            groups.append([sample])
    return groups


def repeated(frames: Frames, times: int) -> Frames:
    """Every frame `times` times in a row: 1, 1, 2, 2, ..."""
    if times == 1:
        return frames
    return dataclasses.replace(
        frames,
        pixels=frames.pixels.repeat(times, axis=0),
        times=tuple(time for time in frames.times for _ in range(times)),
    )


def file_bytes(video: Video) -> int | None:
    """Size of the video file: a resumed run notices by it that a file was exchanged."""
    try:
        return None if video.frames_dir else os.path.getsize(video.path)
    except OSError:
        return None


def longest_first_at_the_end(groups: list[list[Sample]], count: int) -> list[list[Sample]]:
    """The groups in their order, but the last `count` by the size of their video, the largest first: where many decode, none
    is left with a long video when the others have nothing more to do."""
    kept = max(0, len(groups) - count)
    tail = sorted(groups[kept:], key=lambda group: -(file_bytes(group[0].video) or 0))
    return [*groups[:kept], *tail]
