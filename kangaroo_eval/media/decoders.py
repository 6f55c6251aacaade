"""The decoders by name: ours, and two others for parity with results that were made with them.

Only ours is exact on every file (edit lists, variable rate, damage); the others take the
same frame indices and see what their library makes of them. Folders of pictures always go through ours.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from kangaroo_eval.errors import MediaError, UserError, first_line
from kangaroo_eval.types import Frames, Video

if TYPE_CHECKING:
    from kangaroo_eval.media.info import Info

Shape: TypeAlias = "tuple[int, int] | None"
"""Height and width of the frames in pixels; None keeps the video's own."""


class Decoder(Protocol):
    """From a clip and frame indices within it to Frames; the contract of `media.decoding.decode`."""

    def __call__(
        self, video: Video, info: Info, indices: Sequence[int], shape: Shape, threads: int
    ) -> Frames: ...


def pyav(video: Video, info: Info, indices: Sequence[int], shape: Shape, threads: int) -> Frames:
    """Ours, on PyAV: `media.decoding.decode`."""
    from kangaroo_eval.media.decoding import decode

    return decode(video, info, indices, shape, threads)


def decord(video: Video, info: Info, indices: Sequence[int], shape: Shape, threads: int) -> Frames:
    """decord, which resizes bilinearly. UserError where it is not installed."""
    try:
        import decord as library
    except ImportError as error:
        raise _absent("decord") from error
    if video.frames_dir is not None:
        return pyav(video, info, indices, shape, threads)
    scaled = {} if shape is None else {"width": shape[1], "height": shape[0]}
    try:
        reader = library.VideoReader(video.path, num_threads=threads, **scaled)
        pixels = reader.get_batch([index + info.first for index in indices]).asnumpy()
    except (library.DECORDError, IndexError, ValueError) as error:
        raise MediaError(f"{video.path}: decord: {first_line(error)}") from error
    return _frames(pixels, info, indices)


def torchcodec(video: Video, info: Info, indices: Sequence[int], shape: Shape, threads: int) -> Frames:
    """torchcodec in its exact mode, with its own resize. UserError where it is not installed."""
    try:
        decoders = importlib.import_module("torchcodec.decoders")
        transforms = importlib.import_module("torchcodec.transforms")
    except (ImportError, RuntimeError, OSError) as error:
        # RuntimeError: the package is there, the FFmpeg libraries of the system are not.
        raise _absent("torchcodec") from error
    if video.frames_dir is not None:
        return pyav(video, info, indices, shape, threads)
    resize = None if shape is None else [transforms.Resize(shape)]
    try:
        reader = decoders.VideoDecoder(
            video.path,
            dimension_order="NHWC",
            num_ffmpeg_threads=threads,
            seek_mode="exact",
            transforms=resize,
        )
        batch = reader.get_frames_at([index + info.first for index in indices])
    except (RuntimeError, IndexError, ValueError) as error:
        raise MediaError(f"{video.path}: torchcodec: {first_line(error)}") from error
    return _frames(batch.data.numpy(), info, indices)


DECODERS: Mapping[str, Decoder] = {"pyav": pyav, "decord": decord, "torchcodec": torchcodec}


def check_installed(name: str) -> None:
    """UserError for a decoder whose package is not here."""
    if name in ("decord", "torchcodec") and importlib.util.find_spec(name) is None:
        raise _absent(name)


def _frames(pixels: object, info: Info, indices: Sequence[int]) -> Frames:
    import numpy as np

    return Frames(
        pixels=np.ascontiguousarray(pixels, dtype=np.uint8),
        times=tuple(float(info.times[index]) for index in indices),
        total=info.total,
        duration=info.duration,
        absent=info.absent,
    )


def _absent(name: str) -> UserError:
    return UserError(f"--decoder {name} needs a package that is not here: pip install kangaroo-eval[{name}]")
