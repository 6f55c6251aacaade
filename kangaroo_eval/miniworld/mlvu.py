"""The mini MLVU Dev in the official layout: seven multiple-choice tasks and two of free generation.

Each has 2 videos; a multiple-choice video has 2 questions, one for sub-scene captioning 2, for a summary 1.
"""

from __future__ import annotations

from dataclasses import replace

from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.captions import caption, told
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.layout import json_of, length, options_of, right_of, seconds_between
from kangaroo_eval.miniworld.questions import Question, balanced, world_with
from kangaroo_eval.miniworld.recipes import MLVU as RECIPES
from kangaroo_eval.miniworld.words import say, sentence
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
_SUB_SCENE, _SUMMARY = "8_sub_scene", "9_summary"


def plan(seed: str = SEED) -> Plan:
    """What `mlvu/` holds, for a seed."""
    videos: dict[str, World] = {}
    slots: list[tuple[str, str, World]] = []
    asked: list[Question] = []
    for stem, (question_type, prefix) in _TASKS.items():
        for k in (1, 2):
            where = f"{seed}/{stem}/{k}"
            recipe = replace(RECIPES[stem], seconds=seconds_between(where, 130, 180))
            world, found = world_with(where, recipe, (question_type,), each=2)
            videos[f"video/{stem}/{prefix}_{k}.mp4"] = world
            slots += [(stem, f"{prefix}_{k}.mp4", world)] * 2
            asked += found
    rows: dict[str, list[dict[str, object]]] = {stem: [] for stem in (*_TASKS, _SUB_SCENE, _SUMMARY)}
    for (stem, video, world), question in zip(slots, balanced(asked, seed), strict=True):
        rows[stem].append(_row(video, world, question))
    for k in (1, 2):
        for stem, make_rows in ((_SUB_SCENE, _sub_scenes), (_SUMMARY, _summary)):
            name = f"{stem.partition('_')[2]}_{k}.mp4"
            world = _story(f"{seed}/{stem}/{k}")
            videos[f"video/{stem}/{name}"] = world
            rows[stem] += make_rows(name, world)
    return Plan(seed, {f"json/{stem}.json": json_of(rows[stem]) for stem in rows}, videos)


def _row(video: str, world: World, question: Question) -> dict[str, object]:
    """A row as MLVU writes it: the answer is a text."""
    return {
        "video": video,
        "duration": length(world),
        "question": sentence(question.text),
        "candidates": options_of(question),
        "answer": right_of(question),
        "question_type": question.type,
    }


def _story(where: str) -> World:
    recipe = replace(RECIPES["1_plotQA"], name="story", seconds=seconds_between(where, 130, 180))
    return make_world(where, recipe)


def _sub_scenes(video: str, world: World) -> list[dict[str, object]]:
    """Two rows: what happens in one place; every sentence of the answer is a scoring point."""
    scenes = Dice(f"{world.seed}/sub").shuffled(world.scenes)[:2]
    return [
        {
            "video": video,
            "duration": length(world),
            "question": sentence(say("ask plot", place=scene.place)),
            "answer": " ".join(told(scene)),
            "question_type": "subPlot",
            "scoring_points": told(scene),
        }
        for scene in scenes
    ]


def _summary(video: str, world: World) -> list[dict[str, object]]:
    return [
        {
            "video": video,
            "duration": length(world),
            "question": sentence(say("ask summary")),
            "answer": caption(world),
            "question_type": "summary",
        }
    ]
