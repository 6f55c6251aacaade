"""`blind:NAME[:ARG]`: any model without its video. What it still answers, it knows from the text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kangaroo_eval.backends.wrapped import (
    RanksToo,
    Wrapped,
    asked_for,
    inner_model,
    refused,
    without_times,
)
from kangaroo_eval.protocols import ChoiceRanker, Model
from kangaroo_eval.types import Failure, Frames, Request, Response


class Blind(Wrapped):
    """A model that gets every request without frames: questions, options and subtitles are left."""

    kind = "blind"
    note = "sees no video"
    refusal = " and cannot be blinded"
    need = "the model that is to see nothing"
    frame_size = 0

    def __init__(self, inner: Model, asked: str) -> None:
        """See `Wrapped`."""
        import numpy as np

        super().__init__(inner, asked)
        # One value for all requests, so that an inner model sees that nothing changed.
        self._nothing = Frames(np.zeros((0, 0, 0, 3), np.uint8), ())

    def change(self, request: Request) -> Request:
        """The request without frames."""
        return dataclasses.replace(request, frames=self._nothing)

    def respond(self, requests: Iterable[Request]) -> Iterator[Response | Failure]:
        """The inner model's answers to the text."""
        return without_times(super().respond(requests))


class BlindRanker(RanksToo, Blind):
    """The same for a model that ranks choices."""


def load(argument: str | None, **options: Any) -> Blind:
    """Any model without its video: `blind:kangaroo-tiny`, `blind:hf:ID`, `blind:openai:NAME`, with the options and
    --model-args of that model. UserError as `inner_model` says."""
    return _wrapped(*inner_model(Blind, argument, options))


def around(model: Model, name: str, options: Mapping[str, Any]) -> Blind:
    """The same of a model that is loaded already, as `name` with --model-args `options`."""
    return _wrapped(refused(Blind, model, name), asked_for(name, options))


def _wrapped(inner: Model, asked: str) -> Blind:
    return BlindRanker(inner, asked) if isinstance(inner, ChoiceRanker) else Blind(inner, asked)
