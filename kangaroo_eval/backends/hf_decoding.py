"""Greedy decoding by transformers' own `generate`, whatever a model's generation config prefers; and how likely a given
reply is."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor

from kangaroo_eval.errors import UserError

KEPT = frozenset({"eos_token_id", "pad_token_id", "bos_token_id", "decoder_start_token_id"})
"""Of a model's generation config: what says where an answer begins and ends."""
OF_NO_MEANING = frozenset({"transformers_version", "_from_model_config", "do_sample", "use_cache"})


class Greedy:
    """Decodes with a network from which every other setting of its generation config was taken: sampling,
    repetition penalties and the like would make answers that are not the likeliest. `ignored` are those settings.
    `pad` is the id that fills up answers which end early.
    """

    def __init__(self, network: Any, tokenizer: Any) -> None:
        own = network.generation_config
        self.network = network
        self.stops = _stops(own, network.config, tokenizer)
        # Some configurations say -1 for none.
        pads = (
            value for value in (own.pad_token_id, tokenizer.pad_token_id) if value is not None and value >= 0
        )
        self.pad = next(pads, self.stops[0])
        self.ignored: Mapping[str, object] = {
            name: value
            for name, value in own.to_diff_dict().items()
            if name not in KEPT | OF_NO_MEANING and value not in (None, False)
        }
        start = getattr(own, "decoder_start_token_id", None)
        network.generation_config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            eos_token_id=list(self.stops),
            pad_token_id=self.pad,
            bos_token_id=own.bos_token_id,
            decoder_start_token_id=start,
        )

    @torch.inference_mode()
    def __call__(self, inputs: Mapping[str, Any], limits: Sequence[int]) -> list[list[int]]:
        """Continue each prompt with at most `limits[i]` new ids, the stop id excluded. ArithmeticError where a
        logit is not a number."""
        tokens = self.network.generate(
            **inputs, max_new_tokens=max(limits), use_cache=True, logits_processor=[_Finite()]
        )
        prompt = inputs["input_ids"]
        width = prompt.shape[1]
        if tokens.shape[1] >= width and torch.equal(tokens[:, :width], prompt):
            tokens = tokens[:, width:]
        return [self._reply(row, limit) for row, limit in zip(tokens.tolist(), limits, strict=True)]

    def ended(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """One sequence with the token behind it that ends an answer."""
        ids = inputs["input_ids"]
        ends = {"input_ids": self.stops[0], "attention_mask": 1}
        return {
            name: F.pad(value, (0, 1), value=ends.get(name, 0)) if along(value, ids) else value
            for name, value in inputs.items()
        }

    @torch.inference_mode()
    def loss(self, inputs: Mapping[str, Any], count: int) -> float:
        """The mean loss (natural log) of the last `count` tokens of one sequence."""
        # Logits of all positions may not fit beside 64 frames.
        known = inspect.signature(self.network.forward).parameters
        short = {"logits_to_keep": count + 1} if "logits_to_keep" in known else {}
        logits = self.network(**inputs, **short).logits[0, -count - 1 : -1]
        return float(F.cross_entropy(logits.float(), inputs["input_ids"][0, -count:].to(logits.device)))

    def _reply(self, row: list[int], limit: int) -> list[int]:
        end = next((place for place, token in enumerate(row) if token in self.stops), len(row))
        return row[: min(end, limit)]


def along(value: Any, ids: Tensor) -> bool:
    """Whether an input has one value for each token."""
    return isinstance(value, Tensor) and value.shape == ids.shape


def _stops(own: Any, config: Any, tokenizer: Any) -> tuple[int, ...]:
    """Ids that end an answer: of the generation config and the tokenizer, else of the language model."""
    ids = [*_ids(own.eos_token_id), *_ids(tokenizer.eos_token_id)]
    ids = ids or _ids(getattr(config.get_text_config(), "eos_token_id", None))
    if not ids:
        raise UserError(
            "no token ends this model's answers: write its eos_token_id into generation_config.json of the folder"
        )
    return tuple(dict.fromkeys(ids))


def _ids(value: Any) -> list[int]:
    if value is None:
        return []
    return [int(item) for item in value] if isinstance(value, list | tuple) else [int(value)]


class _Finite(LogitsProcessor):
    """Lets logits through as they are, if they are numbers; a token that a network rules out may be -inf."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if not torch.isfinite(scores.amax(-1)).all() or torch.isnan(scores).any():
            # The largest of NaNs is a token like any other: an answer that nothing would give away.
            raise ArithmeticError(
                f"the logits are not finite in {scores.dtype}: broken weights, or an overflow of the dtype"
            )
        return scores
