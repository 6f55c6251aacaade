"""Ctrl-C and SIGTERM: what a command must not lose, whatever it was doing when they came."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 130
MESSAGE = "kangaroo-eval: interrupted. Every answer so far is kept; the same command resumes"
# A terminal and the program that started this one often both pass a Ctrl-C on: what comes this soon is the same one.
SAME_SECONDS = 1.0


class Interruption:
    """Turns SIGINT and SIGTERM into a `KeyboardInterrupt`, and remembers that one came.

    The exception alone is not enough. It strikes between any two byte codes: within a lock of the standard library it
    becomes a RuntimeError, within a destructor Python prints and drops it, and a library may swallow it. So whoever
    works in steps calls `check` after each, and whoever ends in an error asks `came` whether that was the reason.
    Another signal, `SAME_SECONDS` later or more, ends the process at once: every answer is on disk as soon as it is there.
    """

    def __init__(self) -> None:
        self.came = False
        self._first = 0.0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            # A shell starts jobs in the background with SIGINT ignored: so it stays.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._strike)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            if handler is not None:  # set by something other than Python, which cannot set it back
                signal.signal(number, handler)

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if a signal came, whatever became of the first exception."""
        if self.came:
            raise KeyboardInterrupt

    def _strike(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.came:
            self._first = now  # before `came`: the next signal may come in between
            self.came = True
            raise KeyboardInterrupt
        if now - self._first > SAME_SECONDS:
            _end_now()


def end_at_once_from_now_on() -> None:
    """After an interruption, while the interpreter winds down: a second signal must not change the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(INTERRUPTED))


def _end_now() -> NoReturn:
    # Past every buffer, for the process may be in the middle of writing one.
    os.write(2, f"\n{MESSAGE}\n".encode())
    os._exit(INTERRUPTED)
