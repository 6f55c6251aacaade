"""A folder of numbered pictures as a video."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np

from kangaroo_eval.errors import MediaError, MissingVideo
from kangaroo_eval.media.container import Converter, open_video, orientation
from kangaroo_eval.media.failures import reason, told_as_media_error
from kangaroo_eval.types import Frames

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class Pictures(NamedTuple):
    """The paths in the order shown, pictures a second, and the first picture's upright size and codec."""

    names: tuple[str, ...]
    fps: float
    width: int
    height: int
    codec: str


def read(folder: str, fps: float | None, expected: int | None = None) -> Pictures:
    """List a folder's pictures in natural order ("2.jpg" before "10.jpg"); other files in it are ignored.

    MissingVideo for an absent folder; MediaError for one without pictures or without a rate, and for one that
    lacks a picture, by its numbers or by how many are `expected`: the others would stand at wrong times.
    """
    if not os.path.isdir(folder):
        raise MissingVideo(f"{folder}: no such folder of frames")
    if fps is None or not fps > 0:
        raise MediaError(f"{folder}: a folder of frames needs a rate above 0, not {fps}")
    with told_as_media_error(folder):
        found = [name for name in os.listdir(folder) if name.lower().endswith(_SUFFIXES) and name[0] != "."]
    if not found:
        raise MediaError(f"{folder}: no pictures ({', '.join(_SUFFIXES)}) in it")
    found.sort(key=_natural)
    _refuse_gaps(folder, found, expected)
    names = tuple(os.path.join(folder, name) for name in found)
    for name in names:
        frame, codec = load(name)
        if frame is not None:
            turned = orientation(frame).transpose
            width, height = (frame.height, frame.width) if turned else (frame.width, frame.height)
            return Pictures(names, float(fps), width, height, codec)
    raise MediaError(f"{folder}: none of its pictures can be decoded")


def _refuse_gaps(folder: str, names: list[str], expected: int | None) -> None:
    if expected is not None and len(names) != expected:
        raise MediaError(f"{folder}: {len(names)} pictures, and it must hold {expected}")
    stems = [os.path.splitext(name)[0] for name in names]
    if all(stem.isascii() and stem.isdigit() for stem in stems):
        numbers = [int(stem) for stem in stems]
        for place, number in enumerate(numbers):
            if number != numbers[0] + place:
                raise MediaError(
                    f"{folder}: picture {numbers[0] + place} is not there, {names[place]} follows"
                )


def load(path: str) -> tuple[VideoFrame | None, str]:
    """The picture and its codec, or None and the reason where it cannot be decoded."""
    try:
        container, stream = open_video(path)
        with container:
            stream.codec_context.thread_count = 1
            frame = next(container.decode(stream), None)
            return frame, stream.codec_context.name if frame is not None else "no picture in it"
    except (av.FFmpegError, OSError, ValueError) as error:
        return None, reason(error)


def appended(frames: Frames, path: str) -> Frames:
    """The frames and the picture at `path` after them, at the end of the clip and as large as they are.

    MissingVideo or MediaError for a picture that is not there or cannot be decoded.
    """
    if not os.path.exists(path):
        raise MissingVideo(f"{path}: no such picture")
    frame, why = load(path)
    if frame is None:
        raise MediaError(f"{path}: not a picture ({why})")
    pixels = np.empty((len(frames.pixels) + 1, *frames.pixels.shape[1:]), np.uint8)
    pixels[:-1] = frames.pixels
    if pixels[-1].size:
        Converter().write(frame, pixels[-1])
    end = max(frames.duration, frames.times[-1])
    return dataclasses.replace(frames, pixels=pixels, times=(*frames.times, end))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Numbers by value, what is between them by letter."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
