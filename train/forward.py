"""One pack through the whole network: the summed loss of its generated text."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.train import attention
from kangaroo_eval.train.attention import Documents
from kangaroo_eval.train.batch import IGNORED, Pack


class NextToken(nn.Module):
    """The objective of all five stages: the next token of generated text, and nothing else (Section IV.B).

    `forward(pack)` gives the sum over the pack's targets, fp32 without dimensions: the caller divides by the number
    of targets of the whole batch, over all packs and ranks, so that a token weighs the same wherever it stands.
    The output layer runs at positions with a target only; no visual token ever needs it.
    """

    def __init__(
        self,
        network: KangarooForConditionalGeneration,
        *,
        dtype: torch.dtype = torch.float32,
        backend: str | None = None,
    ) -> None:
        """`dtype`: float32, or bfloat16 for autocast over fp32 weights. `backend`: see `attention.choose`."""
        super().__init__()
        self.network = network
        self.dtype = dtype
        self.backend = attention.choose(network.visual_tokens.device, backend)
        network.llm.config._attn_implementation = attention.NAME

    def forward(self, pack: Pack) -> Tensor:
        """The summed cross entropy of the pack's targets."""
        with self.autocast(pack.input_ids.device):
            hidden = run_layers(
                self.network.llm.model.layers, self.embed(pack), self.rotary(pack), self.documents(pack)
            )
            return self.loss(hidden, pack)

    def autocast(self, device: torch.device) -> torch.autocast:
        """bf16 arithmetic where that is asked for."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def documents(self, pack: Pack) -> Documents:
        """What the attention layers need to keep the documents apart."""
        return Documents(pack.lengths, self.backend, pack.branches)

    def embed(self, pack: Pack) -> Tensor:
        """The LLM's inputs, (1, length, width)."""
        times = pack.times if len(pack.times) else None
        return self.network.embed(pack.input_ids[None], pack.pixels, times, pack.counts, together=True)

    def rotary(self, pack: Pack) -> Any:
        """cos and sin of the LLM's rotary positions, which start anew in each document."""
        llm = self.network.llm.model
        return llm.rotary_emb(llm.embed_tokens.weight, position_ids=pack.positions[None])

    def loss(self, hidden: Tensor, pack: Pack) -> Tensor:
        """The summed loss from the last layer's output (1, length, width)."""
        kept = pack.targets != IGNORED
        normed = self.network.llm.model.norm(hidden[0][kept])
        logits = self.network.llm.lm_head(normed)
        return F.cross_entropy(logits.float(), pack.targets[kept], reduction="sum")


def run_layers(layers: Iterable[nn.Module], hidden: Tensor, rotary: Any, documents: Documents) -> Tensor:
    """(1, length, width) through some of the LLM's layers, each document for itself."""
    for layer in layers:
        hidden = layer(hidden, position_embeddings=rotary, documents=documents)
    return hidden
