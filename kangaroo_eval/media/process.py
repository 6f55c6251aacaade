"""One decoder process, seen from the parent: start it, give it a job, kill it.

A process of its own, because damaged media can make libav crash, and because one that hangs can be killed. It is
started as a plain command, not through multiprocessing: nothing of the caller's main module (torch, perhaps) is
imported again, and scripts need no `if __name__ == "__main__"`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from multiprocessing.connection import wait

import numpy as np

from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.media.job import Done, Failure, Job
from kangaroo_eval.media.worker import Reply

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    "from kangaroo_eval.media.worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)


# Seconds for a process whose pipe broke to end by itself: its own reason is the one to tell.
_GRACE = 2.0
# Seconds for a process that hangs to write where.
_TOLD = 0.2


class DecoderProcess:
    """A worker that is started when it is needed and again after it died. `kill` may come from any thread;
    after it every job fails."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._memory = _memory_file()

    def run(self, job: Job, timeout: float | None) -> Done:
        """Do the job in the worker. A worker that dies or takes longer than `timeout` seconds gives an error
        for this job. UserError for wrong use, RunFailed where no worker can be started."""
        name = job.video.frames_dir or job.video.path
        process = self._started()
        began = time.perf_counter()
        assert process.stdin is not None and process.stdout is not None  # both are pipes, see _started
        try:
            pickle.dump(job, process.stdin)
            process.stdin.flush()
            if not wait([process.stdout.fileno()], timeout):
                self._tell_where()
                self._end()
                return _failed(name, f"decoding took longer than the time-out of {timeout:g} s", began)
            reply: Reply = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            return _failed(name, f"decoder process died ({self._end(_GRACE)})", began)
        if reply.wrong_use is not None:
            raise UserError(reply.wrong_use)
        assert reply.done is not None
        if reply.done.frames is None or reply.shape is None:
            return reply.done
        return reply.done._replace(frames=replace(reply.done.frames, pixels=self._fetch(reply.shape)))

    def kill(self) -> None:
        """End the worker at once, and for good."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def release(self) -> None:
        """After `kill`, from the thread that used it: wait for the process and free its memory file."""
        self._end()
        os.close(self._memory)

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise RunFailed("the decoders are closed")
            if self._process is not None:
                return self._process
            command = [
                sys.executable,
                "-c",
                _BOOT,
                json.dumps(sys.path),
                str(self._memory),
                str(self._threads),
            ]
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(self._memory,),
                # Ctrl-C in the terminal is for the parent to handle.
                process_group=0,
            )
            self._process = process
        assert process.stdout is not None
        try:
            pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise RunFailed(f"the decoder process does not start ({self._end(_GRACE)})") from error
        return process

    def _tell_where(self) -> None:
        """Have a worker that takes too long write what it is at to stderr (`worker.main`)."""
        if self._process is not None and hasattr(signal, "SIGUSR1"):
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(_TOLD)

    def _end(self, grace: float = 0.0) -> str:
        """Kill the process if it still runs after `grace` seconds, forget it, and say how it ended."""
        process = self._process
        if process is None:
            return "not started"
        try:
            code = process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        for pipe in (process.stdin, process.stdout):
            # Closing flushes, and what was meant for a dead process cannot be written.
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        with self._lock:
            self._process = None
        os.ftruncate(self._memory, 0)
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _fetch(self, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """Copy the pixels out of the memory file and give its memory back."""
        pixels = np.empty(shape, np.uint8)
        data, at = pixels.reshape(-1).data, 0
        while at < len(data):
            at += os.preadv(self._memory, [data[at:]], at)
        os.ftruncate(self._memory, 0)
        return pixels


def _failed(name: str, reason: str, began: float) -> Done:
    return Done(None, None, Failure("decode_error", f"{name}: {reason}"), time.perf_counter() - began)


def _memory_file() -> int:
    """A file descriptor of memory that has no name: nothing to clean up, and no limit of /dev/shm (64 MB in
    many containers) applies. Where the system has none, an unlinked temporary file."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("kangaroo-eval-frames")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
