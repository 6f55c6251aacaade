"""Baselines that look at nothing: what a score is worth when the model sees no video."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kangaroo_eval.errors import UserError
from kangaroo_eval.types import Request, Response


class Constant:
    """Answers every request with the same text: `constant:B`."""

    frame_size = 448

    def __init__(self, text: str) -> None:
        self.text = text
        self.name = f"constant:{text}"
        self.model_hash = hashlib.sha256(f"constant\0{text}".encode()).hexdigest()
        self.dtype = "none"
        self.notes: tuple[str, ...] = ("looks at nothing",)
        self.settings: Mapping[str, object] = {}

    def respond(self, requests: Iterable[Request]) -> Iterator[Response]:
        """The text, for each request; the frames are decoded and ignored."""
        for request in requests:
            yield Response(request.id, self.text, request.frames.times, 0, 0, 0.0)


def constant(argument: str | None, **options: Any) -> Constant:
    """The loader of `constant[:TEXT]` (default A). Takes no model arguments."""
    standard = {"device", "dtype", "seed", "batch_size"}
    unknown = sorted(set(options) - standard)
    if unknown:
        raise UserError(f"--model-args {unknown[0]}: the model constant takes no arguments")
    return Constant(argument or "A")
