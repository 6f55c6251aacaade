"""Weights on disk: read strictly, with one clear line for the user when they do not fit; and their hash."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import AutoTokenizer
from transformers.utils import logging as hf_logging

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.config import KangarooConfig
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration, WeightsError
from kangaroo_eval.model.processing import KangarooProcessor

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
NAMED = 3
"""Parameters that an error message names."""

MEND = "give a folder written by KangarooForConditionalGeneration.save_pretrained"


def is_hub_id(name: str) -> bool:
    """Whether `name` can be a repository on the hub: OWNER/NAME and nothing else."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name) is not None


def check_folder(folder: Path) -> None:
    """Compare a checkpoint's headers with its configuration; reads no weights. UserError says what is wrong."""
    if folder.is_file():
        raise UserError(f"{folder}: a file; {MEND}")
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {MEND}")
    config = _read_config(folder)
    try:
        with torch.device("meta"):
            network = KangarooForConditionalGeneration(config)
    except (ValueError, TypeError, ArithmeticError, RuntimeError, AssertionError) as error:
        raise UserError(
            f"{folder / 'config.json'}: no model can be made of it ({_first_line(error)}); {MEND}"
        ) from error
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if config.tie_word_embeddings:
        expected.pop("llm.lm_head.weight", None)
    found = _shapes(folder)
    if config.tie_word_embeddings:
        found.pop("llm.lm_head.weight", None)
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
    ]
    told = "; ".join(fault for fault in faults if fault)
    if told:
        raise UserError(f"{folder}: weights do not fit its config.json: {told}; {MEND}")


def read_network(source: str | Path, *, dtype: torch.dtype, attn_implementation: str) -> Any:
    """The network of a folder or hub id; loads strictly, and without transformers' progress bar."""
    bar = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        return KangarooForConditionalGeneration.from_pretrained(
            str(source), dtype=dtype, attn_implementation=attn_implementation
        )
    except WeightsError as error:
        raise UserError(f"{source}: {error}; {MEND}") from error
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        where = "" if Path(source).is_dir() else "no such folder, and as a hub id it "
        raise UserError(f"{source}: {where}cannot be loaded ({_first_line(error)}); {MEND}") from error
    finally:
        if bar:
            hf_logging.enable_progress_bar()


def read_processor(source: str | Path, config: KangarooConfig) -> KangarooProcessor:
    """The tokenizer beside the weights, as the processor of `config`."""
    try:
        processor = KangarooProcessor.for_config(AutoTokenizer.from_pretrained(str(source)), config)
        processor.visual_ids(1)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{source}: no usable tokenizer ({_first_line(error)}); save the KangarooProcessor into the same folder"
        ) from error
    return processor


def model_hash(network: KangarooForConditionalGeneration) -> str:
    """SHA-256 over each parameter's name, dtype, shape and bytes, in order of name, and over the settings of
    the computation. Independent of the version of transformers and of where the weights came from."""
    digest = hashlib.sha256(json.dumps(_settings(network.config), sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    raw: Any = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return memoryview(raw)


def _settings(config: KangarooConfig) -> dict[str, Any]:
    """What shapes alone do not tell: heads, positions, norms, token ids."""
    vision, text = config.vision_config, config.text_config
    own = ("frame_size", "patchify", "projector", "tpe_theta", "visual_token_ids", "video_token_id")
    seen = ("image_size", "num_attention_heads", "layer_norm_eps", "rope_theta")
    read = ("num_attention_heads", "num_key_value_heads", "rms_norm_eps", "rope_parameters", "hidden_act")
    return {
        "kangaroo": {name: getattr(config, name) for name in own},
        "vision": {name: getattr(vision, name) for name in seen},
        "text": {name: getattr(text, name) for name in read},
    }


def _read_config(folder: Path) -> KangarooConfig:
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder}: config.json is missing; {MEND}")
    try:
        kind = json.loads(path.read_text(encoding="utf-8")).get("model_type")
        if kind != KangarooConfig.model_type:
            raise UserError(f"{path}: a model of type {kind!r}, not {KangarooConfig.model_type!r}; {MEND}")
        config: KangarooConfig = KangarooConfig.from_pretrained(str(folder))
    except (ValueError, OSError, AttributeError, TypeError, ArithmeticError, StrictDataclassError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: cannot be read ({_first_line(error)}); {MEND}") from error
    return config


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Parameter name -> shape, from the headers of one safetensors file or of all that an index names."""
    names = [WEIGHTS]
    if (folder / INDEX).is_file():
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            names = sorted(set(index["weight_map"].values()))
        except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
            raise UserError(f"{folder / INDEX}: cannot be read ({_first_line(error)}); {MEND}") from error
    shapes: dict[str, tuple[int, ...]] = {}
    for name in names:
        if not (folder / name).is_file():
            raise UserError(f"{folder}: the weights {name} are missing; {MEND}")
        try:
            with safe_open(folder / name, framework="pt") as file:
                shapes.update({key: tuple(file.get_slice(key).get_shape()) for key in file.keys()})  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{folder / name}: not a safetensors file ({_first_line(error)}); {MEND}"
            ) from error
    return shapes


def _fault(kind: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{kind} {', '.join(names[:NAMED])}{more}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
