"""What a recipe is: the five stages at a scale, what stands before the first, and how both are changed for ablations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.config import TIME_EMBEDDINGS
from kangaroo_eval.train.frame_budget import FrameBudget
from kangaroo_eval.train.stages import STAGES, Stage


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


def check(recipe_: Recipe) -> None:
    """UserError unless the stages are the paper's, in its order."""
    found = [plan.name for plan in recipe_.stages]
    wanted = [stage.name for stage in STAGES]
    if found != wanted:
        raise UserError(f"recipe {recipe_.name}: stages {', '.join(found)}; they are {', '.join(wanted)}")
