"""`blind:NAME[:ARG]`: any model without its video. What it still answers, it knows from the text."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kangaroo_eval.errors import UserError
from kangaroo_eval.foreign import UNKNOWN_WEIGHTS, attribute, facts_of
from kangaroo_eval.options import STANDARD
from kangaroo_eval.protocols import ChoiceRanker, Continuing, Informed, Model
from kangaroo_eval.registry import load_model, model_loader
from kangaroo_eval.secrecy import masked
from kangaroo_eval.types import Failure, Frames, Request, Response

log = logging.getLogger(__name__)


class Blind:
    """A model that gets every request without frames: questions, options and subtitles are left."""

    frame_size = 0

    def __init__(self, inner: Model, asked: str) -> None:
        """`asked` is what the inner model was asked for by: who tells no hash of the weights is known by that."""
        import numpy as np

        self.inner = inner
        self.name = f"blind:{inner.name}"
        facts = facts_of(inner)
        if facts.model_hash is None:
            log.warning(
                "%s has no model_hash: its weights are told apart by its name and arguments only", inner.name
            )
        identity = facts.model_hash or f"{inner.name}\0{asked}"
        self.model_hash = hashlib.sha256(f"blind\0{identity}".encode()).hexdigest()
        self.dtype = facts.dtype or "unknown"
        # One value for all requests, so that an inner model sees that nothing changed.
        self._nothing = Frames(np.zeros((0, 0, 0, 3), np.uint8), ())

    @property
    def notes(self) -> tuple[str, ...]:
        """The inner model's, and that it sees nothing."""
        facts = facts_of(self.inner)
        unknown = () if facts.model_hash else (UNKNOWN_WEIGHTS,)
        return (*facts.notes, *unknown, "sees no video")

    @property
    def settings(self) -> Mapping[str, object]:
        """The inner model's."""
        return {**facts_of(self.inner).settings, "blind": True}

    def respond(self, requests: Iterable[Request]) -> Iterator[Response | Failure]:
        """The inner model's answers to the text."""
        for answer in self.inner.respond(map(self._without_video, requests)):
            if isinstance(answer, Response):
                answer = dataclasses.replace(answer, frame_times=())
            yield answer

    def earlier(self, settings: Mapping[str, object]) -> None:
        """Hand on to the inner model what an earlier call of the run ended with, where it wants that."""
        if isinstance(self.inner, Continuing):
            self.inner.earlier(settings)

    def close(self) -> None:
        """Close the inner model, where it can be."""
        close = getattr(self.inner, "close", None)
        if close is not None:
            close()

    def _without_video(self, request: Request) -> Request:
        return dataclasses.replace(request, frames=self._nothing)


class BlindRanker(Blind):
    """The same for a model that ranks choices."""

    inner: Any

    def rank(self, request: Request, candidates: Sequence[str]) -> Sequence[float]:
        """The inner model's losses without the video."""
        found: Sequence[float] = self.inner.rank(self._without_video(request), candidates)
        return found


def load(argument: str | None, **options: Any) -> Blind:
    """Any model without its video: `blind:kangaroo-tiny`, `blind:hf:ID`, `blind:openai:NAME`, with the options and
    --model-args of that model. Raises `UserError` for one that looks at no video anyway, and for one that opens the
    video by itself: its loader, or it, says so by an attribute `opens_videos`."""
    if not argument:
        raise UserError("model 'blind' needs the model that is to see nothing: blind:NAME or blind:NAME:ARG")
    opener = getattr(model_loader(argument), "opens_videos", False)
    inner = None if opener else load_model(argument, **options)
    if inner is None or getattr(inner, "opens_videos", False):
        kind = argument.partition(":")[0]
        raise UserError(f"blind:{argument}: {kind} opens the video by itself and cannot be blinded")
    if isinstance(inner, Informed) or attribute(inner, "frame_size", None) == 0:
        raise UserError(f"blind:{argument}: {inner.name} gets no pictures anyway; run {argument}")
    given = masked({name: value for name, value in options.items() if name not in STANDARD})
    asked = json.dumps([argument, given], sort_keys=True, default=str)
    return BlindRanker(inner, asked) if isinstance(inner, ChoiceRanker) else Blind(inner, asked)
