"""The options of `hf:MODEL`: how a transformers model is shown a video, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kangaroo_eval.errors import UserError
from kangaroo_eval.options import flag, positive, refuse_unknown

MODEL_ARGS = {
    "frames": "how frames are shown: 'video' (default), or 'images' for every frame as an image",
    "times": "with frames=images: 1 writes before each frame when it is shown (default 0)",
    "frame_size": "pixels of the frames' longer side (default: what the model's processor can use)",
    "max_pixels": "most pixels that a processor for pictures of any size keeps (of a frame or of the video: its own rule)",
    "min_pixels": "fewest of these",
    "system": "system turn where the benchmark prescribes none (default: the chat template's own)",
    "attn_implementation": "attention: 'sdpa', 'eager' or 'flash_attention_2' (default: transformers')",
    "device_map": "'auto' lays the layers out over all GPUs that are to be seen, for a model that one does not hold",
    "threads": "CPU threads of the arithmetic (default: torch's own number)",
    "revision": "branch, tag or commit of a repository of the hub",
}

Shown = Literal["video", "images"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HFOptions:
    """How a model is loaded and shown a video; each as in `MODEL_ARGS` (`spread`: device_map), and None for what the
    model's own files (or transformers, or torch) say."""

    shown: Shown = "video"
    times: bool = False
    frame_size: int | None = None
    max_pixels: int | None = None
    min_pixels: int | None = None
    system: str | None = None
    attn_implementation: str | None = None
    spread: bool = False
    threads: int | None = None
    revision: str | None = None

    def __post_init__(self) -> None:
        if self.times and self.shown == "video":
            raise UserError(
                "--model-args times=1: a video's times are told as the model's own processor does; add frames=images, "
                "or leave it out"
            )


def read_options(model_args: Mapping[str, Any]) -> HFOptions:
    """The options among `--model-args`, whose values are texts or Python's own. `UserError` names what is wrong."""
    refuse_unknown(model_args, MODEL_ARGS)
    found: dict[str, Any] = {
        name: positive(name, model_args[name])
        for name in ("frame_size", "max_pixels", "min_pixels", "threads")
        if model_args.get(name) is not None
    }
    found |= {
        name: str(model_args[name])
        for name in ("system", "attn_implementation", "revision")
        if model_args.get(name) is not None
    }
    if "times" in model_args:
        found["times"] = flag("times", model_args["times"])
    if model_args.get("device_map") is not None:
        found["spread"] = _spread(model_args["device_map"])
    return HFOptions(shown=_shown(model_args.get("frames", "video")), **found)


def _spread(value: object) -> bool:
    if value != "auto":
        raise UserError(f"--model-args device_map={value}: give auto, or leave it out for one device")
    return True


def _shown(value: object) -> Shown:
    if value not in ("video", "images"):
        raise UserError(f"frames {value!r}: choose video or images")
    return value
