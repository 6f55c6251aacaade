"""How many floating-point operations a step takes, and what share of the device that is (MFU)."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import torch

from kangaroo_eval.model.config import KangarooConfig
from kangaroo_eval.train.batch import Pack
from kangaroo_eval.train.stages import Stage

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "B200": 2250e12}
"""Dense bf16 operations a second by a part of the card's name (NVIDIA's data sheets)."""


def vision_flops(config: KangarooConfig, frames: int, side: int) -> float:
    """Forward operations of the vision encoder for square frames of `side` pixels: 2 a weight and token, and the
    two products of attention."""
    vision = config.vision_config
    tokens = (side // vision.patch_size) ** 2 + 1
    width, inner = vision.hidden_size, vision.intermediate_size
    weights = vision.num_hidden_layers * (4 * width * width + 3 * width * inner)
    weights += 3 * vision.patch_size**2 * width
    attention = vision.num_hidden_layers * 4 * tokens * tokens * width
    return float(frames * (2 * tokens * weights + attention))


def llm_flops(config: KangarooConfig, lengths: tuple[int, ...], targets: int) -> float:
    """Forward operations of the LLM: causal attention within each document, the output layer at targets only."""
    text = config.text_config
    width, heads = text.hidden_size, text.num_attention_heads
    head = getattr(text, "head_dim", None) or width // heads
    attention = 2 * width * head * (heads + text.num_key_value_heads)
    layer = attention + 3 * width * text.intermediate_size
    pairs = sum(length * (length + 1) / 2 for length in lengths)
    layers = text.num_hidden_layers * (2 * sum(lengths) * layer + 4 * pairs * heads * head)
    return float(layers + 2 * targets * width * text.vocab_size)


def step_flops(config: KangarooConfig, stage: Stage, packs: list[Pack]) -> float:
    """Operations of a step's forward and backward passes over `packs`.

    Backwards costs twice the forward pass where a part trains, and once where a gradient only passes through (the
    frozen LLM); the vision encoder has no backward pass where it is frozen. Recomputed activations do not count,
    as MFU is defined.
    """
    vision = sum(vision_flops(config, sum(pack.counts), stage.resolution) for pack in packs)
    llm = sum(llm_flops(config, pack.lengths, pack.labelled) for pack in packs)
    return vision * (3 if "vision" in stage.trains else 1) + llm * (3 if "llm" in stage.trains else 2)


def peak_flops(device: torch.device) -> float | None:
    """Dense bf16 operations a second of the device; None where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)
