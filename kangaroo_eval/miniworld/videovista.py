"""The mini VideoVista in the official layout: 28 questions on 8 videos, all 19 + 8 types, 3 to 5 choices.

The relation to an image is asked with a picture of a thing that the video shows elsewhere; the relation within a
video by which thing comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from kangaroo_eval.miniworld import facts, facts_ego, facts_long, facts_more, facts_time
from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.clips import cut_in_last
from kangaroo_eval.miniworld.layout import balanced_by_video, json_of, length, options_of, video_id
from kangaroo_eval.miniworld.questions import Question, TaskType, world_with
from kangaroo_eval.miniworld.stills import Still
from kangaroo_eval.miniworld.words import PLACES, sentence
from kangaroo_eval.miniworld.world import Recipe, World

SEED = "mini/videovista/1"

_IMAGE = "Relation Reasoning-Image"


def _kind(name: str, options: int, *by: facts.Builder) -> TaskType:
    return TaskType(name, by, options)


@dataclass(frozen=True, slots=True)
class _Video:
    category: str
    recipe: Recipe
    kinds: tuple[TaskType, ...]
    change: Callable[[World], World] = lambda world: world


_ACTS = Recipe(name="acts", seconds=20.0, events=4, scenes=1, pattern="ego")
_VIDEOS = (
    _Video(
        "Science",
        Recipe(name="space", seconds=18.0, events=6, scenes=2, must=("stay", "pair", "sign")),
        (
            _kind("Objects Spatial Location", 5, facts.where),
            _kind("Objects Spatial Relation", 4, facts.relation),
            _kind("Optical Character Recognition", 4, facts.sign_text),
            _kind("Objects Existence", 5, facts.appears),
            _kind(_IMAGE, 4, facts_more.in_picture),
        ),
    ),
    _Video(
        "Sports",
        Recipe(name="numbers", seconds=18.0, events=6, scenes=2, must=("group", "group", "cross", "cross")),
        (
            _kind("Objects Count", 5, facts_more.with_numbers(facts.how_many)),
            _kind("Logic Reasoning", 4, facts_more.sum_of_two),
            _kind("Action Recognition", 4, facts.action),
            _kind("Objects Spatial Tracking", 4, facts_more.track),
        ),
    ),
    _Video(
        "Gaming",
        Recipe(name="again", seconds=64.0, events=8, scenes=3, pattern="repeat"),
        (
            _kind("Action Count", 4, facts_more.with_numbers(facts.times)),
            _kind("Relation Reasoning-Video", 4, facts_time.comes_back),
            _kind("Event Location", 4, facts_time.event_quarter),
            _kind("Commonsense Reasoning", 4, facts_time.sense),
        ),
    ),
    _Video(
        "Animation",
        Recipe(name="meetings", seconds=16.0, events=4, scenes=2, must=("meet", "meet")),
        (
            _kind("Causal Reasoning", 4, facts.why),
            _kind("Counterfactual Reasoning", 3, facts_more.without),
            _kind("Brief Description", 4, facts.synopsis),
            _kind("Event Description", 3, facts.first_and_last),
            _kind("Detailed Description", 4, facts_more.detail),
        ),
    ),
    _Video(
        "Travel",
        Recipe(name="order", seconds=40.0, events=8, scenes=3),
        (
            _kind("Event Sequence", 5, facts_time.event_order),
            _kind("Objects Temporal Relation", 4, facts.neighbours),
            _kind("Objects Temporal Location", 4, facts.quarter),
            _kind("Action Sequence", 5, facts_time.neighbouring_events),
            _kind("Action Location", 4, facts_time.event_place),
        ),
    ),
    _Video(
        "Cooking",
        _ACTS,
        (
            _kind("Action Prediction", 4, facts_ego.next_act),
            _kind("Event Prediction", 3, facts_ego.next_event),
        ),
        cut_in_last,
    ),
    _Video(
        "Surveillance",
        Recipe(name="odd", seconds=24.0, events=8, scenes=1, pattern="anomaly"),
        (_kind("Anomaly Detection", 5, facts_long.oddity),),
    ),
    _Video(
        "Howto",
        replace(_ACTS, name="steps", events=6),
        (
            _kind("Human Activity Analysis", 5, facts_long.ego_colour),
            _kind("Human Activity Analysis", 4, facts_long.ego_after),
        ),
    ),
)


def plan(seed: str = SEED) -> Plan:
    """What `videovista/` holds, for a seed."""
    made = [
        world_with(f"{seed}/{i}", video.recipe, video.kinds, change=video.change)
        for i, video in enumerate(_VIDEOS)
    ]
    asked = balanced_by_video([found for _, found in made], seed)
    rows: list[dict[str, object]] = []
    videos: dict[str, World] = {}
    pictures: dict[str, Still] = {}
    for i, (video, (world, _)) in enumerate(zip(_VIDEOS, made, strict=True)):
        folder = video_id(f"{seed}/{i}")
        name = f"{video.category}.{folder}.{i:03d}.mp4"
        videos[f"merged/{video.category}/{folder}/{name}"] = world
        for question in asked[i]:
            row = _row(len(rows), name, video.category, world, question)
            if question.type == _IMAGE:
                row["image_name"] = f"{folder}.jpg"
                pictures[f"relation_images/{folder}.jpg"] = _elsewhere(world)
            rows.append(row)
    return Plan(seed, {"VideoVista.json": json_of(rows)}, videos, pictures)


def _row(number: int, name: str, category: str, world: World, question: Question) -> dict[str, object]:
    return {
        "question_id": number,
        "video_name": name,
        "category": category,
        "Type": question.type,
        "Question": sentence(question.text),
        "Answer_Choices": options_of(question),
        "Answer": question.right,
        "time": length(world),
    }


def _elsewhere(world: World) -> Still:
    """The thing that `facts_more.in_picture` asks about, in a place that the video does not show."""
    event = facts_more.pictured(world)
    assert event
    place = next(place for place in PLACES if all(place != scene.place for scene in world.scenes))
    alone = replace(event, kind="stay", spot="in the centre", start=0.0, end=1.0)
    scene = replace(world.scenes[0], start=0.0, end=1.0, place=place, events=(alone,))
    return Still(replace(world, scenes=(scene,), seconds=1.0), 0.5)
