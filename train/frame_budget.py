"""How many frames of a video a training stage looks at, and at which times.

The paper samples frames evenly, their number growing with the video's length: 16 to 64 in instruction tuning, 64 to
160 in long-video tuning. Every choice here is a pure function of the video and of a seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kangaroo_eval.errors import UserError
from kangaroo_eval.miniworld.dice import Dice

# Frames. A length that floating point puts a hair above a whole number asks for no further frame.
_SLACK = 1e-6
# Steps in which a share is drawn.
_GRAIN = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameBudget:
    """The frames of one video: `fps` for each second of it, at least `least` and at most `most`, and an even number.

    The instruction stage is `FrameBudget()`, the long one `FrameBudget(least=64, most=160)`: there a video of up to
    64 seconds has 64 frames, or as many as are in its file. `short_share` of the draws of a video see fewer than its
    length asks for, an even number drawn from `least` upwards, so that a model also learns to do with them.
    `image_span`: a picture is shown at a time drawn from 0 to so many seconds, so that the network does not take
    time 0 for the sign of a picture (a picture has no time of its own).
    """

    fps: float = 1.0
    least: int = 16
    most: int = 64
    short_share: float = 0.0
    image_span: float = 64.0

    def __post_init__(self) -> None:
        if not 0 < self.fps <= 1000:
            raise UserError(f"frame budget: fps {self.fps} is out of range: give more than 0, at most 1000")
        if not 1 <= self.least <= self.most:
            raise UserError(f"frame budget: least {self.least} and most {self.most}: give 1 <= least <= most")
        if any(bound > 1 and bound % 2 for bound in (self.least, self.most)):
            # A slot joins two frames: an odd number would pay for a frame that is shown twice.
            raise UserError(
                f"frame budget: least {self.least} and most {self.most} must each be 1 or an even number"
            )
        if not 0 <= self.short_share <= 1 or not 0 <= self.image_span < math.inf:
            raise UserError(
                f"frame budget: short_share {self.short_share} must be from 0 to 1, "
                f"image_span {self.image_span} s at least 0"
            )

    def frames(self, seconds: float | None, dice: Dice | None = None, total: int | None = None) -> int:
        """Frames of a video of `seconds`; 1 for a picture, whose `seconds` are None.

        Never more than `total`, the frames that the video has, where that is known. `dice` draws where
        `short_share` is not 0. ValueError for a length that is not above 0.
        """
        if seconds is None:
            return 1
        if not 0 < seconds < math.inf or (total is not None and total < 1):
            raise ValueError(f"no frames of a video of {seconds} s, {total} frames")
        wanted = min(max(math.ceil(seconds * self.fps - _SLACK), self.least), self.most)
        count = wanted + wanted % 2 if wanted > 1 else 1
        if self.short_share and count > self.least:
            count = self._fewer(count, dice)
        return count if total is None else min(count, total - total % 2 if total > 1 else 1)

    def _fewer(self, count: int, dice: Dice | None) -> int:
        if dice is None:
            raise ValueError("a frame budget with a short_share needs dice")
        if dice.below(_GRAIN) >= self.short_share * _GRAIN:
            return count
        steps = (count - self.least) // 2
        return self.least + 2 * dice.below(steps) if self.least > 1 else max(1, 2 * dice.below(steps + 1))

    def times(self, seconds: float, n: int, start: float = 0.0) -> tuple[float, ...]:
        """The centres, in seconds, of n equal segments of the `seconds` from `start` on.

        At a constant frame rate the frames on screen then are those that `media.sampling.uniform` takes.
        """
        if n < 1:
            raise ValueError(f"cannot place {n} frames")
        return tuple(start + seconds * (2 * place + 1) / (2 * n) for place in range(n))

    def image_time(self, dice: Dice) -> float:
        """The time at which a picture is shown, in seconds."""
        return dice.between(0.0, self.image_span)
