"""A conversation's arithmetic: text streams out while it is made, and no round reads again what an earlier one read.

The KV cache of a round is kept with the ids that it stands for. The next prompt is compared with them id by id, and
only what follows the longest common beginning is computed. So a cache can be stale, but never wrong: after another
system turn, an edited history, a stopped answer or a step of training the same greedy answer comes out as from nothing.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.generation import Prefix, barred_ids, next_logits, stop_ids
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor, Prompt, Turn
from kangaroo_eval.torch_tools import cpu_threads, told_as_memory_error
from kangaroo_eval.types import Frames

UNFINISHED = "\ufffd"
"""What bytes that are no whole character are decoded to."""


LOWEST = 1e-3
"""Temperatures below are greedy decoding that overflows."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Draw each token at random instead of taking the likeliest: `temperature` above 0, from the likeliest tokens
    that together reach the probability `top_p` (above 0, at most 1). The same seed draws the same answer."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not LOWEST <= self.temperature < float("inf"):
            raise UserError(
                f"temperature {self.temperature}: give a number of at least {LOWEST}, or no sampling for the likeliest "
                "answer"
            )
        if not 0 <= self.seed < 2**63:
            raise UserError(f"seed {self.seed}: give a whole number from 0 to 2^63 - 1")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p {self.top_p}: give a share above 0, at most 1")


@dataclass(frozen=True, slots=True)
class Ask:
    """One round: the question, the frames it is about (None: text alone), the rounds before it. Without
    `sampling` the answer is greedy."""

    query: str
    frames: Frames | None = None
    history: tuple[Turn, ...] = ()
    system: str | None = None
    max_new_tokens: int = 512
    sampling: Sampling | None = None


Stop = Literal["end", "limit", "context", "interrupted"]
"""Why an answer ended: the model ended it, its `max_new_tokens` or the model's context was full, or the asker
stopped it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and what it took. `reused_tokens` of the `prompt_tokens` were known from the round before;
    `encoded` says whether the video had to pass through the vision encoder. `tokens` leave the stop id out."""

    text: str
    tokens: tuple[int, ...]
    stopped: Stop
    prompt_tokens: int
    reused_tokens: int
    encoded: bool
    encode_seconds: float
    prefill_seconds: float
    generate_seconds: float

    @property
    def seconds(self) -> float:
        """Everything together."""
        return self.encode_seconds + self.prefill_seconds + self.generate_seconds


class _Known(NamedTuple):
    """A KV cache and the ids that it stands for."""

    ids: list[int]
    prefix: Prefix


class TextStream:
    """Token ids -> text in pieces that never end within a character; the pieces together are the text."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokens: list[int] = []
        self.text = ""
        self._tokenizer = tokenizer

    def add(self, token: int) -> str:
        """What this token finishes: nothing while a character of several tokens is not whole.

        Bytes at the very end that never become a character are left out.
        """
        self.tokens.append(token)
        decoded = str(
            self._tokenizer.decode(self.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )
        piece = decoded.rstrip(UNFINISHED)[len(self.text) :]
        self.text += piece
        return piece


class Dialogue:
    """Rounds of a conversation with one network. It keeps the last video's encoding and the last round's KV cache.

    `encodings` counts the videos that passed through the vision encoder, `last` is what the last round took.
    """

    def __init__(
        self,
        network: KangarooForConditionalGeneration,
        processor: KangarooProcessor,
        threads: int | None = None,
    ) -> None:
        processor.check_fits(network.config, stop_ids(network))
        self.network = network
        self.processor = processor
        self.threads = threads
        self.encodings = 0
        self.last: Answer | None = None
        self._frames: Frames | None = None
        self._sequence: Tensor | None = None
        self._known: _Known | None = None
        self._weights = _state_of(network)

    @property
    def context(self) -> int:
        """How many tokens the LLM can read and write in all."""
        return int(self.network.config.text_config.max_position_embeddings)

    def forget(self) -> None:
        """Free what is kept of the video and the rounds."""
        self._frames = self._sequence = self._known = None

    def stream(self, ask: Ask) -> Iterator[str]:
        """The answer, piece by piece; `last` tells of it when it has ended, also where the asker closes the
        iterator or Ctrl-C stops it. UserError where the prompt does not fit into the context, MemoryError where
        memory is short."""
        self.last = None
        with told_as_memory_error():
            opened = self._open(ask)
            try:
                yield from self._write(opened)
            finally:
                text = opened.text
                known = [*opened.ids, *text.tokens[: opened.read]]
                self._known = _Known(known, Prefix.of(opened.cache, len(known)))
                self.last = dataclasses.replace(
                    opened.answer,
                    text=text.text,
                    tokens=tuple(text.tokens),
                    stopped=opened.stopped,
                    generate_seconds=opened.clock.lap(),
                )

    def _open(self, ask: Ask) -> _Opened:
        """Read the prompt."""
        weights = _state_of(self.network)
        if weights != self._weights:
            self.forget()  # trained on, moved or cast since
            self._weights = weights
        prompt, limit = self._prompt(ask)
        clock = _Clock(self.network)
        with cpu_threads(self.threads):
            encoded = self._look(ask.frames)
            encode_seconds = clock.lap()
            cache, reused, logits = self._read(prompt)
        answer = Answer(
            text="",
            tokens=(),
            stopped="interrupted",
            prompt_tokens=len(prompt.prefix) + len(prompt.suffix),
            reused_tokens=reused,
            encoded=encoded,
            encode_seconds=encode_seconds,
            prefill_seconds=clock.lap(),
            generate_seconds=0.0,
        )
        writer = TextStream(self.processor.tokenizer)
        return _Opened(ask, limit, prompt.prefix + prompt.suffix, cache, logits, answer, clock, writer)

    def _write(self, opened: _Opened) -> Iterator[str]:
        """The answer to a prompt that was read."""
        choose = _chooser(opened.ask.sampling)
        stops, barred = stop_ids(self.network), barred_ids(self.network)
        while True:
            token = choose(opened.logits)
            if token in stops:
                opened.stopped = "end"
                return
            piece = opened.text.add(token)
            full = len(opened.text.tokens) == opened.limit
            if full:
                opened.stopped = "limit" if opened.limit == opened.ask.max_new_tokens else "context"
            if piece:
                yield piece
            if full:
                return
            inputs = torch.tensor([[token]], device=opened.logits.device)
            with cpu_threads(self.threads):
                opened.logits = next_logits(self.network, opened.cache, barred, input_ids=inputs)
            opened.read += 1

    def _prompt(self, ask: Ask) -> tuple[Prompt, int]:
        """The prompt, and how many tokens may follow it."""
        if ask.max_new_tokens < 1:
            raise UserError(f"max_new_tokens {ask.max_new_tokens} must be a whole number of at least 1")
        count = 0 if ask.frames is None else len(ask.frames.times)
        prompt = self.processor.prompt_ids(ask.query, count, system=ask.system, history=ask.history)
        length = len(prompt.prefix) + len(prompt.suffix)
        if length >= self.context:
            raise UserError(
                f"the conversation is {length} tokens long, {count} frames among them, and the model reads "
                f"{self.context} at most: start it anew (/reset), take fewer frames (/frames N), or ask in fewer words"
            )
        return prompt, min(ask.max_new_tokens, self.context - length)

    def _look(self, frames: Frames | None) -> bool:
        """Encode the frames, unless they are those of the last round; whether that was needed."""
        if frames is not None and not frames.times:
            frames = None
        if self._frames is None and frames is None:
            return False
        if self._frames is not None and frames is not None and same_frames(self._frames, frames):
            return False
        self.forget()
        if frames is not None:
            self._sequence = visual_sequence(self.network, self.processor, frames)
            self._frames = frames
            self.encodings += 1
        return frames is not None

    @torch.inference_mode()
    def _read(self, prompt: Prompt) -> tuple[Any, int, Tensor]:
        """Prefill: the cache of the whole prompt, how many of its tokens were known, and the next token's
        logits."""
        ids = [*prompt.prefix, *prompt.suffix]
        known = self._known or _Known([], Prefix((), 0))
        # One token is always read: its logits are what the answer begins with.
        shared = min(_common(known.ids, ids), len(ids) - 1)
        cache = known.prefix.cut(shared).cache(1) if shared else DynamicCache()
        start = len(prompt.prefix)
        if shared >= start:
            inputs = self._embedded(ids[shared:])
        else:
            seen = 0 if self._sequence is None else len(self._sequence)
            parts = [self._embedded(ids[: start - seen]), self._embedded(prompt.suffix)]
            if self._sequence is not None:
                parts.insert(1, self._sequence[None].to(parts[0].dtype))
            inputs = torch.cat(parts, 1)[:, shared:]
        logits = next_logits(self.network, cache, barred_ids(self.network), inputs_embeds=inputs)
        return cache, shared, logits

    def _embedded(self, ids: Sequence[int]) -> Tensor:
        return self.network.embed(torch.tensor([list(ids)], device=self.network.visual_tokens.device))


class _Clock:
    """Seconds between laps, with the work that a GPU still has in hand."""

    def __init__(self, network: KangarooForConditionalGeneration) -> None:
        self._device = network.visual_tokens.device
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        return passed


@dataclass(slots=True)
class _Opened:
    """An answer in the making: `limit` tokens at most follow the prompt `ids`; the cache stands for the prompt and
    the first `read` tokens of the answer, and `logits` are those of the next."""

    ask: Ask
    limit: int
    ids: list[int]
    cache: Any
    logits: Tensor
    answer: Answer
    clock: _Clock
    text: TextStream
    read: int = 0
    stopped: Stop = "interrupted"


@torch.inference_mode()
def visual_sequence(
    network: KangarooForConditionalGeneration, processor: KangarooProcessor, frames: Frames
) -> Tensor:
    """The visual sequence of the frames, shape (length, LLM width); no row where there is no frame."""
    device = network.visual_tokens.device
    if not frames.times:
        return torch.empty(0, network.visual_tokens.shape[1], dtype=network.dtype, device=device)
    return network.encode_video(processor.pixels(frames.pixels).to(device), frames.times)


def _state_of(network: KangarooForConditionalGeneration) -> tuple[object, ...]:
    """Changes when a weight is changed in place, exchanged, moved or cast."""
    return tuple(
        # Weights made in inference mode count no versions.
        (each.data_ptr(), each.dtype, each.device, 0 if each.is_inference() else each._version)
        for each in network.parameters()
    )


def same_frames(one: Frames, other: Frames) -> bool:
    """Whether a network sees the same in both."""
    return one is other or (one.times == other.times and np.array_equal(one.pixels, other.pixels))


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _chooser(sampling: Sampling | None) -> Callable[[Tensor], int]:
    """Logits (1, vocabulary) -> the next token."""
    if sampling is None:
        return lambda logits: int(logits[0].argmax())
    # On the CPU, so that one seed draws the same on every device.
    generator = torch.Generator().manual_seed(sampling.seed)

    def draw(logits: Tensor) -> int:
        chances = (logits[0].float().cpu() / sampling.temperature).softmax(-1)
        ordered, ids = chances.sort(descending=True, stable=True)
        # A token counts while those before it have not reached top_p: the first always does.
        kept = ordered * (ordered.cumsum(0) - ordered < sampling.top_p)
        return int(ids[torch.multinomial(kept, 1, generator=generator)])

    return draw
