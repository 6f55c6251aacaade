"""`shuffled:NAME[:ARG]`: any model with its frames in a wrong order. What it still answers needs no order.

The pixels change places and the times stay, so the model is told nothing of it. The order follows from the video's
name and the number of frames: all questions about a video, and all runs, get the same one.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from kangaroo_eval.backends.wrapped import (
    RanksToo,
    Wrapped,
    asked_for,
    inner_model,
    refused,
)
from kangaroo_eval.foreign import attribute
from kangaroo_eval.protocols import ChoiceRanker, Model
from kangaroo_eval.types import Frames, Request, Video


class Shuffled(Wrapped):
    """A model that gets the frames of every request in a wrong order, at the times of the right one."""

    kind = "shuffled"
    note = "sees the frames in a wrong order"
    refusal = ", in its own order"
    need = "the model that gets the frames"
    # Only there where the inner model has them: others get frames of the usual size.
    frame_size: int
    keep_aspect: bool

    def __init__(self, inner: Model, asked: str) -> None:
        """See `Wrapped`."""
        super().__init__(inner, asked)
        for name in ("frame_size", "keep_aspect"):
            if (value := attribute(inner, name, None)) is not None:
                setattr(self, name, value)
        # The last frames with what was made of them: an inner model sees by them that the video is the same.
        self._last: tuple[Frames, Frames] | None = None

    def change(self, request: Request) -> Request:
        """The request with its frames in a wrong order."""
        if self._last is None or self._last[0] is not request.frames:
            order = wrong_order(request.video, len(request.frames.pixels))
            pixels = request.frames.pixels[order]
            self._last = request.frames, dataclasses.replace(request.frames, pixels=pixels)
        return dataclasses.replace(request, frames=self._last[1])


class ShuffledRanker(RanksToo, Shuffled):
    """The same for a model that ranks choices."""


def wrong_order(video: Video, count: int) -> list[int]:
    """Which of `count` frames stands in each place; never the right order where there are two or more.

    A further picture that the question is about (`Video.picture`) stays the last.
    """
    moved = count - 1 if video.picture else count
    where = f"{PurePath(video.path).name}\0{video.start}\0{video.end}\0{count}"
    order = sorted(range(moved), key=lambda i: hashlib.sha256(f"{where}\0{i}".encode()).digest())
    if order == sorted(order):
        order.reverse()
    return [*order, *range(moved, count)]


def load(argument: str | None, **options: Any) -> Shuffled:
    """Any model with its frames out of order: `shuffled:kangaroo-tiny`, `shuffled:hf:ID`, with the options and
    --model-args of that model. UserError as `inner_model` says."""
    return _wrapped(*inner_model(Shuffled, argument, options))


def around(model: Model, name: str, options: Mapping[str, Any]) -> Shuffled:
    """The same of a model that is loaded already, as `name` with --model-args `options`."""
    return _wrapped(refused(Shuffled, model, name), asked_for(name, options))


def _wrapped(inner: Model, asked: str) -> Shuffled:
    return ShuffledRanker(inner, asked) if isinstance(inner, ChoiceRanker) else Shuffled(inner, asked)
