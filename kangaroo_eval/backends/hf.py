"""Any video chat model of transformers, asked about our frames: `hf:FOLDER` or `hf:OWNER/NAME`."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch

from kangaroo_eval import identity
from kangaroo_eval.backends import hf_loading
from kangaroo_eval.backends.hf_decoding import Greedy
from kangaroo_eval.backends.hf_inputs import Reader, Shown, Unaskable, geometry, takes_any_size
from kangaroo_eval.backends.hf_reuse import Features
from kangaroo_eval.errors import UserError
from kangaroo_eval.options import positive, refuse_unknown
from kangaroo_eval.torch_tools import cpu_threads, told_as_memory_error, torch_device, torch_dtype
from kangaroo_eval.types import Failure, Frames, Request, Response

MODEL_ARGS = {
    "frames": "how frames are shown: 'video' (default), or 'images' for every frame as an image",
    "frame_size": "pixels of the frames' longer side (default: what the model's processor can use)",
    "max_pixels": "most pixels that a processor for pictures of any size keeps (of a frame or of the video: its own rule)",
    "min_pixels": "fewest of these",
    "system": "system turn where the benchmark prescribes none (default: the chat template's own)",
    "attn_implementation": "attention: 'sdpa', 'eager' or 'flash_attention_2' (default: transformers')",
    "threads": "CPU threads of the arithmetic (default: torch's own number)",
    "revision": "branch, tag or commit of a repository of the hub",
}


@dataclass(eq=False)
class HFModel:
    """A loaded transformers model as the harness sees it (protocols `Model`, `AspectKeeping` and `Described`).

    The processor's work on a video's pixels is done once for all its questions, and so is the vision encoder's
    while questions are asked one at a time; batches encode the video once for each question of the batch.
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
    _greedy: Greedy = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.dtype = str(self.network.dtype).removeprefix("torch.")
        self.features = Features(self.network)
        self._greedy = Greedy(self.network, self.reader.processor.tokenizer)
        self.settings = {
            **self.settings,
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "device": str(self.network.device),
            "batch_size": self.batch_size,
            "threads": self.threads or torch.get_num_threads(),
            "decoding": "greedy",
            "generation_config_ignored": self._greedy.ignored,
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

    def forget(self) -> None:
        """Free what is kept of the last video."""
        self.reader.forget()
        self.features.forget()

    def _respond_run(self, run: Sequence[Request]) -> Iterator[Response | Failure]:
        asked: list[tuple[Request, str]] = []
        failures: dict[int, Failure] = {}
        for place, request in enumerate(run):
            try:
                asked.append((request, self.reader.text(request)))
            except Unaskable as error:
                failures[place] = Failure(request.id, "Unaskable", str(error))
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
                replies = self._greedy(self._placed(inputs), [request.max_new_tokens for request, _ in batch])
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
    options.pop("seed", None)
    full_hash, trusted = bool(options.pop("full_hash", False)), bool(options.pop("trust_remote_code", False))
    refuse_unknown(options, MODEL_ARGS)
    shown = _shown(options.get("frames", "video"))
    hf_loading.check_packages()
    source = hf_loading.find(arg, revision=options.get("revision"), trust_remote_code=trusted)
    config = hf_loading.read_config(source, trusted)
    found = identity.of_folder(source.folder, full=full_hash)
    processor = hf_loading.read_processor(source, shown=shown, trust_remote_code=trusted)
    _bound_pixels(processor, options)
    place = torch_device(device)
    attention = options.get("attn_implementation")
    network = hf_loading.read_network(
        source,
        config,
        place,
        trust_remote_code=trusted,
        dtype=torch_dtype(dtype, place),
        **({"attn_implementation": str(attention)} if attention else {}),
    )
    hf_loading.check_agreement(source, processor, network)
    part = processor.video_processor if shown == "video" else processor.image_processor
    shape = geometry(part, shown)
    size = positive("frame_size", options["frame_size"]) if "frame_size" in options else shape.frame_size
    system = options.get("system")
    count = options.get("threads")
    return HFModel(
        source.name,
        network,
        Reader(processor, shown, None if system is None else str(system)),
        frame_size=size,
        keep_aspect=shape.keep_aspect,
        model_hash=found.hash,
        settings={
            "hash": found.method,
            "architecture": type(network).__name__,
            "processor": type(processor).__name__,
            "attn_implementation": str(config._attn_implementation),
            "frames": shown,
            "processor_size": _plain(part.size),
            "system": system,
            "trust_remote_code": trusted,
        },
        batch_size=positive("batch_size", 1 if batch_size is None else batch_size),
        notes=("every frame is shown as an image",) if shown == "images" else (),
        threads=None if count is None else positive("threads", count),
    )


def _shown(value: object) -> Shown:
    if value not in ("video", "images"):
        raise UserError(f"frames {value!r}: choose video or images")
    return value


def _bound_pixels(processor: Any, options: Mapping[str, Any]) -> None:
    """Set --model-args max_pixels and min_pixels, and the authors' own bound for long videos."""
    parts = [getattr(processor, name, None) for name in ("video_processor", "image_processor")]
    able = [part for part in parts if part is not None and takes_any_size(part)]
    bounds = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}
    given = {side: positive(name, options[name]) for name, side in bounds.items() if name in options}
    if given and not able:
        raise UserError(
            f"{', '.join(name for name in bounds if name in options)}: {type(processor).__name__} makes all pictures "
            "of one size; leave it out"
        )
    for part in able:
        part.size = type(part.size)(**{**_plain(part.size), **given})
        if getattr(part, "cap_pixels_per_frame", False) is None:
            # The reference implementation (qwen-vl-utils) bounds the pixels of long videos; what transformers
            # does by default changes with its version.
            part.cap_pixels_per_frame = True


def _plain(size: Any) -> dict[str, int]:
    return {name: int(value) for name, value in dict(size or {}).items() if value is not None}


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
