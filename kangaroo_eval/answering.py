"""Answering one task's questions: requests made from decoded videos, each answer in the journal before the next."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kangaroo_eval import journal
from kangaroo_eval.errors import RunFailed, UserError, one_line
from kangaroo_eval.foreign import (
    attribute,
    checked,
    checked_losses,
    kind_and_message,
    raise_interrupt,
    trace_of,
)
from kangaroo_eval.grouping import by_video, file_bytes, longest_first_at_the_end, repeated
from kangaroo_eval.journal import RunDir
from kangaroo_eval.media import Decoded, Job, decode_ahead
from kangaroo_eval.plan import RunConfig, TaskPlan, ask, store_of
from kangaroo_eval.protocols import ChoiceRanker, Model
from kangaroo_eval.record import frame_spec
from kangaroo_eval.streak import Streak
from kangaroo_eval.types import Failure, Frames, Request, Response, Sample

log = logging.getLogger(__name__)

# The kind of a `Failure` that says that the model cannot do what this request asks.
UNSUPPORTED = "unsupported"
# Videos for each decoder at a run's end that come in the order of their size.
_TAIL = 4
FAILED = ("request_failed", "oom")
"""The statuses that are the model's failures, and not its video's."""


def _let_go(error: BaseException | None) -> None:
    """Forget the local variables of all the calls that an error went through, and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


class Progress(NamedTuple):
    """Told after every sample: `done` of `total`, `answered` of them with an answer."""

    task: str
    done: int
    total: int
    answered: int


class Answering:
    """Answers one task's samples: feeds the model with requests made from decoded videos, and journals what
    comes back. Keeps only the requests that are with the model, so memory does not grow with the run."""

    def __init__(
        self,
        directory: RunDir,
        plan: TaskPlan,
        config: RunConfig,
        model: Model,
        progress: Callable[[Progress], None] | None,
        decode: Callable[[Iterable[Job]], Iterator[Decoded]] | None = None,
    ) -> None:
        """`decode`: from jobs to what became of each, in their order (None: `decode_ahead`, as the configuration says)."""
        self.decode = decode
        self.plan = plan
        self.config = config
        self.model = model
        self.progress = progress
        self.file = directory.answers(plan.task.name)
        self.attempts: Counter[str] = Counter()
        self.answered = 0
        self.done = 0
        answered: dict[str, int | None] = {}
        self.failed_before: set[str] = set()
        for line in journal.answer_lines(self.file.path, self.file.end):
            self.attempts[line["id"]] += 1
            if line["status"] in FAILED:
                self.failed_before.add(line["id"])
            if line["status"] == "ok":
                answered[line["id"]] = line.get("video_bytes")
        self._refuse_exchanged_videos(answered)
        self._note_asked(directory)
        self.todo = [sample for sample in plan.samples if sample.id not in answered]
        self.samples = {sample.id: sample for sample in self.todo} if plan.task.ranking else {}
        self.total = len(plan.samples)
        self.answered = self.done = self.total - len(self.todo)
        self.waiting: dict[str, tuple[Request, Decoded, bytes]] = {}
        self.streak = Streak()
        self.outer: BaseException | None = None  # what the caller is handling while it runs
        self.broken: BaseException | None = None

    def _refuse_exchanged_videos(self, answered: Mapping[str, int | None]) -> None:
        """Old answers about a video and new ones about another file of its name must not mix."""
        sizes: dict[str, int | None] = {}
        for sample in self.plan.samples:
            before = answered.get(sample.id)
            if before is None:
                continue
            now = sizes.setdefault(sample.video.path, file_bytes(sample.video))
            if now is not None and now != before:
                raise UserError(
                    f"{sample.video.path} has {now} bytes, but had {before} when {sample.id} was answered: the "
                    "file was exchanged. Give another --output, or --fresh to start anew"
                )

    def _note_asked(self, directory: RunDir) -> None:
        asked = directory.asked(self.plan.task.name)
        known = journal.read_asked(directory.path, self.plan.task.name)
        new = [
            journal.asked_line(sample.id, self.plan.video_key(sample), self.plan.task.group(sample))
            for sample in self.plan.samples
            if sample.id not in known
        ]
        if new:
            asked.append(new)

    def finish(self) -> None:
        """Answer everything that is left. Raises `RunFailed` when the model or the disk gives out."""
        if not self.todo:
            return
        self.outer = sys.exception()
        stream = self._requests()
        try:
            while not self._drain(stream):
                pass
        except BaseException as error:
            raise_interrupt(error, self.outer)
            raise
        finally:
            stream.close()

    def _drain(self, stream: Iterator[Request]) -> bool:
        """Let the model answer the stream until it ends (True) or the model raises (False, after asking the
        requests that were with it once more, each alone)."""
        try:
            for response in self.model.respond(stream):
                self._take(response)
        except UserError:
            raise
        except BaseException as error:
            # A model is foreign code and may raise anything; what it was asked is asked again, one by one.
            raise_interrupt(error, self.outer)
            self._stop_if_broken()
            if not self.waiting:
                raise RunFailed(
                    f"{self.model.name} failed without being asked anything: {one_line(error)}"
                ) from error
            log.warning("%s failed on %d requests: %s", self.model.name, len(self.waiting), one_line(error))
            _let_go(error)
        else:
            self._stop_if_broken()
            self._refuse_too_few()
            return True
        # Not where the error still is: what it holds of the batch may be the memory that the next one lacks.
        self._ask_singly()
        return False

    def _refuse_too_few(self) -> None:
        if self.waiting:
            raise RunFailed(
                f"{self.model.name} returned too few answers: {len(self.waiting)} requests got none, "
                f"{next(iter(self.waiting))} among them. The answers so far are kept"
            )

    def _stop_if_broken(self) -> None:
        """An error of our own, raised while the model was reading requests, must not pass for the model's; and that the
        model is broken is told."""
        if self.broken is not None:
            raise self.broken

    def _ask_singly(self) -> None:
        for request, decoded, _ in list(self.waiting.values()):
            try:
                (response,) = self.model.respond(iter([dataclasses.replace(request, siblings=0)]))
                if getattr(response, "id", request.id) != request.id:
                    raise LookupError(f"asked {request.id} alone, it answered {response.id!r}")
                self._take(response)
            except UserError:
                raise
            except MemoryError as error:
                raise_interrupt(error, self.outer)
                del self.waiting[request.id]
                self._failed(request, decoded, "oom", *kind_and_message(error))
            except BaseException as error:  # noqa: BLE001 - foreign code, as above
                raise_interrupt(error, self.outer)
                del self.waiting[request.id]
                self._failed(request, decoded, "request_failed", *kind_and_message(error))
            self._stop_if_broken()

    def _failed(self, request: Request, decoded: Decoded, status: str, kind: str, message: str) -> None:
        self._write(self._line(request, decoded, status, error={"type": kind, "message": message}))
        self._count_failure(request.id, kind, message)

    def _count_failure(self, sample: str, kind: str, message: str) -> None:
        # What failed in an earlier call already may fail for ever, of a model that answers everything else.
        known = sample in self.failed_before and self.answered > 0
        says_nothing = kind == UNSUPPORTED or known
        self.streak.end(sample, answered=None if says_nothing else False)
        if self.streak.broken and self.broken is None:
            # Told when the model has answered what it has: that may be paid for.
            self.broken = RunFailed(
                f"{self.model.name} failed on {self.streak.length} requests in a row; the last: {message}. "
                "The answers so far are kept; the same command resumes"
            )

    def _requests(self) -> Generator[Request, None, None]:
        """The requests of every video that could be decoded; the samples of the others are journalled."""
        try:
            yield from self._make_requests()
        except GeneratorExit:
            raise
        except BaseException as error:
            self.broken = error
            raise

    def _make_requests(self) -> Iterator[Request]:
        groups = by_video(self.todo)
        # What the model could not answer before comes last: it says the least of whether the model works now.
        fresh = [group for group in groups if not self._all_failed_before(group)]
        workers = self._workers(len(groups))
        groups = longest_first_at_the_end(fresh, _TAIL * workers if workers > 1 else 0)
        groups += filter(self._all_failed_before, by_video(self.todo))
        spec = frame_spec(self.config, self.plan.task, self.model)
        also = tuple(dataclasses.replace(spec, frames=count) for count in self.config.also_frames)
        store = store_of(self.config)
        asked: dict[int, tuple[Job, list[Sample]]] = {}

        def jobs() -> Iterator[Job]:
            for group in groups:
                job = Job(group[0].video, spec, store, also)
                asked[id(job)] = job, group
                yield job

        videos: Iterator[Decoded]
        if self.decode is not None:
            videos = self.decode(jobs())
        else:
            # As they are done: a video that is slow, or hangs until it is given up, does not keep the model waiting.
            videos = decode_ahead(jobs(), workers=workers, timeout=self.config.decode_timeout, in_order=False)
        try:
            seen = 0
            for decoded in videos:
                _, group = asked.pop(id(decoded.job))
                seen += 1
                if decoded.error is not None:
                    self._unreadable(group, decoded)
                    continue
                assert decoded.frames is not None
                frames = repeated(decoded.frames, self.plan.task.repeat_frames)
                for index, sample in enumerate(group):
                    if self.broken is not None:
                        return
                    request = self._request(sample, decoded, frames, len(group) - index - 1)
                    self.waiting[request.id] = (request, decoded, trace_of(frames))
                    self.streak.ask(request.id, self.plan.video_key(sample))
                    yield request
            if seen != len(groups):
                raise RunFailed(
                    f"{len(groups) - seen} videos did not come back from decoding; the answers are kept"
                )
        finally:
            if isinstance(videos, Generator):
                videos.close()

    def _workers(self, videos: int) -> int:
        return min(videos, os.cpu_count() or 1) if self.config.workers is None else self.config.workers

    def _all_failed_before(self, group: Sequence[Sample]) -> bool:
        return all(sample.id in self.failed_before for sample in group)

    def _request(self, sample: Sample, decoded: Decoded, frames: Frames, siblings: int) -> Request:
        task = self.plan.task
        assert decoded.view is not None
        return Request(
            id=sample.id,
            video=sample.video,
            prompt=ask(task, sample, decoded.view),
            frames=frames,
            max_new_tokens=task.max_new_tokens,
            system=task.system,
            prefill=task.prefill,
            timed_text=task.timed_text(sample, decoded.view) if task.timed_text else (),
            siblings=siblings,
        )

    def _losses(self, request: Request) -> list[float] | None:
        """How unlikely the model finds each choice as its reply, for benchmarks that rank them."""
        ranking = self.plan.task.ranking
        if ranking is None or not isinstance(self.model, ChoiceRanker):
            return None
        sample = self.samples[request.id]
        asked = dataclasses.replace(
            request, prompt=ranking.prompt(sample), system=None, prefill=None, siblings=0
        )
        return checked_losses(self.model.rank(asked, sample.choices), len(sample.choices), request.id)

    def _unreadable(self, group: Sequence[Sample], decoded: Decoded) -> None:
        assert decoded.error is not None
        log.warning("%s: %s", decoded.error.status, decoded.error.message)
        for sample in group:
            self._write(self._without_answer(sample, decoded.error.status, *decoded.error))

    def _without_answer(self, sample: Sample, status: str, kind: str, message: str) -> dict[str, Any]:
        """The line of a question that no model was asked."""
        return {
            **_EMPTY,
            "id": sample.id,
            "video": self.plan.video_key(sample),
            "status": status,
            "attempt": self.attempts[sample.id] + 1,
            "error": {"type": kind, "message": message},
        }

    def _take(self, response: Response | Failure) -> None:
        """Journal what the model made of one of the requests that it has."""
        if not isinstance(response, Failure):
            response = checked(response)
        if response.id not in self.waiting:
            raise RunFailed(
                f"{self.model.name} answered request {response.id!r}, which it does not have: it was answered "
                "before, or never asked. The answers so far are kept"
            )
        request, decoded, trace = self.waiting[response.id]
        if trace != trace_of(request.frames):
            raise RunFailed(
                f"{self.model.name} changed the pixels that it was given, and the video's other questions are about "
                "them: copy frames.pixels first. The answers so far are kept"
            )
        if isinstance(response, Failure):
            del self.waiting[request.id]
            kind, message = (" ".join(str(text).split())[:500] for text in (response.kind, response.message))
            self._failed(request, decoded, "request_failed", kind, message)
        else:
            self._answered(request, decoded, response)

    def _answered(self, request: Request, decoded: Decoded, response: Response) -> None:
        line = self._line(request, decoded, "ok", response=response)
        if response.guess:
            line["guess"] = response.guess
        losses = None if response.guess else self._losses(request)
        if losses is not None:
            line["losses"] = losses
        del self.waiting[request.id]
        self.streak.end(request.id, answered=True)
        self._write(line)

    def _line(
        self,
        request: Request,
        decoded: Decoded,
        status: str,
        *,
        response: Response | None = None,
        error: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        times = response.frame_times if response else request.frames.times
        return {
            **_EMPTY,
            "id": request.id,
            "video": _key_of(request, self.plan),
            "status": status,
            "system": request.system,
            "prompt": request.prompt,
            "prefill": request.prefill,
            "text": response.text if response else None,
            "frame_times": [round(each, 6) for each in times],
            "frames_repeated": request.frames.repeated,
            "prompt_tokens": response.prompt_tokens if response else None,
            "new_tokens": response.new_tokens if response else None,
            "seconds": round(response.seconds, 6) if response else None,
            "attempt": self.attempts[request.id] + 1,
            "error": error,
            "frames_in_video": request.frames.total,
            "frames_absent": request.frames.absent,
            "video_bytes": file_bytes(request.video),
            "decode_seconds": round(decoded.decode_seconds, 6),
            "wait_seconds": round(decoded.wait_seconds, 6),
            **({"frames_stored": True} if decoded.stored else {}),
            **({"phases": _rounded(response.phases)} if response and response.phases else {}),
            **({"subtitle_cues": len(decoded.view.cues)} if self.plan.subtitles and decoded.view else {}),
        }

    def _write(self, line: Mapping[str, Any]) -> None:
        self.file.append([line])
        self.done += 1
        self.answered += line["status"] == "ok"
        # A model that is interrupted and hands over what was answered by then must not be interrupted again.
        if self.progress and not attribute(self.model, "handing_over", False):
            self.progress(Progress(self.plan.label, self.done, self.total, self.answered))


def _rounded(phases: Mapping[str, float]) -> dict[str, float]:
    return {name: round(seconds, 6) for name, seconds in phases.items()}


_EMPTY: Mapping[str, Any] = {
    "id": None,
    "video": None,
    "status": None,
    "system": None,
    "prompt": None,
    "prefill": None,
    "text": None,
    "frame_times": [],
    "frames_repeated": 0,
    "prompt_tokens": None,
    "new_tokens": None,
    "seconds": None,
    "attempt": 1,
    "error": None,
}


def _key_of(request: Request, plan: TaskPlan) -> str:
    return plan.video_key(Sample(request.id, request.video, ""))
