"""Shards on a Ray cluster.

Ray's actors, and not Ray Data: a row that kills its worker's process is tried again there without end, 22 times in the 100
seconds for which it was watched (2.60), and the job never returns. Here a worker that dies is met as in a pool of this machine
(`workers`), and nothing but shards, which are small, goes over the network: frames never leave the worker that decodes
them. What is done is known by the shards' files alone, so that a run goes on in any executor.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from kangaroo_eval.errors import RunFailed, UserError, first_line, one_line
from kangaroo_eval.train.curation.engine import Job, Shard, one_thread
from kangaroo_eval.train.curation.workers import Died, through

_STORE = 200 * 2**20
"""Bytes of a local cluster's object store: rows are small, and Ray would take a third of the memory."""
_PATIENCE = 10.0
"""Seconds for a cluster's machine to answer."""


class OnRay:
    """`workers` actors of one core each on the Ray cluster at `address`; None: a cluster of this machine alone, which is started
    and ended. A cluster with fewer cores has the others wait. All its machines must have this package, and the videos and the
    folder of the results under the same paths."""

    def __init__(self, workers: int, address: str | None = None) -> None:
        if workers < 1:
            raise UserError(f"{workers} workers: give 1 or more")
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise UserError('no Ray here: pip install "kangaroo-eval[ray]"') from error
        self.workers = workers
        self.address = address

    def run(self, job: Job, todo: Sequence[Shard]) -> Generator[str, None, None]:
        """See `engine.Executor`. RunFailed where the cluster cannot be reached."""
        if not todo:
            return
        with _cluster(self.address, self.workers):
            yield from through(job, todo, self.workers, _Hired)


@contextlib.contextmanager
def _cluster(address: str | None, workers: int) -> Iterator[None]:
    """Within, Ray is connected; what was begun here is ended."""
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        with _own_signals():
            _connect(address, workers)
    except (OSError, RuntimeError, ValueError) as error:
        where = "on this machine" if address is None else f"at {address!r}"
        raise RunFailed(
            f"no Ray cluster {where}: {first_line(error)}; see to `ray status`, or use --workers without --ray"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None, workers: int) -> None:
    """ConnectionError, or whatever else Ray raises, where there is no cluster."""
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        # Nothing is told to Ray's makers of what runs here.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=workers, object_store_memory=_STORE, include_dashboard=False, **quiet)
        return
    # Ray itself tries for minutes.
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    ray.init(address, **quiet)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself, and this program's way of ending at it would be lost."""
    kept = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if kept is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, kept)


class _Actor:
    """What runs in an actor's process."""

    def __init__(self, paths: Sequence[str]) -> None:
        # As processes of one machine do: stages may be of modules that are not installed.
        sys.path += [path for path in paths if path not in sys.path]
        one_thread()

    def call(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """The function's result."""
        return function(*arguments)


class _Hired:
    """An actor, as a `workers.Worker`."""

    def __init__(self) -> None:
        import ray

        # No restarts by Ray: another worker is hired, and its stages set up, where this one dies.
        made: Any = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Actor)
        self._actor: Any = made.remote(list(sys.path))

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """See `workers.Worker`."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            return ray.get(self._actor.call.remote(function, arguments))
        except RayTaskError as error:
            raise _reason(error) from None
        except RayError as error:
            raise Died from error

    def end(self) -> None:
        """See `workers.Worker`."""
        import ray

        ray.kill(self._actor)


def _reason(error: Any) -> Exception:
    """What a stage raised, without Ray's wrapping. RunFailed where Ray did not come as far as to call it."""
    from ray.exceptions import RayError

    cause = error.cause
    if isinstance(cause, Exception) and not isinstance(cause, RayError):
        return cause
    said = [line for line in str(cause).splitlines() if line.strip()]
    return RunFailed(
        f"a Ray worker cannot begin: {said[-1].strip() if said else one_line(error)}; "
        "have the same kangaroo-eval installed on every machine of the cluster"
    )
