"""Recipes: the five stages at a scale, from the paper's own to one that a laptop trains in an hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.config import TIME_EMBEDDINGS
from kangaroo_eval.train.frame_budget import FrameBudget
from kangaroo_eval.train.stages import IMAGE, INSTRUCTION, LONG, REFINEMENT, STAGES, VIDEO, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage of a recipe: its column of Table II, and what the table does not say.

    `steps`: None is one pass over the data. `budget`: how many frames of which video. `mixture`: made lessons by
    weight (`lessons.LESSONS`), or nothing, and then the data is the user's. `micro_batch`: documents of one forward
    pass where the stage does not pack; with packing a pack is one. `pack_frames`: the most frames in a pack.
    `time_embedding`: what the network has from this stage on in place of the paper's (`KangarooConfig`), for ablations;
    None leaves it. `spelt`: the weight, against a target's of 1, with which each visual token of a made lesson is drawn to
    what stood there when the LLM read such videos spelt out (`spelling`); the paper's stages have nothing like it. `fit`: the
    micro-batches or packs of made lessons on which the projector is set before the first step, by least squares to the same
    end (`fitting`); 0 leaves it as it comes.
    """

    stage: Stage
    steps: int | None
    budget: FrameBudget
    mixture: Mapping[str, float] = field(default_factory=dict)
    micro_batch: int = 1
    pack_frames: int = 0
    time_embedding: str | None = None
    spelt: float = 0.0
    fit: int = 0

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.stage.name


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a warm-up, up to the share `until` of its steps: its lessons by weight, how many in a batch and how
    many frames of a video (None: as the warm-up says)."""

    until: float
    mixture: Mapping[str, float]
    batch: int | None = None
    budget: FrameBudget | None = None


def at_progress(phases: Sequence[Phase], progress: float) -> Phase:
    """The phase after the share `progress` of the steps; the last one at the end."""
    return next((phase for phase in phases if progress < phase.until), phases[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """Stage 0, which is this project's and not the paper's: what stands in for public checkpoints where the parts
    start from nothing. `steps` of `batch` lessons: "words" teaches the LLM with spelt-out videos of `budget` frames, "sight"
    the vision encoder with pictures whose every patch is labelled. `heads`: some of the LLM's are set by hand first
    (`start.set_heads`). `muon`: its matrices are trained by Muon and not by AdamW."""

    kind: str
    steps: int
    batch: int
    lr: float
    phases: tuple[Phase, ...]
    warmup_steps: int = 20
    heads: bool = False
    muon: bool = False
    budget: FrameBudget = field(default_factory=lambda: FrameBudget(least=16, most=16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """`model`: a preset of `model.config`, or "components" (public checkpoints that the user names). `dtype`:
    "float32" or "bfloat16" (autocast over fp32 weights). `lessons`: made lessons of each kind that the five stages
    draw from."""

    name: str
    about: str
    model: str
    stages: tuple[StagePlan, ...]
    warmups: tuple[WarmUp, ...] = ()
    dtype: str = "bfloat16"
    seed: int = 0
    lessons: int = 1_000_000

    def plan(self, stage: str) -> StagePlan:
        """One stage's plan. UserError for an unknown one."""
        for plan in self.stages:
            if plan.name == stage:
                return plan
        raise UserError(f"no stage {stage!r}: choose among {', '.join(plan.name for plan in self.stages)}")

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values, in an order that does not change."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def plain(value: Any) -> Any:
    """Values as JSON has them, sets in order."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


PICTURE = FrameBudget(least=1, most=1)
PAPER_8B = Recipe(
    name="paper-8b",
    about="Table II as printed: EVA-02 CLIP-L/14 and Llama-3-8B-Instruct",
    model="components",
    stages=(
        StagePlan(stage=IMAGE, steps=None, budget=PICTURE, micro_batch=16),
        StagePlan(stage=VIDEO, steps=None, budget=FrameBudget(least=8, most=8), micro_batch=4),
        StagePlan(stage=REFINEMENT, steps=None, budget=FrameBudget(least=16, most=16), micro_batch=2),
        StagePlan(stage=INSTRUCTION, steps=None, budget=FrameBudget(), pack_frames=64),
        StagePlan(stage=LONG, steps=None, budget=FrameBudget(least=64, most=160), pack_frames=160),
    ),
)
"""Steps follow from the data: one pass. At the paper's sizes 73 K, 469 K, 54 K, 17.5 K and 5.5 K."""


def ablated(recipe_: Recipe, *, frames: int | None = None, time_embedding: str | None = None) -> Recipe:
    """The recipe with a fixed number of `frames` of every video in place of its dynamic sampling, and with another time
    embedding. UserError for a number of frames that no budget can have, or an unknown embedding."""
    if time_embedding not in (None, *TIME_EMBEDDINGS):
        raise UserError(f"time embedding {time_embedding!r}: choose among {', '.join(TIME_EMBEDDINGS)}")
    plans = recipe_.stages
    if frames is not None:
        fixed = FrameBudget(least=frames, most=frames)
        plans = tuple(plan if plan.budget.most == 1 else replace(plan, budget=fixed) for plan in plans)
    if time_embedding is not None:
        plans = tuple(replace(plan, time_embedding=time_embedding) for plan in plans)
    return replace(recipe_, stages=plans)


def scaled(stage: Stage, **changes: Any) -> Stage:
    """A column of Table II at another scale; what trains, where it starts from and whether it packs stays."""
    kept = {"name", "trains", "projector_init", "patchify_init", "packing"}
    if wrong := sorted(kept & set(changes)):
        raise UserError(f"{', '.join(wrong)} of stage {stage.name} are what makes it that stage: they stay")
    return replace(stage, **changes)


_SMOL = {"llm_init": "SmolLM2-135M-Instruct", "pipeline_parallel": 1}
KANGAROO_135M = Recipe(
    name="kangaroo-135m",
    about="SmolLM2-135M-Instruct with a 22 M encoder on the mini world: for one GPU",
    model="components",
    warmups=(
        WarmUp(
            kind="sight",
            steps=4000,
            batch=256,
            lr=1e-3,
            warmup_steps=200,
            phases=(Phase(1.0, {"pictures": 1}),),
        ),
    ),
    stages=(
        StagePlan(
            stage=scaled(
                IMAGE, **_SMOL, vision_init="sight", resolution=112, batch=128, lr=1e-3, warmup_steps=100
            ),
            steps=1500,
            budget=PICTURE,
            mixture={"pictures": 1},
            micro_batch=64,
        ),
        StagePlan(
            stage=scaled(VIDEO, **_SMOL, resolution=112, batch=64, lr=5e-4, warmup_steps=100),
            steps=2000,
            budget=FrameBudget(fps=2, least=8, most=8),
            mixture={"clips": 3, "pictures": 1},
            micro_batch=16,
        ),
        StagePlan(
            stage=scaled(REFINEMENT, **_SMOL, resolution=224, batch=64, lr=5e-4),
            steps=2000,
            budget=FrameBudget(fps=2, least=16, most=16),
            mixture={"clips": 1},
            micro_batch=8,
        ),
        StagePlan(
            stage=scaled(INSTRUCTION, **_SMOL, resolution=224, llm_sequence=8192, batch=16, lr=1e-4),
            steps=4000,
            budget=FrameBudget(fps=2, least=16, most=64, short_share=0.3),
            mixture={"quiz": 4, "long": 1, "clips": 1},
            pack_frames=192,
        ),
        StagePlan(
            stage=scaled(LONG, **_SMOL, resolution=224, llm_sequence=8192, batch=16, lr=5e-5),
            steps=1000,
            budget=FrameBudget(fps=1, least=64, most=160, short_share=0.0),
            mixture={"long": 3, "quiz": 1},
            pack_frames=192,
        ),
    ),
)

_TINY = {"llm_init": "words", "patch": 8, "pipeline_parallel": 1, "minimum_lr": 1e-5}
KANGAROO_TINY = Recipe(
    name="kangaroo-tiny",
    about="the bundled model: everything from nothing, on the mini world, on two CPU cores",
    model="kangaroo_tiny",
    warmups=(
        WarmUp(
            kind="words",
            steps=2200,
            batch=9,
            lr=2e-3,
            warmup_steps=40,
            heads=True,
            muon=True,
            budget=FrameBudget(fps=4, least=16, most=64, short_share=0.8),
            phases=(
                Phase(0.08, {"options": 2, "choices": 1, "told": 2}, batch=32),
                # Half the frames first: videos cost half as much, and twice as many teach more.
                Phase(
                    0.6,
                    {"drill": 6, "signs": 1.5, "pictures": 1, "options": 2, "choices": 1, "told": 2},
                    batch=11,
                    budget=FrameBudget(fps=2, least=16, most=32),
                ),
                Phase(
                    1.0,
                    {
                        "drill": 4,
                        "quiz": 3,
                        "long": 0.5,
                        "clips": 0.5,
                        "signs": 0.7,
                        "pictures": 0.5,
                        "options": 1,
                        "choices": 1,
                        "told": 1,
                    },
                ),
            ),
        ),
        WarmUp(
            kind="sight",
            steps=2000,
            batch=64,
            lr=2e-3,
            phases=(Phase(1.0, {"pictures": 4, "signs": 1, "clips": 2}),),
        ),
    ),
    stages=(
        StagePlan(
            stage=scaled(
                IMAGE,
                **_TINY,
                vision_init="sight",
                resolution=32,
                llm_sequence=512,
                batch=48,
                lr=2e-3,
                warmup_steps=20,
            ),
            steps=200,
            budget=PICTURE,
            mixture={"pictures": 3, "signs": 1},
            micro_batch=48,
            spelt=2.0,
            fit=20,
        ),
        StagePlan(
            stage=scaled(
                VIDEO, **_TINY, resolution=32, llm_sequence=2048, batch=12, lr=1e-3, warmup_steps=20
            ),
            steps=120,
            budget=FrameBudget(fps=1, least=8, most=8),
            mixture={"clips": 2, "drill": 2, "pictures": 1, "signs": 1},
            micro_batch=12,
            spelt=2.0,
        ),
        StagePlan(
            stage=scaled(REFINEMENT, **_TINY, resolution=64, llm_sequence=2048, frames=16, batch=12, lr=1e-3),
            steps=320,
            budget=FrameBudget(fps=1, least=16, most=16),
            mixture={"clips": 2, "drill": 4, "signs": 2},
            micro_batch=12,
            spelt=2.0,
            fit=20,
        ),
        StagePlan(
            stage=scaled(
                INSTRUCTION,
                **{**_TINY, "llm_init": "words"},
                resolution=64,
                llm_sequence=4096,
                batch=1,
                lr=5e-4,
            ),
            steps=420,
            budget=FrameBudget(fps=4, least=16, most=64, short_share=0.8),
            mixture={
                "drill": 4,
                "quiz": 6,
                "long": 1,
                "clips": 1,
                "signs": 0.5,
                "pictures": 0.5,
                "options": 1,
                "choices": 1.5,
                "told": 1.5,
            },
            pack_frames=192,
            fit=40,
        ),
        StagePlan(
            stage=scaled(
                LONG,
                **{**_TINY, "llm_init": "instruction"},
                resolution=64,
                llm_sequence=4096,
                batch=1,
                lr=2e-4,
            ),
            steps=60,
            budget=FrameBudget(fps=1, least=64, most=160),
            mixture={"long": 3, "quiz": 1},
            pack_frames=192,
        ),
    ),
)

_SMOKE = {**_TINY, "batch": 4, "lr": 5e-3}
SMOKE = Recipe(
    name="smoke",
    about="all five stages in a minute or two, on a handful of lessons: for tests",
    model="kangaroo_smoke",
    dtype="float32",
    lessons=4,
    warmups=(
        WarmUp(
            kind="words",
            steps=16,
            batch=4,
            lr=2e-3,
            warmup_steps=2,
            muon=True,
            phases=(Phase(1.0, {"clips": 1}),),
        ),
        WarmUp(
            kind="sight", steps=12, batch=8, lr=2e-3, warmup_steps=2, phases=(Phase(1.0, {"pictures": 1}),)
        ),
    ),
    stages=(
        StagePlan(
            stage=scaled(
                IMAGE, **_SMOKE, vision_init="sight", resolution=32, llm_sequence=512, warmup_steps=2
            ),
            steps=20,
            budget=PICTURE,
            mixture={"pictures": 1},
            micro_batch=4,
        ),
        StagePlan(
            stage=scaled(VIDEO, **_SMOKE, resolution=32, llm_sequence=1024, frames=4, warmup_steps=2),
            steps=20,
            budget=FrameBudget(least=4, most=4),
            mixture={"clips": 1},
            micro_batch=2,
        ),
        StagePlan(
            stage=scaled(REFINEMENT, **_SMOKE, resolution=64, llm_sequence=1024, frames=8),
            steps=20,
            budget=FrameBudget(least=8, most=8),
            mixture={"second": 1},
            micro_batch=4,
        ),
        StagePlan(
            stage=scaled(
                INSTRUCTION, **{**_SMOKE, "batch": 2, "lr": 2e-3}, resolution=64, llm_sequence=3072, frames=16
            ),
            steps=12,
            budget=FrameBudget(least=8, most=16),
            mixture={"quiz": 1},
            pack_frames=64,
        ),
        StagePlan(
            stage=scaled(
                LONG,
                **{**_SMOKE, "llm_init": "instruction", "batch": 2, "lr": 2e-3},
                resolution=64,
                llm_sequence=3072,
                frames=24,
            ),
            steps=12,
            budget=FrameBudget(least=16, most=24),
            mixture={"long": 1},
            pack_frames=64,
        ),
    ),
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (PAPER_8B, KANGAROO_135M, KANGAROO_TINY, SMOKE)
}


def recipe(name: str) -> Recipe:
    """A recipe by name. UserError for an unknown one."""
    if name not in RECIPES:
        raise UserError(f"no recipe {name!r}: choose among {', '.join(RECIPES)}")
    return RECIPES[name]


def check(recipe_: Recipe) -> None:
    """UserError unless the stages are the paper's, in its order."""
    found = [plan.name for plan in recipe_.stages]
    wanted = [stage.name for stage in STAGES]
    if found != wanted:
        raise UserError(f"recipe {recipe_.name}: stages {', '.join(found)}; they are {', '.join(wanted)}")
