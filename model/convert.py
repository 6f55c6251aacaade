"""Foreign checkpoints: timm's EVA-02 names to ours and back, and the stage-I start from two public models."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import LlamaForCausalLM
from transformers.utils import logging as hf_logging

from kangaroo_eval import identity
from kangaroo_eval.errors import UserError, first_line
from kangaroo_eval.model import sources
from kangaroo_eval.model.config import KangarooVisionConfig
from kangaroo_eval.model.modeling import WeightsError
from kangaroo_eval.model.vision import CLIP_MEAN, CLIP_STD, KangarooVisionModel

TIMM_NAMES = (
    ("cls_token", "class_token"),
    ("pos_embed", "position_embedding"),
    ("patch_embed.proj", "patch_embedding"),
    ("blocks.#.norm1", "layers.#.attention_norm"),
    ("blocks.#.attn.q_proj", "layers.#.attention.query"),
    ("blocks.#.attn.k_proj", "layers.#.attention.key"),
    ("blocks.#.attn.v_proj", "layers.#.attention.value"),
    ("blocks.#.attn.norm", "layers.#.attention.inner_norm"),
    ("blocks.#.attn.proj", "layers.#.attention.output"),
    ("blocks.#.norm2", "layers.#.mlp_norm"),
    ("blocks.#.mlp.fc1_g", "layers.#.mlp.gate"),
    ("blocks.#.mlp.fc1_x", "layers.#.mlp.up"),
    ("blocks.#.mlp.norm", "layers.#.mlp.inner_norm"),
    ("blocks.#.mlp.fc2", "layers.#.mlp.down"),
    ("norm", "norm"),
)
"""timm's module or parameter name (`eva02_large_patch14_clip_224`) and ours; # is the layer's number."""

_TO_OURS = dict(TIMM_NAMES)
_TO_TIMM = {ours: theirs for theirs, ours in TIMM_NAMES}
_LAYER = re.compile(r"(?<=\.)\d+(?=\.)")
_TRUNK = "visual.trunk."


class Sizes(NamedTuple):
    """What an encoder of this build is sized by, under timm's names; the learned table's size is not among it."""

    embed_dim: int
    depth: int
    patch_size: int
    num_heads: int
    mlp_ratio: float = 4 * 2 / 3
    ref_feat_shape: int = 16


ARCHITECTURES = {
    "eva02_base_patch16_clip_224": Sizes(768, 12, 16, 12),
    "eva02_large_patch14_clip_224": Sizes(1024, 24, 14, 16),
    "eva02_large_patch14_clip_336": Sizes(1024, 24, 14, 16),
}
"""timm's encoders of this build. Their rotary reference is 16x16 throughout, also where the base model has 14x14
patches and the 336-pixel one 24x24."""

SAME_BUILD = {
    "qkv_fused": False,
    "swiglu_mlp": True,
    "scale_mlp": True,
    "scale_attn_inner": True,
    "use_rot_pos_emb": True,
    "global_pool": "token",
    "num_classes": None,
    "img_size": None,
}
"""timm's further `model_args` and what this build has (None: anything, it changes no token)."""

FLOATS = ("F64", "F32", "F16", "BF16")


def to_timm(state: Mapping[str, Any]) -> dict[str, Any]:
    """Our vision encoder's state dict (or its shapes: anything by parameter) under timm's names."""
    return {_rename(name, _TO_TIMM): item for name, item in state.items()}


def from_timm(state: Mapping[str, Any]) -> dict[str, Any]:
    """timm's (or open_clip's "visual.trunk." form of) state dict under our names.

    The classification or CLIP head and open_clip's text tower are left out: the encoder ends at its norm.
    WeightsError names every parameter that has no counterpart.
    """
    state = trunk(state)
    unknown = [name for name in state if not _known(name)]
    if unknown:
        raise WeightsError(f"no counterpart for {listed(unknown)}: not an EVA-02 CLIP checkpoint")
    return {_rename(name, _TO_OURS): item for name, item in state.items()}


def trunk(state: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a checkpoint that is the encoder, under timm's names."""
    if any(name.startswith(_TRUNK) for name in state):
        state = {name.removeprefix(_TRUNK): item for name, item in state.items() if name.startswith(_TRUNK)}
    return {name: item for name, item in state.items() if not name.startswith("head.")}


def _known(name: str) -> bool:
    try:
        return bool(_rename(name, _TO_OURS))
    except WeightsError:
        return False


def _rename(name: str, table: Mapping[str, str]) -> str:
    layer = _LAYER.search(name)
    pattern = _LAYER.sub("#", name, count=1)
    stem, _, leaf = pattern.rpartition(".")
    if pattern in table:
        renamed = table[pattern]
    elif stem in table and leaf in ("weight", "bias"):
        renamed = f"{table[stem]}.{leaf}"
    else:
        raise WeightsError(f"no counterpart for the parameter {name!r}")
    return renamed.replace("#", layer.group()) if layer else renamed


def listed(names: Iterable[str]) -> str:
    """Every name, the layers of one pattern together: "blocks.{0-11}.attn.qkv.weight"."""
    layers: dict[str, list[int]] = {}
    for name in names:
        layer = _LAYER.search(name)
        layers.setdefault(_LAYER.sub("#", name, count=1), []).extend([int(layer.group())] if layer else [])
    return ", ".join(pattern.replace("#", _span(sorted(held))) for pattern, held in layers.items())


def _span(layers: list[int]) -> str:
    if len(layers) == 1:
        return str(layers[0])
    if layers and layers == list(range(layers[0], layers[-1] + 1)):
        return f"{{{layers[0]}-{layers[-1]}}}"
    return f"{{{','.join(map(str, layers))}}}"


def check_shapes(found: Mapping[str, Any], expected: Mapping[str, Any], source: object) -> None:
    """Compare shapes by parameter. WeightsError lists what is missing or unknown, and each wrong shape."""
    faults = []
    if missing := [name for name in expected if name not in found]:
        faults.append(f"missing {listed(missing)}")
    if unknown := [name for name in found if name not in expected]:
        faults.append(f"unknown {listed(unknown)}")
    faults += [
        f"{name}: found {tuple(found[name])} instead of {tuple(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    if faults:
        raise WeightsError(f"{source}: not the weights wanted here: {'; '.join(faults)}")


def check_numbers(module: nn.Module, source: object) -> None:
    """WeightsError names every parameter that holds NaN or infinity."""
    broken = [name for name, tensor in module.named_parameters() if not bool(torch.isfinite(tensor).all())]
    if broken:
        dtype = next(module.parameters()).dtype
        raise WeightsError(
            f"{source}: not finite in {dtype}: {', '.join(broken)}; download it again, or use fp32"
        )


def timm_config(shapes: Mapping[str, Any], config: Mapping[str, Any], source: object) -> KangarooVisionConfig:
    """The configuration of a timm checkpoint, from its shapes (`trunk`) and what timm's config.json says.

    Without a config.json the sizes must be those of one of `ARCHITECTURES`. UserError for another build, naming
    what differs, and for pixels normalised otherwise than CLIP's.
    """
    names = {name: shape for name, shape in shapes.items() if _known(name)}
    depth = 1 + max((int(name.split(".")[1]) for name in shapes if name.startswith("blocks.")), default=-1)
    check_shapes(dict.fromkeys(shapes, ()), dict.fromkeys(_timm_names(depth), ()), source)
    rows, (width, _, _, patch) = names["pos_embed"][1], names["patch_embed.proj.weight"]
    sizes = _timm_sizes((width, depth, patch), config, source)
    side = math.isqrt(rows - 1)
    if side * side != rows - 1:
        raise WeightsError(f"{source}: pos_embed has {rows} rows, not a class token and a square of patches")
    for name, ours in (("mean", CLIP_MEAN), ("std", CLIP_STD)):
        theirs = config.get("pretrained_cfg", {}).get(name, ours)
        if len(theirs) != len(ours) or math.dist(theirs, ours) > 1e-6:
            raise UserError(
                f"{source}: its pixels are normalised with {name} {theirs}, ours with CLIP's {ours}"
            )
    return KangarooVisionConfig(
        hidden_size=sizes.embed_dim,
        intermediate_size=int(sizes.embed_dim * sizes.mlp_ratio),
        num_hidden_layers=sizes.depth,
        num_attention_heads=sizes.num_heads,
        image_size=side * sizes.patch_size,
        patch_size=sizes.patch_size,
        rope_grid=None if side == sizes.ref_feat_shape else sizes.ref_feat_shape,
    )


def _timm_names(depth: int) -> list[str]:
    small = KangarooVisionConfig(
        hidden_size=4, intermediate_size=4, num_attention_heads=1, num_hidden_layers=depth
    )
    with torch.device("meta"):
        return list(to_timm(KangarooVisionModel(small).state_dict()))


def _timm_sizes(found: tuple[int, int, int], config: Mapping[str, Any], source: object) -> Sizes:
    """The sizes that the config.json states; without one, those of the architecture whose width, depth and patch
    size are `found`."""
    name, arguments = config.get("architecture"), dict(config.get("model_args") or {})
    known = ARCHITECTURES.get(str(name))
    if not config:
        known = next((each for each in ARCHITECTURES.values() if tuple(each[:3]) == found), None)
    stated = {key: arguments.pop(key) for key in Sizes._fields if key in arguments}
    other = [
        f"{key}={item!r}" for key, item in arguments.items() if SAME_BUILD.get(key, ...) not in (None, item)
    ]
    if other:
        raise UserError(f"{source}: {name} with {', '.join(other)} is another build than EVA-02 CLIP's")
    if "ref_feat_shape" in stated:
        stated["ref_feat_shape"] = _square(stated["ref_feat_shape"], source)
    if known is None and not {"embed_dim", "depth", "patch_size", "num_heads"} <= set(stated):
        width, depth, patch = found
        raise UserError(
            f"{source}: width {width}, {depth} layers and patches of {patch} are no architecture known here "
            f"(config.json says {name!r}; known: {', '.join(ARCHITECTURES)}); state embed_dim, depth, patch_size and "
            "num_heads in the model_args of a config.json beside the weights"
        )
    return known._replace(**stated) if known else Sizes(**stated)


def _square(shape: Any, source: object) -> int:
    sides = set(shape) if isinstance(shape, list | tuple) else {shape}
    if len(sides) != 1:
        raise UserError(f"{source}: ref_feat_shape {shape} is not square")
    return int(sides.pop())


def read_vision(
    source: str | Path | sources.VisionSource, *, dtype: torch.dtype = torch.float32
) -> KangarooVisionModel:
    """An EVA-02 CLIP encoder from timm's checkpoint (safetensors file, folder or hub id; open_clip's form too), or
    any encoder that `KangarooVisionModel.save_pretrained` wrote."""
    found = sources.find_vision(source)
    if found.ours:
        own: KangarooVisionModel = _from_pretrained(KangarooVisionModel, source, found.weights, dtype, {})
        return own
    header = trunk(identity.read_header(found.weights))
    shapes = {name: tensor.shape for name, tensor in header.items()}
    if odd := [f"{name} is {item.dtype}" for name, item in header.items() if item.dtype not in FLOATS]:
        raise WeightsError(f"{source}: {', '.join(odd)}; weights must be of {', '.join(FLOATS)}")
    config = timm_config(shapes, found.config, source)
    with torch.device("meta"):
        vision = KangarooVisionModel(config)
    check_shapes(shapes, to_timm({name: item.shape for name, item in vision.state_dict().items()}), source)
    with safe_open(found.weights, framework="pt") as file:
        stored = {name for name in file.keys()}  # noqa: SIM118  (the file is no mapping)
        prefix = _TRUNK if any(name.startswith(_TRUNK) for name in stored) else ""
        state = {name: file.get_tensor(prefix + name).to(dtype) for name in shapes}
    vision.load_state_dict(from_timm(state), strict=True, assign=True)
    check_numbers(vision, source)
    return vision


def read_llm(source: str | Path | sources.LLMSource, *, dtype: torch.dtype = torch.float32) -> Any:
    """A Llama from a folder, a hub id or a GGUF file, whose weights are unpacked to `dtype`."""
    found = sources.find_llm(source)
    language = _from_pretrained(LlamaForCausalLM, source, found.folder, dtype, found.options)
    if found.gguf:
        # The file was quantised; the weights in memory, and those saved from them, are not.
        del language.config.quantization_config, language.hf_quantizer, language.quantization_method
        language.is_quantized = False
    return language


def _from_pretrained(
    kind: Any, source: object, folder: Path, dtype: torch.dtype, options: dict[str, Any]
) -> Any:
    """transformers' loader, strict."""
    try:
        with _no_progress_bar():
            loaded = kind.from_pretrained(
                str(folder), dtype=dtype, ignore_mismatched_sizes=True, output_loading_info=True, **options
            )
    except ImportError as error:
        raise UserError(f"{source}: {first_line(error)}; GGUF needs: pip install gguf accelerate") from error
    except (*sources.MISTAKES, RuntimeError, SafetensorError) as error:
        raise UserError(f"{source}: cannot be loaded ({first_line(error)})") from error
    model, info = loaded
    shapes = {name: (tuple(theirs), tuple(ours)) for name, theirs, ours in info["mismatched_keys"]}
    found = {name: theirs for name, (theirs, _) in shapes.items()} | dict.fromkeys(
        info["unexpected_keys"], ()
    )
    wanted = {name: ours for name, (_, ours) in shapes.items()} | dict.fromkeys(info["missing_keys"], ())
    check_shapes(found, wanted, source)
    check_numbers(model, source)
    return model


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    shown = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()
