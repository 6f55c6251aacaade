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
from kangaroo_eval.model.position import temporal_embedding
from kangaroo_eval.train import attention
from kangaroo_eval.train.attention import Documents
from kangaroo_eval.train.batch import IGNORED, Pack, Spelling


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
        spelt: float = 0.0,
    ) -> None:
        """`dtype`: float32, or bfloat16 for autocast over fp32 weights. `backend`: see `attention.choose`. `spelt`: the
        weight of how far the visual tokens are from what they spell, where the pack tells it."""
        super().__init__()
        self.network = network
        self.dtype = dtype
        self.backend = attention.choose(network.visual_tokens.device, backend)
        network.llm.config._attn_implementation = attention.NAME
        self.spelt = spelt
        if spelt:
            self.register_buffer("clock", clock_of(network), persistent=False)

    def forward(self, pack: Pack) -> Tensor:
        """The summed cross entropy of the pack's targets."""
        with self.autocast(pack.input_ids.device):
            inputs = self.embed(pack)
            layers = self.network.llm.model.layers
            hidden = run_layers(layers, inputs, self.rotary(pack), self.documents(pack))
            loss = self.loss(hidden, pack)
            return loss + self.spelt * self._unlike(inputs, pack) if self.spelt else loss

    def _unlike(self, inputs: Tensor, pack: Pack) -> Tensor:
        """The summed squared distances of the visual tokens from what they spell, in units of the latter's mean square
        length."""
        seen = inputs[0][pack.input_ids == self.network.config.video_token_id].float()
        if pack.spelling is None:
            return 0 * seen.sum()
        with torch.no_grad():
            wanted = spelt_out(self.network, pack.spelling, self.get_buffer("clock")).float()
        return (seen - wanted).square().sum() / wanted.square().sum(-1).mean()

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


def clock_of(network: KangarooForConditionalGeneration, scale: float = 0.1) -> Tensor:
    """A fixed random map (vision width, LLM width) that brings the time embedding of Eq. 3 to the LLM, as the projector may
    learn to: an LLM that reads spelt-out videos learns to read times through it. `scale`: of what it gives, against
    the LLM's embeddings at their start."""
    width, inner = network.config.text_config.hidden_size, network.config.vision_config.hidden_size
    drawn = torch.randn(inner, width, generator=torch.Generator().manual_seed(0))
    size = scale * network.config.text_config.initializer_range * inner**-0.5
    clock: Tensor = drawn.to(network.visual_tokens.device) * size
    return clock


def spelt_out(network: KangarooForConditionalGeneration, spelling: Spelling, clock: Tensor) -> Tensor:
    """Visual tokens as words: (visual tokens, LLM's width), sums of the LLM's embeddings and the time."""
    table = network.get_input_embeddings()
    seen = temporal_embedding(spelling.times, len(clock), network.config.tpe_theta).to(clock.device) @ clock
    words: Tensor = table(spelling.words) * spelling.weights[:, None]
    found: Tensor = seen.index_add(0, spelling.cells, words.to(seen.dtype))
    return found


def run_layers(layers: Iterable[nn.Module], hidden: Tensor, rotary: Any, documents: Documents) -> Tensor:
    """(1, length, width) through some of the LLM's layers, each document for itself."""
    for layer in layers:
        hidden = layer(hidden, position_embeddings=rotary, documents=documents)
    return hidden
