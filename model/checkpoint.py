"""A Kangaroo's folder: checked before anything is loaded, read strictly, one clear line for the user where it does not
fit; and the identity of a network that was never saved."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoTokenizer
from transformers.utils import logging as hf_logging

from kangaroo_eval import identity
from kangaroo_eval.errors import UserError, first_line
from kangaroo_eval.identity import Identity
from kangaroo_eval.model.config import VIDEO_TOKEN, VISUAL_TOKENS, KangarooConfig
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration, WeightsError
from kangaroo_eval.model.processing import KangarooProcessor

NAMED = 3
"""Parameters that an error message names."""

MEND = "give a folder written by KangarooForConditionalGeneration.save_pretrained"
SAVE_PROCESSOR = "save the KangarooProcessor into the same folder"

HEAD = "llm.lm_head.weight"
"""The output layer: no weights of its own where it is tied to the embedding table."""

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}
"""torch's dtypes by their names in safetensors."""


def check_folder(folder: Path) -> KangarooConfig:
    """Compare a checkpoint's headers with its configuration, which is returned; reads no weights. UserError says
    what is wrong."""
    config = read_config(folder)
    try:
        with torch.device("meta"):
            network = KangarooForConditionalGeneration(config)
    except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, AssertionError) as error:
        raise UserError(
            f"{folder / 'config.json'}: no model can be made of it ({first_line(error)}); {MEND}"
        ) from error
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    tensors = identity.tensors_of(folder)
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if config.tie_word_embeddings:
        expected.pop(HEAD, None)
        found.pop(HEAD, None)
    faults = [
        _fault("missing", [name for name in expected if name not in found]),
        _fault("unknown", [name for name in found if name not in expected]),
        _fault(
            "misshapen",
            [
                f"{name} {found[name]} instead of {shape}"
                for name, shape in expected.items()
                if name in found and found[name] != shape
            ],
        ),
        _fault(
            "not floating point",
            [
                f"{name} {tensors[name].dtype}"
                for name in expected
                if name in found and not tensors[name].dtype.startswith(("F", "BF"))
            ],
        ),
    ]
    told = "; ".join(fault for fault in faults if fault)
    if told:
        raise UserError(f"{folder}: weights do not fit its config.json: {told}; {MEND}")
    return config


def read_network(folder: Path, *, dtype: torch.dtype, attn_implementation: str) -> Any:
    """The network of a folder; loads strictly, from safetensors only, without transformers' progress bar."""
    bar = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        return KangarooForConditionalGeneration.from_pretrained(
            str(folder),
            dtype=dtype,
            attn_implementation=attn_implementation,
            use_safetensors=True,
            local_files_only=True,
        )
    except WeightsError as error:
        raise UserError(f"{folder}: {error}; {MEND}") from error
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        reason = first_line(error)
        if "attn_implementation" in reason or "flash" in reason.lower():
            raise UserError(
                f"attn_implementation {attn_implementation!r} cannot be used: {reason}"
            ) from error
        raise UserError(f"{folder}: cannot be loaded ({reason}); {MEND}") from error
    finally:
        if bar:
            hf_logging.enable_progress_bar()


def read_processor(folder: Path, config: KangarooConfig) -> KangarooProcessor:
    """The processor beside the weights. UserError where it, or its tokenizer, is not that of `config`."""
    _check_settings(folder, config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except Exception as error:  # the tokenizers library raises nothing more exact
        raise UserError(f"{folder}: no usable tokenizer ({first_line(error)}); {SAVE_PROCESSOR}") from error
    processor = KangarooProcessor.for_config(tokenizer, config)
    _check_tokens(folder, processor, config)
    try:
        processor.check_fits(config, _stops(folder, config))
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    return processor


def _stops(folder: Path, config: KangarooConfig) -> list[int]:
    """Ids that will end an answer: those of generation_config.json, else the LLM's. UserError where they are none."""
    path, ends = folder / "generation_config.json", None
    if path.is_file():
        content = identity.read_json(path)
        if not isinstance(content, dict):
            raise UserError(f"{path}: holds no settings; {MEND}")
        ends = content.get("eos_token_id")
    if ends is None:
        path, ends = folder / "config.json", config.text_config.eos_token_id
    found = ends if isinstance(ends, list | tuple) else [ends]
    if not found or not all(isinstance(each, int) and not isinstance(each, bool) for each in found):
        raise UserError(f"{path}: eos_token_id {ends!r}: give the ids of the tokens that end an answer")
    return list(found)


def identity_of(
    network: KangarooForConditionalGeneration, processor: KangarooProcessor, *, full: bool = False
) -> Identity:
    """The identity of a network in memory: that of the folder that `save_pretrained` would write of it."""
    with TemporaryDirectory() as folder:
        network.config.save_pretrained(folder)
        generation: Any = network.generation_config
        generation.to_json_file(Path(folder) / "generation_config.json")
        processor.save_pretrained(folder)
        documents = identity.documents_of(folder)
    state = dict(network.state_dict())
    if network.config.tie_word_embeddings:
        state.pop(HEAD, None)
    tensors = {
        name: identity.Tensor(
            DTYPES[tensor.dtype], tuple(tensor.shape), tensor.nbytes, partial(_bytes, tensor.detach())
        )
        for name, tensor in state.items()
    }
    return identity.of_tensors(tensors, documents, full=full)


def _bytes(tensor: torch.Tensor, start: int, stop: int) -> memoryview:
    flat = tensor.contiguous().flatten().view(torch.uint8)[start:stop]
    raw: Any = flat.cpu().numpy()
    return memoryview(raw)


def read_config(folder: Path) -> KangarooConfig:
    """The configuration of a folder; its weights need not be there. UserError."""
    if folder.is_file():
        raise UserError(f"{folder}: a file; {MEND}")
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {MEND}")
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder}: config.json is missing; {MEND}")
    content = identity.read_json(path)
    kind = content.get("model_type") if isinstance(content, dict) else None
    if kind != KangarooConfig.model_type:
        raise UserError(
            f"{path}: a model of type {kind!r}, not {KangarooConfig.model_type!r}; {_other(kind, folder)}"
        )
    try:
        config: KangarooConfig = KangarooConfig.from_pretrained(str(folder), local_files_only=True)
    except (ValueError, OSError, AttributeError, TypeError, ArithmeticError, StrictDataclassError) as error:
        raise UserError(f"{path}: cannot be read ({first_line(error)}); {MEND}") from error
    return config


def _other(kind: object, folder: Path) -> str:
    """What to do with a model that is no Kangaroo of ours."""
    if kind == "kangaroo":
        return f"the public release runs with --model release:{folder} --trust-remote-code"
    if kind == "llama":
        return f"a language model becomes one with KangarooForConditionalGeneration.from_components(vision=..., llm={str(folder)!r})"
    if isinstance(kind, str):
        return f"other video models run with --model hf:{folder}"
    return MEND


def _check_settings(folder: Path, config: KangarooConfig) -> None:
    """The frames that the saved processor would make are those that the network was configured for."""
    path = folder / "processor_config.json"
    if not path.is_file():
        return
    saved = identity.read_json(path)
    if not isinstance(saved, dict):
        raise UserError(f"{path}: holds no settings; {SAVE_PROCESSOR}")
    wanted = {
        "frame_size": config.frame_size,
        "patch_size": config.vision_config.patch_size,
        "patchify": config.patchify,
    }
    wrong = [
        f"{name} {saved[name]!r} (config.json: {value!r})"
        for name, value in wanted.items()
        if name in saved and saved[name] != value
    ]
    if wrong:
        raise UserError(f"{path}: disagrees with the network: {', '.join(wrong)}; {SAVE_PROCESSOR}")


def _check_tokens(folder: Path, processor: KangarooProcessor, config: KangarooConfig) -> None:
    """The tokenizer has the control tokens at the ids the network expects, a known chat format, and no token that
    the embedding table has no row for."""
    vocabulary: dict[str, int] = processor.tokenizer.get_vocab()
    controls = dict(zip((*VISUAL_TOKENS, VIDEO_TOKEN), config.control_token_ids, strict=True))
    missing = [token for token in controls if token not in vocabulary]
    if missing:
        raise UserError(
            f"{folder}: the tokenizer lacks the special tokens {', '.join(missing)}; "
            f"add them with tokenizer.with_control_tokens, then {SAVE_PROCESSOR}"
        )
    moved = [
        f"{token} {vocabulary[token]} (config.json: {index})"
        for token, index in controls.items()
        if vocabulary[token] != index
    ]
    if moved:
        raise UserError(
            f"{folder}: the tokenizer has other ids than the network for {', '.join(moved)}; {SAVE_PROCESSOR}"
        )
    try:
        processor.prompt_ids("", 1)
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{folder}: the tokenizer cannot write a conversation ({first_line(error)}); {SAVE_PROCESSOR}"
        ) from error
    rows = config.text_config.vocab_size
    beyond = sorted(token for token, index in vocabulary.items() if index >= rows and token not in controls)
    if beyond:
        raise UserError(
            f"{folder}: {_fault('the tokenizer has', beyond)}, beyond the {rows} rows of the embedding table; "
            f"it belongs to another language model: {SAVE_PROCESSOR}"
        )


def _fault(kind: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{kind} {', '.join(names[:NAMED])}{more}"
