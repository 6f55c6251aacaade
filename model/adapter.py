"""The door to the harness: a loaded Kangaroo answers requests, each video encoded once."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kangaroo_eval.identity import Identity
from kangaroo_eval.model import checkpoint
from kangaroo_eval.model.dialogue import same_frames, visual_sequence
from kangaroo_eval.model.generation import Prefix, greedy, mean_losses, prefill, stop_ids
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.torch_tools import cpu_threads, told_as_memory_error
from kangaroo_eval.types import Frames, Request, Response

log = logging.getLogger(__name__)


class _Video(NamedTuple):
    """An encoded video: what it was made from, and its visual sequence (length, width)."""

    frames: Frames
    sequence: Tensor


@dataclass(eq=False)
class KangarooModel:
    """A loaded Kangaroo as the harness sees it (protocols `Model`, `FrameSized` and `Described`).

    The prompt splits behind the visual sequence: what comes before it (system turn and video) is computed
    once for all questions that share it. The split does not depend on which requests come together, and one
    question at a time (`batch_size` 1) runs the same arithmetic alone or in company: a resumed run gives the
    same answers to the byte. With larger batches they are equal in exact arithmetic only.

    `batch_tokens` bounds a batch by what it keeps: each of its questions holds the video's tokens, its own as wide as
    the widest, and its reply in the KV cache. One question is always asked.
    """

    name: str
    network: KangarooForConditionalGeneration
    processor: KangarooProcessor
    batch_size: int = 1
    notes: tuple[str, ...] = ()
    threads: int | None = None
    batch_tokens: int | None = None
    identity: Identity | None = field(default=None, repr=False)
    frame_size: int = field(init=False)
    dtype: str = field(init=False)
    model_hash: str = field(init=False, repr=False)
    settings: Mapping[str, object] = field(init=False, repr=False)
    _video: _Video | None = field(default=None, init=False, repr=False)
    _prefix: tuple[list[int], _Video, Prefix] | None = field(default=None, init=False, repr=False)
    _spent: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        config = self.network.config
        self.processor.check_fits(config, stop_ids(self.network))
        self.frame_size = self.processor.frame_size
        self.dtype = str(self.network.dtype).removeprefix("torch.")
        self.identity = self.identity or checkpoint.identity_of(self.network, self.processor)
        self.model_hash = self.identity.hash
        self.settings = {
            "hash": self.identity.method,
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "device": str(self.network.visual_tokens.device),
            "batch_size": self.batch_size,
            "batch_tokens": self.batch_tokens,
            "threads": self.threads or torch.get_num_threads(),
            "attn_implementation": str(config.text_config._attn_implementation),
            "frame_size": config.frame_size,
            "slot_tokens": config.layout.slot_tokens,
            "decoding": "greedy",
            "timed_text": "before the question",
        }

    def respond(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer in order. Reads a request and the siblings it announces, and nothing beyond. A request without
        frames is answered from its text alone."""
        stream = iter(requests)
        try:
            with told_as_memory_error():
                for request in stream:
                    yield from self._respond_group([request, *islice(stream, request.siblings)])
        finally:
            self.forget()

    def rank(self, request: Request, candidates: Sequence[str]) -> list[float]:
        """The mean token loss of each candidate as the whole reply (protocol `ChoiceRanker`): its tokens and the
        token that ends the turn, which is what the model is trained on."""
        prompt = self._prompt(request)
        replies = [self.processor.reply_ids(candidate) for candidate in candidates]
        with told_as_memory_error(), cpu_threads(self.threads):
            prefix = self._read_prefix(request.frames, prompt.prefix)
            self._note_length(prefix.length + len(prompt.suffix) + max(map(len, replies)))
            return mean_losses(self.network, prefix, prompt.suffix, replies)

    def forget(self) -> None:
        """Free what is kept of the last video."""
        self._video = self._prefix = None

    def _respond_group(self, group: list[Request]) -> Iterator[Response]:
        for run in _runs(group):
            started = self._now()
            self._spent = {}
            request = run[0]
            prompts = [self._prompt(item) for item in run]
            with cpu_threads(self.threads):
                prefix = self._read_prefix(request.frames, prompts[0].prefix)
            shared = (self._now() - started) / len(run)
            phases = {name: seconds / len(run) for name, seconds in self._spent.items()}
            widths = [
                len(prompt.suffix) + item.max_new_tokens for prompt, item in zip(prompts, run, strict=True)
            ]
            for part in batches(widths, prefix.length, self.batch_size, self.batch_tokens):
                batch = run[part]
                suffixes = [prompt.suffix for prompt in prompts[part]]
                self._note_length(prefix.length + max(map(len, suffixes)))
                started = self._now()
                with cpu_threads(self.threads):
                    replies = greedy(self.network, prefix, suffixes, [item.max_new_tokens for item in batch])
                generate = (self._now() - started) / len(batch)
                for item, suffix, reply in zip(batch, suffixes, replies, strict=True):
                    yield Response(
                        id=item.id,
                        text=self._text(reply),
                        frame_times=tuple(item.frames.times),
                        prompt_tokens=prefix.length + len(suffix),
                        new_tokens=len(reply),
                        seconds=shared + generate,
                        phases={**phases, "generate": generate},
                    )

    def _note_length(self, tokens: int) -> None:
        """Say once, and in every output, that prompts run beyond the positions that the LLM was made for. Llama-3's
        configuration names 8,192, and the paper trains it to 22 K, so this is a caveat and not an error."""
        positions = self.network.config.text_config.max_position_embeddings
        note = f"prompts longer than the LLM's {positions:,} positions"
        if tokens > positions and note not in self.notes:
            self.notes = (*self.notes, note)
            log.warning("%s: %s, one of %d tokens", self.name, note, tokens)

    def _prompt(self, request: Request) -> Any:
        lines = [cue.text for cue in request.timed_text]
        text = "\n".join([*lines, request.prompt])
        return self.processor.prompt_ids(
            text, len(request.frames.times), system=request.system, prefill=request.prefill
        )

    @torch.inference_mode()
    def _read_prefix(self, frames: Frames, ids: list[int]) -> Prefix:
        """The KV cache of the prompt up to the end of the video, made anew only when either changed."""
        video = self._encode(frames)
        if self._prefix is None or self._prefix[0] != ids or self._prefix[1] is not video:
            self._prefix = None
            device = self.network.visual_tokens.device
            count = len(ids) - len(video.sequence)
            started = self._now()
            before = self.network.embed(torch.tensor([ids[:count]], device=device))
            inputs = torch.cat([before, video.sequence[None].to(before.dtype)], 1)
            self._prefix = (ids, video, prefill(self.network, inputs))
            self._spent["prefill"] = self._now() - started
        return self._prefix[2]

    def _encode(self, frames: Frames) -> _Video:
        if self._video is None or not same_frames(self._video.frames, frames):
            self.forget()
            started = self._now()
            self._video = _Video(frames, visual_sequence(self.network, self.processor, frames))
            self._spent["vision"] = self._now() - started
        return self._video

    def _now(self) -> float:
        """The time in seconds at which all that was asked of the device is done."""
        if self.network.visual_tokens.device.type == "cuda":
            torch.cuda.synchronize(self.network.visual_tokens.device)
        return time.perf_counter()

    def _text(self, ids: list[int]) -> str:
        return str(self.processor.tokenizer.decode(ids, skip_special_tokens=True))


def batches(widths: Sequence[int], prefix: int, most: int, tokens: int | None) -> Iterator[slice]:
    """Neighbouring questions that are answered together: at most `most`, and as many as keep no more than `tokens` tokens,
    each `prefix` and the widest of their `widths`; at least one."""
    first = 0
    while first < len(widths):
        last, widest = first + 1, widths[first]
        while last < len(widths) and last - first < most:
            wider = max(widest, widths[last])
            if tokens is not None and (last + 1 - first) * (prefix + wider) > tokens:
                break
            last, widest = last + 1, wider
        yield slice(first, last)
        first = last


def _runs(group: list[Request]) -> Iterator[list[Request]]:
    """Neighbours with the same frames and system turn: they share a prefix."""
    run = group[:1]
    for request in group[1:]:
        if request.system == run[0].system and same_frames(request.frames, run[0].frames):
            run.append(request)
        else:
            yield run
            run = [request]
    if run:
        yield run
