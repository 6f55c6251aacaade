"""Single pictures of a world as files: PNG or JPEG, by the ending of the name."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from kangaroo_eval.miniworld.render import SIDE, picture
from kangaroo_eval.miniworld.world import World

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FORMATS = {".png": ("png", "rgb24"), ".jpg": ("mjpeg", "yuvj444p")}
"""Ending of a file -> libavcodec's encoder and its pixel format."""


@dataclass(frozen=True, slots=True)
class Still:
    """What a world shows at a time (seconds)."""

    world: World
    seconds: float


def write_still(still: Still, path: Path) -> None:
    """Write one picture. Raises OSError or av.FFmpegError, and ValueError for an ending that it does not know."""
    import av

    if path.suffix not in _FORMATS:
        raise ValueError(f"{path.name}: a picture ends in {' or '.join(_FORMATS)}")
    codec, pixels = _FORMATS[path.suffix]
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width = encoder.height = SIDE
    encoder.pix_fmt = pixels
    encoder.time_base = Fraction(1)
    encoder.options = {"flags": "+bitexact"}
    shown = picture(still.world, still.seconds)
    if codec == "mjpeg":
        encoder.sample_aspect_ratio = Fraction(1)  # else it writes no JFIF header
        encoder.options |= {"qmin": "2", "qmax": "2"}
        shown = _full_range(shown)
    frame = av.VideoFrame.from_ndarray(shown, format=pixels)
    frame.pts = 0
    path.write_bytes(b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None))))


def _full_range(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB -> yuvj444p (3, height, width) as JFIF has it, in whole numbers: the same on every processor."""
    import numpy as np

    r, g, b = np.moveaxis(rgb, 2, 0).astype(np.int32)
    planes = (
        77 * r + 150 * g + 29 * b + 128 >> 8,
        (-43 * r - 85 * g + 128 * b + 128 >> 8) + 128,
        (128 * r - 107 * g - 21 * b + 128 >> 8) + 128,
    )
    out: NDArray[np.uint8] = np.clip(np.stack(planes), 0, 255).astype(np.uint8)
    return out
