"""A run on a Ray cluster: a model on each GPU, and every video pulled by whichever of them is free.

Videos are decoded by tasks anywhere on the cluster, a few ahead, and go through its shared memory to the worker that answers
their questions; lines come back here, to the run directory's only writer. So nothing depends on how many workers there
are: a run goes on with more of them, fewer, or none. A worker that dies, or its machine, costs its videos another try by
another worker; a video at which two of them died is recorded as such.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from kangaroo_eval.answering import FAILED, Answering
from kangaroo_eval.cluster import connected, raised_there
from kangaroo_eval.errors import RunFailed, UserError, one_line
from kangaroo_eval.fleet_worker import Answered, Answerer, Told, decode_one
from kangaroo_eval.grouping import by_video, file_bytes
from kangaroo_eval.media import Decoded, Failure, Job
from kangaroo_eval.plan import RunConfig, store_of
from kangaroo_eval.record import frame_spec
from kangaroo_eval.types import Request, Sample

if TYPE_CHECKING:
    from kangaroo_eval.protocols import Model

log = logging.getLogger(__name__)

AHEAD = 2
"""Videos with a worker: the one that it is at, and the next, whose frames are on their way meanwhile."""
DEATHS = 2
"""Workers that may die at a video."""
PATIENCE = 30.0
"""Seconds after which it is asked whether anything can still come."""
LONELY = 600.0
"""Seconds that a cluster without any machine for the work is waited for."""
_STORE = 2 * 10**9
"""Bytes of a local cluster's shared memory: some twenty videos of 64 frames of 448 pixels."""


@dataclass
class Fleet:
    """The workers of a run. As a model it says what they say of theirs, and answers nothing itself."""

    config: RunConfig
    count: int
    gpus: float
    told: Told | None = None
    workers: list[_Worker] = field(default_factory=list)
    born: int = 0

    @property
    def name(self) -> str:
        """The model's."""
        return self._facts.name

    @property
    def model_hash(self) -> str | None:
        """That of every worker's weights."""
        return self._facts.model_hash

    @property
    def dtype(self) -> str | None:
        """The model's."""
        return self._facts.dtype

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of all workers, each once."""
        return (
            tuple(dict.fromkeys(note for worker in self.workers for note in worker.notes))
            or self._facts.notes
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """The first worker's, and how many there are."""
        return {**self._facts.settings, "workers": self.count, "gpus_a_worker": self.gpus}

    @property
    def frame_size(self) -> int:
        """The model's."""
        return self._facts.frame_size

    @property
    def keep_aspect(self) -> bool:
        """The model's."""
        return self._facts.keep_aspect

    @property
    def _facts(self) -> Told:
        assert self.told is not None  # the fleet has begun
        return self.told

    def respond(self, requests: Any) -> Iterator[Any]:
        """Nothing is answered here (protocol `Model`): `Dispatch` hands out videos and not requests."""
        raise NotImplementedError

    def hire(self) -> None:
        """One more worker; it loads its model meanwhile."""
        import ray

        if self.born >= 2 * self.count + DEATHS:
            raise RunFailed(
                f"{self.born - self.count} workers died, so no further ones are started. The answers so far are kept; the "
                "same command resumes"
            )
        self.born += 1
        # A machine's cores are for decoding; the model's process is one more.
        made: Any = ray.remote(num_cpus=0, num_gpus=self.gpus, max_restarts=0, max_task_retries=0)(Answerer)
        actor: Any = made.options(scheduling_strategy="SPREAD").remote(
            dataclasses.replace(self.config, judge=None, command=())
        )
        self.workers.append(_Worker(actor, actor.begin.remote()))

    def lost(self, worker: _Worker) -> None:
        """That worker is no more; another one takes its place."""
        self.workers.remove(worker)
        self.hire()

    def ready(self, worker: _Worker) -> None:
        """The worker has its model, which must be that of the others."""
        import ray

        told: Told = ray.get(worker.begun)
        worker.is_ready, worker.notes = True, told.notes
        if self.told is None:
            self.told = told
        elif (told.name, told.model_hash) != (self.told.name, self.told.model_hash):
            raise UserError(
                f"the worker on {told.host} has other weights ({told.model_hash}) than that on {self.told.host} "
                f"({self.told.model_hash}): have the same checkpoint on every machine"
            )


@dataclass(eq=False)
class _Worker:
    """An actor, and the videos that are with it."""

    actor: Any
    begun: Any
    is_ready: bool = False
    notes: tuple[str, ...] = ()
    busy: dict[Any, _Group] = field(default_factory=dict)


@dataclass(eq=False)
class _Group:
    """The questions of one video on their way: where its `frames` are, and how many workers died at it."""

    samples: list[Sample]
    job: Job
    frames: Any = None
    deaths: int = 0


class RankingFleet(Fleet):
    """A fleet of models that rank replies (protocol `ChoiceRanker`)."""

    def rank(self, request: Request, candidates: Sequence[str]) -> Sequence[float]:
        """As `respond`: the workers do it."""
        raise NotImplementedError


@contextlib.contextmanager
def fleet(config: RunConfig) -> Iterator[Model]:
    """The workers of a run, of which at least one has its model loaded. UserError where there is no Ray, RunFailed where the
    cluster cannot be reached or no worker begins."""
    # For decoding: models have none of their own, as the cluster counts.
    cpus = config.workers or os.cpu_count() or 1
    with connected(config.ray or None, cpus=cpus, memory=_STORE):
        made = _sized(config)
        try:
            for _ in range(made.count):
                made.hire()
            # Read-only properties stand for what is a variable of a model that is loaded here.
            yield cast("Model", _begun(made))
        finally:
            _dismiss(made)


def _sized(config: RunConfig) -> Fleet:
    """As many workers as `--gpus` says, else one for each GPU of the cluster (and of a cluster without, for each machine)."""
    import ray

    machines = machines_of(ray)
    there = [int(each.get("GPU", 0)) if config.device != "cpu" else 0 for each in machines]
    gpus = config.gpus_per_model if any(there) else 0
    # A model's GPUs are those of one machine.
    most = sum(each // gpus for each in there) if gpus else 0
    if gpus and not most:
        raise UserError(
            f"--gpus-per-model {gpus:g}: no machine of the cluster has more than {max(there)} GPUs; give that many or fewer"
        )
    count = config.gpus or (most if gpus else len(machines))
    if gpus and count > most:
        raise UserError(
            f"--gpus {count} with {gpus} for each: the cluster's machines have room for {most}; give --gpus {most} or fewer"
        )
    return Fleet(config, count, gpus)


def machines_of(ray: Any) -> list[Mapping[str, float]]:
    """What each machine of the cluster that is up has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _begun(made: Fleet) -> Fleet:
    """Wait for the first worker. What keeps a model from loading is raised."""
    while made.told is None:
        done = waited(made.gpus, [worker.begun for worker in made.workers])
        worker = next(each for each in made.workers if each.begun == done[0])
        _meet(made, worker)
    assert made.told is not None
    return RankingFleet(**vars(made)) if made.told.ranks else made


def waited(gpus: float, asked: Sequence[Any]) -> Sequence[Any]:
    """Which of what was asked is done, once one is. RunFailed where the cluster has had no machine left for `LONELY` seconds
    that could do any of it; a cluster that grows and shrinks by itself is given that long."""
    import ray

    known: Any = ray
    since: float | None = None
    while True:
        done, _ = known.wait([*asked], num_returns=1, timeout=PATIENCE, fetch_local=False)
        if done:
            return cast("Sequence[Any]", done)
        left = machines_of(known)
        if any(each.get("CPU", 0) >= 1 and each.get("GPU", 0) >= gpus for each in left):
            since = None
            continue
        has = [f"{each.get('CPU', 0):g} CPUs and {each.get('GPU', 0):g} GPUs" for each in left]
        told = f"the cluster's machines have {', '.join(has) or 'gone'} (a video needs 1 CPU, a model {gpus:g} GPUs)"
        if since is None:
            since = time.monotonic()
            log.warning("%s: waiting %d s for machines", told, LONELY)
        if time.monotonic() - since >= LONELY:
            raise RunFailed(
                f"{told}, and no machine came for {LONELY:g} s. The answers so far are kept; the same command resumes"
            )


def _meet(made: Fleet, worker: _Worker) -> None:
    """A worker that has its model, or died of it: another takes its place. What else keeps it from loading is raised."""
    from ray.exceptions import RayError, RayTaskError

    try:
        made.ready(worker)
    except RayTaskError as error:
        raise raised_there(error, "a worker cannot load the model") from error
    except RayError as error:
        log.warning("a worker died while it was loading the model: %s", one_line(error))
        made.lost(worker)


def _dismiss(made: Fleet) -> None:
    import ray

    for worker in made.workers:
        with contextlib.suppress(Exception):
            ray.kill(worker.actor)


class Dispatch(Answering):
    """`Answering` by a fleet."""

    def finish(self) -> None:
        """Have everything answered that is left. RunFailed when the models or the disk give out."""
        import ray

        if not self.todo:
            return
        assert isinstance(self.model, Fleet)
        self.fleet = self.model
        self.shared = ray.put(self.plan)
        self.todo_groups = deque(self._groups())
        self.decoding: dict[Any, _Group] = {}
        self.decoded: deque[_Group] = deque()
        while self.todo_groups or self.decoding or self.decoded or self._busy():
            self._hand_out()
            self._take_in()
            if self.broken is not None:
                raise self.broken

    def _groups(self) -> list[_Group]:
        """Those that failed before last; of the others those with the largest files first, so that none of them is left for
        the end, when the other workers would have nothing to do."""
        spec = frame_spec(self.config, self.plan.task, self.model)
        store = store_of(self.config)
        also = tuple(dataclasses.replace(spec, frames=count) for count in self.config.also_frames)
        found = [_Group(samples, Job(samples[0].video, spec, store, also)) for samples in by_video(self.todo)]
        return sorted(
            found,
            key=lambda group: (self._all_failed_before(group.samples), -(file_bytes(group.job.video) or 0)),
        )

    def _busy(self) -> bool:
        return any(worker.busy for worker in self.fleet.workers)

    def _hand_out(self) -> None:
        """Frames to be decoded, as many as will be wanted soon; and decoded ones to the workers that have least to do."""
        import ray

        decode: Any = ray.remote(num_cpus=1, num_returns=2, max_retries=2)(decode_one)
        waiting = len(self.decoding) + len(self.decoded)
        while self.todo_groups and waiting < AHEAD * len(self.fleet.workers) + (os.cpu_count() or 1):
            group = self.todo_groups.popleft()
            summary, group.frames = decode.remote(group.job, self.config.decode_timeout)
            self.decoding[summary] = group
            waiting += 1
        while self.decoded:
            free = [worker for worker in self.fleet.workers if worker.is_ready and len(worker.busy) < AHEAD]
            if not free:
                return
            worker = min(free, key=lambda each: len(each.busy))
            group = self.decoded.popleft()
            for sample in group.samples:
                self.streak.ask(sample.id, self.plan.video_key(sample))
            answer = worker.actor.answer.remote(self.shared, group.samples, group.frames)
            worker.busy[answer] = group

    def _take_in(self) -> None:
        """Wait until something is done."""
        begun = {worker.begun: worker for worker in self.fleet.workers if not worker.is_ready}
        answers = {answer: worker for worker in self.fleet.workers for answer in worker.busy}
        for each in waited(self.fleet.gpus, [*begun, *answers, *self.decoding]):
            if each in begun:
                _meet(self.fleet, begun[each])
            elif each in answers and each in answers[each].busy:
                self._came(answers[each], each)
            elif each in self.decoding:
                self._saw(each)

    def _saw(self, summary: Any) -> None:
        """A video was decoded, or was not."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        group = self.decoding.pop(summary)
        try:
            found: Decoded = ray.get(summary)
        except RayTaskError as error:
            raise raised_there(error, "a video cannot be decoded") from error
        except RayError as error:
            # Not the video's fault, which has a process of its own: machines that go away one after the other.
            message = f"{group.job.video.path}: {one_line(error)}"
            found = Decoded(group.job, None, None, Failure("decode_error", message), 0.0, 0.0)
        if found.error is not None:
            self._unreadable(group.samples, found)
        else:
            self.decoded.append(group)

    def _came(self, worker: _Worker, answer: Any) -> None:
        """What a worker made of a video, or the worker's end."""
        import ray
        from ray.exceptions import ObjectLostError, RayError, RayTaskError

        group = worker.busy.pop(answer)
        try:
            found: Answered = ray.get(answer)
        except ObjectLostError as error:
            # Its frames went with a machine; the worker goes on with what else it has.
            self._again([group], error)
            return
        except RayTaskError as error:
            raise raised_there(error, f"{self.model.name} failed") from error
        except RayError as error:
            # It died, or was killed for its machine's memory, or its machine went.
            self._again([group, *worker.busy.values()], error)
            self.fleet.lost(worker)
            return
        worker.notes = tuple(dict.fromkeys((*worker.notes, *found.notes)))
        for line in found.lines:
            self._keep(line)

    def _again(self, groups: Sequence[_Group], error: Exception) -> None:
        """Videos that were with a worker that died: the one that it was at may be to blame."""
        reason = one_line(error)
        groups[0].deaths += 1
        log.warning("a worker died at %s (%s): others go on", groups[0].job.video.path, reason)
        for group in reversed(groups):
            for sample in group.samples:
                self.streak.end(sample.id, answered=None)
            if group.deaths >= DEATHS:
                message = f"{DEATHS} workers died at this video: {reason}"
                for sample in group.samples:
                    self._keep(self._without_answer(sample, "request_failed", "worker_died", message))
            else:
                self.todo_groups.appendleft(group)

    def _keep(self, line: Mapping[str, Any]) -> None:
        """Journal a line, which was made without knowledge of earlier calls."""
        line = {**line, "attempt": self.attempts[line["id"]] + 1}
        self._write(line)
        if line["status"] not in FAILED:
            self.streak.end(line["id"], answered=True)
        else:
            self._count_failure(line["id"], line["error"]["type"], line["error"]["message"])
