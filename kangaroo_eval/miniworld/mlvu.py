"""The mini MLVU Dev: seven multiple-choice tasks, 2 videos of 2 questions each, in the official layout."""

from __future__ import annotations

import json
from dataclasses import replace

from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.questions import Question, balanced, world_with
from kangaroo_eval.miniworld.recipes import MLVU as RECIPES
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import World

SEED = "mini/mlvu/1"

_TASKS = {
    "1_plotQA": ("plotQA", "plot"),
    "2_needle": ("findNeedle", "needle"),
    "3_ego": ("ego", "ego"),
    "4_count": ("count", "count"),
    "5_order": ("order", "order"),
    "6_anomaly_reco": ("anomaly_reco", "surveil"),
    "7_topic_reasoning": ("topic_reasoning", "topic"),
}
"""Stem of the annotation file -> its question_type, and what its videos' names begin with."""


def plan(seed: str = SEED) -> Plan:
    """What `mlvu/` holds, for a seed."""
    videos: dict[str, World] = {}
    slots: list[tuple[str, str, World]] = []
    asked: list[Question] = []
    for stem, (question_type, prefix) in _TASKS.items():
        for k in (1, 2):
            where = f"{seed}/{stem}/{k}"
            seconds = 130 + Dice(where).below(101) / 2
            recipe = replace(RECIPES[stem], seconds=seconds)
            world, found = world_with(where, recipe, (question_type,), each=2)
            videos[f"video/{stem}/{prefix}_{k}.mp4"] = world
            slots += [(stem, f"{prefix}_{k}.mp4", world)] * 2
            asked += found
    rows: dict[str, list[dict[str, object]]] = {stem: [] for stem in _TASKS}
    for (stem, video, world), question in zip(slots, balanced(asked, seed), strict=True):
        rows[stem].append(_row(video, world, question))
    texts = {f"json/{stem}.json": json.dumps(rows[stem], indent=4).encode() for stem in _TASKS}
    return Plan(seed, texts, videos)


def _row(video: str, world: World, question: Question) -> dict[str, object]:
    """A row as MLVU writes it: the answer is a text, and a whole number of seconds is an int."""
    return {
        "video": video,
        "duration": int(world.seconds) if world.seconds == int(world.seconds) else world.seconds,
        "question": sentence(question.text),
        "candidates": [sentence(option) for option in question.options],
        "answer": sentence(question.answer),
        "question_type": question.type,
    }
