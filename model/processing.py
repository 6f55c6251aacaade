"""Frames and text -> what the network reads: pixels, and token ids in the chat format of the LLM.

The prompt is built from ids, never from one string, so text of a user that spells "<|eot_id|>" or
"<vi_start>" stays text.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoProcessor, BatchFeature, ProcessorMixin

from kangaroo_eval.errors import UserError
from kangaroo_eval.model import hub
from kangaroo_eval.model.chat_format import ChatFormat, chat_format
from kangaroo_eval.model.config import VIDEO_TOKEN, VISUAL_TOKENS, KangarooConfig, VideoLayout


class Prompt(NamedTuple):
    """Token ids of a prompt in two pieces: `prefix` ends with the visual sequence, so that it is the same for
    every question about a video; `suffix` is the question and the opened assistant turn."""

    prefix: list[int]
    suffix: list[int]


class Turn(NamedTuple):
    """An earlier round of a conversation."""

    prompt: str
    reply: str


class KangarooProcessor(ProcessorMixin):  # type: ignore[misc, unused-ignore]
    """Tokenizer and frame preparation of one Kangaroo configuration.

    `frame_size`, `patch_size` and `patchify` must be those of the network's `KangarooConfig` (`for_config`).
    The tokenizer must know the control tokens (`tokenizer.with_control_tokens`).
    """

    def __init__(
        self,
        tokenizer: Any,
        frame_size: int = 448,
        patch_size: int = 14,
        patchify: bool = True,
        chat_template: str | None = None,
    ) -> None:
        super().__init__(tokenizer, chat_template=chat_template)
        self.frame_size = frame_size
        self.patch_size = patch_size
        self.patchify = patchify

    @classmethod
    def for_config(cls, tokenizer: Any, config: KangarooConfig) -> KangarooProcessor:
        """The processor that belongs to `config`."""
        return cls(tokenizer, config.frame_size, config.vision_config.patch_size, config.patchify)

    @classmethod
    def for_components(cls, llm: str | Path, config: KangarooConfig) -> KangarooProcessor:
        """The processor of a network made by `from_components`: the tokenizer of the same `llm` with the control
        tokens added. UserError where that tokenizer is not the one that `config` was made with."""
        from kangaroo_eval.model.sources import read_tokenizer

        processor = cls.for_config(read_tokenizer(llm), config)
        found = [processor.token_id(token) for token in (*VISUAL_TOKENS, VIDEO_TOKEN)]
        if found != config.control_token_ids:
            raise UserError(
                f"{llm}: its tokenizer gives the control tokens the ids {found}, the network has "
                f"{config.control_token_ids}; give the llm that the network was made from"
            )
        return processor

    def check_fits(self, config: KangarooConfig, stops: Collection[int]) -> None:
        """UserError unless it makes what a network of `config` reads, and the token that ends its turns is among the
        ids `stops` that end an answer. A network answers what other frames, or ids, look like to it, without a word."""
        wanted = {
            "frame_size": (self.frame_size, config.frame_size),
            "patch_size": (self.patch_size, config.vision_config.patch_size),
            "patchify": (self.patchify, config.patchify),
            "control tokens": (
                [self.token_id(t) for t in (*VISUAL_TOKENS, VIDEO_TOKEN)],
                config.control_token_ids,
            ),
        }
        wrong = [
            f"{name} {ours} (network: {theirs})" for name, (ours, theirs) in wanted.items() if ours != theirs
        ]
        if wrong:
            raise UserError(
                f"the processor disagrees with the network: {', '.join(wrong)}; make it with "
                "KangarooProcessor.for_config(tokenizer, network.config)"
            )
        end = self.token_id(self.chat_format.end)
        if end not in stops:
            raise UserError(
                f"{self.chat_format.end} (id {end}) ends a turn of this chat format, but only the ids "
                f"{sorted(stops)} end an answer: add it to eos_token_id in generation_config.json"
            )

    @property
    def chat_format(self) -> ChatFormat:
        """How the LLM's conversations are written; ValueError for a tokenizer of no known format."""
        return chat_format(self.tokenizer)

    @property
    def layout(self) -> VideoLayout:
        """How many tokens a video takes."""
        return VideoLayout(self.frame_size, self.patch_size, self.patchify)

    def token_id(self, token: str) -> int:
        """The id of a special token; it must exist."""
        index = self.tokenizer.convert_tokens_to_ids(token)
        if index is None or self.tokenizer.convert_ids_to_tokens(index) != token:
            raise ValueError(f"the tokenizer has no token {token!r}: see tokenizer.with_control_tokens")
        return int(index)

    def text_ids(self, text: str) -> list[int]:
        """Ids of plain text. Special tokens spelt in it are split like any other text."""
        return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def visual_ids(self, frames: int) -> list[int]:
        """Ids of the visual sequence of a video of `frames` frames (Figure 2)."""
        start, eof, eov, end = (self.token_id(token) for token in VISUAL_TOKENS)
        slot = [self.token_id(VIDEO_TOKEN)] * self.layout.slot_tokens
        body = [*slot, eof] * self.layout.slots(frames)
        return [start, *body[:-1], eov, end]

    def prompt_ids(
        self,
        prompt: str,
        frames: int = 0,
        *,
        system: str | None = None,
        prefill: str | None = None,
        history: Sequence[Turn] = (),
    ) -> Prompt:
        """A conversation up to the opened assistant turn; `frames` = 0 means no video.

        The visual sequence opens the first user turn, which `history` (earlier rounds) may hold.
        """
        visual = self.visual_ids(frames) if frames else []
        begin = self._special(self.chat_format.begin)
        before = begin + (self._turn("system", system) if system is not None else []) + self._header("user")
        first, *later = [turn.prompt for turn in history] + [prompt]
        suffix = self.text_ids(first) + self._end + self.text_ids(self.chat_format.after)
        for turn, following in zip(history, later, strict=True):
            suffix += self._turn("assistant", turn.reply) + self._turn("user", following)
        suffix += self._header("assistant") + self.text_ids(prefill or "")
        return Prompt(before + visual, suffix)

    def reply_ids(self, reply: str) -> list[int]:
        """The target of a training example: the reply and the token that ends it, Llama-3's <|eot_id|>."""
        return self.text_ids(reply) + self._end

    def pixels(self, frames: Any) -> Tensor:
        """uint8 RGB frames (n, height, width, 3) -> uint8 tensor (n, 3, frame_size, frame_size).

        Frames of another size are resized (bilinear with antialias, the aspect ratio is not kept); a float
        or a grey picture is refused. Normalisation happens in the network, frame chunk by frame chunk.
        """
        array = np.asarray(frames)
        if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8:
            raise ValueError(
                f"frames must be uint8 of shape (n, height, width, 3), not {array.dtype} {array.shape}"
            )
        tensor = torch.from_numpy(np.ascontiguousarray(array)).permute(0, 3, 1, 2)
        size = (self.frame_size, self.frame_size)
        if tensor.shape[-2:] == size:
            return tensor
        resized = F.interpolate(tensor.float(), size=size, mode="bilinear", antialias=True)
        return resized.round().clamp(0, 255).to(torch.uint8)

    def __call__(
        self,
        text: str,
        frames: Any = None,
        times: Sequence[float] | None = None,
        *,
        system: str | None = None,
        prefill: str | None = None,
        history: Sequence[Turn] = (),
    ) -> Any:
        """One conversation -> the keyword arguments of the network, as a batch of one.

        `input_ids` and `attention_mask` (1, length); with `frames`, `pixel_values` uint8 (n, 3, s, s) and
        `frame_times` (n,) in seconds (default: 0 for an image, required for more frames).
        """
        count = 0 if frames is None else len(frames)
        prompt = self.prompt_ids(text, count, system=system, prefill=prefill, history=history)
        ids = torch.tensor([prompt.prefix + prompt.suffix])
        data: dict[str, Tensor] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if frames is not None:
            if times is None and count > 1:
                raise ValueError(f"{count} frames need their {count} times in seconds")
            seconds = [0.0] if times is None else list(times)
            if len(seconds) != count:
                raise ValueError(f"{count} frames, but {len(seconds)} times")
            data["pixel_values"] = self.pixels(frames)
            data["frame_times"] = torch.tensor(seconds, dtype=torch.float64)
        return BatchFeature(data)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Save into one commit on the hub; the model card there stays. `options` are those of `hub.push`."""
        return hub.push(self.save_pretrained, repo_id, **options)

    @property
    def _end(self) -> list[int]:
        return self._special(self.chat_format.end)

    def _special(self, token: str) -> list[int]:
        return [self.token_id(token)] if token else []

    def _header(self, role: str) -> list[int]:
        form = self.chat_format
        opened = [*self._special(form.start), *self.text_ids(role), *self._special(form.close)]
        return opened + self.text_ids(form.gap)

    def _turn(self, role: str, text: str) -> list[int]:
        return self._header(role) + self.text_ids(text) + self._end + self.text_ids(self.chat_format.after)


AutoProcessor.register(KangarooConfig, KangarooProcessor, exist_ok=True)
