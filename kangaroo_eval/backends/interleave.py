"""Frames and subtitles in one row, ordered by time: LongVideoBench's protocol for models that read both mixed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kangaroo_eval.types import Cue

SHORT = 1.0
"""Seconds. A cue that is shown for less counts as shown for this long, about its middle."""


def interleave(frame_times: Sequence[float], cues: Sequence[Cue]) -> list[int | Cue]:
    """The indices of all frames, in order, with the cues between them.

    A cue stands after the frames up to its middle, and only where some frame lies strictly inside it: the others
    are left out, as they are by the official loader (longvideobench_dataset.py, insert_subtitles_into_frames). Times
    are seconds; cues keep the order they come in. A cue without an end lasts until the last frame.
    """
    row: list[int | Cue] = []
    placed = 0
    for cue in cues:
        end = max(cue.start, *frame_times) if frame_times and math.isinf(cue.end) else cue.end
        middle = (cue.start + end) / 2
        while placed < len(frame_times) and frame_times[placed] <= middle:
            row.append(placed)
            placed += 1
        start, end = cue.start, cue.end
        if end - start < SHORT:
            start, end = middle - SHORT / 2, middle + SHORT / 2
        if any(start < time < end for time in frame_times):
            row.append(cue)
    row.extend(range(placed, len(frame_times)))
    return row
