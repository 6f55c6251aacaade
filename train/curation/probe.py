"""The first stages: what a file is, and the shots in it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kangaroo_eval.errors import MediaError
from kangaroo_eval.train.curation.stage import Row
from kangaroo_eval.types import Video

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kangaroo_eval.media.info import Info


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Length, size and rate of a file, from its index and not from its header. `longest` (seconds) and `largest` (pixels of
    the longer side): a file beyond them is a row with an error and costs nothing more."""

    longest: float = 6 * 3600.0
    largest: int = 8192
    name: ClassVar[str] = "probe"
    version: ClassVar[int] = 1

    def setup(self) -> None:
        """Nothing to load."""

    def one(self, row: Row) -> list[Row]:
        """The row with `duration` (seconds), `frames`, `fps`, `width`, `height`, `codec`, `bytes` and `flags`."""
        from kangaroo_eval.media import probe

        info = probe(Video(row["path"], start=row.get("start"), end=row.get("end")))
        if info.duration > self.longest:
            raise MediaError(f"{row['path']}: {info.duration:.0f} s, more than {self.longest:.0f} s")
        if max(info.width, info.height) > self.largest:
            raise MediaError(
                f"{row['path']}: {info.width}x{info.height} pixels, more than {self.largest} on a side"
            )
        return [
            {
                **row,
                "duration": round(info.duration, 3),
                "frames": info.total,
                "fps": round(info.fps, 3),
                "width": info.width,
                "height": info.height,
                "codec": info.codec,
                "bytes": os.path.getsize(row["path"]),
                "flags": _flags(info),
            }
        ]


def _flags(info: Info) -> list[str]:
    """What one may want to know of a file before it is used."""
    import numpy as np

    found = []
    steps = np.diff(info.times)
    if info.total == 1:
        found.append("one_frame")
    if len(steps) > 1 and float(steps.max()) > 1.5 * float(np.median(steps)):
        found.append("variable_rate")
    if info.absent:
        found.append("cut_short")
    if info.height > info.width:
        found.append("upright")
    return found


CUT_SIDE = 160
"""Pixels of the longer side at which shots are told apart."""
_CHUNK = 256


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One row a shot, by PySceneDetect's adaptive detector: the content's change against that of the frames around it.

    `least` (seconds): shorter shots are joined to the one before. `most`: longer ones are cut into equal parts of at most
    this. A clip keeps `start` and `end` (seconds from the file's first frame) and is not written anew.
    """

    threshold: float = 3.0
    least: float = 1.0
    most: float = 300.0
    name: ClassVar[str] = "cut"
    version: ClassVar[int] = 1

    def setup(self) -> None:
        """Nothing to load."""

    def one(self, row: Row) -> list[Row]:
        """The shots, each with `video` (the whole file's id), `shot` from 0, `shots`, `start`, `end` and `duration`."""
        from kangaroo_eval.media import probe

        info = probe(Video(row["path"], start=row.get("start"), end=row.get("end")))
        bounds = self.bounds(Video(row["path"], start=row.get("start"), end=row.get("end")), info)
        return [
            {
                **row,
                "id": f"{row['id']}#{number}",
                "video": row["id"],
                "shot": number,
                "shots": len(bounds),
                "start": round(start, 4),
                "end": round(end, 4),
                "duration": round(end - start, 3),
            }
            for number, (start, end) in enumerate(bounds)
        ]

    def bounds(self, video: Video, info: Info) -> list[tuple[float, float]]:
        """Start and end of each shot in seconds from the file's first frame."""
        begin, until = float(info.times[0]), float(info.times[0]) + info.duration
        cuts = [float(info.times[place]) for place in self.cuts(video, info)]
        edges = [begin]
        for cut in cuts:
            if cut - edges[-1] >= self.least and until - cut >= self.least:
                edges.append(cut)
        edges.append(until)
        found = []
        for start, end in itertools.pairwise(edges):
            parts = max(1, -int(-(end - start) // self.most))
            step = (end - start) / parts
            found += [(start + i * step, start + (i + 1) * step) for i in range(parts)]
        return found

    def cuts(self, video: Video, info: Info) -> list[int]:
        """The frames (of the clip, from 0) that begin a new shot."""
        from fractions import Fraction

        from scenedetect import AdaptiveDetector, FrameTimecode

        rate = Fraction(info.fps if info.fps > 0 else 25.0).limit_denominator(1001)
        # Lengths are looked after in `bounds`, in seconds and not in frames.
        detector = AdaptiveDetector(adaptive_threshold=self.threshold, min_scene_len=1)
        found = []
        for place, frame in enumerate(small(video, info, CUT_SIDE)):
            found += detector.process_frame(FrameTimecode(place, rate), frame)
        found += detector.post_process(FrameTimecode(info.total, rate))
        return sorted({each.frame_num for each in found if 0 < each.frame_num < info.total})


def small(video: Video, info: Info, side: int) -> Iterator[NDArray[np.uint8]]:
    """Every frame of a clip in turn, uint8 BGR with `side` pixels on its longer side; only some hundred are held."""
    import numpy as np

    from kangaroo_eval.media import decode

    shape = fitted(info.height, info.width, side)
    for first in range(0, info.total, _CHUNK):
        wanted = range(first, min(first + _CHUNK, info.total))
        for frame in decode(video, info, wanted, shape, 1).pixels:
            yield np.ascontiguousarray(frame[:, :, ::-1])


def fitted(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width with the longer side at most `side`, even numbers."""
    scale = min(1.0, side / max(height, width))
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)
