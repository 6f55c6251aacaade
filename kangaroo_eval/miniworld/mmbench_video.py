"""The mini MMBench-Video in the official layout: 15 open questions on 6 videos, all nine groups of its tree."""

from __future__ import annotations

import csv
import io

from kangaroo_eval.miniworld import facts, facts_long, facts_more, facts_time
from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.facts import Builder
from kangaroo_eval.miniworld.layout import names_of, right_of, type_of, video_id
from kangaroo_eval.miniworld.questions import Question, TaskType, world_with
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import Recipe

SEED = "mini/mmbench_video/1"

_COLUMNS = ("index", "video", "video_type", "question", "answer", "dimensions", "video_path")


def _kind(*dimensions: str, by: Builder) -> TaskType:
    """A type of open questions: their only option is the answer."""
    return type_of(dimensions, (by,), 1)


_VIDEOS: tuple[tuple[str, Recipe, tuple[TaskType, ...]], ...] = (
    (
        "Travel",
        Recipe(name="topic", seconds=30.0, events=6, scenes=3, pattern="topic"),
        (_kind("Video Topic", by=facts_long.topic), _kind("Video Scene", by=facts_long.topic_place)),
    ),
    (
        "Science",
        Recipe(name="signs", seconds=30.0, events=5, scenes=2, must=("sign", "group")),
        (
            _kind("OCR", by=facts.sign_text),
            _kind("Counting", by=facts.how_many),
            _kind(
                "Structuralized Image-Text Understanding", "Attribute Recognition", by=facts.colour_of_sign
            ),
        ),
    ),
    (
        "Knowledge",
        Recipe(name="objects", seconds=30.0, events=5, scenes=3),
        (
            _kind("Object Recognition", by=facts.thing_in_place),
            _kind("Hallucination", by=facts_more.absent),
            _kind("Common Sense Reasoning", by=facts_time.sense),
        ),
    ),
    (
        "Sports",
        Recipe(name="meetings", seconds=30.0, events=5, scenes=2, must=("meet", "cross")),
        (
            _kind("Event Recognition", by=facts.action),
            _kind("Physical Relation", by=facts.effect),
            _kind("Causal Reasoning", by=facts.why),
        ),
    ),
    (
        "Food & Drink",
        Recipe(name="cook", seconds=30.0, events=5, scenes=1, pattern="ego"),
        (_kind("Human-object Interaction", by=facts_long.ego_ends),),
    ),
    (
        "Music",
        Recipe(name="sizes", seconds=30.0, events=5, scenes=2, must=("pair", "group", "group", "grow")),
        (
            _kind("Spatial Relationship", by=facts.relation),
            _kind("Mathematical Calculation", by=facts_more.sum_of_two),
            _kind("Physical Property", by=facts_more.size),
        ),
    ),
)
"""Type of the video, its recipe, and what is asked about it by dimensions."""


def plan(seed: str = SEED) -> Plan:
    """What `mmbench_video/` holds, for a seed."""
    out = io.StringIO()
    table = csv.writer(out, delimiter="\t", lineterminator="\n")
    table.writerow(_COLUMNS)
    videos, index = {}, 0
    for i, (video_type, recipe, kinds) in enumerate(_VIDEOS):
        world, asked = world_with(f"{seed}/{i}", recipe, kinds)
        name = video_id(f"{seed}/{i}")
        videos[f"video/{name}.mp4"] = world
        for question in asked:
            table.writerow(_row(index, name, video_type, question))
            index += 1
    return Plan(seed, {"MMBench-Video.tsv": out.getvalue().encode()}, videos)


def _row(index: int, name: str, video_type: str, question: Question) -> tuple[object, ...]:
    dimensions = str(names_of(question))
    texts = (sentence(question.text), right_of(question, "."))
    return (index, name, video_type, *texts, dimensions, f"./video/{name}.mp4")
