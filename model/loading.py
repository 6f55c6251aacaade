"""Loads a Kangaroo: the bundled one, a folder or a hub id, with the options of the command line."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from kangaroo_eval.errors import UserError
from kangaroo_eval.identity import Identity, of_folder
from kangaroo_eval.model import checkpoint, hub
from kangaroo_eval.model.adapter import KangarooModel
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.tokenizer import TINY
from kangaroo_eval.options import STANDARD, positive, refuse_unknown
from kangaroo_eval.torch_tools import torch_device, torch_dtype

TINY_NOTE = "has learnt from made videos alone"
"""What every output says of kangaroo-tiny."""

MODEL_ARGS = {
    "attn_implementation": "attention of the LLM: 'sdpa' (default), 'eager' or 'flash_attention_2'",
    "batch_tokens": "questions about a video are answered together up to this many tokens in the KV cache, the video's copies "
    "included (with --batch-size: and no more than that many)",
    "frame_chunk": "frames that pass through the vision encoder at a time",
    "threads": "CPU threads of the arithmetic (default: 1 for kangaroo-tiny, else torch's own number)",
}

MOST_TOGETHER = 1024
"""Questions about a video in one batch, where tokens alone bound it."""


def load_tiny(arg: str | None = None, **given: Any) -> KangarooModel:
    """The bundled kangaroo-tiny, or with `arg` a folder of weights that its training wrote.

    Options as for `load`. The bundled weights say in the model's notes what they were trained on.
    """
    # One thread is faster than several that wait for each other while videos are decoded beside them (ten
    # times on a busy machine), and sums in the same order on every machine.
    given = {"threads": 1, **given}
    if arg is not None:
        return load(arg, **given)
    options = _options(given)
    return _from_folder("kangaroo-tiny", TINY, options, (TINY_NOTE,))


def load(arg: str | None = None, **given: Any) -> KangarooModel:
    """A Kangaroo from a folder written by `save_pretrained`, or from a repository on the hub.

    `given` are what the harness hands to every loader and `MODEL_ARGS`: device and dtype (None or "auto": the
    machine's), batch_size (None: 1), full_hash (every byte of the weights goes into the model's identity). `seed`
    changes nothing, since answers are greedy, and trust_remote_code neither: no code of a checkpoint is run.
    """
    options = _options(given)
    if not arg:
        raise UserError("model 'kangaroo' needs weights: write kangaroo:FOLDER, or use kangaroo-tiny")
    folder = Path(arg).expanduser()
    if folder.exists() or not hub.is_hub_id(arg):
        return _from_folder(f"kangaroo-{folder.resolve().name}", folder, options)
    return _from_folder(arg.replace("/", "--"), hub.download(arg), options)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    device: torch.device
    dtype: torch.dtype
    batch_size: int
    batch_tokens: int | None
    attn_implementation: str
    frame_chunk: int | None
    threads: int | None
    full_hash: bool


def _options(given: Mapping[str, Any]) -> _Options:
    refuse_unknown([name for name in given if name not in STANDARD], MODEL_ARGS)
    chunk, threads, batch_size = given.get("frame_chunk"), given.get("threads"), given.get("batch_size")
    tokens = given.get("batch_tokens")
    if batch_size is None:
        batch_size = 1 if tokens is None else MOST_TOGETHER
    device = torch_device(given.get("device"))
    return _Options(
        device=device,
        dtype=torch_dtype(given.get("dtype"), device),
        batch_size=positive("batch_size", batch_size),
        batch_tokens=None if tokens is None else positive("batch_tokens", tokens),
        attn_implementation=str(given.get("attn_implementation", "sdpa")),
        frame_chunk=None if chunk is None else positive("frame_chunk", chunk),
        threads=None if threads is None else positive("threads", threads),
        full_hash=given.get("full_hash") is True,
    )


class _Loaded(NamedTuple):
    network: KangarooForConditionalGeneration
    processor: KangarooProcessor
    identity: Identity


def _from_folder(name: str, folder: Path, options: _Options, notes: tuple[str, ...] = ()) -> KangarooModel:
    # Everything that can be wrong is found before gigabytes are read.
    config = checkpoint.check_folder(folder)
    processor = checkpoint.read_processor(folder, config)
    found = of_folder(folder, full=options.full_hash)
    network = checkpoint.read_network(
        folder, dtype=options.dtype, attn_implementation=options.attn_implementation
    )
    return _assemble(name, _Loaded(network, processor, found), options, notes)


def _assemble(name: str, loaded: _Loaded, options: _Options, notes: tuple[str, ...] = ()) -> KangarooModel:
    network, processor, identity = loaded
    torch.nn.Module.to(network, device=options.device, dtype=options.dtype).eval()
    if options.frame_chunk is not None:
        network.vision.frame_chunk = options.frame_chunk
    return KangarooModel(
        name,
        network,
        processor,
        batch_size=options.batch_size,
        batch_tokens=options.batch_tokens,
        notes=notes,
        threads=options.threads,
        identity=identity,
    )
