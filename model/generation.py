"""Decoding with a shared prefix: one KV cache of a video serves every question about it.

Written out instead of `generate` because its fixed cost a step is several times that of a tiny network; a
test holds the two equal, token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.modeling import CACHE, KangarooForConditionalGeneration


class Prefix(NamedTuple):
    """Keys and values of the `length` prompt tokens that several questions share, one pair a layer."""

    layers: tuple[tuple[Tensor, Tensor], ...]
    length: int

    @classmethod
    def of(cls, cache: Any, length: int) -> Prefix:
        """The first `length` tokens of a cache. Nothing is copied."""
        return cls(tuple((layer.keys, layer.values) for layer in cache.layers), length).cut(length)

    def cut(self, length: int) -> Prefix:
        """Its first `length` tokens. Nothing is copied."""
        layers = tuple((key[..., :length, :], value[..., :length, :]) for key, value in self.layers)
        return Prefix(layers, length)

    def cache(self, batch: int) -> Any:
        """A fresh cache that starts with the prefix; writing to it leaves the prefix as it is."""
        cache = DynamicCache()
        for index, (key, value) in enumerate(self.layers):
            cache.update(key.expand(batch, -1, -1, -1), value.expand(batch, -1, -1, -1), index)
        return cache


@torch.inference_mode()
def prefill(model: KangarooForConditionalGeneration, inputs_embeds: Tensor) -> Prefix:
    """Run the shared prompt (1, length, width) through the LLM once."""
    cache = DynamicCache()
    model.llm.model(inputs_embeds=inputs_embeds, use_cache=True, **{CACHE: cache})
    return Prefix.of(cache, int(inputs_embeds.shape[1]))


@torch.inference_mode()
def greedy(
    model: KangarooForConditionalGeneration,
    prefix: Prefix,
    suffixes: Sequence[Sequence[int]],
    limits: Sequence[int],
) -> list[list[int]]:
    """Continue the prefix with each suffix of token ids: at most `limits[i]` new ids, the stop id excluded.

    One suffix runs without any padding or mask. Several are padded on the left, the padding is masked and
    positions count from the prefix on, so in exact arithmetic the answers are those of one by one.
    """
    stops = stop_ids(model)
    batch, width = len(suffixes), max(len(suffix) for suffix in suffixes)
    device = model.visual_tokens.device
    rows = [[0] * (width - len(suffix)) + list(suffix) for suffix in suffixes]
    cache, tokens = prefix.cache(batch), torch.tensor(rows, device=device)
    mask, position = _padding(prefix.length, [width - len(suffix) for suffix in suffixes], width, device)
    barred = barred_ids(model)
    replies: list[list[int]] = [[] for _ in suffixes]
    open_rows = {row for row in range(batch) if limits[row] > 0}
    while open_rows:
        logits = next_logits(
            model, cache, barred, input_ids=tokens, attention_mask=mask, position_ids=position
        )
        tokens = logits.argmax(-1, keepdim=True)
        for row, token in enumerate(tokens[:, 0].tolist()):
            if row in open_rows:
                if token not in stops:
                    replies[row].append(token)
                if token in stops or len(replies[row]) == limits[row]:
                    open_rows.discard(row)
        position = position[:, -1:] + 1
        if mask is not None:
            mask = torch.cat([mask, mask.new_ones(batch, 1)], 1)
    return replies


@torch.inference_mode()
def next_logits(
    model: KangarooForConditionalGeneration, cache: Any, barred: Tensor, **inputs: Tensor | None
) -> Tensor:
    """Run the inputs behind the cache, which grows by them; logits of the token after the last, of shape (batch,
    vocabulary), -inf for the ids `barred`. ArithmeticError where one is not finite."""
    output = model.llm.model(**inputs, use_cache=True, **{CACHE: cache})
    logits: Tensor = model.llm.lm_head(output.last_hidden_state[:, -1])
    if not torch.isfinite(logits).all():
        # The largest of NaNs is a token like any other: an answer that nothing would give away.
        raise ArithmeticError(f"the logits are not finite in {logits.dtype}: broken weights, or an overflow")
    return logits.index_fill(-1, barred, float("-inf"))


def barred_ids(model: KangarooForConditionalGeneration) -> Tensor:
    """Ids of the control tokens that have a logit: they are input only, and never written into an answer."""
    size = model.config.text_config.vocab_size
    ids = [index for index in model.config.control_token_ids if index < size]
    return torch.tensor(ids, dtype=torch.long, device=model.visual_tokens.device)


@torch.inference_mode()
def mean_losses(
    model: KangarooForConditionalGeneration,
    prefix: Prefix,
    suffix: Sequence[int],
    replies: Sequence[Sequence[int]],
) -> list[float]:
    """The mean over its tokens of -ln p of each reply (at least one id) after the prefix and the suffix.

    One reply at a time, without padding: its loss does not depend on what it is compared with.
    """
    device = model.visual_tokens.device
    losses = []
    for reply in replies:
        ids = torch.tensor([[*suffix, *reply]], device=device)
        output = model.llm.model(input_ids=ids, use_cache=True, **{CACHE: prefix.cache(1)})
        hidden = output.last_hidden_state[0, len(suffix) - 1 : -1]
        logits = model.llm.lm_head(hidden).float()
        loss = torch.nn.functional.cross_entropy(logits, ids[0, len(suffix) :])
        if not torch.isfinite(loss):
            raise ArithmeticError(
                f"the loss of a reply is not finite in {hidden.dtype}: broken weights, or an overflow"
            )
        losses.append(float(loss))
    return losses


def stop_ids(model: KangarooForConditionalGeneration) -> set[int]:
    """Ids that end an answer. UserError where none is named: answers would have no end."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = model.config.text_config.eos_token_id
    if ends is None or (isinstance(ends, list | tuple) and not ends):
        raise UserError("the configuration names no eos_token_id: nothing would end an answer")
    return set(ends) if isinstance(ends, list | tuple) else {int(ends)}


def _padding(
    start: int, padding: list[int], width: int, device: torch.device
) -> tuple[Tensor | None, Tensor]:
    """Attention mask (None where nothing is padded) and position ids of the left-padded suffixes."""
    padded = torch.tensor(padding, device=device)[:, None]
    column = torch.arange(width, device=device)
    position = (start + column - padded).clamp(min=start)
    if not any(padding):
        return None, position
    seen = torch.ones(len(padding), start, dtype=torch.long, device=device)
    return torch.cat([seen, (column >= padded).long()], 1), position
