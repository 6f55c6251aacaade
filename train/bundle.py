"""From a finished training to a folder to publish: weights in bf16, their card, the recipe and the log."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kangaroo_eval.errors import UserError
from kangaroo_eval.train import finished, grow, logs
from kangaroo_eval.train.recipe import Recipe

LOG, RECIPE, SUMS = "training_log.jsonl", "recipe.json", "SHA256SUMS"
_SUMMED = ("*.jinja", "*.json", "*.safetensors")
_KEPT = ("step", "loss", "lr", "grad_norm", "seconds", "tokens_per_second", "memory_gb")


def bundle(recipe: Recipe, run: Path, out: Path, results: Sequence[Mapping[str, Any]] = ()) -> Path:
    """Write the last stage of `run`, a folder of `curriculum.run_all`, to `out`. `results` are what the card says that it
    scores (`provenance["results"]` of `KangarooConfig`). UserError for a run that is not whole, or not the recipe as it is: its
    card would tell of another one."""
    names = [*(warmup.kind for warmup in recipe.warmups), *(plan.name for plan in recipe.stages)]
    missing = [name for name in names if not (run / name / "stage.json").exists()]
    if missing:
        raise UserError(f"{run}: {', '.join(missing)} is not done: kangaroo-train all --recipe {recipe.name}")
    for name in names:
        finished.check(run / name, finished.asked(recipe, name, None, recipe.seed, (), {}))
    learner = grow.read(run / names[-1] / "model")
    config = learner.network.config
    config.provenance = {**(config.provenance or {}), "results": [dict(each) for each in results]}
    nn.Module.to(learner.network, torch.bfloat16)
    learner.save(out)
    (out / RECIPE).write_text(json.dumps(recipe.as_json(), indent=1) + "\n", encoding="utf-8")
    lines = [line for name in names for line in _log(name, run / name / "metrics.jsonl")]
    (out / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    write_sums(out)
    return out


def write_sums(folder: Path) -> None:
    """Write what `kangaroo-eval doctor` and `sha256sum --check` hold the model's files to."""
    files = sorted(file for pattern in _SUMMED for file in folder.glob(pattern))
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def _log(stage: str, file: Path) -> list[dict[str, Any]]:
    """What a stage's log tells of its course, some fifty lines of it: the rest is a machine's own."""
    found = logs.read(file)
    steps = max(1, len(found) // 50)
    kept = found[::-1][::steps][::-1]
    return [{"stage": stage, **{name: line[name] for name in _KEPT if name in line}} for line in kept]
