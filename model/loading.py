"""Loads a Kangaroo: the bundled one, a folder or a hub id, with the options of the command line."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kangaroo_eval.errors import UserError
from kangaroo_eval.model import checkpoint
from kangaroo_eval.model.adapter import KangarooModel
from kangaroo_eval.model.config import kangaroo_tiny
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.tokenizer import TINY, load_tiny_tokenizer
from kangaroo_eval.options import positive, refuse_unknown, torch_device, torch_dtype

TINY_SEED = 0
"""Seed of kangaroo-tiny's weights while no trained ones are bundled; a run's own seed does not change them."""

MODEL_ARGS = {
    "attn_implementation": "attention of the LLM: 'sdpa' (default), 'eager' or 'flash_attention_2'",
    "frame_chunk": "frames that pass through the vision encoder at a time",
    "threads": "CPU threads of the arithmetic (default: 1 for kangaroo-tiny, else torch's own number)",
}


def load_tiny(
    arg: str | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    **model_args: Any,
) -> KangarooModel:
    """The bundled kangaroo-tiny, or with `arg` a folder of weights that its training wrote.

    Answers are greedy: `seed` changes nothing. Without bundled weights they are made from a fixed seed and
    the model says so in its notes.
    """
    # One thread is faster than several that wait for each other while videos are decoded beside them (ten
    # times on a busy machine), and sums in the same order on every machine.
    model_args = {"threads": 1, **model_args}
    if arg is not None:
        return load(arg, device=device, dtype=dtype, seed=seed, batch_size=batch_size, **model_args)
    options = _options(device, dtype, batch_size, model_args)
    if (TINY / "model.safetensors").exists():
        checkpoint.check_folder(TINY)
        return _from_folder("kangaroo-tiny", TINY, options)
    network = _untrained_tiny(options.attn_implementation)
    processor = KangarooProcessor.for_config(load_tiny_tokenizer(), network.config)
    return _assemble("kangaroo-tiny", network, processor, options, notes=("untrained weights",))


def load(
    arg: str | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    **model_args: Any,
) -> KangarooModel:
    """A Kangaroo from a folder written by `save_pretrained`, or from a hub id."""
    options = _options(device, dtype, batch_size, model_args)
    if not arg:
        raise UserError("model 'kangaroo' needs weights: write kangaroo:FOLDER, or use kangaroo-tiny")
    folder = Path(arg).expanduser()
    if folder.exists() or not checkpoint.is_hub_id(arg):
        checkpoint.check_folder(folder)
        return _from_folder(f"kangaroo-{folder.resolve().name}", folder, options)
    return _from_folder(arg.replace("/", "--"), arg, options)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    device: torch.device
    dtype: torch.dtype
    batch_size: int
    attn_implementation: str
    frame_chunk: int | None
    threads: int | None


def _options(
    device: str | None, dtype: str | None, batch_size: int | None, model_args: Mapping[str, Any]
) -> _Options:
    refuse_unknown(model_args, MODEL_ARGS)
    chunk, threads = model_args.get("frame_chunk"), model_args.get("threads")
    return _Options(
        device=torch_device(device),
        dtype=torch_dtype(dtype, torch_device(device)),
        batch_size=positive("batch_size", 1 if batch_size is None else batch_size),
        attn_implementation=str(model_args.get("attn_implementation", "sdpa")),
        frame_chunk=None if chunk is None else positive("frame_chunk", chunk),
        threads=None if threads is None else positive("threads", threads),
    )


def _untrained_tiny(attn_implementation: str) -> KangarooForConditionalGeneration:
    config = kangaroo_tiny()
    config._attn_implementation = attn_implementation
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TINY_SEED)
        try:
            return KangarooForConditionalGeneration(config)
        except (ValueError, ImportError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"attn_implementation {attn_implementation!r} cannot be used: {reason}"
            ) from error


def _from_folder(name: str, source: str | Path, options: _Options) -> KangarooModel:
    network = checkpoint.read_network(
        source, dtype=options.dtype, attn_implementation=options.attn_implementation
    )
    processor = checkpoint.read_processor(source, network.config)
    return _assemble(name, network, processor, options)


def _assemble(
    name: str,
    network: KangarooForConditionalGeneration,
    processor: KangarooProcessor,
    options: _Options,
    notes: tuple[str, ...] = (),
) -> KangarooModel:
    torch.nn.Module.to(network, device=options.device, dtype=options.dtype).eval()
    if options.frame_chunk is not None:
        network.vision.frame_chunk = options.frame_chunk
    return KangarooModel(
        name, network, processor, batch_size=options.batch_size, notes=notes, threads=options.threads
    )
