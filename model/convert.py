"""Foreign checkpoints: timm's EVA-02 names to ours and back, and the stage-I start from two public models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from kangaroo_eval.model.config import KangarooConfig, KangarooVisionConfig
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration, WeightsError
from kangaroo_eval.model.vision import KangarooVisionModel

TIMM_NAMES = (
    ("cls_token", "class_token"),
    ("pos_embed", "position_embedding"),
    ("patch_embed.proj", "patch_embedding"),
    ("blocks.#.norm1", "layers.#.attention_norm"),
    ("blocks.#.attn.q_proj", "layers.#.attention.query"),
    ("blocks.#.attn.k_proj", "layers.#.attention.key"),
    ("blocks.#.attn.v_proj", "layers.#.attention.value"),
    ("blocks.#.attn.norm", "layers.#.attention.inner_norm"),
    ("blocks.#.attn.proj", "layers.#.attention.output"),
    ("blocks.#.norm2", "layers.#.mlp_norm"),
    ("blocks.#.mlp.fc1_g", "layers.#.mlp.gate"),
    ("blocks.#.mlp.fc1_x", "layers.#.mlp.up"),
    ("blocks.#.mlp.norm", "layers.#.mlp.inner_norm"),
    ("blocks.#.mlp.fc2", "layers.#.mlp.down"),
    ("norm", "norm"),
)
"""timm's module or parameter name (`eva02_large_patch14_clip_224`) and ours; # is the layer's number."""

_TO_OURS = dict(TIMM_NAMES)
_TO_TIMM = {ours: theirs for theirs, ours in TIMM_NAMES}
_LAYER = re.compile(r"(?<=\.)\d+(?=\.)")


def to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our vision encoder's state dict under timm's names."""
    return {_rename(name, _TO_TIMM): tensor for name, tensor in state.items()}


def from_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """timm's (or open_clip's "visual.trunk." form of) state dict under our names.

    The classification or CLIP head and open_clip's text tower are left out: the encoder ends at its norm.
    """
    prefix = "visual.trunk."
    if any(name.startswith(prefix) for name in state):
        state = {name.removeprefix(prefix): item for name, item in state.items() if name.startswith(prefix)}
    return {_rename(name, _TO_OURS): tensor for name, tensor in state.items() if not name.startswith("head.")}


def _rename(name: str, table: Mapping[str, str]) -> str:
    layer = _LAYER.search(name)
    pattern = _LAYER.sub("#", name, count=1)
    stem, _, leaf = pattern.rpartition(".")
    if pattern in table:
        renamed = table[pattern]
    elif stem in table and leaf in ("weight", "bias"):
        renamed = f"{table[stem]}.{leaf}"
    else:
        raise WeightsError(f"no counterpart for the parameter {name!r}: not an EVA-02 CLIP checkpoint")
    return renamed.replace("#", layer.group()) if layer else renamed


def read_vision(path: str | Path) -> Any:
    """An EVA-02 CLIP-L/14 from timm's safetensors file, or any encoder from a folder we wrote."""
    if Path(path).is_dir() and (Path(path) / "config.json").is_file():
        return KangarooVisionModel.from_pretrained(str(path))
    with torch.device("meta"):
        vision = KangarooVisionModel(KangarooVisionConfig())
    vision.load_state_dict(from_timm(load_file(path)), strict=True, assign=True)
    return vision


def from_components(
    vision: str | Path, llm: str | Path, *, dtype: torch.dtype = torch.float32, **options: Any
) -> KangarooForConditionalGeneration:
    """The start of stage I (Table II): a CLIP encoder and a chat LLM, with a new projector between them.

    `vision`: timm's `eva02_large_patch14_clip_224.merged2b` safetensors file. `llm`: a Llama folder or hub id.
    `options` are fields of `KangarooConfig`, such as `patchify=False, frame_size=224` for stages I and II.
    """
    encoder = read_vision(vision)
    language = LlamaForCausalLM.from_pretrained(str(llm), dtype=dtype)
    config = KangarooConfig(vision_config=encoder.config, text_config=language.config, **options)
    with torch.device("meta"):
        model = KangarooForConditionalGeneration(config)
    model.vision, model.llm = encoder, language
    for part in (model.patchify, model.projector):
        if part is not None:
            part.to_empty(device="cpu")
            part.apply(model._init_weights)
    model.visual_tokens = nn.Parameter(
        torch.randn(model.visual_tokens.shape) * language.config.initializer_range
    )
    torch.nn.Module.to(model, dtype)
    return model
