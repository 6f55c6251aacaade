"""Shards on worker processes, of this machine (`Pool`) or of a cluster (`on_ray`), and what a worker that dies costs.

A thread here sees to each worker: it starts it, hands it one shard after the other, and puts another in its place where it
dies (killed, out of memory, a decoder that crashes). So faults are met in one piece of code, wherever the workers are.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pickle import PicklingError
from typing import Any, Protocol

from kangaroo_eval.errors import RunFailed, UserError, one_line
from kangaroo_eval.train.curation.engine import Job, Shard, one_thread, set_up, write
from kangaroo_eval.train.curation.stage import Row, process

log = logging.getLogger(__name__)


class Died(Exception):
    """The process that was at work is no more."""


class Worker(Protocol):
    """A process that does one thing at a time."""

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's result, in that process. What it raises is raised; Died where the process ends meanwhile."""
        ...

    def end(self) -> None:
        """End the process, whatever it is at; from any thread, and more than once."""
        ...


Hire = Callable[[], Worker]
"""Starts a worker, and does not wait for it."""


def through(job: Job, todo: Sequence[Shard], count: int, hire: Hire) -> Generator[str, None, None]:
    """The shards on `count` workers, each one's name as it is done. A worker that dies costs its shard one more try, row by
    row; the row at which a fresh process dies becomes a row with an error. What a stage's set-up raises, and RunFailed
    for workers that do not begin, end the run; and with it, or where this is closed, all workers end."""
    crew = _Crew(job, todo, hire)
    threads = [threading.Thread(target=crew.serve, daemon=True) for _ in range(min(count, len(todo)))]
    for thread in threads:
        thread.start()
    try:
        for _ in todo:
            told = crew.told.get()
            if isinstance(told, BaseException):
                raise told
            yield told
    finally:
        crew.dismiss()
        for thread in threads:
            thread.join()


class _Dismissed(Exception):
    """The run is over."""


class _Crew:
    """What the threads share: the shards that are left, the workers that there are, and what the run is told."""

    def __init__(self, job: Job, todo: Sequence[Shard], hire: Hire) -> None:
        self.job = job
        self.told: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()
        self._todo = iter(todo)
        self._hire = hire
        self._workers: list[Worker] = []
        self._lock = threading.Lock()
        self._over = False

    def serve(self) -> None:
        """A thread's work: one worker, and those that take its place."""
        servant = _Servant(self)
        try:
            servant.begin()
            while (shard := self._next()) is not None:
                servant.do(shard)
                self.told.put(shard.name)
        except _Dismissed:
            pass
        except BaseException as error:  # noqa: BLE001  (it is raised again where the run waits)
            self.told.put(error)
        finally:
            servant.end()

    def hire(self) -> Worker:
        """Another worker."""
        with self._lock:
            if self._over:
                raise _Dismissed
            worker = self._hire()
            self._workers.append(worker)
        return worker

    def lost(self, worker: Worker) -> None:
        """That worker is at its end. _Dismissed where that is because the run is."""
        worker.end()
        with self._lock:
            self._workers.remove(worker)
            if self._over:
                raise _Dismissed

    def dismiss(self) -> None:
        """End all workers, which the threads will notice, and hire none any more."""
        with self._lock:
            self._over = True
            for worker in self._workers:
                worker.end()

    def _next(self) -> Shard | None:
        with self._lock:
            return None if self._over else next(self._todo, None)


class _Servant:
    """A thread's worker, and the one that takes its place."""

    def __init__(self, crew: _Crew) -> None:
        self._crew = crew
        self._worker: Worker | None = None
        self._fresh = True

    def begin(self) -> None:
        """A worker with its stages set up. RunFailed where it does not even begin, which is no video's fault."""
        self._worker = self._crew.hire()
        try:
            self._worker.call(set_up, self._crew.job.stages)
        except Died as error:
            self._drop()
            raise RunFailed(
                "a worker process ends before it has any video: the messages above say why; try one worker"
            ) from error
        self._fresh = True

    def do(self, shard: Shard) -> None:
        """A shard, whatever becomes of the worker."""
        job = self._crew.job
        try:
            self._call(job, shard)
        except Died:
            log.warning("a worker died at shard %s: its rows are tried one by one", shard.name)
            known = job.metadata(shard)
            write(job.path(shard), [found for row in shard.rows for found in self._one(row)], known)

    def _one(self, row: Row) -> list[Row]:
        """A row by itself. Where a process dies that has done others before, one of those may have been to blame: it is tried
        again in one that has done nothing yet."""
        for _ in range(1 if self._fresh else 2):
            with contextlib.suppress(Died):
                found: list[Row] = self._call(process, self._crew.job.stages, [row])
                return found
        told = {"stage": "process", "type": "Killed", "message": "the process died at this video"}
        return [{**row, "error": told}]

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """In the worker. Where it dies, another takes its place before Died is raised."""
        assert self._worker is not None  # begun before it is asked for anything
        try:
            found = self._worker.call(function, *arguments)
        except Died:
            self._drop()
            self.begin()
            raise
        self._fresh = False
        return found

    def _drop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            self._crew.lost(worker)

    def end(self) -> None:
        """The thread is done."""
        with contextlib.suppress(_Dismissed):
            self._drop()


@dataclass(frozen=True)
class Pool:
    """`workers` processes of this machine with one thread each."""

    workers: int

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UserError(f"{self.workers} workers: give 1 or more")

    def run(self, job: Job, todo: Sequence[Shard]) -> Generator[str, None, None]:
        """See `engine.Executor`."""
        return through(job, todo, self.workers, _Process)


class _Process:
    """A process of this machine. Not one of a ProcessPoolExecutor: that cannot end a worker which is at work, and waits for
    ever where one dies while another is being started."""

    def __init__(self) -> None:
        # Not "fork": a copy of a process that has threads (libav's, OpenCV's) may hang.
        context = get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, one_thread), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """See `Worker`."""
        try:
            self._ours.send((function, arguments))
            fine, found = self._ours.recv()
        except (EOFError, OSError) as error:
            raise Died from error
        if fine:
            return found
        raise found

    def end(self) -> None:
        """See `Worker`."""
        self._process.kill()
        self._process.join(5)


def _serve(calls: Connection, begin: Callable[[], None]) -> None:
    """The process: what it is asked for, until the one that asks is gone."""
    # Ctrl-C in the terminal is for the parent to handle, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    begin()
    with contextlib.suppress(EOFError, OSError):
        while True:
            function, arguments = calls.recv()
            try:
                reply = True, function(*arguments)
            except Exception as error:  # noqa: BLE001  (it is raised again where it was asked for)
                reply = False, error
            try:
                calls.send(reply)
            except (TypeError, AttributeError, ValueError, PicklingError):
                # What cannot be pickled is told by its words.
                calls.send((False, RunFailed(one_line(reply[1]))))
