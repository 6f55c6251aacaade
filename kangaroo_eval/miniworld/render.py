"""A world -> pictures, as arrays (training) or as a video file (mini benchmarks).

Pictures are uint8 RGB of shape (height, width, 3), painted at 128x128; `frames` also gives them smaller.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.font import GLYPHS
from kangaroo_eval.miniworld.motion import Sprite, sprites
from kangaroo_eval.miniworld.words import COLOURS
from kangaroo_eval.miniworld.world import Scene, World

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

SIDE = 128
"""Width and height of a painted picture, in pixels."""
FPS = 8
"""Frames a second of a made video."""
_KEY_SECONDS = 3
_INK = (12, 12, 12)
_SKIN = (236, 180, 145)
_PLACE_COLOURS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "night": ((18, 18, 38), (110, 110, 140)),
    "forest": ((72, 92, 70), (38, 58, 38)),
    "desert": ((196, 176, 140), (164, 138, 100)),
    "sea": ((70, 104, 128), (46, 76, 102)),
    "snow": ((178, 188, 198), (210, 216, 222)),
    "city": ((112, 112, 116), (76, 76, 82)),
}


def frames(world: World, times: Iterable[float], side: int = SIDE) -> Picture:
    """The pictures at `times` (seconds), uint8 of shape (n, side, side, 3).

    `side` must divide 128: blocks of pixels are averaged.
    """
    import numpy as np

    if side < 1 or SIDE % side:
        raise ValueError(f"side must divide {SIDE}, got {side}")
    return smaller(np.stack([picture(world, t) for t in times]), side)


def smaller(pictures: Picture, side: int) -> Picture:
    """uint8 (n, 128, 128, 3) -> (n, side, side, 3): blocks of pixels are averaged. `side` must divide 128."""
    import numpy as np

    if side == SIDE:
        return pictures
    k = SIDE // side
    blocks = pictures.reshape(len(pictures), side, k, side, k, 3)
    small: Picture = blocks.mean(axis=(2, 4)).round().astype(np.uint8)
    return small


def frame_times(world: World) -> list[float]:
    """The time of every frame of the world's video file, in seconds."""
    return [i / FPS for i in range(round(world.seconds * FPS))]


def picture(world: World, seconds: float) -> Picture:
    """The picture at one time, painted anew."""
    return painted(world.scene_at(seconds), sprites(world, seconds))


def painted(scene: Scene, figures: tuple[Sprite, ...]) -> Picture:
    """The place of a scene with figures in front of it, uint8 of shape (128, 128, 3)."""
    out = _background(scene.place, scene.ego).copy()
    for sprite in figures:
        if sprite.form == "sign":
            _sign(out, sprite)
        elif sprite.form == "hand":
            _hand(out, sprite)
        else:
            body, rim = _stencil(sprite.form, max(6, round(sprite.size * SIDE)))
            _stamp(out, rim, sprite, _INK)
            _stamp(out, body, sprite, COLOURS[sprite.colour])
    return out


def _stamp(out: Picture, mask: Mask, sprite: Sprite, colour: tuple[int, int, int]) -> None:
    """Paint `colour` where `mask`, centred on the sprite, cut off at the picture's edge."""
    side = mask.shape[0]
    left, top = round(sprite.x * SIDE) - side // 2, round(sprite.y * SIDE) - side // 2
    x0, x1, y0, y1 = max(left, 0), min(left + side, SIDE), max(top, 0), min(top + side, SIDE)
    if x0 < x1 and y0 < y1:
        out[y0:y1, x0:x1][mask[y0 - top : y1 - top, x0 - left : x1 - left]] = colour


def _box(out: Picture, box: tuple[float, float, float, float], colour: tuple[int, int, int]) -> None:
    """Fill x0, y0, x1, y1 (fractions of the picture)."""
    x0, y0, x1, y1 = (min(SIDE, max(0, round(v * SIDE))) for v in box)
    out[y0:y1, x0:x1] = colour


@lru_cache(maxsize=512)
def _stencil(form: str, side: int) -> tuple[Mask, Mask]:
    """The mask of a form `side` pixels wide, and the same with a rim of 2 pixels around it."""
    import numpy as np

    rim = 2
    v, u = (np.mgrid[0 : side + 2 * rim, 0 : side + 2 * rim] - (side - 1) / 2 - rim) / (side / 2)
    r2 = u * u + v * v
    inside = (np.abs(u) <= 1) & (np.abs(v) <= 1)
    body: Mask
    if form == "circle":
        body = r2 <= 1
    elif form == "square":
        body = (np.abs(u) <= 0.88) & (np.abs(v) <= 0.88)
    elif form == "triangle":
        body = (np.abs(u) <= (v + 1) / 2) & inside
    elif form == "cross":
        body = inside & ((np.abs(u) <= 0.32) | (np.abs(v) <= 0.32))
    else:
        body = (r2 <= 1) & (r2 >= 0.3)
    wide = body.copy()
    for dy in range(-rim, rim + 1):
        for dx in range(-rim, rim + 1):
            wide |= np.roll(body, (dy, dx), (0, 1))
    return body, wide


def _hand(out: Picture, sprite: Sprite) -> None:
    half = sprite.size / 2
    _box(out, (sprite.x - half * 0.7 - 0.015, sprite.y, sprite.x + half * 0.7 + 0.015, 1.0), _INK)
    _box(out, (sprite.x - half * 0.7, sprite.y, sprite.x + half * 0.7, 1.0), _SKIN)
    body, rim = _stencil("circle", round(sprite.size * SIDE))
    _stamp(out, rim, sprite, _INK)
    _stamp(out, body, sprite, _SKIN)


def _sign(out: Picture, sprite: Sprite) -> None:
    """A plate on a pole; every dot of its two characters is a twelfth of the plate's width."""
    dot = round(sprite.size * SIDE / 13)
    wide, high = dot * 13, dot * 9
    left, top = round(sprite.x * SIDE) - wide // 2, round(sprite.y * SIDE) - high // 2
    out[top + high : SIDE, left + wide // 2 - 4 : left + wide // 2 + 4] = _INK
    out[top - 2 : top + high + 2, left - 2 : left + wide + 2] = _INK
    out[top : top + high, left : left + wide] = COLOURS[sprite.colour]
    for k, character in enumerate(sprite.text):
        for row, line in enumerate(GLYPHS[character]):
            for column, mark in enumerate(line):
                if mark == "#":
                    y, x = top + dot * (1 + row), left + dot * (1 + column + 6 * k)
                    out[y : y + dot, x : x + dot] = _INK


@lru_cache(maxsize=16)
def _background(place: str, ego: bool) -> Picture:
    """The empty scene: each place has its own dull colours and pattern; first person adds a table."""
    import numpy as np

    ground, mark = _PLACE_COLOURS[place]
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    out[:] = ground
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    dice = Dice(f"background/{place}")
    if place == "night":
        for _ in range(40):
            sy, sx = dice.below(SIDE - 2), dice.below(SIDE - 2)
            out[sy : sy + 2, sx : sx + 2] = mark
    elif place == "snow":
        for _ in range(40):
            sy, sx = dice.below(SIDE - 4), dice.below(SIDE - 4)
            out[sy : sy + 4, sx : sx + 4] = mark
    elif place == "forest":
        out[(np.abs(x % 22 - 11) * 4 < (y % 64)) & (y % 64 < 44)] = mark
    elif place == "desert":
        out[y > 84 + 12 * np.sin(x / 14.0)] = mark
        out[y > 108 + 8 * np.sin(x / 9.0 + 2)] = ground
    elif place == "sea":
        out[((y + np.round(3 * np.sin(x / 6.0)).astype(int)) % 16) < 5] = mark
    else:
        for i in range(6):
            top = 20 + dice.below(60)
            out[top:, i * 22 + 1 : i * 22 + 19] = mark
            out[top + 4 :: 10, i * 22 + 5 : i * 22 + 8] = ground
            out[top + 4 :: 10, i * 22 + 12 : i * 22 + 15] = ground
    if ego:
        out[76:] = (128, 96, 68)
        out[76:79] = (84, 60, 42)
    out.flags.writeable = False
    return out


def _planes(picture_rgb: Picture) -> Picture:
    """RGB -> one yuv420p array (3 * height / 2, width), BT.601 limited range, in whole numbers.

    Done here and not by swscale, whose rounding depends on the processor: files shall be the same everywhere.
    """
    import numpy as np

    r, g, b = np.moveaxis(picture_rgb, 2, 0).astype(np.int32)
    luma = (66 * r + 129 * g + 25 * b + 128 >> 8) + 16
    r, g, b = (c[::2, ::2] + c[1::2, ::2] + c[::2, 1::2] + c[1::2, 1::2] for c in (r, g, b))
    u = (-38 * r - 74 * g + 112 * b + 512 >> 10) + 128
    v = (112 * r - 94 * g - 18 * b + 512 >> 10) + 128
    out = np.concatenate([luma.ravel(), u.ravel(), v.ravel()]).astype(np.uint8)
    return out.reshape(SIDE * 3 // 2, SIDE)


def _planes_of(world: World) -> Iterator[Picture]:
    """The yuv420p array of every frame; a frame like the one before is not painted again."""
    last: tuple[str, tuple[Sprite, ...]] | None = None
    planes: Picture | None = None
    for seconds in frame_times(world):
        scene = world.scene_at(seconds)
        now = (scene.place, sprites(world, seconds))
        if planes is None or now != last:
            planes, last = _planes(painted(scene, now[1])), now
        yield planes


class _Format(NamedTuple):
    """A kind of video file: libavformat's name and options, then the encoder and its options."""

    container: str
    options: dict[str, str]
    encoder: str
    settings: dict[str, str]


_X264 = (
    f"keyint={_KEY_SECONDS * FPS}:min-keyint={FPS}:bframes=2:b-adapt=1"
    ":threads=1:lookahead-threads=1:sliced-threads=0"
    ":colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m:fullrange=off"
)
_FORMATS = {
    ".mp4": _Format(
        "mp4",
        {"movflags": "+faststart", "fflags": "+bitexact"},
        "libx264",
        {"preset": "veryfast", "crf": "20", "x264-params": _X264},
    ),
    ".webm": _Format(
        "webm",
        {"fflags": "+bitexact"},
        "libvpx",
        {"b": "2M", "crf": "10", "deadline": "good", "cpu-used": "4", "g": str(_KEY_SECONDS * FPS)},
    ),
    ".avi": _Format(
        "avi",
        {"fflags": "+bitexact"},
        "mpeg4",
        {"b": "4M", "qmin": "2", "qmax": "4", "flags": "+bitexact", "g": str(_KEY_SECONDS * FPS)},
    ),
}
"""By the ending of a file's name."""


def write_video(world: World, path: Path) -> None:
    """Write the world as a video of 8 fps in yuv420p: the same bytes for the same world.

    The ending says which: .mp4 (H.264), .webm (VP8) or .avi (MPEG-4). The file appears under its name only when
    whole. Raises OSError or av.FFmpegError, and ValueError for another ending.
    """
    if path.suffix not in _FORMATS:
        raise ValueError(f"{path.name}: a video ends in {', '.join(_FORMATS)}")
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        _encode(world, part, _FORMATS[path.suffix])
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _encode(world: World, path: Path, form: _Format) -> None:
    import av

    total = 0
    with av.open(str(path), "w", format=form.container, options=form.options) as container:
        stream = container.add_stream(form.encoder, rate=FPS)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.options = {**form.settings}
        for planes in _planes_of(world):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = total
            total += 1
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    with av.open(str(path)) as written:  # libavformat does not report every write that a full disk refuses
        # WebM does not tell how many frames it has.
        found = written.streams.video[0].frames or sum(packet.size > 0 for packet in written.demux(video=0))
        if found != total:
            raise OSError(f"{path}: {found} of {total} frames were written")
