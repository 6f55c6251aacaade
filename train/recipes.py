"""The recipes there are: the paper's own, and three that the mini world trains."""

from __future__ import annotations

from kangaroo_eval.errors import UserError
from kangaroo_eval.train.frame_budget import FrameBudget
from kangaroo_eval.train.recipe import Phase, Recipe, StagePlan, WarmUp, scaled
from kangaroo_eval.train.stages import IMAGE, INSTRUCTION, LONG, REFINEMENT, VIDEO

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
            steps=2400,
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
                    0.2,
                    {"drill": 6, "signs": 1.5, "pictures": 1, "options": 2, "choices": 1, "told": 2},
                    batch=11,
                    budget=FrameBudget(fps=2, least=16, most=32),
                ),
                # Counting, and signs that are not the only one, come once things are told apart.
                Phase(
                    0.6,
                    {
                        "drill": 6,
                        "counts": 2,
                        "boards": 2,
                        "signs": 1,
                        "pictures": 1,
                        "options": 2,
                        "choices": 1,
                        "told": 2,
                    },
                    batch=11,
                    budget=FrameBudget(fps=2, least=16, most=32),
                ),
                Phase(
                    1.0,
                    {
                        "drill": 4,
                        "counts": 2,
                        "boards": 1.5,
                        "quiz": 3,
                        "long": 1,
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
                "counts": 1.5,
                "boards": 1,
                "quiz": 6,
                "long": 2,
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
            steps=80,
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
