"""The first stage: what a file is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kangaroo_eval.errors import MediaError
from kangaroo_eval.train.curation.stage import Row
from kangaroo_eval.types import Video

if TYPE_CHECKING:
    from kangaroo_eval.media.info import Info


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Length, size and rate of a file, from its index and not from its header. `longest` (seconds) and `largest` (pixels of
    the longer side): a file beyond them is a row with an error and costs nothing more."""

    longest: float = 6 * 3600.0
    largest: int = 8192
    name: ClassVar[str] = "probe"
    version: ClassVar[int] = 2

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
                # Of a frame an hour too something is left.
                "fps": round(info.fps, 3) or float(f"{info.fps:.3g}"),
                "width": info.width,
                "height": info.height,
                "codec": info.codec,
                "bytes": os.path.getsize(row["path"]),
                "flags": _flags(info, row["path"]),
            }
        ]


_HDR = {16: "PQ", 18: "HLG"}
"""Transfer curves of ITU-T H.273 whose luma is not that of other videos: pixels are taken as they are stored."""


def _flags(info: Info, path: str) -> list[str]:
    """What one may want to know of a file before it is used."""
    import numpy as np

    from kangaroo_eval.media.container import open_video

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
    container, stream = open_video(path)
    with container:
        if stream.codec_context.color_trc in _HDR:
            found.append("hdr")
        stored = stream.codec_context.width, stream.codec_context.height
        if stored == (info.height, info.width) and info.height != info.width:
            found.append("turned")
    return found


def fitted(height: int, width: int, side: int) -> tuple[int, int]:
    """Height and width with the longer side at most `side`, even numbers."""
    scale = min(1.0, side / max(height, width))
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)
