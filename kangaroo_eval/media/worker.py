"""The process that decodes: started by `process.py`, it reads jobs from stdin and answers on stdout.

Pixels go through an unnamed memory file that the parent made and handed down, so nothing can be left behind;
everything else is pickled, between a parent and its own child.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import queue
import signal
import sys
import threading
from dataclasses import replace
from typing import BinaryIO, NamedTuple

import numpy as np

from kangaroo_eval.errors import UserError
from kangaroo_eval.media.job import Done, Job, do


class Reply(NamedTuple):
    """`done` with its pixels taken out: they are in the memory file, of shape `shape`. Or wrong use."""

    done: Done | None
    shape: tuple[int, ...] | None
    wrong_use: str | None


def main(memory: int, threads: int) -> None:
    """Serve jobs until stdin ends, which it also does when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Who waits too long for an answer asks where it is.
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1)
    # Whatever a library prints must not end up among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, jobs), daemon=True).start()
    _send(answers, "ready")
    while True:
        _send(answers, _answer(jobs.get(), memory, threads))


def _listen(stdin: BinaryIO, jobs: queue.SimpleQueue[Job]) -> None:
    """Pass jobs on; end the process, busy or not, as soon as the parent is gone."""
    try:
        while True:
            jobs.put(pickle.load(stdin))
    except (EOFError, OSError, pickle.UnpicklingError):
        os._exit(0)


def _answer(job: Job, memory: int, threads: int) -> Reply:
    try:
        done = do(job, threads)
    except UserError as error:
        return Reply(None, None, str(error))
    if done.frames is None:
        return Reply(done, None, None)
    pixels = np.ascontiguousarray(done.frames.pixels)
    data, at = pixels.reshape(-1).data, 0
    while at < len(data):
        at += os.pwrite(memory, data[at:], at)
    empty = replace(done.frames, pixels=np.empty(0, np.uint8))
    return Reply(done._replace(frames=empty), pixels.shape, None)


def _send(answers: BinaryIO, value: object) -> None:
    pickle.dump(value, answers, protocol=pickle.HIGHEST_PROTOCOL)
    answers.flush()
