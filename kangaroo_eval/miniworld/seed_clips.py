"""What both SEED-Benches have of videos: clips as 8 pictures, and rows of four choices."""

from __future__ import annotations

from dataclasses import replace

from kangaroo_eval.miniworld import facts_ego, facts_more, facts_time
from kangaroo_eval.miniworld.clips import cut_in_last
from kangaroo_eval.miniworld.facts import Builder, synopsis
from kangaroo_eval.miniworld.questions import LETTERS, Question, TaskType, world_with
from kangaroo_eval.miniworld.stills import Still
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import Recipe, World

_WHOLE = Recipe(name="whole", seconds=12.0, events=4, scenes=3)
_ACTION = Recipe(
    name="action", seconds=6.0, events=1, scenes=1, may=("stay", "cross", "grow", "shrink", "recolour")
)
_ACTS = Recipe(name="kitchen", seconds=12.0, events=3, scenes=1, pattern="ego")
_STEPS = Recipe(name="steps", seconds=12.0, events=3, scenes=1)

DIMENSIONS: dict[str, tuple[Recipe, tuple[Builder, ...]]] = {
    "Global Video Understanding": (_WHOLE, (synopsis, facts_time.place_order)),
    "Action Recognition": (_ACTION, (facts_more.activity,)),
    "Action Prediction": (_ACTS, (facts_ego.next_act,)),
    "Procedure Understanding": (_STEPS, (facts_time.event_order,)),
}
"""Dimension -> recipe and what makes its questions. A prediction's video ends as the next act begins."""
FRAMES = 8
_TEXTS = {
    "Action Recognition": "what is the action being carried out in the video?",
    "Action Prediction": "please anticipate what action will occur following the end of this video.",
    "Procedure Understanding": "can you identify the sequence of actions in this video and list them in order?",
}
"""The original asks all questions of a dimension in the same words."""


def clip_of(where: str, dimension: str) -> tuple[World, Question]:
    """A world and its question."""
    recipe, builders = DIMENSIONS[dimension]
    kind = TaskType(dimension, builders)
    if dimension == "Action Prediction":
        world, (question,) = world_with(where, recipe, (kind,), change=cut_in_last)
    else:
        world, (question,) = world_with(where, recipe, (kind,))
    return world, replace(question, text=_TEXTS.get(dimension, question.text))


def stills(world: World) -> list[Still]:
    """The middle of each eighth of the video."""
    return [Still(world, (k + 0.5) * world.seconds / FRAMES) for k in range(FRAMES)]


def choices(question: Question) -> dict[str, str]:
    """The fields `answer` and `choice_a` to `choice_d`."""
    named = {f"choice_{a.lower()}": sentence(o) for a, o in zip(LETTERS, question.options, strict=False)}
    return {"answer": LETTERS[question.right], **named}
