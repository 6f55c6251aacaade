"""Questions of lmms-eval through our decoding and our model: each video decoded once, ahead of the model, as in a run."""

from __future__ import annotations

import dataclasses
import logging
import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from kangaroo_eval.errors import RunFailed, UserError, one_line
from kangaroo_eval.foreign import checked, checked_losses
from kangaroo_eval.integrations.lmms_requests import Asked, cut, place_pictures
from kangaroo_eval.media import Decoded, FrameSpec, Job, decode_ahead
from kangaroo_eval.protocols import ChoiceRanker, Model
from kangaroo_eval.types import Failure, Frames, Request, Response, Video

log = logging.getLogger(__name__)

FAILED = "[LMMS_EVAL_REQUEST_FAILED]"
"""What lmms-eval knows a failure by that stands in an answer's place; it has no other place for it."""


class Answer(NamedTuple):
    """What became of a question: its text, or what stands for a failure; the tokens where they are known; and the loss of
    each candidate."""

    text: str
    failed: bool
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    losses: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """How videos are looked at: the frames wanted, the processes that decode, and seconds after which one is given up."""

    spec: FrameSpec
    workers: int | None = None
    timeout: float = 600.0


def answer_all(
    model: Model, asked: Sequence[Asked], looking: Looking, progress: Callable[[], object] = lambda: None
) -> list[Answer]:
    """Answer the questions, in their order.

    A video that cannot be decoded, or a question that the model fails on alone, becomes a failure. `RunFailed` where
    the model answers nothing at all: a broken model must not pass for a bad one.
    """
    with ExitStack() as stack:
        placed = [_placed(each, stack) for each in asked]
        work = _Work(model, placed, looking, progress)
        work.do()
    found = work.found
    if work.model_failures and not any(not answer.failed for answer in found.values()):
        raise RunFailed(f"{model.name} answered none of {len(asked)} questions: {work.last_failure}")
    return [found[number] for number in range(len(asked))]


def _placed(asked: Asked, stack: ExitStack) -> Asked:
    """The question with its pictures in a folder, which is shown as a video of one picture a second: what is decoded and
    resized is so by the same code."""
    if not asked.pictures:
        return asked
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kangaroo-lmms-")))
    place_pictures(asked.pictures, folder)
    video = Video(str(folder), frames_dir=str(folder), fps=1.0)
    return dataclasses.replace(asked, video=video, pictures=())


class _Work:
    """The questions on their way: `found` holds what has become of each, by its number."""

    def __init__(
        self, model: Model, asked: Sequence[Asked], looking: Looking, progress: Callable[[], object]
    ) -> None:
        self.model = model
        self.asked = asked
        self.looking = looking
        self.progress = progress
        self.found: dict[int, Answer] = {}
        self.waiting: dict[str, Request] = {}
        self.model_failures = 0
        self.last_failure = ""
        self.broken: BaseException | None = None

    def do(self) -> None:
        stream = self._requests()
        with closing(stream):
            while not self._drain(stream):
                pass

    def _drain(self, stream: Iterator[Request]) -> bool:
        """Let the model answer until the questions end (True) or it raises (False, what it had being asked alone)."""
        try:
            for response in self.model.respond(stream):
                self._take(response)
        except UserError:
            raise
        except Exception as error:
            # A model is foreign code and may raise anything.
            if self.broken is not None or not self.waiting:
                raise
            log.warning("%s failed on %d questions: %s", self.model.name, len(self.waiting), one_line(error))
            self._ask_singly()
            return False
        if self.waiting:
            raise RunFailed(f"{self.model.name} returned too few answers: {len(self.waiting)} got none")
        return True

    def _ask_singly(self) -> None:
        for request in list(self.waiting.values()):
            try:
                for response in self.model.respond(iter([dataclasses.replace(request, siblings=0)])):
                    self._take(response)
            except UserError:
                raise
            except Exception as error:  # noqa: BLE001 - foreign code, as above
                self._fail_of_model(request.id, one_line(error))

    def _take(self, response: Response | Failure) -> None:
        request = self.waiting.get(response.id)
        if request is None:
            raise RunFailed(f"{self.model.name} answered {response.id!r}, which it was not asked")
        if isinstance(response, Failure):
            self._fail_of_model(response.id, f"{response.kind}: {response.message}")
            return
        found = checked(response)
        number = int(found.id)
        asked = self.asked[number]
        losses = self._losses(request, asked) if asked.candidates else ()
        del self.waiting[found.id]
        self._note(
            number, Answer(cut(found.text, asked.until), False, found.prompt_tokens, found.new_tokens, losses)
        )

    def _losses(self, request: Request, asked: Asked) -> tuple[float, ...]:
        if not isinstance(self.model, ChoiceRanker):
            raise UserError(f"{self.model.name} cannot tell likelihoods: run a task that it answers in words")
        ranked = self.model.rank(dataclasses.replace(request, siblings=0), asked.candidates)
        return tuple(checked_losses(ranked, len(asked.candidates), request.id))

    def _fail_of_model(self, name: str, message: str) -> None:
        del self.waiting[name]
        self.model_failures += 1
        self.last_failure = message
        self._note(int(name), Answer(f"{FAILED} {message}", True))

    def _note(self, number: int, answer: Answer) -> None:
        self.found[number] = answer
        self.progress()

    def _requests(self) -> Generator[Request, None, None]:
        try:
            yield from self._make()
        except GeneratorExit:
            raise
        except BaseException as error:
            self.broken = error
            raise

    def _make(self) -> Iterator[Request]:
        groups: dict[Video | None, list[int]] = {}
        for number, asked in enumerate(self.asked):
            groups.setdefault(asked.video, []).append(number)
        yield from self._about(groups.pop(None, []), _nothing())
        jobs = (Job(video, self.looking.spec) for video in groups if video is not None)
        workers = self.looking.workers
        with closing(
            decode_ahead(
                jobs,
                workers=min(len(groups), os.cpu_count() or 1) if workers is None else workers,
                timeout=self.looking.timeout,
            )
        ) as videos:
            for decoded in videos:
                yield from self._decoded(groups[decoded.job.video], decoded)

    def _decoded(self, numbers: Sequence[int], decoded: Decoded) -> Iterator[Request]:
        if decoded.frames is not None:
            yield from self._about(numbers, decoded.frames)
            return
        assert decoded.error is not None
        log.warning("%s: %s", *decoded.error)
        for number in numbers:
            self._note(number, Answer(f"{FAILED} {decoded.error.status}: {decoded.error.message}", True))

    def _about(self, numbers: Sequence[int], frames: Frames) -> Iterator[Request]:
        for place, number in enumerate(numbers):
            asked = self.asked[number]
            request = Request(
                id=str(number),
                video=asked.video or Video(""),
                prompt=asked.prompt,
                frames=frames,
                max_new_tokens=asked.max_new_tokens,
                system=asked.system,
                prefill=asked.prefill,
                siblings=len(numbers) - place - 1,
            )
            self.waiting[request.id] = request
            yield request


def _nothing() -> Frames:
    """No frame at all: a question about nothing to see."""
    import numpy as np

    return Frames(np.zeros((0, 0, 0, 3), np.uint8), ())
