"""Shards on a Ray cluster.

Ray's actors, and not Ray Data: a row that kills its worker's process is tried again there without end, 22 times in the 100
seconds for which it was watched (2.60), and the job never returns. Here a worker that dies is met as in a pool of this machine
(`workers`), and nothing but shards, which are small, goes over the network: frames never leave the worker that decodes
them. What is done is known by the shards' files alone, so that a run goes on in any executor.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from typing import Any

from kangaroo_eval.cluster import check_ray, connected, raised_there
from kangaroo_eval.errors import UserError
from kangaroo_eval.train.curation.engine import Job, Shard, one_thread
from kangaroo_eval.train.curation.workers import Died, through

_STORE = 200 * 2**20
"""Bytes of a local cluster's object store: rows are small, and Ray would take a third of the memory."""


class OnRay:
    """`workers` actors of one core each on the Ray cluster at `address`; None: a cluster of this machine alone, which is started
    and ended. A cluster with fewer cores has the others wait. All its machines must have this package, and the videos and the
    folder of the results under the same paths."""

    def __init__(self, workers: int, address: str | None = None) -> None:
        if workers < 1:
            raise UserError(f"{workers} workers: give 1 or more")
        check_ray()
        self.workers = workers
        self.address = address

    def run(self, job: Job, todo: Sequence[Shard]) -> Generator[str, None, None]:
        """See `engine.Executor`. RunFailed where the cluster cannot be reached."""
        if not todo:
            return
        with connected(self.address, cpus=self.workers, memory=_STORE):
            yield from through(job, todo, self.workers, _Hired)


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
            raise raised_there(error, "a Ray worker cannot begin") from None
        except RayError as error:
            raise Died from error

    def end(self) -> None:
        """See `workers.Worker`."""
        import ray

        ray.kill(self._actor)
