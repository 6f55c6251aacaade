"""The LLM's cache of what a video's prompts begin with, made once for all its questions.

A prompt is split behind its last visual token, also where it is the only one about its video: so the arithmetic does not
depend on which questions come together. In exact arithmetic answers are those of whole prompts.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from kangaroo_eval.backends.hf_decoding import along
from kangaroo_eval.backends.hf_reuse import equal
from kangaroo_eval.errors import one_line

log = logging.getLogger(__name__)

FAMILIES = frozenset(
    {"internvl", "llava", "llava_next_video", "llava_onevision", "qwen2_5_vl", "qwen3_vl", "smolvlm"}
)
"""`model_type` of the models for which this was held against whole prompts (`tests/backends/test_hf_prefix.py`). Others may keep
more between calls than a cache of keys and values."""
TOKENS = ("image_token_id", "video_token_id", "image_token_index", "video_token_index")
TOLERANCE = {torch.float32: 1e-3}
"""By how much logits may differ, as a share of their range; in halves, whose rounding is coarser, `_COARSE`."""
_COARSE = 0.05


class Prefix:
    """For one network. `used`: whether prompts are split, which a trial decides (`try_out`)."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.used = False
        self._visual = {getattr(network.config, name, None) for name in TOKENS} - {None}
        known = inspect.signature(network.forward).parameters
        # What transformers calls it depends on its version.
        self._name = "cache" if "cache" in known else "past_key_values"
        # No token of the prefix is followed by an answer: logits of all of them may not fit beside 64 frames.
        self._short = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
        self.forget()

    def forget(self) -> None:
        """Free what is kept of the last video."""
        self._kept: tuple[Mapping[str, Any], Any] | None = None

    def try_out(self, inputs: Mapping[str, Any]) -> None:
        """Have a prompt's first logits made both ways, and split from now on if they are the same. Never raises for what a
        network cannot do: then it is asked with whole prompts."""
        if self.network.config.model_type not in FAMILIES or not self._length(inputs["input_ids"]):
            return
        try:
            whole, split = self._logits(inputs), self._logits(self._split(inputs))
        except Exception as error:  # noqa: BLE001 - another library's inner workings
            log.info("prompts are not split: %s", one_line(error))
            return
        finally:
            self.forget()
        off = (whole - split).abs().max() / (whole.max() - whole.min()).clamp_min(1e-12)
        self.used = bool(off <= TOLERANCE.get(self.network.dtype, _COARSE))
        if not self.used:
            log.info("prompts are not split: their logits differ by %.2g of their range", float(off))

    def continued(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """What `generate` needs of a prompt whose beginning is known; the prompt itself where it is not to be split."""
        if not self.used or inputs["input_ids"].shape[0] != 1 or not self._length(inputs["input_ids"]):
            return inputs
        return self._split(inputs)

    def behind(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the network itself, which cuts nothing off as `generate` does, needs to go on with a prompt whose beginning is
        known; the prompt itself where it is not to be split."""
        split, ids = self.continued(inputs), inputs["input_ids"]
        if split is inputs:
            return inputs
        length = self._length(ids)
        rest = {
            name: value[:, length:] if along(value, ids) and name != "attention_mask" else value
            for name, value in split.items()
        }
        if "position_ids" in rest:
            rest["position_ids"] = rest["position_ids"][..., length:]
        return rest

    def _logits(self, inputs: Mapping[str, Any]) -> Tensor:
        """Of the first token of an answer, (vocabulary,)."""
        with torch.inference_mode():
            found = self.network.generate(
                **inputs, max_new_tokens=1, return_dict_in_generate=True, output_logits=True
            )
        logits: Tensor = found.logits[0][0].float()
        return logits

    def _length(self, ids: Tensor) -> int:
        """Tokens up to the last visual one; 0 where there is none."""
        visual = torch.isin(ids[0], torch.tensor(sorted(self._visual), device=ids.device))
        places = visual.nonzero()
        return int(places[-1]) + 1 if len(places) else 0

    @torch.inference_mode()
    def _split(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        ids = inputs["input_ids"]
        length = self._length(ids)
        begun = {name: value[:, :length] if along(value, ids) else value for name, value in inputs.items()}
        if self._kept is None or not equal(self._kept[0], begun):
            self.forget()
            cache = DynamicCache(config=self.network.config.get_text_config())
            self.network(**begun, **{self._name: cache}, **self._short, use_cache=True)
            self._kept = begun, cache
        rest = {name: value for name, value in inputs.items() if not name.startswith("pixel_values")}
        return {**rest, **self._positions(inputs), self._name: copy.deepcopy(self._kept[1])}

    def _positions(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those of the whole prompt, as `generate` would make them, where they are of three dimensions: Qwen2.5-VL's behind a
        video go on from its height and width and not from its time, which a cache does not tell."""
        if not hasattr(getattr(self.network, "model", None), "get_rope_index"):
            return {}
        ids = inputs["input_ids"]
        return {"position_ids": self.network._prepare_position_ids_for_generation(ids, dict(inputs))}
