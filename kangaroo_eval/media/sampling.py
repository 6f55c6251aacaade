"""Which frames of a video a model sees: pure functions from a frame count to frame indices.

Each takes `(total, n)`: the number of visible frames and the number wanted. Each returns sorted, distinct
indices in `range(total)`, never more than there are frames: where `n >= total` it is every frame (most of the
official functions repeat frames there instead). Counts below 1 are a ValueError.

Python's `round` is half to even on floats, as numpy's is, so the official functions are reproduced exactly
without numpy (`tests/media/test_media_sampling.py` holds them against recorded outputs).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from kangaroo_eval.errors import UserError

Sampler = Callable[[int, int], tuple[int, ...]]

# Seconds. A moment that floating point puts a hair before its frame still shows that frame.
_SLACK = 1e-6


def uniform(total: int, n: int) -> tuple[int, ...]:
    """The centres of n equal segments of the frame sequence."""
    if _all_wanted(total, n):
        return tuple(range(total))
    return tuple((2 * i + 1) * total // (2 * n) for i in range(n))


def endpoints(total: int, n: int) -> tuple[int, ...]:
    """`np.linspace(0, total - 1, n)` cut to whole numbers: the first frame, the last, and even steps between."""
    if _all_wanted(total, n):
        return tuple(range(total))
    if n == 1:
        return (0,)
    step = (total - 1) / (n - 1)
    return (*(int(i * step) for i in range(n - 1)), total - 1)


def videomme(total: int, n: int) -> tuple[int, ...]:
    """Video-MME's `get_seq_frames`: the middle between the rounded ends of n segments of total - 1 frames."""
    if _all_wanted(total, n):
        return tuple(range(total))
    segment = (total - 1) / n
    return tuple((round(segment * i) + round(segment * (i + 1))) // 2 for i in range(n))


def vlmevalkit(total: int, n: int) -> tuple[int, ...]:
    """VLMEvalKit's `nframe`: the n inner ones of n + 2 evenly spaced points, cut to whole numbers."""
    if _all_wanted(total, n):
        return tuple(range(total))
    step = total / (n + 1)
    return tuple(int(i * step) for i in range(1, n + 1))


def lmms_linspace(total: int, n: int) -> tuple[int, ...]:
    """lmms-eval's `np.linspace(0, total - 1, n, dtype=int)`, which is `endpoints`."""
    return endpoints(total, n)


def longvideobench(total: int, n: int) -> tuple[int, ...]:
    """LongVideoBench's `load_video`: whole steps from the first frame on (the tail is seen less)."""
    if _all_wanted(total, n):
        return tuple(range(total))
    step = int(total / n)
    return tuple(step * i for i in range(n))


def mlvu(total: int, n: int) -> tuple[int, ...]:
    """MLVU's `get_index` (from VideoChat2): half a segment past each rounded segment start."""
    if _all_wanted(total, n):
        return tuple(range(total))
    segment = (total - 1) / n
    return tuple(int(segment / 2 + round(segment * i)) for i in range(n))


def mvbench(
    bound: tuple[float | None, float | None], fps: float, max_frame: int, first: int, n: int
) -> tuple[int, ...]:
    """MVBench's `get_index` (OpenGVLab/Ask-Anything, video_chat2/mvbench.ipynb, cell 13), as it stands: `bound` is
    the clip in seconds, `max_frame` the file's last index, `first` the number of its first frame (1 for a folder
    of pictures). Short clips repeat indices, and a clip past the end gives indices that are not there."""
    start, end = (-100000.0 if bound[0] is None else bound[0]), (100000.0 if bound[1] is None else bound[1])
    begin = max(first, round(start * fps))
    until = min(round(end * fps), max_frame)
    segment = (until - begin) / n
    return tuple(int(begin + segment / 2 + round(segment * i)) for i in range(n))


SAMPLERS: Mapping[str, Sampler] = {
    "uniform": uniform,
    "endpoints": endpoints,
    "videomme": videomme,
    "vlmevalkit": vlmevalkit,
    "lmms_linspace": lmms_linspace,
    "longvideobench": longvideobench,
    "mlvu": mlvu,
}


def sampler(name: str) -> Sampler:
    """The sampler of that name. UserError, with the choices, for any other."""
    if name not in SAMPLERS:
        raise UserError(f"--sampler {name!r} is not known; choose one of {', '.join(SAMPLERS)}")
    return SAMPLERS[name]


def indices(name: str, total: int, n: int) -> tuple[int, ...]:
    """The frames that the sampler called `name` takes: n of `total`. UserError for an unknown name."""
    return sampler(name)(total, n)


def by_rate(
    times: Sequence[float], rate: float, max_frames: int | None, end: float | None = None
) -> tuple[int, ...]:
    """The frames on screen at the moments 0, 1/rate, 2/rate, ... seconds after the first of `times`.

    `times` are the sorted times in seconds of all frames, `end` is when the last one goes (None: at once), `rate` is in
    frames a second. A frame that is on
    screen at several moments is taken once. Where that is more than `max_frames` (None: no cap), the centres
    of `max_frames` equal segments of the list are kept: still whole multiples of 1/rate, still spread evenly.
    ValueError for a rate that is not positive, a cap below 1, or no times.
    """
    if not len(times) or not rate > 0 or (max_frames is not None and max_frames < 1):
        raise ValueError(f"no frames at rate {rate} with at most {max_frames} of {len(times)}")
    origin = float(times[0])
    gone = times[-1] + 2 * _SLACK if end is None else max(end, times[-1] + 2 * _SLACK)
    shown = []
    for index, time in enumerate(times):
        # The first moment at which this frame can be on screen, and when the next frame takes its place.
        moment = math.ceil((time - origin - _SLACK) * rate) / rate
        until = (times[index + 1] if index + 1 < len(times) else gone) - origin - _SLACK
        if moment < until:
            shown.append(index)
    if max_frames is None or len(shown) <= max_frames:
        return tuple(shown)
    return tuple(shown[i] for i in uniform(len(shown), max_frames))


def _all_wanted(total: int, n: int) -> bool:
    if total < 1 or n < 1:
        raise ValueError(f"cannot take {n} of {total} frames: both must be at least 1")
    return n >= total
