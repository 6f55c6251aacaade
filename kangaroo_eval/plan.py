"""What a run will do, found out before any model loads: tasks, data, samples, prompts, missing videos."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from kangaroo_eval.data import Kind, fingerprint, folder_of, locate, read_samples, video_key
from kangaroo_eval.endpoint import EndpointConfig
from kangaroo_eval.errors import DataError, RunFailed, UserError, one_line
from kangaroo_eval.media.decoders import check_installed
from kangaroo_eval.media.store import EXACT, GB, Store
from kangaroo_eval.permutation import AS_GIVEN, SHUFFLED, all_turned
from kangaroo_eval.registry import get_task, task_names
from kangaroo_eval.task import Task
from kangaroo_eval.types import Cue, Sample, View

log = logging.getLogger(__name__)

SAMPLERS = ("uniform", "endpoints", "official")
ON_MISSING = ("fail", "skip")
DEFAULT_SIZE = 448
OFFICIAL_JUDGE = "official"
# What a process has used in any of its tasks stays in the frame store.
_BEGAN = time.time()
# Prompts may depend on the sampled frames, so a prompt's hash is taken under one fixed view.
_HASH_VIEW = View((0.5, 1.5, 2.5, 3.5), 25.0, (Cue(0.0, 1.0, "first cue"), Cue(2.0, 3.0, "second cue")))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything a run is asked. Times in seconds; `frames` None means the task's own number; `cache` is where
    mini data is made; `output` None means `results/runs/<model>-<frames>f[-mini]`; `judge` is the endpoint of
    judged tasks, whose model "official" stands for each task's own; `full_hash` has the model named by every byte of
    its weights, `trust_remote_code` lets it run code from its own repository; `shuffle_options` has the options of every
    question in another order, `controls` further runs beside this one (`controls.CONTROLS`); `frame_store` keeps decoded frames ("off", or a form of
    `media.store`), up to `frame_store_size` gigabytes, in `frame_store_folder` (None: in the cache), those of `also_frames`
    frames a video too; `ray` is the address of a cluster to run on ("": this machine), `gpus` how many models are loaded there,
    `gpus_per_model` how many GPUs each of them has; `command` is the command line for the run record."""

    tasks: tuple[str, ...]
    model: str = "kangaroo-tiny"
    model_args: Mapping[str, str] = field(default_factory=dict)
    frames: int | None = None
    fps: float | None = None
    max_frames: int | None = None
    sampler: str = "uniform"
    decoder: str = "pyav"
    data: str = "auto"
    data_root: Path | None = None
    cache: Path = field(default_factory=lambda: Path.home() / ".cache" / "kangaroo-eval")
    limit: float | None = None
    samples: tuple[str, ...] | None = None
    subset: tuple[int, int] | None = None
    batch_size: int | None = None
    device: str | None = None
    dtype: str | None = None
    workers: int | None = None
    output: Path | None = None
    fresh: bool = False
    on_missing: str = "fail"
    min_coverage: float = 0.99
    decode_timeout: float = 600.0
    seed: int = 0
    judge: EndpointConfig | None = None
    full_hash: bool = False
    trust_remote_code: bool = False
    shuffle_options: bool = False
    controls: tuple[str, ...] = ()
    frame_store: str = "off"
    frame_store_size: float = 50.0
    frame_store_folder: Path | None = None
    also_frames: tuple[int, ...] = ()
    ray: str | None = None
    gpus: int | None = None
    gpus_per_model: int = 1
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UserError(f"no tasks given: use --tasks with some of {', '.join(task_names())}, or all")
        if self.samples is not None and not self.samples:
            raise UserError("--samples names no sample: give ids by comma, or a file with one a line")
        _at_least_one("--frames", self.frames)
        _at_least_one("--max-frames", self.max_frames)
        _at_least_one("--batch-size", self.batch_size)
        self._check_frame_flags()
        store_of(self)
        _at_least_one("--gpus", self.gpus)
        _at_least_one("--gpus-per-model", self.gpus_per_model)
        if self.on_cluster and self.controls:
            raise UserError("--controls and --ray or --gpus: run the controls without these")
        if self.on_missing not in ON_MISSING:
            raise UserError(f"--on-missing {self.on_missing!r}: choose one of {', '.join(ON_MISSING)}")
        check_share(self.min_coverage)
        if self.limit is not None and not _is_limit(self.limit):
            raise UserError(
                f"--limit {self.limit}: give a whole number of samples, or a share between 0 and 1"
            )
        if not (math.isfinite(self.decode_timeout) and self.decode_timeout > 0):
            raise UserError(f"--decode-timeout {self.decode_timeout}: give seconds above 0")
        if self.workers is not None and self.workers < 0:
            raise UserError(f"--workers {self.workers}: give 0 (decode in this process) or more")

    @property
    def on_cluster(self) -> bool:
        """Whether models are loaded by workers and not here."""
        return self.ray is not None or self.gpus is not None

    def _check_frame_flags(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UserError(f"--sampler {self.sampler!r}: choose one of {', '.join(SAMPLERS)}")
        if self.fps is not None and self.frames is not None:
            raise UserError("--frames and --fps exclude each other: cap frames by rate with --max-frames")
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            raise UserError(f"--fps {self.fps}: give a rate above 0")
        if self.fps is None and self.max_frames is not None:
            raise UserError("--max-frames goes with --fps; without it use --frames")


def check_share(value: float) -> float:
    """A coverage threshold, refused where it is no share."""
    if not 0 <= value <= 1:
        raise UserError(f"--min-coverage {value}: give a share between 0 and 1")
    return value


def _is_limit(value: float) -> bool:
    return math.isfinite(value) and value > 0 and (value < 1 or value == int(value))


def _at_least_one(flag: str, value: int | None) -> None:
    if value is not None and (not isinstance(value, int) or value < 1):
        raise UserError(f"{flag} {value}: give a whole number of at least 1")


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task of a run: where its data is and which of its samples are asked."""

    task: Task
    root: Path
    kind: Kind
    everything: tuple[Sample, ...]
    samples: tuple[Sample, ...]
    missing: tuple[str, ...]
    prompt_hash: str
    fingerprint: str
    subtitles: str | None

    @property
    def label(self) -> str:
        """The task's name as every output shows it: `videomme[mini]` for made data."""
        return f"{self.task.name}[mini]" if self.kind == "mini" else self.task.name

    def video_key(self, sample: Sample) -> str:
        """What the sample's video is called in files."""
        return video_key(sample, self.root)


def make_plan(config: RunConfig) -> tuple[TaskPlan, ...]:
    """Read every task's annotations and pick its samples.

    Raises `UserError` for unknown names, `DataError` for absent or malformed data, and for missing videos
    under `--on-missing fail`: all of it before a model loads.
    """
    tasks = _tasks(config.tasks)
    # Before anything is written: a run directory remembers which decoder it was asked with.
    check_installed(config.decoder)
    if "all" in map(str.lower, config.tasks):
        tasks = [task for task in tasks if _has_data(task, config)]
    plans = tuple(_plan_task(task, config) for task in tasks)
    _check_ids(config.samples or (), plans)
    for plan in plans:
        if not plan.samples:
            raise UserError(f"--samples leaves nothing of {plan.task.name}: leave it out of --tasks")
    if config.on_missing == "fail":
        _refuse_missing(plans)
    return plans


def _has_data(task: Task, config: RunConfig) -> bool:
    """Whether there is anything to ask: of "all", a plug-in's task without a mini copy is left out where its data are not there."""
    if task.source.mini is not None or folder_of(task, config.data_root, config.cache) is not None:
        return True
    log.warning("%s is left out of all tasks: it has no mini copy, and its data are not there", task.name)
    return False


def _tasks(names: Sequence[str]) -> list[Task]:
    if "all" in map(str.lower, names):
        names = task_names()
    tasks = {task.name: task for task in map(get_task, names)}
    return list(tasks.values())


def _plan_task(task: Task, config: RunConfig) -> TaskPlan:
    root, kind = locate(task, config.data, config.data_root, config.cache)
    if task.settle:
        task = dataclasses.replace(task, **task.settle(root))
    everything = read_samples(task, root)
    if config.shuffle_options:
        everything = all_turned(task.name, everything, partial(ask, task))
    samples = choose(everything, config)
    files = {path for each in samples for path in (each.video.path, each.video.picture) if path}
    missing = sorted(path for path in files if not os.path.exists(path))
    return TaskPlan(
        task=task,
        root=root,
        kind=kind,
        everything=everything,
        samples=group_by_video(samples),
        missing=tuple(missing),
        prompt_hash=prompt_hash(task, everything),
        fingerprint=fingerprint(task, root),
        subtitles=_subtitles(task, everything) if task.subtitles else None,
    )


def _subtitles(task: Task, samples: Sequence[Sample]) -> str:
    """sha256 over the subtitle files, which prompts are made of. `DataError` when there is not a single one:
    the run would equal the one without subtitles, under the other's name."""
    files = sorted({sample.video.subtitles for sample in samples if sample.video.subtitles})
    if not files:
        raise DataError(
            f"{task.name}: no subtitle file for any video; put them there, or run the task without"
        )
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.path.basename(file).encode(errors="surrogateescape") + b"\0")
        digest.update(hashlib.sha256(Path(file).read_bytes() if os.path.isfile(file) else b"").digest())
    return digest.hexdigest()


def choose(samples: tuple[Sample, ...], config: RunConfig) -> tuple[Sample, ...]:
    """The samples that `--samples`, `--subset SEED:N` and `--limit` leave, in the benchmark's order.

    The subset is seeded and stratified by video: one question of every video, then a second of every video,
    and so on until N; a larger N with the same seed contains the smaller.
    """
    if config.samples is not None:
        wanted = set(config.samples)
        samples = tuple(sample for sample in samples if sample.id in wanted)
    if config.subset is not None:
        samples = _subset(samples, *config.subset)
    if config.limit is not None:
        # 1 is one sample; a share is a number below 1.
        count = int(config.limit) if config.limit >= 1 else max(1, round(config.limit * len(samples)))
        samples = samples[:count]
    return samples


def _subset(samples: tuple[Sample, ...], seed: int, count: int) -> tuple[Sample, ...]:
    def order(sample: Sample) -> bytes:
        # JSON lets an id hold half a sign, which UTF-8 has no form for.
        return hashlib.sha256(f"{seed}/{sample.id}".encode(errors="surrogatepass")).digest()

    rank: dict[str, int] = {}
    taken: Counter[str] = Counter()
    for sample in sorted(samples, key=order):
        rank[sample.id] = taken[sample.video.path]
        taken[sample.video.path] += 1
    kept = {sample.id for sample in sorted(samples, key=lambda each: (rank[each.id], order(each)))[:count]}
    return tuple(sample for sample in samples if sample.id in kept)


def _no_file(names: Sequence[str]) -> str:
    """Where what was given looks like the name of a file."""
    return ", and no such file" if any(re.search(r"[/\\]|\.\w{2,5}\Z", name) for name in names) else ""


def _check_ids(ids: Sequence[str], plans: Sequence[TaskPlan]) -> None:
    known = {sample.id for plan in plans for sample in plan.everything}
    unknown = [each for each in ids if each not in known]
    if unknown:
        raise UserError(
            f"--samples: no such sample{_no_file(unknown)}: {', '.join(unknown[:5])} ({len(unknown)} unknown in all)"
        )


def _refuse_missing(plans: Sequence[TaskPlan]) -> None:
    missing = [path for plan in plans for path in plan.missing]
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        told = "".join(f" {hint}." for plan in plans for hint in missing_hints(plan))
        raise DataError(
            f"{len(missing)} video{'s are' if len(missing) > 1 else ' is'} missing: {shown}.{told} Put them there, or go on without them with "
            "--on-missing skip (their samples lower the coverage)"
        )


def missing_hints(plan: TaskPlan) -> list[str]:
    """How to get those missing videos of a task that are not in the usual download."""
    found = []
    for beginning, hint in plan.task.source.hints.items():
        count = sum(os.path.relpath(path, plan.root).startswith(beginning) for path in plan.missing)
        if count:
            found.append(f"{count} of them are {plan.task.name}'s {beginning}: {hint}")
    return found


def group_by_video(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """The samples with all questions about one clip next to each other, videos in order of first appearance."""
    groups: dict[object, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.video, []).append(sample)
    return tuple(sample for group in groups.values() for sample in group)


def ask(task: Task, sample: Sample, view: View) -> str:
    """The sample's prompt. `RunFailed` that names the task, which may be foreign code, where it cannot make one."""
    try:
        return task.prompt(sample, view)
    except Exception as error:
        raise RunFailed(
            f"task {task.name} cannot make the prompt of {sample.id}: {one_line(error)}"
        ) from error


def prompt_hash(task: Task, samples: Sequence[Sample]) -> str:
    """sha256 over system text, prefill and the first prompt of each kind of question (by the first tag of the
    breakdown) under a fixed view: it changes when a template does, and not with the samples that a run picks."""
    kinds: dict[object, Sample] = {}
    for sample in samples:
        kinds.setdefault(sample.tags.get(task.breakdown[0]) if task.breakdown else None, sample)
    parts: list[object] = [task.system, task.prefill, task.max_new_tokens, task.repeat_frames]
    for sample in kinds.values():
        parts.append(ask(task, sample, _HASH_VIEW))
        if task.timed_text:
            parts.append([(cue.start, cue.end, cue.text) for cue in task.timed_text(sample, _HASH_VIEW)])
        if task.ranking:
            parts.append(task.ranking.prompt(sample))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def judge_of(config: EndpointConfig | None, task: Task) -> EndpointConfig | None:
    """The judge of a task: the one asked for, or the authors' own where "official" is asked for; None for a task
    that rules decide, or without a judge."""
    if config is None or task.judge is None:
        return None
    return dataclasses.replace(config, model=task.judge.model) if config.model == OFFICIAL_JUDGE else config


def frames_of(config: RunConfig, task: Task) -> int | None:
    """How many frames a task's videos are sampled at; None when a rate decides."""
    if config.fps is not None:
        return None
    return config.frames or task.frames


def store_of(config: RunConfig) -> Store | None:
    """Where decoded frames are kept; None where they are not. UserError for an unknown form or no room at all."""
    if config.frame_store == "off":
        return None
    folder = config.frame_store_folder or config.cache / "frames"
    return Store(str(folder), config.frame_store, int(config.frame_store_size * GB), _BEGAN)


def protocol(config: RunConfig, plans: Sequence[TaskPlan], model: Mapping[str, Any] | None) -> dict[str, Any]:
    """What may not change within a run directory (FORMATS: one run directory is one protocol).

    `model` is None while the model has not been loaded: what is known is compared, the rest later.
    """
    tasks = {
        plan.task.name: {
            "version": plan.task.version,
            "prompt_hash": plan.prompt_hash,
            "data_fingerprint": plan.fingerprint,
            "data": plan.kind,
            "subtitles": plan.subtitles,
            "frames": frames_of(config, plan.task),
            **_judge_entry(config, plan.task),
        }
        for plan in plans
    }
    known: dict[str, Any] = {
        "fps": config.fps,
        "max_frames": config.max_frames,
        "sampler": config.sampler,
        "decoder": config.decoder,
        "seed": config.seed,
        "tasks": tasks,
        "options": SHUFFLED if config.shuffle_options else AS_GIVEN,
        # The exact form of a frame store gives the pixels that a decoder gives.
        "pixels": EXACT if config.frame_store == "off" else config.frame_store,
    }
    return known if model is None else {**known, **model}


def _judge_entry(config: RunConfig, task: Task) -> dict[str, Any]:
    """No key at all without a judge: one may be added to a run that has none, but not exchanged."""
    judge = judge_of(config.judge, task)
    return {"judge": dict(judge.identity)} if judge else {}


def config_with_paths(config: RunConfig) -> RunConfig:
    """The same configuration with absolute paths, so that a change of folder changes nothing."""
    return dataclasses.replace(
        config,
        data_root=Path(config.data_root).resolve() if config.data_root else None,
        cache=Path(config.cache).resolve(),
        output=Path(config.output).resolve() if config.output else None,
        frame_store_folder=Path(config.frame_store_folder).resolve() if config.frame_store_folder else None,
    )
