"""The mini MVBench in the official layout: all 20 tasks with their roots, endings and numbers of options.

Each task has 2 questions. Clips with bounds serve several questions; file names come again under other roots, as
they do in the original ("video_10142.mp4").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kangaroo_eval.miniworld import facts, facts_more, facts_time
from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.facts_ego import pose
from kangaroo_eval.miniworld.layout import json_of
from kangaroo_eval.miniworld.mvbench_bounds import Draft, bounded
from kangaroo_eval.miniworld.phrases import NAVIGATION
from kangaroo_eval.miniworld.questions import Question, TaskType, balanced, world_with
from kangaroo_eval.miniworld.render import FPS
from kangaroo_eval.miniworld.stills import Still
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import Kind, Recipe, World

SEED = "mini/mvbench/1"


def _one(*kinds: Kind, seconds: float = 6.0) -> Recipe:
    return Recipe(name="one", seconds=seconds, events=1, scenes=1, may=kinds)


def _moving(*must: Kind) -> Recipe:
    return Recipe(name="moving", seconds=12.0, events=4, scenes=1, must=must, may=("cross",))


_STAYS = Recipe(name="stays", seconds=8.0, events=3, scenes=1, may=("stay",))
_SIGNS = Recipe(name="signs", seconds=9.0, events=3, scenes=1, must=("sign", "sign", "sign"))
_AGAIN = Recipe(name="again", seconds=16.0, events=8, scenes=2, pattern="repeat")
_ODD = Recipe(name="odd", seconds=16.0, events=6, scenes=1, pattern="anomaly")
_PLACES = Recipe(name="places", seconds=12.0, events=4, scenes=2)
_MEET = Recipe(name="meetings", seconds=12.0, events=3, scenes=1, must=("meet", "meet"))
_PICK, _PUT = (
    Recipe(name="act", seconds=6.0, events=1, scenes=1, must=(kind,), pattern="ego")
    for kind in ("pick", "put")
)
_SIZES = Recipe(name="sizes", seconds=9.0, events=3, scenes=1, must=("grow", "shrink", "stay"))


@dataclass(frozen=True, slots=True)
class _Task:
    """An unbounded task of two videos: folder, file name, and for both their recipe and their number of options."""

    stem: str
    root: str
    file: str
    builder: facts.Builder
    recipes: tuple[Recipe, Recipe]
    options: tuple[int, int] = (4, 4)
    end: str | None = None


def _attributes(world: World, dice: Dice) -> Iterator[facts.Fact]:
    yield from facts_more.still_colour(world, dice)
    yield from facts_more.still_shape(world, dice)


_CLEVRER, _PERCEPTION = "clevrer/video_validation", "perception/videos"
_VIDEO = "video_{number}.mp4"
_TASKS = (
    _Task(
        "action_antonym",
        "ssv2_video",
        "{number}.webm",
        facts_more.antonym,
        (_one("grow", "shrink"), _one("cross")),
        (3, 3),
        "",
    ),
    _Task(
        "fine_grained_action",
        "Moments_in_Time_Raw/videos",
        "validation/{answer}/mini-{number}_0.mp4",
        facts_more.activity,
        (_one("stay", "cross"), _one("grow", "shrink", "recolour")),
    ),
    _Task(
        "unexpected_action",
        "FunQA_test/test",
        "test_humor/H_T_{number}_0000_0191.mp4",
        facts_more.odd_event,
        (_ODD, _ODD),
        end=".",
    ),
    _Task(
        "object_existence",
        _CLEVRER,
        _VIDEO,
        facts_more.moving,
        (_moving("stay"), _moving("stay", "stay")),
        (3, 3),
    ),
    _Task(
        "object_shuffle",
        _PERCEPTION,
        _VIDEO,
        facts_more.shuffle,
        (_one("shuffle", seconds=8.0), _one("shuffle", seconds=8.0)),
        (3, 3),
        ".",
    ),
    _Task("moving_direction", _CLEVRER, _VIDEO, facts_more.direction, (_moving(), _moving("stay")), end="."),
    _Task(
        "scene_transition",
        "scene_qa/video",
        "Top010_{number}.mp4",
        facts_time.scene_change,
        (_PLACES,) * 2,
        end=".",
    ),
    _Task("action_count", _PERCEPTION, _VIDEO, facts_more.with_digits(facts.times), (_AGAIN, _AGAIN), (3, 3)),
    _Task(
        "moving_count",
        _CLEVRER,
        _VIDEO,
        facts_more.with_digits(facts_more.movers),
        (_moving(), _moving("stay")),
    ),
    _Task(
        "moving_attribute",
        _CLEVRER,
        _VIDEO,
        _attributes,
        (_moving("stay"), _moving("stay")),
        (2, 3),
    ),
    _Task("state_change", _PERCEPTION, _VIDEO, facts_more.size, (_SIZES, _SIZES), (3, 3), "."),
    _Task("fine_grained_pose", "nturgbd", "S{number}C002P017R002A006_rgb.avi", pose, (_PICK, _PUT)),
    _Task("character_order", _PERCEPTION, _VIDEO, facts_time.sign_order, (_SIGNS, _SIGNS), (3, 3)),
    _Task(
        "egocentric_navigation",
        "vlnqa",
        "{way}/{number}_frame{frames}.mp4",
        facts_more.navigation,
        (_STAYS, _STAYS),
        end="",
    ),
    _Task("counterfactual_inference", _CLEVRER, _VIDEO, facts_more.without, (_MEET, _MEET), (1, 3)),
)
_FIRST_NUMBER = 10142


def plan(seed: str = SEED) -> Plan:
    """What `mvbench/` holds, for a seed."""
    videos: dict[str, World] = {}
    pictures: dict[str, Still] = {}
    drafts: list[Draft] = []
    numbers: dict[str, int] = {}
    for task in _TASKS:
        for recipe, options in zip(task.recipes, task.options, strict=True):
            number = numbers[task.root] = numbers.get(task.root, _FIRST_NUMBER - 1) + 1
            kind = TaskType(task.stem, (task.builder,), options)
            world, (question,) = world_with(f"{seed}/{task.root}/{number}", recipe, (kind,))
            name = _file(task, number, world, question)
            videos[f"video/{task.root}/{name}"] = world
            drafts.append((task.stem, {"video": name}, question, task.end))
    for part in bounded(seed):
        videos |= part.videos
        pictures |= part.pictures
        drafts += part.drafts
    asked = balanced([question for _, _, question, _ in drafts], seed)
    rows: dict[str, list[dict[str, Any]]] = {}
    for (stem, fields, _, end), question in zip(drafts, asked, strict=True):
        rows.setdefault(stem, []).append(_row(fields, question, end))
    return Plan(seed, {f"json/{stem}.json": json_of(rows[stem]) for stem in rows}, videos, pictures)


def _file(task: _Task, number: int, world: World, question: Question) -> str:
    """Some official names tell the answer, as Moments in Time has a folder for every action."""
    return task.file.format(
        number=number,
        answer=question.answer.replace(" ", "+"),
        way=next((way for way, action in NAVIGATION.items() if action == question.answer), ""),
        frames=round(world.seconds * FPS),
    )


def _row(fields: dict[str, Any], question: Question, end: str | None) -> dict[str, Any]:
    """A row as MVBench writes it: words and digits as they are, sentences with a capital and their `end`."""
    texts = [option if end is None else sentence(option, end) for option in question.options]
    asked = {"question": sentence(question.text), "candidates": texts, "answer": texts[question.right]}
    return {"video": fields["video"], **asked, **fields}
