"""Decoding ahead of the model, in processes of their own, in the order of the jobs."""

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
    """A job on its way: `result` is there when `ready` is set, or the error that ends the run."""

    job: Job
    ready: threading.Event = field(default_factory=threading.Event)
    result: Done | UserError | None = None


def decode_ahead(
    jobs: Iterable[Job],
    *,
    workers: int = 1,
    ahead: int | None = None,
    timeout: float | None = None,
    threads_per_worker: int = 1,
) -> Generator[Decoded, None, None]:
    """Decode jobs in `workers` processes; yield what became of each, in order.

    `jobs` is read no further than `ahead` (default `workers` + 1) jobs past the one handed out, so that many
    decoded videos are held at most. A worker that dies, or takes longer than `timeout` seconds for a job, costs
    only that job: status `decode_error`. `workers` 0 decodes in this process, one job at a time, without a
    time-out. Closing the iterator, or any exception that leaves it, ends all workers at once.

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
    return _pooled(jobs, workers, workers + 1 if ahead is None else ahead, timeout, threads_per_worker)


def _inline(jobs: Iterable[Job], threads: int) -> Generator[Decoded, None, None]:
    for job in jobs:
        done = do(job, threads)
        yield Decoded(job, done.frames, done.view, done.error, done.seconds, done.seconds, done.stored)


def _pooled(
    jobs: Iterable[Job], workers: int, ahead: int, timeout: float | None, threads: int
) -> Generator[Decoded, None, None]:
    # Here and not above: who decodes inline, or only names a Job, needs neither numpy nor processes.
    from kangaroo_eval.media.process import DecoderProcess

    todo: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()
    processes = [DecoderProcess(threads) for _ in range(workers)]
    servants = [
        threading.Thread(target=_serve, args=(process, todo, timeout), daemon=True) for process in processes
    ]
    for servant in servants:
        servant.start()
    try:
        yield from _in_order(iter(jobs), todo, ahead)
    finally:
        for process in processes:
            process.kill()
        for _ in servants:
            todo.put(None)
        for servant in servants:
            servant.join()


def _in_order(jobs: Iterator[Job], todo: queue.SimpleQueue[_Slot | None], ahead: int) -> Iterator[Decoded]:
    pending: deque[_Slot] = deque()

    def fill() -> None:
        while len(pending) < ahead:
            job = next(jobs, None)
            if job is None:
                return
            pending.append(_Slot(job))
            todo.put(pending[-1])

    fill()
    while pending:
        slot = pending.popleft()
        began = time.perf_counter()
        slot.ready.wait()
        waited = time.perf_counter() - began
        result = slot.result
        if isinstance(result, UserError):
            raise result
        if result is None:
            raise RunFailed(
                f"decoding {slot.job.video.path} failed in a way that was not foreseen, see above"
            )
        # The worker that this job freed must not idle while the model looks at it.
        fill()
        yield Decoded(
            slot.job, result.frames, result.view, result.error, result.seconds, waited, result.stored
        )
        # This frame must not keep one video's pixels while the next is waited for.
        del slot, result


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
    finally:
        process.release()
