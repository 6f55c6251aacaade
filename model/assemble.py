"""The start of stage I (Table II): a Kangaroo made of a public vision encoder and a public LLM."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kangaroo_eval.errors import UserError
from kangaroo_eval.model import sources
from kangaroo_eval.model.chat_format import chat_format
from kangaroo_eval.model.config import VIDEO_TOKEN, VISUAL_TOKENS, KangarooConfig
from kangaroo_eval.model.convert import read_llm, read_vision
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.options import positive
from kangaroo_eval.torch_tools import DTYPES

OPTIONS: dict[str, type] = {
    "frame_size": int,
    "patchify": bool,
    "patchify_init": str,
    "projector": str,
    "tpe_theta": float,
    "initializer_range": float,
    "provenance": dict,
}
"""Fields of `KangarooConfig` that a user chooses; the others follow from the components."""


def from_components(
    vision: str | Path,
    llm: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    image_size: int | None = None,
    max_position_embeddings: int | None = None,
    **options: Any,
) -> KangarooForConditionalGeneration:
    """The start of stage I (Table II): a CLIP encoder and a chat LLM, with a new projector between them.

    `vision`: timm's `eva02_large_patch14_clip_224.merged2b`, or a smaller encoder of the same build (`read_vision`).
    `llm`: a Llama folder, hub id or GGUF file (`read_llm`) with its tokenizer, whose ids of the control tokens
    the configuration takes over; `KangarooProcessor.for_components(llm, network.config)` is its processor.
    `image_size`: side in pixels that the table of learned positions is resampled to for good; without it the
    table stays and is resampled on the fly where `frame_size` differs. `max_position_embeddings`: positions of the
    LLM (default: its own; Llama-3 names 8,192, which 64 frames of 448 pixels fill, and stage V takes 22 K tokens).
    `options` are fields of `KangarooConfig` (`OPTIONS`), such as `patchify=False, frame_size=224` for stages I and
    II. The new parts are drawn from torch's seed. UserError for whatever does not fit, before weights are read
    where that can be seen before.
    """
    _check_arguments(vision, llm, dtype, options)
    eyes, words = sources.find_vision(vision), sources.find_llm(llm)
    tokenizer = sources.read_tokenizer(words)
    encoder, language = read_vision(eyes, dtype=dtype), read_llm(words, dtype=dtype)
    if image_size is not None:
        encoder.resample_positions(image_size)
    _check_vocabulary(tokenizer, language, llm)
    if max_position_embeddings is not None:
        language.config.max_position_embeddings = positive("max_position_embeddings", max_position_embeddings)
    defaults = {
        "visual_token_ids": tokenizer.convert_tokens_to_ids(list(VISUAL_TOKENS)),
        "video_token_id": tokenizer.convert_tokens_to_ids(VIDEO_TOKEN),
        "provenance": {
            "vision": {"source": str(vision), "hash": sources.fingerprint(eyes)},
            "llm": {"source": str(llm), "hash": sources.fingerprint(words)},
        },
    }
    try:
        config = KangarooConfig(
            vision_config=encoder.config, text_config=language.config, **{**defaults, **options}
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    with torch.device("meta"):
        model = KangarooForConditionalGeneration(config)
    model.vision, model.llm = encoder, language
    for part in (model.patchify, model.projector):
        if part is not None:
            part.to_empty(device="cpu")
            part.apply(model._init_weights)
    model.visual_tokens = nn.Parameter(
        torch.randn(model.visual_tokens.shape) * language.config.initializer_range
    )
    torch.nn.Module.to(model, dtype)
    _take_over_generation(model, tokenizer)
    return model


def _check_arguments(vision: object, llm: object, dtype: object, options: Mapping[str, object]) -> None:
    """A misspelt option would make another model without a word."""
    for name, source in (("vision", vision), ("llm", llm)):
        if not isinstance(source, str | Path) or not str(source):
            raise UserError(f"{name} {source!r:.80}: give a file, a folder or a hub id")
    if dtype not in DTYPES.values():
        raise UserError(f"dtype {dtype!r}: choose torch.{', torch.'.join(DTYPES)}")
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise UserError(f"unknown option {', '.join(unknown)}: from_components takes {', '.join(OPTIONS)}")
    for name, given in options.items():
        kind = OPTIONS[name]
        fits = isinstance(given, int | float if kind is float else kind)
        if not fits or (isinstance(given, bool) and kind is not bool):
            raise UserError(f"{name} {given!r:.80}: give {kind.__name__}")


def _check_vocabulary(tokenizer: Any, language: Any, source: object) -> None:
    """Every token that a text can turn into must have a row in the embedding table."""
    controls = {*VISUAL_TOKENS, VIDEO_TOKEN}
    most = max(index for token, index in tokenizer.get_vocab().items() if token not in controls)
    rows = language.config.vocab_size
    if most >= rows:
        raise UserError(
            f"{source}: its tokenizer has the id {most}, but the embedding table ends at {rows - 1}; "
            "the tokenizer and the weights are not of one model"
        )


def _take_over_generation(model: KangarooForConditionalGeneration, tokenizer: Any) -> None:
    """Stop ids: the LLM's own, and the token that ends a turn of its chat format. Decoding is greedy."""
    theirs, own = model.llm.generation_config, model.generation_config
    ends = [*_ids(theirs.eos_token_id), *_ids(model.config.text_config.eos_token_id)]
    ends.append(int(tokenizer.convert_tokens_to_ids(chat_format(tokenizer).end)))
    own.eos_token_id = list(dict.fromkeys(ends))
    own.bos_token_id = theirs.bos_token_id
    own.pad_token_id = theirs.pad_token_id if theirs.pad_token_id is not None else own.eos_token_id[0]
    own.do_sample = False
    own.suppress_tokens = model.config.control_token_ids


def _ids(value: Any) -> list[int]:
    if value is None:
        return []
    return [int(item) for item in value] if isinstance(value, list | tuple) else [int(value)]
