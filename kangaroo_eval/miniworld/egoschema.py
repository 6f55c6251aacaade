"""The mini EgoSchema in the official layout: 6 first-person videos of one question, 4 of them in the subset.

A video takes 60 s and not the original's 180: nothing that reads the layout depends on it. The person is called
C, as there.
"""

from __future__ import annotations

import base64
import hashlib

from kangaroo_eval.miniworld import facts_ego
from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.facts import Builder
from kangaroo_eval.miniworld.layout import json_of, uuid_of
from kangaroo_eval.miniworld.questions import Question, TaskType, balanced, world_with
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import Recipe

SEED = "mini/egoschema/1"

_RECIPE = Recipe(name="c", seconds=60.0, events=8, scenes=1, pattern="ego")
_BUILDERS: tuple[Builder, ...] = (
    facts_ego.c_sum,
    facts_ego.c_order,
    facts_ego.c_after,
    facts_ego.c_ends,
    facts_ego.c_sum,
    facts_ego.c_order,
)
_SUBSET = 4


def plan(seed: str = SEED) -> Plan:
    """What `egoschema/` holds, for a seed."""
    made = [
        world_with(f"{seed}/{i}", _RECIPE, (TaskType("ego", (builder,), 5),))
        for i, builder in enumerate(_BUILDERS)
    ]
    asked = balanced([question for _, (question,) in made], seed)
    names = [uuid_of(f"{seed}/{i}") for i in range(len(made))]
    rows = [_row(name, question) for name, question in zip(names, asked, strict=True)]
    subset = {name: question.right for name, question in list(zip(names, asked, strict=True))[:_SUBSET]}
    texts = {"questions.json": json_of(rows), "subset_answers.json": json_of(subset)}
    return Plan(seed, texts, {f"videos/{name}.mp4": made[i][0] for i, name in enumerate(names)})


def _row(name: str, question: Question) -> dict[str, str]:
    drive = base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode()
    row = {"q_uid": name, "google_drive_id": f"1{drive[:32]}", "question": sentence(question.text)}
    return row | {f"option {i}": sentence(option, ".") for i, option in enumerate(question.options)}
