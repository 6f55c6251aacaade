"""run.json: what a run was asked, with what, where and when."""

from __future__ import annotations

import json
import math
import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from kangaroo_eval import journal
from kangaroo_eval.errors import UserError
from kangaroo_eval.foreign import UNKNOWN_WEIGHTS, attribute, facts_of
from kangaroo_eval.media import FrameSpec
from kangaroo_eval.media.store import EXACT, FORMS
from kangaroo_eval.permutation import AS_GIVEN
from kangaroo_eval.plan import DEFAULT_SIZE, RunConfig, TaskPlan, frames_of
from kangaroo_eval.protocols import ChoiceRanker, Model
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


def model_protocol(model: Model, config: RunConfig) -> dict[str, Any]:
    """What of the model may not change within a run directory. Weights that are not told are known by what was asked
    for."""
    facts = facts_of(model)
    asked = _asked(config.model, config.model_args)
    return {
        "model": model.name,
        "model_hash": facts.model_hash,
        "dtype": facts.dtype,
        "frame_size": frame_size(model),
        "keep_aspect": keep_aspect(model),
        "ranks_choices": isinstance(model, ChoiceRanker),
        **({} if facts.model_hash else {"asked": asked}),
    }


def recorded_protocol(record: Mapping[str, Any]) -> dict[str, Any]:
    """The protocol of a run record, also of one that was written before models without a hash were held to what was
    asked for, and before their dtype, the order of options and the form of stored frames were recorded."""
    protocol = {"options": AS_GIVEN, "pixels": EXACT, **record["protocol"]}
    if protocol.get("model_hash") is None and "asked" not in protocol:
        known = record.get("model", {})
        protocol["asked"] = _asked(known.get("asked"), known.get("args", {}))
        protocol.pop("dtype", None)
    return protocol


def _asked(model: object, args: Mapping[str, Any]) -> str:
    return json.dumps([model, masked(args)], sort_keys=True, default=str)


def frame_size(model: Model) -> int:
    size = attribute(model, "frame_size", DEFAULT_SIZE)
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise UserError(
            f"{model.name}: its frame_size is {size!r:.80}: give a whole number of pixels, 0 for none"
        )
    return size


def keep_aspect(model: Model) -> bool:
    return attribute(model, "frame_size", None) is not None and bool(attribute(model, "keep_aspect", False))


def told_by(model: Model, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Notes and settings as they are now. A caveat of earlier answers stays one of the run's."""
    facts = facts_of(model)
    notes = facts.notes if facts.model_hash else (*facts.notes, UNKNOWN_WEIGHTS)
    before = earlier.get("model", {}).get("notes", [])
    return {"notes": list(dict.fromkeys([*before, *notes])), "settings": plain(facts.settings)}


def plain(value: object, within: tuple[int, ...] = ()) -> Any:
    """The value as JSON holds it: a model is foreign code, and a setting that cannot be written down must not cost
    the run its record."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if id(value) in within:
        return "(itself)"
    within = (*within, id(value))
    if isinstance(value, Mapping):
        return {str(name): plain(item, within) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, within) for item in value]
    return str(value)


def make_record(
    config: RunConfig,
    plans: Sequence[TaskPlan],
    model: Model,
    asked: dict[str, Any],
    old: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """run.json: what is asked, with what, where and when. Tasks of earlier calls stay in it."""
    facts = facts_of(model)
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
            "hash": facts.model_hash,
            "dtype": facts.dtype,
            **told_by(model, earlier),
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
            "frame_store": FORMS[config.frame_store].about if config.frame_store in FORMS else None,
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


def frame_spec(config: RunConfig, task: Task, model: Model) -> FrameSpec:
    """The frames that the model is shown of each of a task's videos."""
    return FrameSpec(
        frames=frames_of(config, task),
        fps=config.fps,
        max_frames=config.max_frames,
        sampler=formula(config, task),
        size=frame_size(model),
        keep_aspect=keep_aspect(model),
        decoder=config.decoder,
    )
