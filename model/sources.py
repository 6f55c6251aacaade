"""Where the components of a Kangaroo come from: a file, a folder or a hub id. Found, checked, never unpickled.

Everything is checked before a weight is read: what kind of checkpoint it is, whether its files are whole,
and, for the LLM, whether it is a Llama at all.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kangaroo_eval import identity
from kangaroo_eval.errors import UserError, first_line
from kangaroo_eval.model.config import LENGTH_DEPENDENT, KangarooVisionConfig, length_dependent
from kangaroo_eval.model.tokenizer import with_control_tokens

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
TIMM_WEIGHTS = ("model.safetensors", "open_clip_model.safetensors")
"""The file of an encoder in timm's and in open_clip's layout; timm's comes first where both are there."""
TIMM_CONFIGS = ("config.json", "open_clip_config.json")
LLM_FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "*.txt")
MISTAKES = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, struct.error)
"""What the libraries raise for a file they cannot read."""


class VisionSource(NamedTuple):
    """`ours`: a folder that `KangarooVisionModel.save_pretrained` wrote (then `weights` is it), otherwise timm's
    safetensors file; `config`: the JSON beside it ({}: none)."""

    ours: bool
    weights: Path
    config: dict[str, Any]

    def __str__(self) -> str:
        return str(self.weights)


class LLMSource(NamedTuple):
    """A folder that transformers loads, or with `gguf` that one file of it."""

    folder: Path
    gguf: str | None

    def __str__(self) -> str:
        return str(self.folder / (self.gguf or ""))

    @property
    def options(self) -> dict[str, Any]:
        """Keywords of `from_pretrained` for config, tokenizer and weights."""
        return {"gguf_file": self.gguf} if self.gguf else {}


def find_vision(source: str | Path | VisionSource) -> VisionSource:
    """The files of a vision encoder. UserError for what is none, or cannot be reached or trusted."""
    if isinstance(source, VisionSource):
        return source
    place = _locate(source, [*TIMM_WEIGHTS, *TIMM_CONFIGS])
    if place.is_file():
        if place.suffix != ".safetensors":
            raise UserError(f"{place}: {_not_safetensors(place)}")
        config = _timm_config(place.parent, place.name)
        if config.get("model_type") != KangarooVisionConfig.model_type:
            return VisionSource(False, place, config)
        place = place.parent
    config = _read(place / "config.json")
    if config.get("model_type") == KangarooVisionConfig.model_type:
        identity.tensors_of(place)
        return VisionSource(True, place, config)
    if config.get("model_type"):
        raise UserError(
            f"{place}: a model of type {config['model_type']!r}, not a timm checkpoint; "
            "give timm's eva02_large_patch14_clip_224 as file, folder or hub id, or a saved KangarooVisionModel"
        )
    for name in TIMM_WEIGHTS:
        if (place / name).is_file():
            return VisionSource(False, place / name, _timm_config(place, name))
    raise UserError(f"{place}: {_nothing(place, TIMM_WEIGHTS)}")


def find_llm(source: str | Path | LLMSource) -> LLMSource:
    """The files of a Llama: a folder in transformers' layout, a GGUF file or a folder with one, or a hub id
    (OWNER/NAME, or OWNER/NAME/FILE.gguf). UserError as `find_vision`, and for another architecture by name."""
    if isinstance(source, LLMSource):
        return source
    place = _locate(source, LLM_FILES)
    if place.is_file():
        if place.suffix != ".gguf":
            mend = "give the folder it lies in" if place.suffix == ".safetensors" else _not_safetensors(place)
            raise UserError(f"{place}: one file is no LLM: {mend}")
        return _llama(LLMSource(place.parent, place.name))
    if (place / "config.json").is_file():
        if (place / identity.ADAPTER_CONFIG).is_file():
            raise UserError(
                f"{place}: a LoRA adapter lies beside the model; merge it first, then save_pretrained"
            )
        return _llama(LLMSource(place, None))
    ggufs = sorted(path.name for path in place.glob("*.gguf"))
    if len(ggufs) > 1:
        raise UserError(f"{place}: {len(ggufs)} GGUF files ({', '.join(ggufs)}); give one of them")
    if not ggufs:
        raise UserError(f"{place}: {_nothing(place, ('config.json', 'a .gguf file'))}")
    return _llama(LLMSource(place, ggufs[0]))


def read_tokenizer(llm: str | Path | LLMSource) -> Any:
    """The LLM's tokenizer with the control tokens added. UserError where there is none, or where its chat format
    is not one we write."""
    from transformers import AutoTokenizer

    from kangaroo_eval.model.chat_format import chat_format

    place = find_llm(llm)
    try:
        tokenizer = with_control_tokens(AutoTokenizer.from_pretrained(str(place.folder), **place.options))
        chat_format(tokenizer)
    except (*MISTAKES, ImportError) as error:
        raise UserError(f"{place}: no usable tokenizer ({first_line(error)})") from error
    return tokenizer


def fingerprint(source: VisionSource | LLMSource) -> str:
    """A hash of the source's weights (and of the files beside them), for the record of where a model came from."""
    if isinstance(source, LLMSource):
        if source.gguf:
            with (source.folder / source.gguf).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        return identity.of_folder(source.folder).hash
    if source.ours:
        return identity.of_folder(source.weights).hash
    return identity.of_tensors(identity.read_header(source.weights), {}).hash


def _llama(source: LLMSource) -> LLMSource:
    """The source, if transformers says that it is a Llama and its files are whole."""
    from transformers import AutoConfig

    name = source.folder / (source.gguf or "config.json")
    try:
        if source.gguf:
            config = AutoConfig.from_pretrained(str(source.folder), gguf_file=source.gguf).to_dict()
        else:
            config = _read(name)
    except ImportError as error:
        raise UserError(f"{name}: GGUF files need two packages: pip install gguf accelerate") from error
    except MISTAKES as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{name}: cannot be read ({first_line(error)})") from error
    if config.get("model_type") != "llama":
        raise UserError(
            f"{name}: a model of type {config.get('model_type')!r}; Kangaroo's LLM is a Llama ('llama'), "
            "such as Llama-3-8B-Instruct or SmolLM2"
        )
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rotary.get("rope_type") or rotary.get("type")
    if kind in LENGTH_DEPENDENT:
        raise UserError(f"{name}: {length_dependent(kind)}")
    if not source.gguf:
        if config.get("quantization_config"):
            method = config["quantization_config"].get("quant_method")
            raise UserError(
                f"{name}: quantised weights ({method}); give the unquantised checkpoint, or a GGUF file"
            )
        identity.tensors_of(source.folder)
    return source


def _locate(source: str | Path, patterns: Sequence[str]) -> Path:
    """The local path of a component, fetched from the hub (or found in its cache) where it is an id."""
    try:
        path = Path(source).expanduser()
    except RuntimeError as error:
        raise UserError(f"{source}: {first_line(error)}") from error
    if path.exists():
        return path
    parts = str(source).split("/")
    if len(parts) == 3 and parts[2].endswith(".gguf"):
        file = _fetch("/".join(parts[:2]), [parts[2]]) / parts[2]
        if not file.is_file():
            raise UserError(f"{source}: the repository holds no {parts[2]}")
        return file
    if len(parts) != 2 or not all(parts) or parts[1].endswith((*PICKLES, ".safetensors", ".gguf")):
        raise UserError(f"{source}: no such file or folder, and no hub id either (OWNER/NAME)")
    return _fetch(str(source), patterns)


def _fetch(repository: str, patterns: Sequence[str]) -> Path:
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(patterns)))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{repository}: no such folder here, and the hub did not give it ({first_line(error)}); "
            "give a local copy, or check the name, the connection and HF_TOKEN"
        ) from error


def _timm_config(folder: Path, weights: str) -> dict[str, Any]:
    """What lies beside the weights, as timm writes it: "architecture", "model_args", "pretrained_cfg"."""
    if weights == "open_clip_model.safetensors" and (folder / "open_clip_config.json").is_file():
        opened = _read(folder / "open_clip_config.json")
        vision = opened.get("model_cfg", {}).get("vision_cfg", {})
        wanted = opened.get("preprocess_cfg", {})
        return {"architecture": vision.get("timm_model_name"), "pretrained_cfg": wanted}
    return _read(folder / "config.json") if (folder / "config.json").is_file() else {}


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; {} where there is no file."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({first_line(error)})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: cannot be read: not a JSON object")
    return content


def _not_safetensors(path: Path) -> str:
    if path.suffix in PICKLES:
        return (
            "pickled weights are refused, because a pickle can run any code while it is opened; convert it where "
            "you trust it: safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'model.safetensors')"
        )
    return "not a .safetensors file"


def _nothing(folder: Path, wanted: Sequence[str]) -> str:
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        return f"only {pickles[0]} there: {_not_safetensors(Path(pickles[0]))}"
    return f"none of {', '.join(wanted)} there"
