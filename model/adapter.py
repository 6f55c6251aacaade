"""The door to the harness: a loaded Kangaroo answers requests, each video encoded once."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kangaroo_eval.model import checkpoint
from kangaroo_eval.model.generation import Prefix, greedy, mean_losses, prefill
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor, Turn
from kangaroo_eval.types import Frames, Request, Response


class _Video(NamedTuple):
    """An encoded video: what it was made from, and its visual sequence (length, width)."""

    frames: Frames
    sequence: Tensor


class ChatTurn(NamedTuple):
    """What `KangarooModel.chat` returns: the reply, and the history to give to the next round."""

    reply: str
    history: tuple[Turn, ...]


@dataclass(eq=False)
class KangarooModel:
    """A loaded Kangaroo as the harness sees it (protocols `Model`, `FrameSized` and `Described`).

    The prompt splits behind the visual sequence: what comes before it (system turn and video) is computed
    once for all questions that share it. The split does not depend on which requests come together, and one
    question at a time (`batch_size` 1) runs the same arithmetic alone or in company: a resumed run gives the
    same answers to the byte. With larger batches they are equal in exact arithmetic only.
    """

    name: str
    network: KangarooForConditionalGeneration
    processor: KangarooProcessor
    batch_size: int = 1
    notes: tuple[str, ...] = ()
    threads: int | None = None
    frame_size: int = field(init=False)
    dtype: str = field(init=False)
    model_hash: str = field(init=False, repr=False)
    settings: Mapping[str, object] = field(init=False, repr=False)
    _video: _Video | None = field(default=None, init=False, repr=False)
    _prefix: tuple[list[int], _Video, Prefix] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        config = self.network.config
        self.frame_size = self.processor.frame_size
        self.dtype = str(self.network.dtype).removeprefix("torch.")
        self.model_hash = checkpoint.model_hash(self.network)
        self.settings = {
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "device": str(self.network.visual_tokens.device),
            "batch_size": self.batch_size,
            "threads": self.threads or torch.get_num_threads(),
            "attn_implementation": str(config.text_config._attn_implementation),
            "frame_size": config.frame_size,
            "slot_tokens": config.layout.slot_tokens,
            "decoding": "greedy",
            "timed_text": "before the question",
        }

    def respond(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer in order. Reads a request and the siblings it announces, and nothing beyond."""
        stream = iter(requests)
        try:
            with _told_as_memory_error():
                for request in stream:
                    yield from self._respond_group([request, *islice(stream, request.siblings)])
        finally:
            self.forget()

    def rank(self, request: Request, candidates: Sequence[str]) -> list[float]:
        """The mean token loss of each candidate as the whole reply (protocol `ChoiceRanker`): its tokens and the
        <|eot_id|> that ends it, which is what the model is trained on."""
        prompt = self._prompt(request)
        replies = [self.processor.reply_ids(candidate) for candidate in candidates]
        with _told_as_memory_error(), _threads(self.threads):
            prefix = self._read_prefix(request.frames, prompt.prefix)
            return mean_losses(self.network, prefix, prompt.suffix, replies)

    def forget(self) -> None:
        """Free what is kept of the last video."""
        self._video = self._prefix = None

    def chat(
        self,
        frames: Frames,
        query: str,
        history: Sequence[Turn] = (),
        *,
        system: str | None = None,
        max_new_tokens: int = 512,
    ) -> ChatTurn:
        """One round of a conversation about a video. Later rounds reuse its encoding and its KV cache; the
        rounds in between are read again as text. `forget` frees both."""
        prompt = self.processor.prompt_ids(query, len(frames.times), system=system, history=history)
        with _threads(self.threads):
            prefix = self._read_prefix(frames, prompt.prefix)
            (reply,) = greedy(self.network, prefix, [prompt.suffix], [max_new_tokens])
        text = self._text(reply)
        return ChatTurn(text, (*history, Turn(query, text)))

    def _respond_group(self, group: list[Request]) -> Iterator[Response]:
        for run in _runs(group):
            started = time.perf_counter()
            request = run[0]
            prompts = [self._prompt(item) for item in run]
            with _threads(self.threads):
                prefix = self._read_prefix(request.frames, prompts[0].prefix)
            shared = (time.perf_counter() - started) / len(run)
            for first in range(0, len(run), self.batch_size):
                batch = run[first : first + self.batch_size]
                suffixes = [prompt.suffix for prompt in prompts[first : first + self.batch_size]]
                started = time.perf_counter()
                with _threads(self.threads):
                    replies = greedy(self.network, prefix, suffixes, [item.max_new_tokens for item in batch])
                seconds = shared + (time.perf_counter() - started) / len(batch)
                for item, suffix, reply in zip(batch, suffixes, replies, strict=True):
                    yield Response(
                        id=item.id,
                        text=self._text(reply),
                        frame_times=tuple(item.frames.times),
                        prompt_tokens=prefix.length + len(suffix),
                        new_tokens=len(reply),
                        seconds=seconds,
                    )

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
            before = self.network.embed(torch.tensor([ids[:count]], device=device))
            inputs = torch.cat([before, video.sequence[None].to(before.dtype)], 1)
            self._prefix = (ids, video, prefill(self.network, inputs))
        return self._prefix[2]

    def _encode(self, frames: Frames) -> _Video:
        if self._video is None or not _same(self._video.frames, frames):
            self.forget()
            pixels = self.processor.pixels(frames.pixels).to(self.network.visual_tokens.device)
            self._video = _Video(frames, self.network.encode_video(pixels, frames.times))
        return self._video

    def _text(self, ids: list[int]) -> str:
        return str(self.processor.tokenizer.decode(ids, skip_special_tokens=True))


@contextmanager
def _told_as_memory_error() -> Iterator[None]:
    """What torch raises where memory is short, as the error that the harness knows."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error).splitlines()[0]) from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error):  # torch's allocator on CPU has no class of its own
            raise MemoryError(str(error).splitlines()[0]) from error
        raise


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Compute with `count` CPU threads (None: as many as torch has), and leave torch's setting as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _runs(group: list[Request]) -> Iterator[list[Request]]:
    """Neighbours with the same frames and system turn: they share a prefix."""
    run = group[:1]
    for request in group[1:]:
        if request.system == run[0].system and _same(request.frames, run[0].frames):
            run.append(request)
        else:
            yield run
            run = [request]
    if run:
        yield run


def _same(one: Frames, other: Frames) -> bool:
    return one is other or (one.times == other.times and np.array_equal(one.pixels, other.pixels))
