"""The projector: vision width -> LLM width. The paper's is one linear layer; "mlp" is an option."""

from __future__ import annotations

from torch import nn


def build_projector(kind: str, vision_width: int, llm_width: int) -> nn.Module:
    """ "linear": one layer with bias. "mlp": two, with GELU between them, both of LLM width."""
    if kind == "linear":
        return nn.Linear(vision_width, llm_width)
    if kind == "mlp":
        return nn.Sequential(nn.Linear(vision_width, llm_width), nn.GELU(), nn.Linear(llm_width, llm_width))
    raise ValueError(f"projector {kind!r}: choose 'linear' or 'mlp'")
