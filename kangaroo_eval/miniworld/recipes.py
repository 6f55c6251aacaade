"""The kinds of worlds that there are: one recipe for each group of questions that fit together.

Lengths are those of the mini benchmarks; `dataclasses.replace(RECIPES["needle"], seconds=60.0, events=8)`
gives others to train on.
"""

from __future__ import annotations

from dataclasses import replace

from kangaroo_eval.miniworld.world import Kind, Recipe

_QUIET: tuple[Kind, ...] = ("stay", "group", "cross", "stop", "grow", "shrink")

SHORT = {
    "objects": Recipe(name="objects", seconds=12.0, events=4, scenes=2, must=("meet", "recolour")),
    "space": Recipe(name="space", seconds=12.0, events=4, scenes=2, must=("stay", "pair", "sign")),
    "actions": Recipe(name="actions", seconds=12.0, events=4, scenes=2, must=("meet",), may=_QUIET),
    "numbers": Recipe(name="numbers", seconds=12.0, events=4, scenes=2, must=("group",), may=_QUIET),
}
"""Four recipes of 12 s whose worlds have, together, all twelve task types of Video-MME."""

MLVU = {
    "1_plotQA": Recipe(name="plot", seconds=150.0, events=12, scenes=4, must=("meet", "recolour", "pair")),
    "2_needle": Recipe(name="needle", seconds=150.0, events=12, scenes=3, must=("sign",), needle=True),
    "3_ego": Recipe(name="ego", seconds=150.0, events=9, scenes=1, pattern="ego"),
    "4_count": Recipe(name="count", seconds=150.0, events=12, scenes=4, must=("group",), pattern="repeat"),
    "5_order": Recipe(name="order", seconds=150.0, events=10, scenes=3),
    "6_anomaly_reco": Recipe(name="anomaly", seconds=150.0, events=12, scenes=1, pattern="anomaly"),
    "7_topic_reasoning": Recipe(name="topic", seconds=150.0, events=10, scenes=3, pattern="topic"),
}
"""One recipe for each multiple-choice task of MLVU Dev, by the stem of its annotation file."""

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*SHORT.values(), *MLVU.values())}


def longer(recipe: Recipe, seconds: float, events: int, scenes: int) -> Recipe:
    """The same kind of world, narrated, at another length (seconds)."""
    return replace(recipe, seconds=seconds, events=events, scenes=scenes, narrated=True)
