"""The tasks of the mini MVBench that ask about some seconds of a longer clip: three on one, and two of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kangaroo_eval.miniworld import facts
from kangaroo_eval.miniworld.captions import phrase
from kangaroo_eval.miniworld.clips import clip, cut_in, mentioned
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.facts_ego import handled_thing, next_act, person_after
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.layout import code
from kangaroo_eval.miniworld.questions import Question, TaskType, ask, world_with
from kangaroo_eval.miniworld.stills import Still
from kangaroo_eval.miniworld.world import Recipe, World

Draft = tuple[str, dict[str, Any], Question, str | None]
"""Stem of the task, the row's fields beside the question, the question, and what ends its options."""

_EGO = Recipe(name="star", seconds=16.0, events=6, scenes=1, pattern="ego")
_STA = Recipe(name="sta", seconds=16.0, events=4, scenes=1)
_TVQA = Recipe(
    name="episode", seconds=15.0, events=5, scenes=2, may=("stay", "cross", "grow", "shrink"), narrated=True
)
_TVQA_FPS = 3


@dataclass(frozen=True, slots=True)
class Part:
    """What a clip adds to the benchmark."""

    drafts: list[Draft]
    videos: dict[str, World] = field(default_factory=dict)
    pictures: dict[str, Still] = field(default_factory=dict)


def bounded(seed: str) -> Iterator[Part]:
    """All clips with bounds."""
    for k in range(2):
        name = code(f"{seed}/{k}")
        # The same name under both roots, as happens in the original.
        yield _star(f"{seed}/star/{k}", f"{name}.mp4")
        yield _localization(f"{seed}/sta/{k}", f"{name}.mp4", k)
        yield _episode(f"{seed}/tvqa/{k}", f"s01e{k + 1:02d}_seg02_clip_{10 + k}", k)


def _asked(world: World, stem: str, builder: facts.Builder, options: int = 4) -> Question | None:
    return ask(world, TaskType(stem, (builder,), options), Dice(f"{world.seed}/{stem}"))


def _star(where: str, name: str) -> Part:
    """Sequence, prediction and interaction, each on its own seconds of one first-person clip."""
    world, (sequence,) = world_with(where, _EGO, (TaskType("action_sequence", (person_after,)),))
    about = mentioned(world, f"{sequence.text} {sequence.answer}")
    bounds = {"video": name, "start": about[0].start, "end": about[-1].end}
    drafts: list[Draft] = [("action_sequence", bounds, sequence, ".")]
    index = 2 + Dice(where).below(len(world.events) - 2)
    cut = cut_in(world, index)
    if question := _asked(cut, "action_prediction", next_act):
        bounds = {"video": name, "start": world.events[index - 1].start, "end": cut.seconds}
        drafts.append(("action_prediction", bounds, question, "."))
    # A clip of one act of each kind: somewhere two unlike ones follow each other.
    pair = next(i for i in range(len(world.events) - 1) if world.events[i].kind != world.events[i + 1].kind)
    short = clip(world, pair, pair + 1)
    if question := _asked(short, "object_interaction", handled_thing):
        (event,) = (event for event in short.events if event.thing.name in question.answer)
        bounds = {"video": name, "start": short.events[0].start, "end": short.seconds}
        accurate = {"accurate_start": event.start, "accurate_end": event.end}
        drafts.append(("object_interaction", bounds | accurate, question, "."))
    return Part(drafts, {f"video/star/Charades_v1_480/{name}": world})


_PARTS = (
    "throughout the entire video",
    "at the beginning of the video",
    "in the middle of the video",
    "at the end of the video",
)


def _localization(where: str, name: str, k: int) -> Part:
    """The bounds are cut so that the event fills them, or stands at their beginning, middle or end."""
    world = make_world(where, _STA)
    right = Dice(where).below(2) + 2 * k
    event = world.events[2 if right == 3 else 1]
    span = event.end - event.start
    start = max(0.0, event.start - (0.0, 0.0, span, 2.5 * span)[right])
    end = min(world.seconds, event.end + (0.0, 2.5 * span, span, 0.0)[right])
    text = f"during which part of the video does the action '{phrase(event)}' occur?"
    fields = {
        "video": name,
        "start": start,
        "end": end,
        "accurate_start": event.start,
        "accurate_end": event.end,
    }
    draft = ("action_localization", fields, Question("action_localization", text, _PARTS, right), ".")
    return Part([draft], {f"video/sta/sta_video/{name}": world})


def _episode(where: str, name: str, k: int) -> Part:
    """A folder of pictures with the subtitles of its bounds: one question for the narrator, one for the eyes."""
    builder = (facts.code_word, facts.place_of_thing)[k]
    world, (question,) = world_with(where, _TVQA, (TaskType("episodic_reasoning", (builder,), 5),))
    told = [cue for cue in world.cues if k == 0 and question.answer in cue.text]
    about = told or mentioned(world, question.text)
    start, end = max(0.0, about[0].start - 2), min(world.seconds, about[-1].end + 2)
    heard = [cue for cue in world.cues if cue.start < end and cue.end > start]
    fields = {
        "video": name,
        "subtitle": "\n".join(f"(Narrator:){cue.text}" for cue in heard),
        "show_name": "The Mini World",
        "start": start,
        "end": end,
        "fps": _TVQA_FPS,
    }
    folder = f"video/tvqa/frames_fps3_hq/{name}"
    count = int(world.seconds * _TVQA_FPS)
    pictures = {f"{folder}/{i + 1:05d}.jpg": Still(world, i / _TVQA_FPS) for i in range(count)}
    return Part([("episodic_reasoning", fields, question, None)], pictures=pictures)
