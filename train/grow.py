"""From one stage's network to the next one's: the right parts, at the right resolution, in the right order."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers.utils import logging as hf_logging

from kangaroo_eval.errors import UserError
from kangaroo_eval.model import checkpoint
from kangaroo_eval.model.assemble import from_components
from kangaroo_eval.model.config import (
    KangarooConfig,
    KangarooVisionConfig,
    kangaroo_135m,
    kangaroo_tiny,
)
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.patchify import Patchify
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.model.vision import KangarooVisionModel
from kangaroo_eval.train.recipe import Recipe
from kangaroo_eval.train.stages import NAMES, Stage


@dataclass(frozen=True, slots=True)
class Learner:
    """A network and the processor that makes what it reads."""

    network: KangarooForConditionalGeneration
    processor: KangarooProcessor

    def save(self, folder: Path) -> None:
        """Write both, as `kangaroo:FOLDER` reads them."""
        folder.mkdir(parents=True, exist_ok=True)
        bar = hf_logging.is_progress_bar_enabled()
        hf_logging.disable_progress_bar()
        try:
            self.network.save_pretrained(folder)
        finally:
            if bar:
                hf_logging.enable_progress_bar()
        self.processor.save_pretrained(folder)


def kangaroo_smoke() -> KangarooConfig:
    """kangaroo-tiny with two thin layers on each side: for tests of the training itself."""
    config = kangaroo_tiny()
    vision, text = config.vision_config, config.text_config
    config.vision_config = KangarooVisionConfig(
        **{**vision.to_dict(), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    )
    text.hidden_size, text.intermediate_size, text.num_hidden_layers = 64, 128, 2
    text.num_attention_heads, text.num_key_value_heads, text.head_dim = 2, 1, 32
    return config


PRESETS = {"kangaroo_tiny": kangaroo_tiny, "kangaroo_smoke": kangaroo_smoke}
ENCODERS = {"kangaroo-135m": kangaroo_135m}
"""Recipes whose encoder may start from nothing, for their warm-up teaches it, and whose sizes it has then."""


def begin(recipe: Recipe, components: Mapping[str, str]) -> Learner:
    """What stage I starts from: random weights of a preset, or the public checkpoints `components` names as "vision"
    and "llm" ("vision" may be missing where the recipe warms one up). UserError for what is missing."""
    stage = recipe.stages[0].stage
    options: dict[str, Any] = {"patchify": stage.patchify_init is not None, "frame_size": stage.resolution}
    torch.manual_seed(recipe.seed)
    if recipe.model != "components":
        if components:
            flags = " and ".join(f"--{name}" for name in components)
            raise UserError(f"recipe {recipe.name} starts from nothing: leave {flags} out")
        config = PRESETS[recipe.model]()
        for name, value in options.items():
            setattr(config, name, value)
        config.provenance = {"license": "apache-2.0", "stages": []}
        network = KangarooForConditionalGeneration(config)
        return Learner(network, KangarooProcessor.for_config(load_tiny_tokenizer(), config))
    own = recipe.name in ENCODERS and not components.get("vision")
    missing = [
        name for name in ("vision", "llm") if not components.get(name) and not (own and name == "vision")
    ]
    if missing:
        flags = " ".join(f"--{name} PATH_OR_HUB_ID" for name in missing)
        raise UserError(f"recipe {recipe.name} starts from public checkpoints: give {flags}")
    options["max_position_embeddings"] = max(plan.stage.llm_sequence for plan in recipe.stages)
    if not own:
        network = from_components(components["vision"], components["llm"], **options)
    else:
        with TemporaryDirectory() as folder:
            KangarooVisionModel(ENCODERS[recipe.name]().vision_config).save_pretrained(folder)
            network = from_components(folder, components["llm"], **options)
        # The folder is gone, and what was in it is no checkpoint of anyone's.
        network.config.provenance["vision"] = {"source": "random weights"}
    return Learner(network, KangarooProcessor.for_components(components["llm"], network.config))


def read(folder: Path) -> Learner:
    """A stage's result, or any Kangaroo. UserError where the folder does not hold one."""
    config = checkpoint.check_folder(folder)
    processor = checkpoint.read_processor(folder, config)
    network = checkpoint.read_network(folder, dtype=torch.float32, attn_implementation="sdpa")
    return Learner(network, processor)


def check_order(learner: Learner, stage: Stage | None, where: object) -> None:
    """UserError unless the last stage that the weights went through is the one that `stage` goes on from. None: a
    warm-up, which comes before all stages."""
    done = stages_of(learner.network.config)
    last = next((name for name in reversed(done) if name in NAMES), None)
    previous = None if stage is None else stage.previous
    if last != previous:
        wanted = f"the result of stage {previous}" if previous else "weights before any stage"
        raise UserError(
            f"{where}: its last stage is {last or 'none'}, and {stage.name if stage else 'a warm-up'} starts from "
            f"{wanted}; run the stages in the order {', '.join(NAMES)}, or give --any-order"
        )


def stages_of(config: KangarooConfig) -> list[str]:
    """The stages that a network went through, in order."""
    return [str(each.get("stage")) for each in (config.provenance or {}).get("stages") or []]


def check_shape(learner: Learner, recipe: Recipe, where: object) -> None:
    """UserError where a checkpoint is not of the sizes that the recipe trains."""
    if recipe.model == "components":
        return
    wanted, found = PRESETS[recipe.model](), learner.network.config
    pairs = {
        f"{part}.{name}": (getattr(getattr(found, part), name), getattr(getattr(wanted, part), name))
        for part in ("vision_config", "text_config")
        for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    }
    pairs["vision_config.patch_size"] = (found.vision_config.patch_size, wanted.vision_config.patch_size)
    wrong = [f"{name} {ours} (recipe: {theirs})" for name, (ours, theirs) in pairs.items() if ours != theirs]
    if wrong:
        raise UserError(f"{where}: not a model of recipe {recipe.name}: {', '.join(wrong)}")


def advance(learner: Learner, stage: Stage, patchify_init: str = "uniform") -> Learner:
    """The same weights in the shape of `stage`: its resolution, with the table of learned positions resampled to it,
    and patchify new where the stage brings it. All other weights are the same bit for bit."""
    network = learner.network
    config = network.config
    if stage.patchify_init is None and config.patchify:
        raise UserError(f"stage {stage.name} has no patchify, but these weights have one")
    if config.vision_config.patch_size != stage.patch:
        raise UserError(
            f"stage {stage.name}: patches of {stage.patch} pixels, but the weights have "
            f"{config.vision_config.patch_size}"
        )
    if stage.resolution != config.vision_config.image_size:
        network.vision.resample_positions(stage.resolution)
    config.frame_size = stage.resolution
    if stage.patchify_init is not None and network.patchify is None:
        config.patchify, config.patchify_init = True, patchify_init
        network.patchify = Patchify(config.vision_config.hidden_size, patchify_init)
        network.patchify.reset_parameters()
        network.patchify.to(network.visual_tokens.device)
    processor = KangarooProcessor.for_config(learner.processor.tokenizer, config)
    return Learner(network, processor)


def note(network: KangarooForConditionalGeneration, stage: str, data: str, steps: int) -> None:
    """Write into the provenance that the weights went through a stage."""
    given = copy.deepcopy(network.config.provenance) or {}
    entry: dict[str, Any] = {"stage": stage, "data": data, "steps": steps, "date": time.strftime("%Y-%m-%d")}
    given["stages"] = [*(given.get("stages") or []), entry]
    network.config.provenance = given
