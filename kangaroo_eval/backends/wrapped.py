"""What `blind:` and `shuffled:` share: any model, with every request changed before it sees it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from kangaroo_eval.errors import UserError
from kangaroo_eval.foreign import UNKNOWN_WEIGHTS, attribute, facts_of
from kangaroo_eval.options import STANDARD
from kangaroo_eval.protocols import Continuing, Informed, Model
from kangaroo_eval.registry import load_model, model_loader
from kangaroo_eval.secrecy import masked
from kangaroo_eval.types import Failure, Request, Response

log = logging.getLogger(__name__)


class Wrapped(ABC):
    """A model that gets its requests changed. Sub-classes say how (`change`), what they are called, what is told of
    them, and why a model that opens videos by itself cannot be one."""

    kind: ClassVar[str]
    note: ClassVar[str]
    refusal: ClassVar[str]
    need: ClassVar[str]

    def __init__(self, inner: Model, asked: str) -> None:
        """`asked` is what the inner model was asked for by: who tells no hash of the weights is known by that."""
        self.inner: Any = inner
        self.name = f"{self.kind}:{inner.name}"
        facts = facts_of(inner)
        if facts.model_hash is None:
            log.warning(
                "%s has no model_hash: its weights are told apart by its name and arguments only", inner.name
            )
        identity = facts.model_hash or f"{inner.name}\0{asked}"
        self.model_hash = hashlib.sha256(f"{self.kind}\0{identity}".encode()).hexdigest()
        self.dtype = facts.dtype or "unknown"

    @property
    def handing_over(self) -> bool:
        """Whether the inner model hands over what was answered when it was interrupted."""
        return bool(getattr(self.inner, "handing_over", False))

    @abstractmethod
    def change(self, request: Request) -> Request:
        """What the inner model gets in place of a request."""

    @property
    def notes(self) -> tuple[str, ...]:
        """The inner model's, and what it does not see."""
        facts = facts_of(self.inner)
        unknown = () if facts.model_hash else (UNKNOWN_WEIGHTS,)
        return (*facts.notes, *unknown, self.note)

    @property
    def settings(self) -> Mapping[str, object]:
        """The inner model's, and which wrapper this is."""
        return {**facts_of(self.inner).settings, self.kind: True}

    def respond(self, requests: Iterable[Request]) -> Iterator[Response | Failure]:
        """The inner model's answers to the changed requests."""
        answers: Iterator[Response | Failure] = self.inner.respond(map(self.change, requests))
        return answers

    def earlier(self, settings: Mapping[str, object]) -> None:
        """Hand on to the inner model what an earlier call of the run ended with, where it wants that."""
        if isinstance(self.inner, Continuing):
            self.inner.earlier(settings)

    def close(self) -> None:
        """Close the inner model, where it can be."""
        close = getattr(self.inner, "close", None)
        if close is not None:
            close()


class RanksToo:
    """The same for a model that ranks choices."""

    def rank(self, request: Request, candidates: Sequence[str]) -> Sequence[float]:
        """The inner model's losses for the changed request."""
        self_: Any = self
        found: Sequence[float] = self_.inner.rank(self_.change(request), candidates)
        return found


def inner_model(kind: type[Wrapped], argument: str | None, options: Mapping[str, Any]) -> tuple[Model, str]:
    """The model that is to be wrapped, and what it was asked for by. UserError for one that looks at no video anyway,
    and for one that opens the video by itself: its loader, or it, says so by an attribute `opens_videos`."""
    name = kind.kind
    if not argument:
        raise UserError(f"model {name!r} needs {kind.need}: {name}:NAME or {name}:NAME:ARG")
    opener = getattr(model_loader(argument), "opens_videos", False)
    inner = None if opener else load_model(argument, **options)
    return refused(kind, inner, argument), asked_for(argument, options)


def refused(kind: type[Wrapped], inner: Model | None, argument: str) -> Model:
    """The model, unless it cannot be wrapped (None: it opens videos by itself); UserError then."""
    name = kind.kind
    if inner is None or getattr(inner, "opens_videos", False):
        raise UserError(
            f"{name}:{argument}: {argument.partition(':')[0]} opens the video by itself{kind.refusal}"
        )
    if isinstance(inner, Informed) or attribute(inner, "frame_size", None) == 0:
        raise UserError(f"{name}:{argument}: {inner.name} gets no pictures anyway; run {argument}")
    return inner


def asked_for(argument: str, options: Mapping[str, Any]) -> str:
    """What a model was asked for by, without secrets and without what every model is given."""
    given = masked({each: value for each, value in options.items() if each not in STANDARD})
    return json.dumps([argument, given], sort_keys=True, default=str)


def without_times(answers: Iterable[Response | Failure]) -> Iterator[Response | Failure]:
    """Answers that tell of no frames."""
    for answer in answers:
        yield dataclasses.replace(answer, frame_times=()) if isinstance(answer, Response) else answer
