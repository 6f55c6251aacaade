"""What is wanted of a video: how many frames, which, how large, and through which decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kangaroo_eval.errors import UserError
from kangaroo_eval.media import sampling
from kangaroo_eval.media.decoders import DECODERS

if TYPE_CHECKING:
    from kangaroo_eval.media.info import Info

# libswscale's own limit is far higher; past this one frame alone takes 200 MB and it is surely a slip.
MAX_SIZE = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSpec:
    """Which frames of a video are wanted, and how.

    Either `frames` (a count, placed by `sampler`) or `fps` (a rate in frames a second, with at most
    `max_frames`). Frames come as `size` x `size` pixels, through `decoder`. UserError names the flag that
    is wrong.
    """

    frames: int | None = None
    fps: float | None = None
    max_frames: int | None = None
    sampler: str = "uniform"
    size: int = 448
    decoder: str = "pyav"

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
        if not 1 <= self.size <= MAX_SIZE:
            raise UserError(f"frame size {self.size} is out of range: 1 to {MAX_SIZE} pixels")
        sampling.sampler(self.sampler)
        if self.decoder not in DECODERS:
            raise UserError(f"--decoder {self.decoder!r} is not known; choose one of {', '.join(DECODERS)}")


def select(info: Info, spec: FrameSpec) -> tuple[int, ...]:
    """The indices, within the clip that `info` describes, of the frames that `spec` wants."""
    if spec.frames is not None:
        return sampling.indices(spec.sampler, info.total, spec.frames)
    assert spec.fps is not None  # FrameSpec holds one of the two
    return sampling.by_rate(info.times.tolist(), spec.fps, spec.max_frames)
