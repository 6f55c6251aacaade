"""The frames that a model saw, as one small picture for each video: decoded again from the file at the recorded times."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kangaroo_eval.errors import MediaError
from kangaroo_eval.media import decode, probe
from kangaroo_eval.types import Video

COLUMNS = 8
SIDE = 160
"""Pixels of the longer side of a frame in a strip."""


class Strip(NamedTuple):
    """A file of frames in rows of `columns`, each `width` x `height` pixels; or why there is none."""

    file: str = ""
    columns: int = 0
    width: int = 0
    height: int = 0
    why: str = ""


def write_strip(video: Video, times: Sequence[float], folder: Path, side: int = SIDE) -> Strip:
    """Decode the frames of `video` nearest to `times` (seconds) and write them as one JPEG into `folder`; a file that is
    there is taken as it is. A video that cannot be read gives a strip that says why."""
    told = f"{video.path}/{video.frames_dir}/{video.start}/{video.end}/{side}/{[round(t, 3) for t in times]}"
    file = folder / f"{hashlib.sha256(told.encode()).hexdigest()[:20]}.jpg"
    if not times:
        return Strip(why="no frames were recorded")
    try:
        info = probe(video)
        scale = min(1.0, side / max(info.width, info.height))
        # JPEG's colours come in blocks of two pixels.
        width, height = (max(2, round(length * scale / 2) * 2) for length in (info.width, info.height))
        columns = min(COLUMNS, len(times))
        if not file.exists():
            nearest = [int(np.abs(info.times - time).argmin()) for time in times]
            distinct = sorted(set(nearest))
            frames = decode(video, info, distinct, (height, width), 1)
            place = {index: i for i, index in enumerate(distinct)}
            sheet = _sheet([frames.pixels[place[index]] for index in nearest], columns)
            folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_jpeg(sheet))
    except MediaError as error:
        return Strip(why=str(error))
    return Strip(file.name, columns, width, height)


def _sheet(frames: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    height, width = frames[0].shape[:2]
    sheet = np.zeros((math.ceil(len(frames) / columns) * height, columns * width, 3), np.uint8)
    for i, frame in enumerate(frames):
        row, column = divmod(i, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = frame
    return sheet


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    import av

    codec = av.CodecContext.create("mjpeg", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.height, codec.width = picture.shape[:2]
    codec.pix_fmt, codec.time_base = "yuvj420p", Fraction(1, 25)
    codec.qmin = codec.qmax = 4
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
