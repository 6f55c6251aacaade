"""The mini LVBench in the official layout: one video of 3 questions for each of the six genres, 120 s long.

Several categories can belong to a question, as in the original; `time_reference` spans what it is about.
"""

from __future__ import annotations

import json
from math import ceil

from kangaroo_eval.miniworld import facts, facts_time
from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.clips import mentioned
from kangaroo_eval.miniworld.facts import Builder
from kangaroo_eval.miniworld.facts_time import clock
from kangaroo_eval.miniworld.layout import balanced_by_video, names_of, type_of, video_id
from kangaroo_eval.miniworld.questions import LETTERS, Question, TaskType, world_with
from kangaroo_eval.miniworld.render import FPS, SIDE
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import Recipe, World

SEED = "mini/lvbench/1"

_RECIPE = Recipe(
    name="long", seconds=120.0, events=10, scenes=4, must=("meet", "sign", "recolour", "stay", "cross")
)
_ENTITY, _EVENT, _INFORMATION, _GROUNDING, _REASONING, _SUMMARY = (
    "entity recognition",
    "event understanding",
    "key information retrieval",
    "temporal grounding",
    "reasoning",
    "summarization",
)


def _kind(*categories: str, by: tuple[Builder, ...]) -> TaskType:
    return type_of(categories, by)


_GENRES: dict[str, tuple[TaskType, ...]] = {
    "cartoon": (
        _kind(_ENTITY, by=(facts.thing_in_place, facts.colour_in_place)),
        _kind(_EVENT, by=(facts.first_and_last,)),
        _kind(_SUMMARY, by=(facts.synopsis,)),
    ),
    "documentary": (
        _kind(_INFORMATION, by=(facts.sign_text,)),
        _kind(_GROUNDING, by=(facts_time.between,)),
        _kind(_REASONING, by=(facts.why,)),
    ),
    "live": (
        _kind(_ENTITY, _GROUNDING, by=(facts_time.thing_at,)),
        _kind(_EVENT, _REASONING, by=(facts.effect,)),
        _kind(_SUMMARY, by=(facts.synopsis,)),
    ),
    "selfmedia": (
        _kind(_INFORMATION, _GROUNDING, by=(facts.place_of_sign,)),
        _kind(_ENTITY, _EVENT, _REASONING, by=(facts.meets,)),
        _kind(_EVENT, by=(facts.action,)),
    ),
    "sport": (
        _kind(_GROUNDING, by=(facts.quarter, facts_time.event_quarter)),
        _kind(_EVENT, _GROUNDING, by=(facts_time.neighbouring_events,)),
        _kind(_EVENT, _SUMMARY, by=(facts_time.event_order,)),
    ),
    "tv": (
        _kind(_ENTITY, _INFORMATION, by=(facts.colour_of_sign,)),
        _kind(_REASONING, by=(facts.why,)),
        _kind(_ENTITY, by=(facts.which_turns, facts.appears)),
    ),
}


def plan(seed: str = SEED) -> Plan:
    """What `lvbench/` holds, for a seed."""
    made = [world_with(f"{seed}/{genre}", _RECIPE, kinds) for genre, kinds in _GENRES.items()]
    asked = balanced_by_video([found for _, found in made], seed)
    keys = [video_id(f"{seed}/{genre}") for genre in _GENRES]
    lines = []
    for i, (genre, (world, _)) in enumerate(zip(_GENRES, made, strict=True)):
        qa = [_question(str(3 * i + k), world, question) for k, question in enumerate(asked[i])]
        lines.append(json.dumps(_record(keys[i], genre, world, qa)))
    videos = {f"videos/{key}.mp4": world for key, (world, _) in zip(keys, made, strict=True)}
    return Plan(seed, {"video_info.meta.jsonl": "".join(f"{line}\n" for line in lines).encode()}, videos)


def _record(key: str, genre: str, world: World, qa: list[dict[str, object]]) -> dict[str, object]:
    info = {
        "duration_minutes": round(world.seconds / 60),
        "fps": float(FPS),
        "resolution": {"width": SIDE, "height": SIDE},
    }
    return {"key": key, "type": genre, "video_info": info, "qa": qa}


def _question(uid: str, world: World, question: Question) -> dict[str, object]:
    lines = [f"({a}) {sentence(o)}" for a, o in zip(LETTERS, question.options, strict=False)]
    about = mentioned(world, f"{question.text} {question.answer}")
    start, end = int(about[0].start), ceil(about[-1].end)
    return {
        "uid": uid,
        "question": "\n".join([sentence(question.text), *lines]),
        "answer": LETTERS[question.right],
        "question_type": names_of(question),
        "time_reference": f"{clock(start)}-{clock(end)}",
    }
