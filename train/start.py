"""How the LLM of a model that starts from nothing begins: with a few heads set by hand.

To answer with an option's letter a model has to know which letter stands before which text: what came before each
token, that "Red" is " red", and where the same words stood before. A small transformer finds that out after tens of
thousands of questions in which it learns nothing else; large pre-trained ones know it long since (induction heads: Olsson
et al., arXiv:2209.11895). The weights train on freely: it is a start, and no part of the network.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration

DISTANCES = (1, 2, 3)
"""How many tokens back the first heads of the first layer look, one head each."""

LETTERS = ("A", "B", "C", "D", "E", "F")
"""Tokens that begin the line of an option."""


@torch.no_grad()
def set_heads(network: KangarooForConditionalGeneration, tokenizer: Any, *, seed: int = 1) -> None:
    """Set embeddings and some heads of the LLM's first two layers, before any training.

    Layer 0, the heads of the first key: look one, two, three tokens back (`DISTANCES`) and write what they find into a
    part of the residual stream each. The first head of the second key: looks at the nearest of `LETTERS` before, and
    writes it into another part. Layer 1, the first head: looks at where the same two tokens stood before as just now, and
    writes that place's letter. UserError for an LLM that is too small for it.
    """
    text = network.config.text_config
    layers: Any = network.llm.model.layers
    size, keys = layers[0].self_attn.head_dim, text.num_key_value_heads
    sharing = text.num_attention_heads // keys
    if (
        len(layers) < 2
        or keys < 2
        or sharing < len(DISTANCES)
        or text.hidden_size < 5 * size + 2
        or size < 32
    ):
        raise UserError(
            "heads can be set by hand in an LLM of 2 layers and 2 keys or more, with 3 heads of 32 a key and a width of 162"
        )
    share_words(network, tokenizer)
    parts = _Parts(text.hidden_size, size, seed)
    _mark(network, tokenizer, parts)
    frequency = network.llm.model.rotary_emb.inv_freq
    first, second = layers[0].self_attn, layers[1].self_attn
    _look_back(first, parts, frequency, size)
    _nearest_letter(first, parts, frequency, size, sharing)
    _match(second, parts, size)


class _Parts:
    """Orthogonal directions of the residual stream: `common` to all tokens, `letter` for option letters, and the
    subspaces (width, head size) that heads write into: `back[0..2]`, `carried`, `found`."""

    def __init__(self, width: int, size: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        basis = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
        self.common, self.letter = basis[:, 0], basis[:, 1]
        self.back = [basis[:, 2 + i * size : 2 + (i + 1) * size] for i in range(3)]
        self.carried = basis[:, 2 + 3 * size : 2 + 4 * size]
        self.found = basis[:, 2 + 4 * size : 2 + 5 * size]
        # What a head reads of a token is a random part of its embedding.
        self.read = torch.linalg.qr(torch.randn(width, size, generator=generator)).Q.T
        self.mixed = [torch.randn(size, size, generator=generator) / size**0.5 for _ in range(2)]


# Lengths along a direction, as parts of an embedding's own. Behind the norm a token then has `_seen` along `common`.
_SHARE = 0.7
_LETTER = 1.0


def _seen(width: int) -> float:
    """How much of the common direction a token shows behind the norm."""
    return float(_SHARE / (1 + _SHARE**2) ** 0.5 * width**0.5)


@torch.no_grad()
def share_words(network: KangarooForConditionalGeneration, tokenizer: Any, *, apart: float = 0.2) -> int:
    """Give tokens that differ by upper case and a space before them alone nearly the same embedding; the number of
    tokens that share one. `apart`: how far from the shared vector each is, as a part of its length."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index in range(network.config.text_config.vocab_size):
        word = str(tokenizer.decode([index])).strip().lower()
        if word.isalpha() and len(word) > 1:
            groups[word].append(index)
    table: Any = network.get_input_embeddings().weight
    shared = [members for members in groups.values() if len(members) > 1]
    for members in shared:
        common = table[members].sum(0) / len(members) ** 0.5
        table[members] = common * (1 - apart**2) ** 0.5 + table[members] * apart
    return sum(map(len, shared))


def _mark(network: KangarooForConditionalGeneration, tokenizer: Any, parts: _Parts) -> None:
    """One length for all tokens, visual ones too, and beside it one along `common`, or the norm would make some seem
    nearer than they are; along `letter` for option letters alone."""
    table: Any = network.get_input_embeddings().weight
    length = table.norm(dim=1).mean()
    for vectors in (table, network.visual_tokens):
        for direction in (parts.common, parts.letter):
            vectors -= (vectors @ direction)[:, None] * direction
        vectors *= length / vectors.norm(dim=1, keepdim=True)
        vectors += _SHARE * length * parts.common
    letters = tokenizer.convert_tokens_to_ids(list(LETTERS))
    table[letters] += _LETTER * length * parts.letter
    # Behind the norm they shall show as much of the common direction as all others.
    more = ((1 + _SHARE**2 + _LETTER**2) / (1 + _SHARE**2)) ** 0.5 - 1
    table[letters] += more * _SHARE * length * parts.common


def _look_back(attention: Any, parts: _Parts, frequency: Tensor, size: int) -> None:
    """Query and key read the common direction alone, so that their product is a function of distance, by the form of the
    rotary positions: sum_f cos(theta_f (i - j - distance)). Of the frequencies the nine fastest: slower ones hardly
    tell neighbours apart, and the sum of fewer comes back near its height at distances that a video is long."""
    bands, half, sharpness = 9, size // 2, 14.0
    gain = (sharpness * size**0.5) ** 0.5 / _seen(len(parts.common))
    key = torch.zeros(size)
    key[:bands] = 1.0
    attention.k_proj.weight[:size] = gain * key[:, None] * parts.common
    attention.v_proj.weight[:size] = parts.read / len(parts.common) ** 0.5
    for head, distance in enumerate(DISTANCES):
        query = torch.zeros(size)
        query[:bands] = torch.cos(-distance * frequency[:bands])
        query[half : half + bands] = torch.sin(-distance * frequency[:bands])
        rows = slice(head * size, (head + 1) * size)
        attention.q_proj.weight[rows] = gain * query[:, None] * parts.common
        attention.o_proj.weight[:, rows] = parts.back[head] * _WRITTEN


_WRITTEN = 2.0


def _nearest_letter(attention: Any, parts: _Parts, frequency: Tensor, size: int, sharing: int) -> None:
    """The key reads the letters' direction, the query the common one; of the rotary frequencies two that fall from 0 to
    some twenty tokens, so that of two letters the nearer one counts."""
    bands = [int((frequency - theta).abs().argmin()) for theta in (0.1, 0.056)]
    strength = 40.0
    width = len(parts.common)
    gain = (strength * size**0.5 / len(bands)) ** 0.5
    place = torch.zeros(size)
    place[bands] = 1.0
    seen = (_LETTER / (1 + _SHARE**2 + _LETTER**2) ** 0.5) * width**0.5
    attention.k_proj.weight[size : 2 * size] = gain / seen * place[:, None] * parts.letter
    attention.v_proj.weight[size : 2 * size] = parts.read / width**0.5
    rows = slice(sharing * size, (sharing + 1) * size)
    attention.q_proj.weight[rows] = gain / _seen(width) * place[:, None] * parts.common
    attention.o_proj.weight[:, rows] = parts.carried * _WRITTEN


def _match(attention: Any, parts: _Parts, size: int) -> None:
    """Query and key are the same mixture of what stood one and two tokens back, in the slowest rotary frequencies, for
    which all places are nearly one; the value is the letter carried along."""
    half = size // 2
    slow = list(range(half - 6, half)) + list(range(size - 6, size))
    one, two = (mixed[: len(slow)] @ part.T for mixed, part in zip(parts.mixed, parts.back, strict=False))
    reading = torch.zeros(size, len(parts.common))
    reading[slow] = _MATCHING * (one + 0.4 * two)
    attention.q_proj.weight[:size] = reading
    attention.k_proj.weight[:size] = reading
    attention.v_proj.weight[:size] = parts.carried.T
    attention.o_proj.weight[:, :size] = parts.found


_MATCHING = 1.6
