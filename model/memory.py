"""How much memory a Kangaroo takes: every tensor that is alive at a peak, from the configuration by formulas.

The formulas follow the code: what `encode_video`, `prefill` and `greedy` hold at the lines where they hold most.
A test compares them with what torch's allocator counts. Not in them: the CUDA context, the allocator's
fragmentation, kernels' own work space, and tables that do not grow with frames, batch or layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.config import KangarooConfig
from kangaroo_eval.options import positive
from kangaroo_eval.torch_tools import DTYPES

FRAME_CHUNK = 16
"""Frames that pass through the vision encoder at a time, unless the model argument `frame_chunk` says other."""

OPENING_TOKENS = 5
"""What stands before a video without a system turn: <|begin_of_text|> and the header of the user's turn."""

CARDS = (24, 40, 80, 141)
"""Memory of common accelerators in GB of 10^9 bytes. Real cards hold about 6 % more, of which the CUDA
context and fragmentation take their share."""

GB = 10**9
FULL = 4
"""Bytes of a number in float32, in which Eq. 4 is added and the rotary positions are turned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What the model is asked: `batch_size` questions of `question_tokens` each (chat marks included), answered
    together with up to `new_tokens` each, about one video of `frames` frames."""

    frames: int
    batch_size: int = 1
    question_tokens: int = 128
    new_tokens: int = 128
    frame_chunk: int = FRAME_CHUNK

    def __post_init__(self) -> None:
        for name in self.__slots__:
            positive(name, getattr(self, name))


class Part(NamedTuple):
    """One group of tensors: its bytes, and the formula with its numbers."""

    name: str
    bytes: int
    how: str


class Moment(NamedTuple):
    """A line of the program where memory may be fullest: all that is alive there, weights apart.

    `stage` is "encode" (frames to visual sequence), "prefill" (sequence to KV cache) or "answer".
    """

    stage: str
    name: str
    parts: tuple[Part, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all its parts."""
        return sum(part.bytes for part in self.parts)


class Lengths(NamedTuple):
    """Tokens: of the picture alone, of the whole visual sequence, of the prompt up to the end of the video, and
    of one question's whole row with its answer."""

    visual: int
    sequence: int
    prefix: int
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """The memory of one workload. All sizes in bytes."""

    dtype: str
    workload: Workload
    lengths: Lengths
    context: int
    cache_token: int
    weights: tuple[Part, ...]
    moments: tuple[Moment, ...]

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(part.bytes for part in self.weights)

    def stage(self, name: str) -> Moment:
        """The fullest moment of "encode", "prefill" or "answer"."""
        return max((each for each in self.moments if each.stage == name), key=lambda each: each.bytes)

    @property
    def fullest(self) -> Moment:
        """The fullest moment of all."""
        return max(self.moments, key=lambda each: each.bytes)

    @property
    def peak(self) -> int:
        """Weights and the fullest moment."""
        return self.weight_bytes + self.fullest.bytes

    def fits(self, gigabytes: float) -> bool:
        """Whether the peak stays within a card of that many GB."""
        return self.peak <= gigabytes * GB

    @property
    def in_context(self) -> bool:
        """Whether a question's whole row stays within the positions the LLM knows."""
        return self.lengths.row <= self.context


def memory_plan(config: KangarooConfig, workload: Workload, dtype: str = "bfloat16") -> MemoryPlan:
    """The arithmetic for a network of `config` with weights and activations in `dtype`. UserError."""
    if dtype not in DTYPES:
        raise UserError(f"dtype {dtype!r}: choose {', '.join(DTYPES)}")
    size = _Sizes.of(config, workload, FULL if dtype == "float32" else 2)
    return MemoryPlan(
        dtype=dtype,
        workload=workload,
        lengths=size.lengths,
        context=int(config.text_config.max_position_embeddings),
        cache_token=size.cache_token,
        weights=_weights(config, size.item),
        moments=(*_encode(size), *_prefill(size), *_answer(size)),
    )


def most_frames(possible: Callable[[int], bool], limit: int = 1 << 20) -> int:
    """The largest number of frames up to `limit` that is `possible`, which must not become true again once it is
    false; 0 where one frame is too many."""
    low, high = 0, limit + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if possible(middle) else (low, middle)
    return low


class _Sizes(NamedTuple):
    """The numbers that the formulas share."""

    config: KangarooConfig
    workload: Workload
    item: int
    lengths: Lengths
    patches: int
    head: int

    @classmethod
    def of(cls, config: KangarooConfig, workload: Workload, item: int) -> _Sizes:
        text, layout = config.text_config, config.layout
        sequence = layout.sequence_length(workload.frames)
        prefix = OPENING_TOKENS + sequence
        row = prefix + workload.question_tokens + workload.new_tokens
        return cls(
            config=config,
            workload=workload,
            item=item,
            lengths=Lengths(layout.visual_tokens(workload.frames), sequence, prefix, row),
            patches=(config.frame_size // config.vision_config.patch_size) ** 2,
            head=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        )

    @property
    def cache_token(self) -> int:
        """Keys and values of one token in all layers."""
        return int(self.config.text_config.num_hidden_layers) * 2 * self.key_token

    @property
    def key_token(self) -> int:
        """The keys, or the values, of one token in one layer."""
        return int(self.config.text_config.num_key_value_heads) * self.head * self.item

    @property
    def query_token(self) -> int:
        """The query of one token in one layer."""
        return int(self.config.text_config.num_attention_heads) * self.head * self.item

    def part(self, name: str, what: str, *factors: int, item: int | None = None) -> Part:
        """A part of as many numbers as the factors multiply to, `item` bytes each (default: the dtype's)."""
        return _part(name, what, *factors, item=item or self.item)


def _part(name: str, what: str, *factors: int, item: int) -> Part:
    total = item
    for factor in factors:
        total *= factor
    numbers = [*factors, item] if item > 1 else factors
    return Part(name, total, f"{what}: {' x '.join(f'{number:,}' for number in numbers)} B")


def _weights(config: KangarooConfig, item: int) -> tuple[Part, ...]:
    """Parameters of each part of the network, as `modeling.PARTS` names them; the LLM in three."""
    vision, text = config.vision_config, config.text_config
    width, inner, language = vision.hidden_size, vision.intermediate_size, text.hidden_size
    layer = 4 * width * width + 3 * width * inner + 10 * width + 4 * inner
    ends = width * (1 + 1 + vision.grid**2 + 3 * vision.patch_size**2 + 1 + 2)
    head = getattr(text, "head_dim", None) or language // text.num_attention_heads
    query, key = text.num_attention_heads * head, text.num_key_value_heads * head
    block = language * (2 * query + 2 * key) + 3 * language * text.intermediate_size + 2 * language
    block += (query + 2 * key + language) * bool(text.attention_bias)
    block += (2 * text.intermediate_size + language) * bool(text.mlp_bias)
    projector = width * language + language
    if config.projector == "mlp":
        projector += language * language + language
    counts = {
        "vision encoder": vision.num_hidden_layers * layer + ends,
        "patchify": 9 * width if config.patchify else 0,
        "projector": projector,
        "visual tokens": 4 * language,
        "LLM embedding": text.vocab_size * language,
        "LLM layers": text.num_hidden_layers * block + language,
        "LLM output layer": 0 if config.tie_word_embeddings else text.vocab_size * language,
    }
    return tuple(
        Part(name, count * item, f"{count:,} parameters x {item} B")
        for name, count in counts.items()
        if count
    )


def _encode(size: _Sizes) -> list[Moment]:
    """`encode_video`: chunks of frames through the encoder; then all frames at once through Eq. 4, patchify and
    the projector; then the sequence of Figure 2."""
    config, work = size.config, size.workload
    frames, width = work.frames, config.vision_config.hidden_size
    pixels = size.part("pixels", "frames x RGB", frames, 3, config.frame_size**2, item=1)
    tokens = size.part("tokens", "frames x patches x width", frames, size.patches, width)
    wide = size.part("tokens in float32", "frames x patches x width", frames, size.patches, width, item=FULL)
    moments = [*_chunks(size, pixels)]
    added = wide._replace(name="tokens with their times in float32")
    copies = (added,) if size.item == FULL else (wide, added)
    moments.append(Moment("encode", "time embedding added", (pixels, tokens, *copies)))
    timed = tokens._replace(name="tokens with their times")
    slots, slot = config.layout.slots(frames), config.layout.slot_tokens
    projected = size.part("slots", "slots x tokens x LLM width", slots, slot, config.text_config.hidden_size)
    held: tuple[Part, ...] = (pixels, timed)
    if config.patchify:
        joined = size.part("joined tokens", "slots x tokens x width", slots, slot, width)
        volume = size.part("channels first", "width x even frames x patches", width, 2 * slots, size.patches)
        order = volume._replace(name="in the convolution's own order")
        moments.append(Moment("encode", "frames joined in pairs", (*held, volume, order, joined)))
        held = (pixels, joined)
    hidden = (projected._replace(name="projector's hidden layer"),) if config.projector == "mlp" else ()
    moments.append(Moment("encode", "projector", (*held, *hidden, projected)))
    sequence = size.part(
        "sequence", "tokens x LLM width", size.lengths.sequence, config.text_config.hidden_size
    )
    body = sequence._replace(name="slots with <eof>")
    moments.append(Moment("encode", "sequence put together", (pixels, projected, body, sequence)))
    return moments


def _chunks(size: _Sizes, pixels: Part) -> list[Moment]:
    """The encoder's last full chunk, and the rest after it: in attention (rotary positions in float32), in the
    MLP (SwiGLU)."""
    vision, frames = size.config.vision_config, size.workload.frames
    chunk = min(size.workload.frame_chunk, frames)
    rest = frames % chunk
    rounds = [(frames - rest - chunk, chunk)] + ([(frames - rest, rest)] if rest else [])
    tokens, width = size.patches + 1, vision.hidden_size
    moments = []
    for done, active in rounds:
        stored = size.part("chunks done", "frames x tokens x width", done, tokens, width)
        row = ("frames x tokens x width", active, tokens, width)
        # The patch embedding, the layer's input, and the normed tokens.
        base = (pixels, stored, size.part("layer", "3 x " + row[0], 3, *row[1:]))
        turned = (
            size.part("query, key, value, turned query and half-turned key", "5 x " + row[0], 5, *row[1:]),
            size.part("turning the key in float32", "3 x " + row[0], 3, *row[1:], item=FULL),
        )
        moments.append(Moment("encode", "encoder, attention", (*base, *turned)))
        gated = ("frames x tokens x MLP width", active, tokens, vision.intermediate_size)
        swiglu = (
            size.part("after attention", *row),
            size.part("gate, up and their product", "3 x " + gated[0], 3, *gated[1:]),
        )
        moments.append(Moment("encode", "encoder, MLP", (*base, *swiglu)))
    return moments


def _prefill(size: _Sizes) -> list[Moment]:
    """The shared prompt through the LLM: in its last layer, where the cache is full or about to be. No logits
    are computed."""
    text, length = size.config.text_config, size.lengths.prefix
    kept = (
        size.part("visual sequence, kept", "tokens x width", size.lengths.sequence, text.hidden_size),
        size.part("KV cache", "tokens x bytes a token", length, size.cache_token, item=1),
        size.part("rotary positions", "2 x tokens x head width", 2, length, size.head),
    )
    query = size.part("query and its turning", "4 x tokens x bytes", 4, length, size.query_token, item=1)
    three = size.part("inputs, layer's input, normed", "3 x tokens x width", 3, length, text.hidden_size)
    four = size.part(
        "inputs, layer's input, residual, normed", "4 x tokens x width", 4, length, text.hidden_size
    )
    gated = size.part(
        "gate, up and their product", "3 x tokens x MLP width", 3, length, text.intermediate_size
    )
    return [
        Moment("prefill", "LLM layer, attention", (*kept, three, query)),
        Moment("prefill", "LLM layer, MLP", (*kept, four, gated)),
    ]


def _answer(size: _Sizes) -> list[Moment]:
    """`greedy`: the prefix and a copy of it for every question of the batch; the questions' first pass, whose
    attention copies the keys and values of a layer for every query head; then token by token."""
    text, work = size.config.text_config, size.workload
    batch, asked = work.batch_size, size.lengths.prefix + work.question_tokens
    kept = (
        size.part("visual sequence, kept", "tokens x width", size.lengths.sequence, text.hidden_size),
        size.part(
            "KV cache of the video", "tokens x bytes a token", size.lengths.prefix, size.cache_token, item=1
        ),
    )

    def cache(tokens: int) -> Part:
        return size.part(
            "KV cache of the questions",
            "questions x tokens x bytes a token",
            batch,
            tokens,
            size.cache_token,
            item=1,
        )

    pass_tokens = batch * work.question_tokens
    first = (
        size.part("questions' activations", "tokens x (3 widths)", pass_tokens, 3 * text.hidden_size),
        size.part("questions' queries", "2 x tokens x bytes", 2, pass_tokens, size.query_token, item=1),
    )
    repeated = size.part(
        "keys and values for every query head",
        "2 x questions x tokens x bytes",
        2,
        batch,
        asked,
        size.query_token,
        item=1,
    )
    mask = size.part(
        "mask", "questions x tokens x tokens", batch, work.question_tokens, asked, item=1 + size.item
    )
    grown = size.part(
        "keys of a layer, copied",
        "questions x tokens x bytes",
        batch,
        size.lengths.row,
        size.key_token,
        item=1,
    )
    logits = size.part("logits of the last position", "2 x questions x vocabulary", 2, batch, text.vocab_size)
    gated = size.part(
        "gate, up and their product", "3 x tokens x MLP width", 3, pass_tokens, text.intermediate_size
    )
    return [
        Moment("answer", "question read, attention", (*kept, cache(asked), *first, repeated, mask)),
        Moment("answer", "question read, MLP", (*kept, cache(asked), *first, gated)),
        Moment("answer", "last new token", (*kept, cache(size.lengths.row), grown, logits)),
    ]
