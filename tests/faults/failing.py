"""Imported first by a child process: its FAIL_AT-th operation on a file below FAIL_UNDER ends as FAIL_HOW says.

FAIL_HOW is "kill" (half of a write, then SIGKILL), or the name of an error such as ENOSPC, of that operation alone, or with a
+ behind it of every later one too, as of a disk that stays full. FAIL_COUNT names a file that the number of operations is
written to. CLOCK_JUMPS is a seed: the clock of the day then jumps about by days, back and forth.
"""

from __future__ import annotations

import atexit
import builtins
import errno
import io
import os
import random
import signal
import time
from typing import Any

AT = int(os.environ.get("FAIL_AT", "0"))
HOW = os.environ.get("FAIL_HOW", "kill")
UNDER = os.environ.get("FAIL_UNDER", "\0")
done = 0


def about(target: Any) -> bool:
    """Whether a path or file descriptor is one of those that may fail."""
    if isinstance(target, int):
        try:
            target = os.readlink(f"/proc/self/fd/{target}")
        except OSError:
            return False
    return os.fspath(target).startswith(UNDER) if isinstance(target, str | os.PathLike) else False


def step(half: Any = None) -> None:
    """Count an operation, and fail if it is its turn."""
    global done  # noqa: PLW0603 - one process, one count
    done += 1
    if not AT or done < AT or (done > AT and not HOW.endswith("+")):
        return
    if half is not None and done == AT:
        half()
    if HOW == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    code = getattr(errno, HOW.rstrip("+"))
    raise OSError(code, os.strerror(code))


def wrapped(name: str) -> None:
    """Have this function of `os`, whose first argument is the file, counted."""
    real = getattr(os, name)

    def counted(target: Any, *rest: Any, **options: Any) -> Any:
        if about(target):
            step((lambda: real(target, rest[0][: len(rest[0]) // 2])) if name == "write" else None)
        return real(target, *rest, **options)

    setattr(os, name, counted)


class Written(io.BufferedWriter):
    """A file whose every flush is counted."""

    def flush(self) -> None:
        if not self.closed:
            step(super().flush)
        super().flush()


def opened(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
    """`open`, which gives a counted file for writing bytes."""
    if "b" not in mode or not set(mode) & set("wax") or not about(file):
        return real_open(file, mode, *rest, **options)
    step()
    return Written(io.FileIO(file, mode.replace("b", "")))


for each in ("write", "fsync", "replace", "rename", "ftruncate", "mkdir", "open"):
    wrapped(each)
real_open = builtins.open
builtins.open = io.open = opened

if "FAIL_COUNT" in os.environ:
    atexit.register(lambda: real_open(os.environ["FAIL_COUNT"], "w").write(str(done)))

if "CLOCK_JUMPS" in os.environ:
    dice, real_time = random.Random(os.environ["CLOCK_JUMPS"]), time.time
    time.time = lambda: max(0.0, real_time() + dice.uniform(-1e8, 1e8))
    time.time_ns = lambda: int(time.time() * 1e9)
