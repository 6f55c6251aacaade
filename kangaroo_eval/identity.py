"""What a model on disk is: a hash of its weights and of the files that decide what they compute, not of its path.

The same weights copied elsewhere, split into other shards or saved again unchanged are the same model; one changed
layer, tokenizer, chat template or setting makes another. Safetensors headers are read here, so this needs no torch,
and every file is checked on the way: what a folder lacks, or has too much, is one line for the user.

Format of safetensors: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kangaroo_eval.errors import UserError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"

WHOLE = 1 << 20
"""Bytes of the largest tensor that the sampled hash reads whole."""
PIECE = 1 << 16
"""Bytes that it reads of a larger one at the beginning, in the middle and at the end."""
CHUNK = 1 << 23
"""Bytes held in memory at a time while a tensor is read whole."""
HEADER_LIMIT = 100_000_000
"""Bytes of the longest header that safetensors itself accepts."""

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
"""Bits of one element of each dtype of safetensors."""

DOCUMENTS = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    ADAPTER_CONFIG,
    "chat_template.json",
    "chat_template.jinja",
    "additional_chat_templates/*.jinja",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "*.py",
)
"""Files beside the weights that change what a model answers, as patterns. A model card is not among them."""

TOKEN_KEYED = frozenset({"tokenizer.json", "vocab.json", "added_tokens.json"})
"""JSON files whose keys are tokens: nothing in them is dropped."""

VOLATILE = frozenset(
    {
        "_name_or_path",
        "name_or_path",
        "_commit_hash",
        "commit_hash",
        "transformers_version",
        "is_local",
        "local_files_only",
        "cache_dir",
        "tokenizer_file",
        "special_tokens_map_file",
        "provenance",
        "architectures",
        "dtype",
        "torch_dtype",
        "_attn_implementation",
        "_attn_implementation_autoset",
        "_from_model_config",
        "use_cache",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
    }
)
"""Keys that say where, when or by which code a file was written, or ask for outputs that change no answer. The dtype
of every tensor is hashed with it, and the arithmetic of a run is recorded beside the hash."""

PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "*.bin", "*.pt", "*.pth", "*.ckpt")

Method = Literal["sampled", "full"]


class Identity(NamedTuple):
    """`hash`: SHA-256 in hex. `method`: "full" where every byte of the weights went in, else "sampled" (`WHOLE`,
    `PIECE`). `tensors` and `bytes` are the number and size of the weights; `read` of these bytes went in."""

    hash: str
    method: Method
    tensors: int
    bytes: int
    read: int


class Tensor(NamedTuple):
    """A tensor, wherever it lies: safetensors' name of its dtype, its shape, its bytes in all, and
    `read(start, stop)`, which gives some of them (little endian, row by row)."""

    dtype: str
    shape: tuple[int, ...]
    size: int
    read: Callable[[int, int], bytes | memoryview]


def of_folder(folder: str | Path, *, full: bool = False) -> Identity:
    """The identity of a model's folder. UserError where the weights are absent, broken or pickled.

    Sampled, 16 GB take less than a second. A change that lies wholly inside a tensor of more than `WHOLE` bytes, in
    none of the three pieces read, is then not seen; `full` reads every byte.
    """
    return of_tensors(tensors_of(folder), documents_of(folder), full=full)


def of_tensors(
    tensors: Mapping[str, Tensor], documents: Mapping[str, str], *, full: bool = False
) -> Identity:
    """The identity of weights that may exist in memory only: what `of_folder` would say of them once saved.

    `documents` are those of `documents_of`. The order of both mappings does not matter.
    """
    digest, read, size = hashlib.sha256(), 0, 0
    for name, content in sorted(documents.items()):
        digest.update(json.dumps([name, content]).encode() + b"\n")
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, tensor.dtype, tensor.shape]).encode() + b"\n")
        size += tensor.size
        for start, stop in _pieces(tensor.size, full):
            digest.update(tensor.read(start, stop))
            read += stop - start
    return Identity(digest.hexdigest(), "full" if read == size else "sampled", len(tensors), size, read)


def _pieces(size: int, full: bool) -> Iterable[tuple[int, int]]:
    """What is read of a tensor, as [start, stop) in bytes."""
    if full or size <= WHOLE:
        return [(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]
    return [(start, start + PIECE) for start in (0, (size - PIECE) // 2, size - PIECE)]


def documents_of(folder: str | Path) -> dict[str, str]:
    """Name -> SHA-256 of each file among `DOCUMENTS`. JSON is compared by content: key order, spacing and
    `VOLATILE` keys do not count. UserError for JSON that cannot be read."""
    place = Path(folder)
    paths = {path for pattern in DOCUMENTS for path in place.glob(pattern) if path.is_file()}
    return {path.relative_to(place).as_posix(): _document(path) for path in paths}


def _document(path: Path) -> str:
    if path.suffix != ".json":
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    content = read_json(path)
    if path.name not in TOKEN_KEYED:
        content = _lasting(content)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _lasting(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _lasting(item) for name, item in content.items() if name not in VOLATILE}
    return [_lasting(item) for item in content] if isinstance(content, list) else content


def read_json(path: Path) -> Any:
    """The content of a JSON file. UserError that names the file where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); copy or download it again") from error


def tensors_of(folder: str | Path) -> dict[str, Tensor]:
    """Every tensor of a model's folder by name; reads headers only. The check before loading: UserError for a
    folder that is none, missing or broken files, an index that does not fit its shards, and pickles."""
    place = Path(folder)
    if not place.is_dir():
        raise UserError(f"{place}: {'a file' if place.exists() else 'no such folder'}; give a model's folder")
    _check_redirect(place)
    index = _index(place)
    found: dict[str, Tensor] = {}
    held: dict[str, str] = {}
    for name in sorted(set(index.values())) if index else [_single(place)]:
        for tensor, stored in read_header(place / name).items():
            if tensor in held:
                raise UserError(
                    f"{place}: {tensor} is in both {held[tensor]} and {name}; save the model again"
                )
            found[tensor], held[tensor] = stored, name
    lost = sorted(tensor for tensor, name in index.items() if held.get(tensor) != name)
    if lost:
        raise UserError(
            f"{place / INDEX}: names {lost[0]} in {index[lost[0]]}, which does not hold it "
            f"({len(lost)} such); the shards are of another checkpoint: copy or save all of them again"
        )
    adapter = _adapter(place)
    return found | {f"{ADAPTER}:{name}": tensor for name, tensor in adapter.items()}


def _check_redirect(folder: Path) -> None:
    """config.json can name other weights, which transformers would then load in place of those hashed here."""
    path = folder / "config.json"
    content = read_json(path) if path.is_file() else None
    name = content.get("transformers_weights") if isinstance(content, dict) else None
    if name not in (None, WEIGHTS, INDEX):
        raise UserError(
            f"{path}: transformers_weights names {name!r}; rename these weights to {WEIGHTS} and remove the setting"
        )


def _index(folder: Path) -> dict[str, str]:
    """Tensor -> shard by the index; empty where there is none. UserError for one that cannot be meant."""
    path = folder / INDEX
    if not path.is_file():
        return {}
    content = read_json(path)
    names = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise UserError(f"{path}: cannot be read: it has no weight_map; copy or download it again")
    for name in sorted(set(names.values())):
        if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise UserError(f"{path}: names {name!r}, which is no safetensors file of this folder")
        if not (folder / name).is_file():
            raise UserError(f"{folder}: the shard {name} is missing, which {INDEX} names; copy it here too")
    if (folder / WEIGHTS).is_file() and set(names.values()) != {WEIGHTS}:
        raise UserError(
            f"{folder}: two sets of weights, {WEIGHTS} and the shards of {INDEX}; remove the one that is stale"
        )
    return names


def _single(folder: Path) -> str:
    """The one file of weights of a folder without an index."""
    if (folder / WEIGHTS).is_file():
        return WEIGHTS
    pickles = [path.name for pattern in PICKLES for path in sorted(folder.glob(pattern))]
    if pickles:
        raise UserError(
            f"{folder / pickles[0]}: pickled weights are not loaded, because a pickle runs code when it is "
            f"opened; convert them where you trust the file: load the model with transformers, then "
            f"model.save_pretrained(FOLDER, safe_serialization=True)"
        )
    if (folder / ADAPTER_CONFIG).is_file():
        raise UserError(
            f"{folder}: an adapter without its model; merge it (peft's merge_and_unload), then save_pretrained"
        )
    raise UserError(
        f"{folder}: the weights {WEIGHTS} are missing (nor is there {INDEX}); "
        "give a folder written by save_pretrained"
    )


def _adapter(folder: Path) -> dict[str, Tensor]:
    """The tensors of an adapter that transformers would lay over the model, by the same rules."""
    if not (folder / ADAPTER_CONFIG).is_file():
        return {}
    if not (folder / ADAPTER).is_file():
        raise UserError(
            f"{folder}: {ADAPTER_CONFIG} without {ADAPTER}; merge the adapter into the model, or remove it"
        )
    return read_header(folder / ADAPTER)


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of one safetensors file. UserError for a file that is none, or is cut short or too long."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = int.from_bytes(head, "little")
        if head == b"version ":
            raise UserError(f"{path}: not a safetensors file but a Git LFS pointer to one; run git lfs pull")
        if len(head) < 8 or not 2 <= length <= HEADER_LIMIT:
            raise UserError(
                f"{path}: not a safetensors file ({size} bytes, header of {length}); download it again"
            )
        if length > size - 8:
            raise UserError(
                f"{path}: truncated in its header ({length} bytes, the file has {size}); copy it again"
            )
        raw = file.read(length)
    try:
        header = json.loads(raw, object_pairs_hook=_once)
        if not isinstance(header, dict):
            raise ValueError("its header is no table")
        entries = {name: _entry(path, 8 + length, header[name]) for name in header if name != "__metadata__"}
        _check_places(header)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path}: not a safetensors file ({type(error).__name__}: {error}); download it again"
        ) from error
    told, real = sum(entry.size for entry in entries.values()), size - 8 - length
    if told != real:
        fault = "truncated" if told > real else "longer than it says"
        raise UserError(
            f"{path}: {fault}: its header describes {told} bytes of weights, it holds {real}; copy it again"
        )
    return entries


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name that stands twice in the header")
    return found


def _entry(path: Path, start: int, entry: Mapping[str, Any]) -> Tensor:
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError(f"shape {shape} at {begin} to {end}")
    if math.prod(shape) * BITS[dtype] != 8 * (end - begin):
        raise ValueError(f"{dtype} of shape {shape} in {end - begin} bytes")
    return Tensor(dtype, tuple(shape), end - begin, partial(_read, path, start + begin))


def _check_places(header: Mapping[str, Any]) -> None:
    """The tensors lie one behind the other: none over another, nothing hidden between them."""
    places = sorted(header[name]["data_offsets"] for name in header if name != "__metadata__")
    at = 0
    for begin, end in places:
        if begin != at:
            raise ValueError(f"tensors overlap or leave a gap at byte {min(begin, at)} of the weights")
        at = end


def _read(path: Path, base: int, start: int, stop: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(base + start)
        parts, left = [], stop - start
        while left and (part := file.read(left)):
            parts.append(part)
            left -= len(part)
    if left:
        raise UserError(f"{path}: it became shorter while it was read; is it still being copied?")
    return b"".join(parts)
