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
    tokens; `batch` counts samples, or packs where the stage packs (the paper does not say which); `lr` is the initial
    learning rate, falling to `minimum_lr` along a cosine. `patch`: side of the encoder's patches in pixels.
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
    minimum_lr: float = MINIMUM_LR
    patch: int = PATCH

    def __post_init__(self) -> None:
        if self.resolution % self.patch:
            raise UserError(
                f"stage {self.name}: resolution {self.resolution} is not a multiple of {self.patch}"
            )
        if self.visual_tokens() > self.llm_sequence:
            raise UserError(
                f"stage {self.name}: {self.visual_tokens()} visual tokens do not fit a sequence of {self.llm_sequence}"
            )

    @property
    def vision_sequence(self) -> int:
        """Patch tokens of one frame (the class token is dropped)."""
        return (self.resolution // self.patch) ** 2

    @property
    def previous(self) -> str | None:
        """The stage that this one goes on from; None for the first, which starts from public checkpoints."""
        return None if self.projector_init == "random" else self.projector_init

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
NAMES = tuple(stage.name for stage in STAGES)


def table(stages: tuple[Stage, ...] = STAGES) -> list[list[str]]:
    """Table II: a header, then one row a setting with its value in each stage."""

    def number(value: float) -> str:
        return f"{value:g}" if value >= 1 else f"{value:.0e}".replace("e-0", "e-")

    rows: list[tuple[str, list[str]]] = [
        ("ViT init", [stage.vision_init for stage in stages]),
        ("LLM init", [stage.llm_init for stage in stages]),
        ("projector init", [stage.projector_init for stage in stages]),
        ("patchify init", [stage.patchify_init or "-" for stage in stages]),
        ("trains", [", ".join(part for part in _ORDER if part in stage.trains) for stage in stages]),
        ("resolution", [str(stage.resolution) for stage in stages]),
        ("ViT sequence", [str(stage.vision_sequence) for stage in stages]),
        ("LLM sequence", [_thousands(stage.llm_sequence) for stage in stages]),
        ("frames, at most", [str(stage.frames) for stage in stages]),
        ("warm-up steps", [str(stage.warmup_steps) for stage in stages]),
        ("global batch", [str(stage.batch) for stage in stages]),
        ("pipeline parallel", [str(stage.pipeline_parallel) for stage in stages]),
        ("sequence packing", ["yes" if stage.packing else "no" for stage in stages]),
        ("initial LR", [number(stage.lr) for stage in stages]),
        ("minimum LR", [number(stage.minimum_lr) for stage in stages]),
        ("gradient clip", [str(CLIP_NORM)] * len(stages)),
        ("weight decay (AdamW)", [str(WEIGHT_DECAY)] * len(stages)),
        ("layer decay (ViT)", [str(VISION_LAYER_DECAY)] * len(stages)),
        ("ViT drop path", ["0"] * len(stages)),
        ("precision", ["bfloat16"] * len(stages)),
    ]
    return [["", *(stage.name for stage in stages)], *([name, *cells] for name, cells in rows)]


_ORDER = ("vision", "patchify", "projector", "visual_tokens", "llm")


def _thousands(tokens: int) -> str:
    """As the paper writes it: 10K for 10,240."""
    return f"{tokens // 1024}K" if tokens >= 8192 and tokens % 1024 == 0 else str(tokens)
