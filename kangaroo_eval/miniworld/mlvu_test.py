"""The mini MLVU Test in the official layout: nine tasks of six options, 1 video of 2 questions each.

The official file came without answers; they were released later, in the texts that stand here under `answer`.
"""

from __future__ import annotations

from dataclasses import replace

from kangaroo_eval.miniworld import facts, facts_ego, facts_long, facts_more
from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.facts import Builder
from kangaroo_eval.miniworld.layout import json_of, options_of, right_of, seconds_between
from kangaroo_eval.miniworld.questions import Question, TaskType, balanced, world_with
from kangaroo_eval.miniworld.recipes import MLVU as RECIPES
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import Recipe, World

SEED = "mini/mlvu_test/1"

_SPORT = Recipe(
    name="sport", seconds=100.0, events=10, scenes=2, must=("cross", "stop"), may=("cross", "stop")
)
_TASKS: dict[str, tuple[str, Recipe, tuple[Builder, ...]]] = {
    "AR": ("anomaly_reco", RECIPES["6_anomaly_reco"], (facts_long.oddity, facts_more.odd_event)),
    "AC": (
        "count",
        RECIPES["4_count"],
        (facts_more.with_numbers(facts.times), facts_more.with_numbers(facts.how_many)),
    ),
    "ER": ("ego", RECIPES["3_ego"], (facts_long.ego_ends, facts_long.ego_colour)),
    "NQA": (
        "needleQA",
        RECIPES["2_needle"],
        (facts_more.sign_text, facts.colour_of_sign, facts.place_of_sign),
    ),
    "AO": ("order", RECIPES["5_order"], (facts.order, facts.neighbours)),
    "PQA": (
        "plotQA",
        RECIPES["1_plotQA"],
        (facts.action, facts.colour_in_place, facts.meets, facts.place_of_thing),
    ),
    "SQA": ("sportsQA", _SPORT, (facts.action, facts.neighbours)),
    "TR": ("topic_reasoning", RECIPES["7_topic_reasoning"], (facts_more.topic, facts_long.topic_place)),
    "TQA": ("tutorialQA", RECIPES["3_ego"], (facts_long.ego_after, facts_ego.ego_order)),
}
"""What the ids begin with -> question_type, recipe, what makes the questions."""


def plan(seed: str = SEED) -> Plan:
    """What `mlvu_test/` holds, for a seed."""
    videos: dict[str, World] = {}
    asked: list[Question] = []
    for prefix, (name, base, builders) in _TASKS.items():
        where = f"{seed}/{prefix}"
        recipe = replace(base, seconds=seconds_between(where, 90, 120))
        world, found = world_with(where, recipe, (TaskType(prefix, builders, 6),), each=2)
        videos[f"video/{_video(name)}"] = world
        asked += found
    rows = [_row(i % 2, question) for i, question in enumerate(balanced(asked, seed))]
    return Plan(seed, {"test_mcq.json": json_of(rows)}, videos)


def _video(name: str) -> str:
    return f"test_{name}_1.mp4"


def _row(number: int, question: Question) -> dict[str, object]:
    name = _TASKS[question.type][0]
    return {
        "question_id": f"{question.type}_{number}",
        "question_type": name,
        "video": _video(name),
        "question": sentence(question.text),
        "candidates": options_of(question),
        "answer": right_of(question),
    }
