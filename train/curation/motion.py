"""How much moves in a clip: optical flow at 128 x 128 (Section III.B: static scenes), as pixels a second.

DIS flow at a fixed rate: the flow between two frames depends on how far apart in time they are, so a threshold holds for one
rate only. A flow across a cut is huge and means nothing: clips are shots.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 128
"""The paper's resolution for flow."""
RATE = 8.0
"""Frames a second."""
_RUNS = 6
_STILL = 0.05


def places(times: NDArray[np.float64], duration: float, most: float) -> list[list[int]]:
    """Runs of frames at `RATE`: one run over a clip of at most `most` seconds, else some runs of so much in all, spread
    evenly. Of a file with fewer frames a second, every frame."""
    import numpy as np

    begin = float(times[0])
    if duration <= most:
        stretches = [(begin, begin + duration)]
    else:
        gap, each = duration / _RUNS, most / _RUNS
        stretches = [
            (begin + (i + 0.5) * gap - each / 2, begin + (i + 0.5) * gap + each / 2) for i in range(_RUNS)
        ]
    found = []
    for start, end in stretches:
        moments = np.arange(start, end, 1 / RATE)
        on_screen = np.searchsorted(times, moments + 1e-6, side="right") - 1
        found.append(np.unique(np.clip(on_screen, 0, len(times) - 1)).tolist())
    return found


def scores(
    runs: Sequence[Sequence[tuple[float, NDArray[np.uint8]]]],
) -> tuple[Mapping[str, float], Mapping[str, Any]]:
    """`motion`: the mean length of the flow over pixels and frame pairs, in pixels of a 128-pixel square a second; `still`: the
    share of the time in which less than a twentieth of a pixel a second moves. `runs`: frames (h, w, 3) with their times."""
    import cv2
    import numpy as np

    from kangaroo_eval.train.curation.look import gray

    tools: Any = cv2  # whose stubs lack this class
    flow = tools.DISOpticalFlow_create(tools.DISOPTICAL_FLOW_PRESET_FAST)
    speeds, seconds = [], []
    for run in runs:
        squares = gray([frame for _, frame in run], SIDE)
        for (before, after), (first, second) in zip(
            itertools.pairwise(run), itertools.pairwise(squares), strict=True
        ):
            gap = float(after[0] - before[0])
            if np.array_equal(first, second):
                moved = 0.0
            else:
                moved = float(np.linalg.norm(flow.calc(first, second, None), axis=2).mean())
            speeds.append(moved / gap)
            seconds.append(gap)
    if not speeds:
        return {"motion": 0.0, "still": 1.0}, {}
    total = sum(seconds)
    mean = sum(speed * gap for speed, gap in zip(speeds, seconds, strict=True)) / total
    still = sum(gap for speed, gap in zip(speeds, seconds, strict=True) if speed < _STILL) / total
    return {"motion": mean, "still": still}, {}
