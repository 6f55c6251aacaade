"""`shuffled:NAME[:ARG]`: any model with its frames in a wrong order. What it still answers needs no order.

The pixels change places and the times stay, so the model is told nothing of it. The order follows from the video's
name and the number of frames: all questions about a video, and all runs, get the same one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from kangaroo_eval.errors import UserError
from kangaroo_eval.foreign import UNKNOWN_WEIGHTS, attribute, facts_of
from kangaroo_eval.options import STANDARD
from kangaroo_eval.protocols import ChoiceRanker, Continuing, Informed, Model
from kangaroo_eval.registry import load_model, model_loader
from kangaroo_eval.secrecy import masked
from kangaroo_eval.types import Failure, Frames, Request, Response, Video

log = logging.getLogger(__name__)


class Shuffled:
    """A model that gets the frames of every request in a wrong order, at the times of the right one."""

    # Only there where the inner model has them: others get frames of the usual size.
    frame_size: int
    keep_aspect: bool

    def __init__(self, inner: Model, asked: str) -> None:
        """`asked` is what the inner model was asked for by: who tells no hash of the weights is known by that."""
        self.inner = inner
        self.name = f"shuffled:{inner.name}"
        for name in ("frame_size", "keep_aspect"):
            if (value := attribute(inner, name, None)) is not None:
                setattr(self, name, value)
        facts = facts_of(inner)
        if facts.model_hash is None:
            log.warning(
                "%s has no model_hash: its weights are told apart by its name and arguments only", inner.name
            )
        identity = facts.model_hash or f"{inner.name}\0{asked}"
        self.model_hash = hashlib.sha256(f"shuffled\0{identity}".encode()).hexdigest()
        self.dtype = facts.dtype or "unknown"
        # The last frames with what was made of them: an inner model sees by them that the video is the same.
        self._last: tuple[Frames, Frames] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """The inner model's, and that the order is wrong."""
        facts = facts_of(self.inner)
        unknown = () if facts.model_hash else (UNKNOWN_WEIGHTS,)
        return (*facts.notes, *unknown, "sees the frames in a wrong order")

    @property
    def settings(self) -> Mapping[str, object]:
        """The inner model's."""
        return {**facts_of(self.inner).settings, "shuffled": True}

    def respond(self, requests: Iterable[Request]) -> Iterator[Response | Failure]:
        """The inner model's answers to the frames in a wrong order."""
        return self.inner.respond(map(self._out_of_order, requests))

    def earlier(self, settings: Mapping[str, object]) -> None:
        """Hand on to the inner model what an earlier call of the run ended with, where it wants that."""
        if isinstance(self.inner, Continuing):
            self.inner.earlier(settings)

    def close(self) -> None:
        """Close the inner model, where it can be."""
        close = getattr(self.inner, "close", None)
        if close is not None:
            close()

    def _out_of_order(self, request: Request) -> Request:
        if self._last is None or self._last[0] is not request.frames:
            order = wrong_order(request.video, len(request.frames.pixels))
            pixels = request.frames.pixels[order]
            self._last = request.frames, dataclasses.replace(request.frames, pixels=pixels)
        return dataclasses.replace(request, frames=self._last[1])


class ShuffledRanker(Shuffled):
    """The same for a model that ranks choices."""

    inner: Any

    def rank(self, request: Request, candidates: Sequence[str]) -> Sequence[float]:
        """The inner model's losses with the frames in a wrong order."""
        found: Sequence[float] = self.inner.rank(self._out_of_order(request), candidates)
        return found


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
    --model-args of that model. Raises `UserError` for one that looks at no video anyway, and for one that opens the
    video by itself: its loader, or it, says so by an attribute `opens_videos`."""
    if not argument:
        raise UserError(
            "model 'shuffled' needs the model that gets the frames: shuffled:NAME or shuffled:NAME:ARG"
        )
    opener = getattr(model_loader(argument), "opens_videos", False)
    inner = None if opener else load_model(argument, **options)
    if inner is None or getattr(inner, "opens_videos", False):
        kind = argument.partition(":")[0]
        raise UserError(f"shuffled:{argument}: {kind} opens the video by itself, in its own order")
    if isinstance(inner, Informed) or attribute(inner, "frame_size", None) == 0:
        raise UserError(f"shuffled:{argument}: {inner.name} gets no pictures anyway; run {argument}")
    given = masked({name: value for name, value in options.items() if name not in STANDARD})
    asked = json.dumps([argument, given], sort_keys=True, default=str)
    return ShuffledRanker(inner, asked) if isinstance(inner, ChoiceRanker) else Shuffled(inner, asked)
