"""The mini LongVideoBench in the official layout: 9 videos for validation and 2 for the test, 2 questions each.

The duration groups 15, 60, 600 and 3600 stand for videos of 12, 30, 60 and 120 s, whose true lengths the rows
give. Every video has subtitles, in one or the other of the two official shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kangaroo_eval.miniworld import facts, facts_time
from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.clips import mentioned
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.facts import Builder
from kangaroo_eval.miniworld.layout import balanced_by_video, json_of, video_id
from kangaroo_eval.miniworld.questions import Question, TaskType, world_with
from kangaroo_eval.miniworld.render import FPS
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import Recipe, World

SEED = "mini/longvideobench/1"

_RECIPE = Recipe(name="lvb", seconds=12.0, events=4, scenes=2, must=("meet", "recolour"), narrated=True)
_GROUPS: dict[int, Recipe] = {
    15: _RECIPE,
    60: replace(_RECIPE, seconds=30.0, events=6, scenes=3),
    600: replace(_RECIPE, seconds=60.0, events=8, scenes=3),
    3600: replace(_RECIPE, seconds=120.0, events=10, scenes=4),
}
_CATEGORIES: dict[str, tuple[tuple[Builder, ...], str]] = {
    "S2E": ((facts_time.first_in_place,), "what happens first?"),
    "S2O": ((facts.thing_in_place,), "which thing is there?"),
    "S2A": ((facts.colour_in_place,), "what colour is it?"),
    "E2O": ((facts.which_turns, facts.meets), "which thing is it?"),
    "O2E": ((facts.action,), "what does it do?"),
    "T2E": ((facts_time.said_event,), "what happens?"),
    "T2O": ((facts_time.said_thing, facts.called), "which thing is it?"),
    "T2A": ((facts_time.said_colour,), "what colour is it?"),
    "E3E": ((facts_time.neighbouring_events,), "what happens?"),
    "O3O": ((facts.neighbours,), "which thing appears?"),
    "SSS": ((facts_time.place_order,), "in what order do these places appear?"),
    "SOS": ((facts.place_of_thing,), "in which place is it?"),
    "SAA": ((facts_time.turn_in_place,), "how does the colour change?"),
    "T3E": ((facts_time.said_next_event,), "what happens then?"),
    "T3O": ((facts_time.said_next_thing,), "which thing appears then?"),
    "TOS": ((facts_time.said_place,), "in which place is the video?"),
    "TAA": ((facts_time.said_turn,), "how does the colour change?"),
}
"""Category -> what makes its questions, and the question without what refers to a scene, event, thing or text."""
_PERCEPTION = ("S2E", "S2O", "S2A", "E2O", "O2E", "T2E", "T2O", "T2A")
_VAL = (
    (15, "S2O", "O2E"),
    (15, "S2A", "E2O"),
    (60, "T2E", "T2O"),
    (60, "SOS", "SSS"),
    (600, "E3E", "T3O"),
    (600, "O3O", "T2A"),
    (600, "SAA", "T3E"),
    (3600, "S2E", "TOS"),
    (3600, "TAA", "T2O"),
)
_TEST = ((60, "O3O", "T2E"), (600, "S2O", "E3E"))
"""Duration group and the categories of a video's two questions, of four and of five options."""
_TOPICS = (
    "NP-News-Programs",
    "KS-Knowledge-STEM",
    "KG-Knowledge-Geography",
    "KH-Knowledge-History",
    "KA-Knowledge-Art",
    "KC-Knowledge-Computer-Science",
    "LC-Lifestyle-Cooking-Recipes",
    "LT-Lifestyle-Travel-Guides",
    "LV-Lifestyle-Life-Vlogs",
)
_STARTS = (0, 37.5, 0, 612.25)
"""Where clips begin in the longer videos that their subtitles were timed in (seconds)."""


@dataclass(frozen=True, slots=True)
class _Clip:
    number: int
    name: str
    group: int
    world: World
    asked: list[Question]

    @property
    def start(self) -> float:
        return _STARTS[self.number % len(_STARTS)]


def plan(seed: str = SEED) -> Plan:
    """What `longvideobench/` holds, for a seed."""
    clips = [_clip(seed, i, *about) for i, about in enumerate((*_VAL, *_TEST))]
    val, test = _rows(clips[: len(_VAL)], seed), _rows(clips[len(_VAL) :], seed)
    unknown = [{key: value for key, value in row.items() if key != "correct_choice"} for row in test]
    texts = {"lvb_val.json": json_of(val), "lvb_test_wo_gt.json": json_of(unknown)}
    texts |= {f"subtitles/{clip.name}_en.json": json_of(_subtitles(clip)) for clip in clips}
    return Plan(seed, texts, {f"videos/{clip.name}.mp4": clip.world for clip in clips})


def _clip(seed: str, number: int, group: int, first: str, second: str) -> _Clip:
    kinds = (TaskType(first, _CATEGORIES[first][0], 4), TaskType(second, _CATEGORIES[second][0], 5))
    world, asked = world_with(f"{seed}/{number}", _GROUPS[group], kinds)
    return _Clip(number, video_id(f"{seed}/{number}"), group, world, asked)


def _rows(clips: list[_Clip], seed: str) -> list[dict[str, object]]:
    asked = balanced_by_video([clip.asked for clip in clips], seed)
    return [
        _row(clip, k, question)
        for clip, found in zip(clips, asked, strict=True)
        for k, question in enumerate(found)
    ]


def _row(clip: _Clip, k: int, question: Question) -> dict[str, object]:
    about = mentioned(clip.world, f"{question.text} {question.answer}")
    return {
        "video_id": clip.name,
        "question": sentence(question.text),
        "question_wo_referring_query": sentence(_CATEGORIES[question.type][1]),
        "candidates": list(question.options),
        "correct_choice": question.right,
        "position": [round((event.start + event.end) / 2 * FPS) for event in about],
        "topic_category": _TOPICS[clip.number % len(_TOPICS)],
        "question_category": question.type,
        "level": "L1-Perception" if question.type in _PERCEPTION else "L2-Relation",
        "id": f"{clip.name}_{k}",
        "video_path": f"{clip.name}.mp4",
        "subtitle_path": f"{clip.name}_en.json",
        "duration_group": clip.group,
        "starting_timestamp_for_subtitles": clip.start,
        "duration": clip.world.seconds,
        "view_count": 1000 + Dice(clip.name).below(100000),
        "type": "local",
    }


def _subtitles(clip: _Clip) -> list[dict[str, object]]:
    """The narrator's words, timed in the longer video."""
    timed = [(cue.start + clip.start, cue.end + clip.start, cue.text) for cue in clip.world.cues]
    if clip.number % 2:
        return [{"start": _clock(start), "end": _clock(end), "line": text} for start, end, text in timed]
    return [{"timestamp": [start, end], "text": text} for start, end, text in timed]


def _clock(seconds: float) -> str:
    whole = int(seconds)
    thousandths = round((seconds - whole) * 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{thousandths:03d}"
