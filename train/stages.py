"""The five training stages of the paper (Section IV.B, Table II), as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kangaroo_eval.errors import UserError

Part = Literal["vision", "patchify", "projector", "visual_tokens", "llm"]
MINIMUM_LR = 1e-6
CLIP_NORM = 1.0
WEIGHT_DECAY = 0.05
VISION_LAYER_DECAY = 0.9
PATCH = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One column of Table II.

    `trains` are the parts with gradients; the `*_init` fields name the earlier stage (or public checkpoint) a
    part starts from, None where the part does not exist yet. `resolution` in pixels; sequence lengths in
    tokens; `lr` is the initial learning rate, falling to `MINIMUM_LR` along a cosine.
    """

    name: str
    trains: frozenset[Part]
    vision_init: str
    llm_init: str
    projector_init: str
    patchify_init: str | None
    resolution: int
    llm_sequence: int
    frames: int
    warmup_steps: int
    batch: int
    pipeline_parallel: int
    packing: bool
    lr: float

    def __post_init__(self) -> None:
        if self.resolution % PATCH:
            raise UserError(f"stage {self.name}: resolution {self.resolution} is not a multiple of {PATCH}")
        if self.visual_tokens() > self.llm_sequence:
            raise UserError(
                f"stage {self.name}: {self.visual_tokens()} visual tokens do not fit a sequence of {self.llm_sequence}"
            )

    @property
    def vision_sequence(self) -> int:
        """Patch tokens of one frame (the class token is dropped)."""
        return (self.resolution // PATCH) ** 2

    def visual_tokens(self) -> int:
        """Tokens that the language model gets for a video of `frames` frames, special tokens not counted:
        patchify merges 2 x 2 x 2 of them into one where the stage has it."""
        tokens = self.vision_sequence * self.frames
        return tokens if self.patchify_init is None else tokens // 8


_LLAMA = "Llama3-8B-Instruct"
_VISUAL: frozenset[Part] = frozenset({"vision", "projector", "visual_tokens"})

IMAGE = Stage(
    name="image",
    trains=_VISUAL,
    vision_init="EVA02-CLIP-L-14",
    llm_init=_LLAMA,
    projector_init="random",
    patchify_init=None,
    resolution=224,
    llm_sequence=512,
    frames=1,
    warmup_steps=1000,
    batch=4096,
    pipeline_parallel=1,
    packing=False,
    lr=1e-4,
)
VIDEO = Stage(
    name="video",
    trains=_VISUAL,
    vision_init="image",
    llm_init=_LLAMA,
    projector_init="image",
    patchify_init=None,
    resolution=224,
    llm_sequence=2560,
    frames=8,
    warmup_steps=1000,
    batch=128,
    pipeline_parallel=1,
    packing=False,
    lr=3e-5,
)
REFINEMENT = Stage(
    name="refinement",
    trains=_VISUAL | {"patchify"},
    vision_init="video",
    llm_init=_LLAMA,
    projector_init="video",
    patchify_init="uniform",
    resolution=448,
    llm_sequence=2560,
    frames=16,
    warmup_steps=0,
    batch=128,
    pipeline_parallel=1,
    packing=False,
    lr=3e-5,
)
INSTRUCTION = Stage(
    name="instruction",
    trains=_VISUAL | {"patchify", "llm"},
    vision_init="refinement",
    llm_init=_LLAMA,
    projector_init="refinement",
    patchify_init="refinement",
    resolution=448,
    llm_sequence=10240,
    frames=64,
    warmup_steps=0,
    batch=128,
    pipeline_parallel=4,
    packing=True,
    lr=1e-5,
)
LONG = Stage(
    name="long",
    trains=INSTRUCTION.trains - {"vision"},
    vision_init="instruction",
    llm_init="instruction",
    projector_init="instruction",
    patchify_init="instruction",
    resolution=448,
    llm_sequence=22528,
    frames=160,
    warmup_steps=0,
    batch=128,
    pipeline_parallel=4,
    packing=True,
    lr=1e-5,
)
STAGES = (IMAGE, VIDEO, REFINEMENT, INSTRUCTION, LONG)
