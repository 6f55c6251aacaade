"""Any video chat model of transformers, asked about our frames: `hf:FOLDER` or `hf:OWNER/NAME`."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import torch

from kangaroo_eval import identity
from kangaroo_eval.backends import hf_loading
from kangaroo_eval.backends.hf_decoding import Greedy
from kangaroo_eval.backends.hf_inputs import Reader, Unaskable, geometry, takes_any_size
from kangaroo_eval.backends.hf_options import MODEL_ARGS as MODEL_ARGS
from kangaroo_eval.backends.hf_options import HFOptions, read_options
from kangaroo_eval.backends.hf_prefix import Prefix
from kangaroo_eval.backends.hf_reuse import Features
from kangaroo_eval.errors import UserError
from kangaroo_eval.options import STANDARD, positive
from kangaroo_eval.torch_tools import cpu_threads, told_as_memory_error, torch_device, torch_dtype
from kangaroo_eval.types import Failure, Frames, Request, Response, Video

log = logging.getLogger(__name__)


@dataclass(eq=False)
class HFModel:
    """A loaded transformers model as the harness sees it (protocols `Model`, `ChoiceRanker`, `AspectKeeping` and `Described`).

    The processor's work on a video's pixels is done once for all its questions. While questions are asked one at a time, so is
    the vision encoder's and, for the families of `hf_prefix.FAMILIES`, the LLM's on what stands before the questions; batches
    encode the video once for each question of the batch.

    `model_hash` is of the files and of how a video is shown (`seen_hash`); `settings["weights_hash"]` of the files alone.
    """

    name: str
    network: Any
    reader: Reader
    frame_size: int
    keep_aspect: bool
    model_hash: str
    settings: Mapping[str, object] = field(repr=False)
    batch_size: int = 1
    notes: tuple[str, ...] = ()
    threads: int | None = None
    dtype: str = field(init=False)
    features: Features = field(init=False, repr=False)
    prefix: Prefix = field(init=False, repr=False)
    _greedy: Greedy = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.dtype = str(self.network.dtype).removeprefix("torch.")
        self.features = Features(self.network)
        self.prefix = Prefix(self.network)
        tokenizer = self.reader.processor.tokenizer
        self._greedy = Greedy(self.network, tokenizer)
        if tokenizer.pad_token_id is None:
            # Prompts of a batch are filled up with what fills up its answers; neither is attended to.
            tokens = map(tokenizer.convert_ids_to_tokens, (self._greedy.pad, *self._greedy.stops))
            tokenizer.pad_token = next(filter(None, tokens), None)
        if self.batch_size == 1:
            self._try_prefix()
        self.settings = {
            **self.settings,
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "attn_implementation": str(self.network.config._attn_implementation),
            "device": hf_loading.devices_of(self.network),
            "batch_size": self.batch_size,
            "threads": self.threads or torch.get_num_threads(),
            "decoding": "greedy",
            "generation_config_ignored": self._greedy.ignored,
            "done_once_a_video": "vision and prompt" if self.prefix.used else "vision",
            "timed_text": "interleaved" if self.reader.shown == "images" else "before the question",
        }

    def respond(self, requests: Iterable[Request]) -> Iterator[Response | Failure]:
        """Answer in order. Reads a request and the siblings it announces, and nothing beyond."""
        stream = iter(requests)
        try:
            with told_as_memory_error():
                for request in stream:
                    for run in _runs([request, *islice(stream, request.siblings)]):
                        yield from self._respond_run(run)
        finally:
            self.forget()

    def rank(self, request: Request, candidates: Sequence[str]) -> list[float]:
        """The mean token loss of each candidate as the whole reply (protocol `ChoiceRanker`): its tokens as they stand in the
        chat, and the token that ends an answer. Each is a forward pass of its own, behind what is kept of the video."""
        losses = []
        with told_as_memory_error(), cpu_threads(self.threads):
            asked = self._read_alone(request)["input_ids"][0]
            for candidate in candidates:
                reply = (request.prefill or "") + candidate
                inputs = self._greedy.ended(self._read_alone(replace(request, prefill=reply or None)))
                ids = inputs["input_ids"][0]
                self._note_length(len(ids))
                losses.append(self._greedy.loss(self.prefix.behind(inputs), len(ids) - _shared(asked, ids)))
        return losses

    def _read_alone(self, request: Request) -> dict[str, Any]:
        return self._placed(self.reader.read([self.reader.text(request)], request.frames))

    def forget(self) -> None:
        """Free what is kept of the last video."""
        self.reader.forget()
        self.features.forget()
        self.prefix.forget()

    def _respond_run(self, run: Sequence[Request]) -> Iterator[Response | Failure]:
        asked: list[tuple[Request, str]] = []
        failures: dict[int, Failure] = {}
        for place, request in enumerate(run):
            try:
                asked.append((request, self.reader.text(request)))
            except Unaskable as error:
                failures[place] = Failure(request.id, "unsupported", str(error))
        answers = self._answers(asked, run[0].frames)
        for place in range(len(run)):
            yield failures[place] if place in failures else next(answers)

    def _answers(self, asked: Sequence[tuple[Request, str]], frames: Frames) -> Iterator[Response]:
        for first in range(0, len(asked), self.batch_size):
            batch = asked[first : first + self.batch_size]
            started = time.perf_counter()
            with cpu_threads(self.threads):
                inputs = self.reader.read([text for _, text in batch], frames)
                lengths = inputs["attention_mask"].sum(1).tolist()
                self._note_length(max(lengths))
                placed = self.prefix.continued(self._placed(inputs))
                replies = self._greedy(placed, [request.max_new_tokens for request, _ in batch])
            seconds = (time.perf_counter() - started) / len(batch)
            for (request, _), length, reply in zip(batch, lengths, replies, strict=True):
                yield Response(
                    id=request.id,
                    text=str(self.reader.processor.tokenizer.decode(reply, skip_special_tokens=True)),
                    frame_times=tuple(frames.times),
                    prompt_tokens=int(length),
                    new_tokens=len(reply),
                    seconds=seconds,
                )

    def _try_prefix(self) -> None:
        """See whether this network's prompts can be split, on four frames of noise: with fewer, positions in time and the ways
        in which they may be wrong do not show."""
        noise = np.random.default_rng(0).integers(0, 255, (4, self.frame_size, self.frame_size, 3), np.uint8)
        frames = Frames(noise, (0.0, 1.5, 3.0, 4.5), total=4, duration=6.0)
        request = Request("", Video(""), "What is to be seen?", frames, 1)
        try:
            text = self.reader.text(request)
        except (UserError, Unaskable):
            # Told where a real question is asked.
            return
        with cpu_threads(self.threads):
            self.prefix.try_out(self._placed(self.reader.read([text], frames)))
        self.forget()

    def _note_length(self, tokens: int) -> None:
        """Say once, and in every output, that prompts run beyond the positions that the LLM was made for. Rotary
        positions go on behind them, so this is a caveat and not an error."""
        positions = getattr(self.network.config.get_text_config(), "max_position_embeddings", None)
        if positions is None:
            return
        note = f"prompts longer than the LLM's {positions:,} positions"
        if tokens > positions and note not in self.notes:
            self.notes = (*self.notes, note)
            log.warning("%s: %s, one of %d tokens", self.name, note, tokens)

    def _placed(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """On the network's device, pixels in its dtype. Nothing else is rounded: bfloat16 holds no times."""
        placed = {}
        for name, value in inputs.items():
            pixels = name.startswith("pixel_values") and torch.is_floating_point(value)
            dtype = self.network.dtype if pixels else None
            placed[name] = value.to(self.network.device, dtype) if isinstance(value, torch.Tensor) else value
        return placed


def load(
    arg: str | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> HFModel:
    """A video chat model of transformers from a folder, or from a hub id (fetched where it is not at hand).

    Answers are greedy: `seed` changes nothing. Weights are safetensors and load strictly. `UserError` for every
    model that cannot be asked about video, with what would mend it.
    """
    full_hash, trusted = bool(options.get("full_hash", False)), bool(options.get("trust_remote_code", False))
    asked = read_options({name: value for name, value in options.items() if name not in STANDARD})
    hf_loading.check_packages()
    source = hf_loading.find(arg, revision=asked.revision, trust_remote_code=trusted)
    config = hf_loading.read_config(source, trusted)
    found = identity.of_folder(source.folder, full=full_hash)
    processor = hf_loading.read_processor(source, shown=asked.shown, trust_remote_code=trusted)
    part = processor.video_processor if asked.shown == "video" else processor.image_processor
    _bound_pixels(part, asked)
    place = torch_device(device)
    attention = asked.attn_implementation
    network = hf_loading.read_network(
        source,
        config,
        hf_loading.layout(place) if asked.spread else place,
        trust_remote_code=trusted,
        dtype=torch_dtype(dtype, place),
        **({"attn_implementation": attention} if attention else {}),
    )
    hf_loading.check_agreement(source, processor, network)
    shape = geometry(part, asked.shown)
    shape = shape._replace(frame_size=asked.frame_size or shape.frame_size)
    facts = {**_facts(asked, part), "trust_remote_code": trusted}
    return HFModel(
        source.name,
        network,
        Reader(processor, asked.shown, asked.system, asked.times),
        frame_size=shape.frame_size,
        keep_aspect=shape.keep_aspect,
        model_hash=seen_hash(found.hash, {**facts, **shape._asdict()}),
        settings={
            "hash": found.method,
            "weights_hash": found.hash,
            "architecture": type(network).__name__,
            "processor": type(processor).__name__,
            **facts,
        },
        batch_size=positive("batch_size", 1 if batch_size is None else batch_size),
        notes=("every frame is shown as an image",) if asked.shown == "images" else (),
        threads=asked.threads,
    )


def seen_hash(weights: str, facts: Mapping[str, object]) -> str:
    """SHA-256 of the hash of a model's files and of what else decides what it sees, by one rule whether or not
    any of that was asked for: answers of two protocols must not come together in one run."""
    return hashlib.sha256(json.dumps([weights, facts], sort_keys=True).encode()).hexdigest()


def _facts(asked: HFOptions, part: Any) -> dict[str, object]:
    """How a video is put to the model, by the options and the bounded `part` of its processor."""
    return {
        "frames": asked.shown,
        "times": asked.times,
        "system": asked.system,
        "processor_size": _plain(part.size),
        "cap_pixels_per_frame": getattr(part, "cap_pixels_per_frame", None),
    }


def _bound_pixels(part: Any, asked: HFOptions) -> None:
    """Set --model-args max_pixels and min_pixels, and the authors' own bound for long videos."""
    bounds = {"min_pixels": asked.min_pixels, "max_pixels": asked.max_pixels}
    given = [name for name, value in bounds.items() if value is not None]
    kind = type(part).__name__
    if not takes_any_size(part):
        if given:
            raise UserError(f"{', '.join(given)}: {kind} makes all pictures of one size; leave it out")
        return
    own = _plain(part.size)
    least, most = asked.min_pixels or own.get("shortest_edge", 1), asked.max_pixels or own["longest_edge"]
    unit = part.patch_size * part.merge_size
    if given and most < max(least, unit * unit):
        raise UserError(
            f"max_pixels {most} and min_pixels {least}: the most must be at least the fewest, and the {unit * unit} "
            f"of one patch of {kind}; give both"
        )
    part.size = type(part.size)(**{**own, "shortest_edge": least, "longest_edge": most})
    if getattr(part, "cap_pixels_per_frame", False) is None:
        # The reference implementation (qwen-vl-utils) bounds the pixels of long videos; what transformers does by
        # default changes with its version.
        part.cap_pixels_per_frame = True


def _plain(size: Any) -> dict[str, int]:
    return {name: int(value) for name, value in dict(size or {}).items() if value is not None}


def _shared(one: torch.Tensor, other: torch.Tensor) -> int:
    """How many tokens two sequences begin with alike. Where a reply begins is told so, for its first letters may become
    one token with the last of the prompt."""
    least = min(len(one), len(other))
    different = (one[:least] != other[:least]).nonzero()
    return int(different[0]) if len(different) else least


def _runs(group: Sequence[Request]) -> Iterator[list[Request]]:
    """Neighbours with the same frames."""
    run: list[Request] = []
    for request in group:
        if run and not _same(request.frames, run[0].frames):
            yield run
            run = []
        run.append(request)
    if run:
        yield run


def _same(one: Frames, other: Frames) -> bool:
    return one is other or (one.times == other.times and np.array_equal(one.pixels, other.pixels))
