"""run.json: what a run was asked, with what, where and when."""

from __future__ import annotations

import math
import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from kangaroo_eval import journal
from kangaroo_eval.errors import UserError
from kangaroo_eval.plan import DEFAULT_SIZE, RunConfig, TaskPlan
from kangaroo_eval.protocols import AspectKeeping, ChoiceRanker, Described, FrameSized, Model
from kangaroo_eval.secrecy import masked, masked_words
from kangaroo_eval.task import Task

PACKAGES = (
    "kangaroo-eval",
    "av",
    "numpy",
    "torch",
    "transformers",
    "tokenizers",
    "pysubs2",
    "pyarrow",
    "openai",
)


def model_protocol(model: Model) -> dict[str, Any]:
    described = model if isinstance(model, Described) else None
    for name in ("model_hash", "dtype") if described else ():
        if not isinstance(getattr(described, name), str):
            raise UserError(
                f"{model.name}: its {name} is {getattr(described, name)!r:.80}, and must be a text"
            )
    return {
        "model": model.name,
        "model_hash": described.model_hash if described else None,
        "dtype": described.dtype if described else None,
        "frame_size": frame_size(model),
        "keep_aspect": keep_aspect(model),
        "ranks_choices": isinstance(model, ChoiceRanker),
    }


def frame_size(model: Model) -> int:
    size = model.frame_size if isinstance(model, FrameSized) else DEFAULT_SIZE
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise UserError(
            f"{model.name}: its frame_size is {size!r:.80}: give a whole number of pixels, 0 for none"
        )
    return size


def keep_aspect(model: Model) -> bool:
    return isinstance(model, AspectKeeping) and bool(model.keep_aspect)


def told_by(model: Described, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Notes and settings as they are now. A caveat of earlier answers stays one of the run's."""
    notes = [model.notes] if isinstance(model.notes, str) else model.notes
    before = earlier.get("model", {}).get("notes", [])
    return {"notes": list(dict.fromkeys([*before, *map(str, notes)])), "settings": plain(model.settings)}


def plain(value: object) -> Any:
    """The value as JSON holds it: a model is foreign code, and a setting that cannot be written down must not cost
    the run its record."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


def make_record(
    config: RunConfig,
    plans: Sequence[TaskPlan],
    model: Model,
    asked: dict[str, Any],
    old: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """run.json: what is asked, with what, where and when. Tasks of earlier calls stay in it."""
    described = model if isinstance(model, Described) else None
    earlier = old or {}
    tasks = dict(earlier.get("tasks", {}))
    before = earlier.get("protocol", {}).get("tasks", {})
    # A judge of an earlier call stays: its verdicts are this run's.
    protocols = {name: {**before.get(name, {}), **entry} for name, entry in asked["tasks"].items()}
    for plan in plans:
        tasks[plan.task.name] = {
            **protocols[plan.task.name],
            "data_root": str(plan.root),
            "samples": len(plan.everything),
            "sampler": formula(config, plan.task),
            "missing_videos": list(plan.missing),
            "videos_with_subtitles": len({each.video for each in plan.everything if each.video.subtitles}),
        }
    merged = {**asked, "tasks": {**before, **protocols}}
    kinds = sorted({entry["data"] for entry in tasks.values()})
    counts = {entry["frames"] for entry in tasks.values()}
    return {
        "schema": journal.SCHEMA,
        "id": earlier.get("id") or secrets.token_hex(8),
        "model": {
            "name": model.name,
            "asked": config.model,
            "args": masked(config.model_args),
            "hash": described.model_hash if described else None,
            "dtype": described.dtype if described else None,
            **(told_by(described, earlier) if described else {"notes": [], "settings": {}}),
        },
        "frames": counts.pop() if len(counts) == 1 else None,
        "data": "+".join(kinds),
        "protocol": merged,
        "tasks": tasks,
        "decoding": {
            "size": frame_size(model),
            "keep_aspect": keep_aspect(model),
            "resize": "swscale area",
            "decoder": config.decoder,
        },
        "calls": [*earlier.get("calls", []), _call(config)],
        "min_coverage": config.min_coverage,
        "started": earlier.get("started") or journal.now(),
        "finished": None,
    }


def _call(config: RunConfig) -> dict[str, Any]:
    """This call's line and surroundings."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "at": journal.now(),
        "command": masked_words(config.command),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": versions,
    }


def formula(config: RunConfig, task: Task) -> str:
    """The name of the sampling formula: `--sampler official` is the benchmark's own."""
    return task.sampler if config.sampler == "official" else config.sampler
