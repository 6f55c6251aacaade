"""What is wanted of a video: how many frames, which, how large, and through which decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.media import sampling
from kangaroo_eval.media.decoders import DECODERS
from kangaroo_eval.types import Video

if TYPE_CHECKING:
    from kangaroo_eval.media.info import Info

# Formulas that need more than a number of frames: see `select`.
BOUNDED = ("mvbench",)

# libswscale's own limit is far higher; past this one frame alone takes 200 MB and it is surely a slip.
MAX_SIZE = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSpec:
    """Which frames of a video are wanted, and how.

    Either `frames` (a count, placed by `sampler`) or `fps` (a rate in frames a second, with at most
    `max_frames`). Frames come as `size` x `size` pixels, or with the video's own aspect ratio where `keep_aspect`
    (the longer side `size` pixels, or as many as the video has), through `decoder`. `size` 0 is for models that
    look at nothing: the frames' times without pixels, and nothing is decoded. `ends` takes the first and the last of
    those frames alone. UserError names the flag that is wrong.
    """

    frames: int | None = None
    fps: float | None = None
    max_frames: int | None = None
    sampler: str = "uniform"
    size: int = 448
    keep_aspect: bool = False
    decoder: str = "pyav"
    ends: bool = False

    def __post_init__(self) -> None:
        if (self.frames is None) == (self.fps is None):
            raise UserError("give one of --frames (a count) and --fps (frames a second), not both or neither")
        if self.frames is not None and self.frames < 1:
            raise UserError(f"--frames {self.frames} is too few: give 1 or more")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise UserError(
                f"--fps {self.fps} is out of range: give more than 0, at most 1000 frames a second"
            )
        if self.max_frames is not None and self.max_frames < 1:
            raise UserError(f"--max-frames {self.max_frames} is too few: give 1 or more")
        if self.max_frames is not None and self.fps is None:
            raise UserError("--max-frames caps --fps: give --fps too, or use --frames")
        if not 0 <= self.size <= MAX_SIZE:
            raise UserError(f"frame size {self.size} is out of range: 0 (no pixels) to {MAX_SIZE} pixels")
        if self.sampler not in BOUNDED:
            sampling.sampler(self.sampler)
        if self.decoder not in DECODERS:
            raise UserError(f"--decoder {self.decoder!r} is not known; choose one of {', '.join(DECODERS)}")


def shape(info: Info, spec: FrameSpec) -> tuple[int, int]:
    """Height and width in pixels of the frames that `spec` wants of a video as large as `info` says."""
    if not spec.keep_aspect or not spec.size:
        return spec.size, spec.size
    # Enlarged frames would hold nothing more and cost more.
    scale = min(1.0, spec.size / max(info.height, info.width))
    return max(1, round(info.height * scale)), max(1, round(info.width * scale))


class Selection(NamedTuple):
    """Frames to decode: the `indices`, sorted and distinct, within `info`, the clip or the file it is cut from."""

    info: Info
    indices: tuple[int, ...]


def select(info: Info, spec: FrameSpec, video: Video) -> Selection:
    """The frames that `spec` wants of the clip `info` of `video`.

    Two official formulas look at more than the number of frames: MVBench's rounds the clip's bounds to frames
    of the whole file; LongVideoBench's takes no more frames than the clip has whole seconds.
    """
    found = _select(info, spec, video)
    return (
        Selection(found.info, tuple(sorted({*found.indices[:1], *found.indices[-1:]})))
        if spec.ends
        else found
    )


def _select(info: Info, spec: FrameSpec, video: Video) -> Selection:
    if spec.fps is not None:
        end = float(info.times[0]) + info.duration
        return Selection(info, sampling.by_rate(info.times.tolist(), spec.fps, spec.max_frames, end))
    assert spec.frames is not None  # FrameSpec holds one of the two
    if spec.sampler == "mvbench":
        return _mvbench(info.whole or info, spec.frames, video)
    wanted = spec.frames
    if spec.sampler == "longvideobench":
        # By the clip's bound, which is the annotated duration: the last frame is on screen beyond it.
        seconds = info.duration if video.end is None else min(info.duration, video.end - (video.start or 0))
        wanted = min(wanted, max(1, int(seconds)))
    return Selection(info, sampling.indices(spec.sampler, info.total, wanted))


def _mvbench(whole: Info, frames: int, video: Video) -> Selection:
    """Repeats are taken once, as by every sampler, and indices that are not there are left out."""
    first = 0 if video.frames_dir is None else 1
    last = whole.total - 1 + first
    found = sampling.mvbench((video.start, video.end), whole.fps, last, first, frames)
    inside = sorted({index - first for index in found if first <= index <= last})
    return Selection(whole, tuple(inside or [last - first]))
