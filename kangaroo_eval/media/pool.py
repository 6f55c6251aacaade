"""Decoding ahead of the model, in processes of their own, in the order of the jobs or as they are done."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.media.job import Decoded, Done, Failure, Job, do

if TYPE_CHECKING:
    from kangaroo_eval.media.process import DecoderProcess

__all__ = ["Decoded", "Failure", "Job", "decode_ahead"]


@dataclass(slots=True, eq=False)
class _Slot:
    """A job on its way: `result` is there when `ready` is set and it stands in `done`, or the error that ends the run."""

    job: Job
    done: queue.SimpleQueue[_Slot]
    ready: threading.Event = field(default_factory=threading.Event)
    result: Done | UserError | None = None

    @property
    def bytes(self) -> int:
        """Of its pixels."""
        frames = self.result.frames if isinstance(self.result, Done) else None
        return 0 if frames is None else frames.pixels.nbytes


MOST_BYTES = 2 << 30
"""Bytes of decoded pixels that wait for the model, beyond which nothing further is decoded: 22 videos of 160 frames of 448 pixels."""


def decode_ahead(
    jobs: Iterable[Job],
    *,
    workers: int = 1,
    ahead: int | None = None,
    timeout: float | None = None,
    threads_per_worker: int = 1,
    in_order: bool = True,
) -> Generator[Decoded, None, None]:
    """Decode jobs in `workers` processes; yield what became of each, in order, or as each is done (`in_order` False: then one slow
    video does not keep the others waiting).

    `jobs` is read no further than `ahead` (default `workers` + 1) jobs past the one handed out, so that many
    decoded videos are held at most, and no further while `MOST_BYTES` of pixels wait to be taken. A worker that dies, or takes
    longer than `timeout` seconds for a job, costs only that job: status `decode_error`. `workers` 0 decodes in this
    process, one job at a time, without a time-out. Closing the iterator, or any exception that leaves it, ends all
    workers at once.

    UserError for wrong use (a decoder that is not installed); RunFailed where no worker can be started.
    """
    if workers < 0 or threads_per_worker < 1 or (ahead is not None and ahead < 1):
        raise UserError(
            f"cannot decode with {workers} workers, {threads_per_worker} threads each, {ahead} videos ahead: "
            "give at least 0, 1 and 1"
        )
    if timeout is not None and not timeout > 0:
        raise UserError(f"the decoding time-out must be more than 0 seconds, not {timeout}")
    if workers == 0:
        return _inline(jobs, threads_per_worker)
    flow = _Flow(iter(jobs), workers + 1 if ahead is None else ahead, in_order)
    return _pooled(flow, workers, timeout, threads_per_worker)


def _inline(jobs: Iterable[Job], threads: int) -> Generator[Decoded, None, None]:
    for job in jobs:
        done = do(job, threads)
        yield Decoded(job, done.frames, done.view, done.error, done.seconds, done.seconds, done.stored)


def _pooled(flow: _Flow, workers: int, timeout: float | None, threads: int) -> Generator[Decoded, None, None]:
    # Here and not above: who decodes inline, or only names a Job, needs neither numpy nor processes.
    from kangaroo_eval.media.process import DecoderProcess

    todo = flow.todo
    processes = [DecoderProcess(threads) for _ in range(workers)]
    servants = [
        threading.Thread(target=_serve, args=(process, todo, timeout), daemon=True) for process in processes
    ]
    for servant in servants:
        servant.start()
    try:
        yield from flow.results()
    finally:
        for process in processes:
            process.kill()
        for _ in servants:
            todo.put(None)
        for servant in servants:
            servant.join()


class _Flow:
    """Jobs from their source to the workers, no more than may be on their way, and what became of them to who takes it."""

    def __init__(self, jobs: Iterator[Job], ahead: int, in_order: bool) -> None:
        self.todo: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()
        self._jobs = jobs
        self._ahead = ahead
        self._in_order = in_order
        self._done: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._pending: deque[_Slot] = deque()

    def results(self) -> Iterator[Decoded]:
        """What became of each job."""
        self._fill()
        while self._pending:
            began = time.perf_counter()
            slot = self._next()
            waited = time.perf_counter() - began
            result = slot.result
            if isinstance(result, UserError):
                raise result
            if result is None:
                raise RunFailed(
                    f"decoding {slot.job.video.path} failed in a way that was not foreseen, see above"
                )
            # The worker that this job freed must not idle while the model looks at it.
            self._fill()
            yield Decoded(
                slot.job, result.frames, result.view, result.error, result.seconds, waited, result.stored
            )
            # This frame must not keep one video's pixels while the next is waited for.
            del slot, result

    def _next(self) -> _Slot:
        if self._in_order:
            slot = self._pending.popleft()
            slot.ready.wait()
            return slot
        slot = self._done.get()
        self._pending.remove(slot)
        return slot

    def _fill(self) -> None:
        while len(self._pending) < self._ahead:
            # What is being decoded is not known yet; one video is always on its way, however large.
            held = sum(slot.bytes for slot in self._pending if slot.ready.is_set())
            if self._pending and held >= MOST_BYTES:
                return
            job = next(self._jobs, None)
            if job is None:
                return
            self._pending.append(_Slot(job, self._done))
            self.todo.put(self._pending[-1])


def _serve(process: DecoderProcess, todo: queue.SimpleQueue[_Slot | None], timeout: float | None) -> None:
    """A thread's work: hand jobs to its process until told to stop. After a kill every job fails at once."""
    try:
        while (slot := todo.get()) is not None:
            try:
                slot.result = process.run(slot.job, timeout)
            except UserError as error:
                slot.result = error
            finally:
                # Also where something unforeseen ends this thread: nobody may wait for it for ever.
                slot.ready.set()
                slot.done.put(slot)
    finally:
        process.release()
