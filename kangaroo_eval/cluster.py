"""The connection to a Ray cluster, or to one of this machine alone, and what its errors hide."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

from kangaroo_eval.errors import RunFailed, UserError, first_line, one_line

_PATIENCE = 10.0
"""Seconds for a cluster's machine to answer."""


def check_ray() -> None:
    """UserError where Ray is not installed."""
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise UserError('no Ray here: pip install "kangaroo-eval[ray]"') from error


@contextlib.contextmanager
def connected(address: str | None, *, cpus: int, memory: int) -> Iterator[None]:
    """Within, Ray is connected to the cluster at `address`. None: a cluster of this machine alone is started, with `cpus` cores
    as it counts them and `memory` bytes of shared memory, and ended. UserError where Ray is not installed, RunFailed where
    the cluster cannot be reached."""
    check_ray()
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        with _own_signals():
            _connect(address, cpus, memory)
    except (OSError, RuntimeError, ValueError) as error:
        where = "on this machine" if address is None else f"at {address!r}"
        raise RunFailed(
            f"no Ray cluster {where}: {first_line(error)}; see to `ray status`, or go without --ray"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None, cpus: int, memory: int) -> None:
    """ConnectionError, or whatever else Ray raises, where there is no cluster."""
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        # Nothing is told to Ray's makers of what runs here.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=cpus, object_store_memory=memory, include_dashboard=False, **quiet)
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


def raised_there(error: Any, what: str) -> Exception:
    """What a task raised, without Ray's wrapping. RunFailed, which begins with `what`, where Ray did not come as far as to call
    it."""
    from ray.exceptions import RayError

    cause = error.cause
    if isinstance(cause, Exception) and not isinstance(cause, RayError):
        return cause
    said = [line for line in str(cause).splitlines() if line.strip()]
    return RunFailed(
        f"{what}: {said[-1].strip() if said else one_line(error)}; "
        "have the same kangaroo-eval installed on every machine of the cluster"
    )
