"""What a model must be able to do: one method. Every further ability is a further protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from kangaroo_eval.types import Failure, Request, Response, Sample


class Model(Protocol):
    """A video-language model. `name` goes into file names and tables."""

    name: str

    def respond(self, requests: Iterable[Request]) -> Iterator[Response | Failure]:
        """Answer greedily: one response for each request, with the request's id, which binds it: an answer that
        stands in another's place would be a plausible score. Any order will do among the requests that were read.
        A request that gets no answer gets a `Failure`; what is raised instead concerns every request that is
        waiting. Frames are shared by all questions of a video and must not be changed.

        Requests about one video come directly after each other. Requests are made while they are read, so an
        adapter that reads no further than it must lets the next video be decoded meanwhile.
        """
        ...


@runtime_checkable
class ChoiceRanker(Protocol):
    """A model that can say how likely it finds a given reply: for benchmarks that rank choices."""

    def rank(self, request: Request, candidates: Sequence[str]) -> Sequence[float]:
        """The mean loss (natural log) over the tokens of each candidate as the reply to the request: lowest is
        likeliest. Called between two responses of `respond`, about the video of the latter one."""
        ...


@runtime_checkable
class FrameSized(Protocol):
    """A model that wants frames of `frame_size` x `frame_size` pixels; others get 448 x 448. With 0 it looks at no
    picture: nothing is decoded, and frames come as times with pixels of shape (n, 0, 0, 3)."""

    frame_size: int


@runtime_checkable
class AspectKeeping(Protocol):
    """A model that may take frames with the video's own aspect ratio: where `keep_aspect`, the longer side has
    `frame_size` pixels, or as many as the video has."""

    frame_size: int
    keep_aspect: bool


@runtime_checkable
class Informed(Protocol):
    """A baseline that is told a benchmark's questions and their answers before it is asked: what is the most
    common answer worth, or a guess? Every task is told once before anything is asked, so that what cannot be
    answered is refused early, and again right before its own requests."""

    def study(self, task: str, samples: Sequence[Sample]) -> None:
        """Learn what there is to know of all samples of the task called `task`, whose ids the requests carry, and
        forget the task before. `UserError` where the baseline has no answer."""
        ...


@runtime_checkable
class Continuing(Protocol):
    """A model whose settings grow while it answers, as a server's token counts do."""

    def earlier(self, settings: Mapping[str, object]) -> None:
        """Take up the settings that an earlier call of the same run ended with; none for a new run."""
        ...


@runtime_checkable
class Closable(Protocol):
    """A model that holds connections or threads. Closed after the run by whoever loaded it."""

    def close(self) -> None:
        """Free what it holds."""
        ...


@runtime_checkable
class Described(Protocol):
    """A model that can say what it is. `model_hash` names its weights and code-relevant settings; `dtype` the
    arithmetic; `notes` are caveats that every output must show (for example "untrained weights"); `settings`
    are further facts for the run record. Each counts also where the others are not there (`foreign.facts_of`)."""

    model_hash: str
    dtype: str
    notes: tuple[str, ...]
    settings: Mapping[str, object]


ABILITIES = (ChoiceRanker, FrameSized, AspectKeeping, Informed, Continuing, Closable, Described)
"""What a model may have beside `respond`."""
