"""Causal attention within documents that lie one behind the other in one row, on every back end.

transformers finds packed documents by itself only where three conditions meet by chance; where one fails, documents
read each other without a word. So nothing is detected here: the lengths go down to each layer with the call, and a
call without them is a plain causal one. Back ends: "loop" (one fused attention a document; the only one with a
backward pass on CPU), "varlen" (torch's flash attention over cumulative lengths, CUDA), "flex" (block mask, CUDA).
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.vision import fused_attention

NAME = "kangaroo_documents"
"""The attention's name among transformers' implementations."""

Backend = Literal["loop", "varlen", "flex"]
BACKENDS: tuple[Backend, ...] = ("loop", "varlen", "flex")


@dataclass(frozen=True)
class Documents:
    """The lengths, in tokens, of the documents of one row, those of the branches at the end of each (see
    `batch.Document`; () for no branches anywhere), and the back end that keeps them apart."""

    lengths: tuple[int, ...]
    backend: Backend
    branches: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.branches and len(self.branches) != len(self.lengths):
            raise ValueError(f"{len(self.lengths)} documents, but branches of {len(self.branches)}")

    @property
    def plain(self) -> bool:
        """Whether no document has branches."""
        return not any(self.branches)

    @property
    def parts(self) -> list[tuple[int, tuple[int, ...]]]:
        """Each document's length with the lengths of its branches."""
        return list(zip(self.lengths, self.branches or ((),) * len(self.lengths), strict=True))

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest document."""
        return max(self.lengths)

    @lru_cache(maxsize=4)  # noqa: B019  (one row lives for one step)
    def ends(self, device: torch.device) -> Tensor:
        """Cumulative lengths from 0, int32 of shape (documents + 1,)."""
        return F.pad(torch.tensor(self.lengths).cumsum(0), (1, 0)).to(device, torch.int32)

    @lru_cache(maxsize=4)  # noqa: B019
    def block_mask(self, device: torch.device) -> Any:
        """flex attention's mask: within a document, backwards only, and of branches none but one's own."""
        from torch.nn.attention.flex_attention import create_block_mask

        number = torch.arange(len(self.lengths)).repeat_interleave(torch.tensor(self.lengths)).to(device)
        branch = torch.cat([branch_of(*each) for each in self.parts]).to(device)

        def allowed(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            seen = (branch[key] == 0) | (branch[query] == branch[key])
            return (number[query] == number[key]) & (query >= key) & seen

        total = sum(self.lengths)
        return create_block_mask(allowed, None, None, total, total, device=str(device))


def choose(device: torch.device, wanted: str | None = None) -> Backend:
    """The back end for a device: `wanted`, or the fastest that there is. UserError for an unknown one, or one whose
    backward pass does not exist there."""
    if wanted is not None and wanted not in BACKENDS:
        raise UserError(f"attention {wanted!r}: choose among {', '.join(BACKENDS)}")
    if device.type != "cuda":
        if wanted in ("varlen", "flex"):
            raise UserError(f"attention {wanted!r} has no backward pass on {device.type}: choose 'loop'")
        return "loop"
    if wanted is not None:
        return next(name for name in BACKENDS if name == wanted)
    return "flex" if _varlen() is None else "varlen"


@lru_cache(maxsize=1)
def _varlen() -> Callable[..., Any] | None:
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn


def document_attention(  # noqa: PLR0913  (transformers' signature)
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    documents: Documents | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface: query (1, heads, length, width), key and value (1, fewer heads, length, width)
    -> (1, length, heads, width). Without `documents` it is transformers' own "sdpa"."""
    if documents is None:
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return plain
    if len(query) != 1 or query.shape[2] != sum(documents.lengths):
        raise ValueError(
            f"a row of documents of {sum(documents.lengths)} tokens, but queries {tuple(query.shape)}"
        )
    ways: dict[str, Callable[..., Tensor]] = {"loop": _loop, "varlen": _varlen_attention, "flex": _flex}
    # Flash attention knows no branches.
    attend = ways["flex" if documents.backend == "varlen" and not documents.plain else documents.backend]
    return attend(query, key, value, documents, scaling), None


def _loop(query: Tensor, key: Tensor, value: Tensor, documents: Documents, scaling: float | None) -> Tensor:
    groups = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(groups, 1) for part in (key, value))
    pieces = zip(*(part.split(documents.lengths, 2) for part in (query, key, value)), strict=True)
    attended = []
    for (length, branches), (q, k, v) in zip(documents.parts, pieces, strict=True):
        trunk = length - sum(branches)
        first = (part[:, :, :trunk] for part in (q, k, v))
        attended.append(fused_attention(*first, is_causal=True, scale=scaling))
        if branches:
            mask = branch_mask(length, branches).to(q.device)
            attended.append(fused_attention(q[:, :, trunk:], k, v, attn_mask=mask, scale=scaling))
    return torch.cat(attended, 2).transpose(1, 2)


def branch_of(length: int, branches: tuple[int, ...]) -> Tensor:
    """The branch of each token of a document: 0 before all of them, then 1, 2, ..."""
    counts = torch.tensor([length - sum(branches), *branches])
    return torch.arange(len(counts)).repeat_interleave(counts)


@lru_cache(maxsize=256)
def branch_mask(length: int, branches: tuple[int, ...]) -> Tensor:
    """Which tokens of a document those in branches see, bool (tokens in branches, length)."""
    number = branch_of(length, branches)
    place = torch.arange(length)
    rows = slice(length - sum(branches), None)
    seen = (number[None] == 0) | (number[rows, None] == number[None])
    return seen & (place[rows, None] >= place[None])


def _varlen_attention(
    query: Tensor, key: Tensor, value: Tensor, documents: Documents, scaling: float | None
) -> Tensor:
    varlen = _varlen()
    if varlen is None:
        raise UserError("this torch has no torch.nn.attention.varlen: choose the attention 'flex' or 'loop'")
    groups = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(groups, 1) for part in (key, value))
    ends = documents.ends(query.device)
    # The rotary positions turn query and key in the residual stream's fp32, which the kernel does not take.
    rows = (part[0].transpose(0, 1).to(value.dtype).contiguous() for part in (query, key, value))
    out: Tensor = varlen(*rows, ends, ends, documents.longest, documents.longest, **_causal(varlen, scaling))
    return out[None]


def _causal(varlen: Callable[..., Any], scaling: float | None) -> dict[str, Any]:
    """The causal switch of `varlen_attn` as this torch calls it."""
    known = inspect.signature(varlen).parameters
    options: dict[str, Any] = {"is_causal": True} if "is_causal" in known else {"window_size": (-1, 0)}
    if "scale" in known:
        options["scale"] = scaling
    return options


def _flex(query: Tensor, key: Tensor, value: Tensor, documents: Documents, scaling: float | None) -> Tensor:
    from torch.nn.attention.flex_attention import flex_attention

    attend: Any = _compiled_flex() if query.is_cuda else flex_attention
    out: Any = attend(
        query,
        key,
        value,
        block_mask=documents.block_mask(query.device),
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return torch.Tensor.transpose(out, 1, 2)


@lru_cache(maxsize=1)
def _compiled_flex() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    compiled: Callable[..., Any] = torch.compile(flex_attention)
    return compiled


AttentionInterface.register(NAME, document_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
