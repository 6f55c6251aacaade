"""The further benchmarks' questions: of every pool only the answer is true, read again from the captions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from miniworld.told_more import judge_more

from kangaroo_eval.miniworld import (
    clips,
    facts,
    facts_ego,
    facts_long,
    facts_more,
    facts_time,
    mmbench_video,
    mvbench,
    videovista,
)
from kangaroo_eval.miniworld.captions import caption
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.motion import sprites
from kangaroo_eval.miniworld.phrases import PHRASES
from kangaroo_eval.miniworld.questions import Question, TaskType, ask, balanced
from kangaroo_eval.miniworld.recipes import RECIPES
from kangaroo_eval.miniworld.words import TEMPLATES, WORDS, say, split
from kangaroo_eval.miniworld.world import Recipe

PLAIN = Recipe(name="f", seconds=40.0, events=8, scenes=4, must=("meet", "recolour", "sign"), narrated=True)
SHORT = replace(PLAIN, seconds=12.0, events=4, scenes=2, must=("meet", "recolour"))
EGO = Recipe(name="e", seconds=30.0, events=7, scenes=1, pattern="ego")
MANY = Recipe(name="m", seconds=30.0, events=6, scenes=2, must=("group", "group", "cross"))
SOME = (PLAIN, SHORT, MANY)
WORLDS = {
    facts_time.comes_back: (RECIPES["count"],),
    facts_time.sign_order: (mvbench._SIGNS,),
    facts_time.scene_change: (SHORT, MANY),
    facts_more.odd_event: (RECIPES["anomaly"],),
    facts_more.topic: (RECIPES["topic"],),
    facts_more.still_colour: (mvbench._moving("stay"),),
    facts_more.still_shape: (mvbench._moving("stay"),),
    facts_more.moving: (mvbench._moving("stay"), mvbench._moving("stay", "stay")),
    facts_more.movers: (mvbench._moving(), mvbench._moving("stay")),
    facts_more.without: (mvbench._MEET,),
    facts_more.antonym: (mvbench._one("grow", "shrink", "cross"),),
    facts_more.activity: (mvbench._one("stay", "cross", "grow", "shrink", "recolour"),),
    facts_more.navigation: (mvbench._STAYS,),
    facts_ego.pose: (mvbench._PICK, mvbench._PUT),
}
TIME = [
    "neighbouring_events",
    "event_order",
    "place_order",
    "sign_order",
    "comes_back",
    "between",
    "thing_at",
    "event_quarter",
    "event_place",
    "first_in_place",
    "scene_change",
    "turn_in_place",
    "sense",
    "said_event",
    "said_thing",
    "said_colour",
    "said_place",
    "said_next_event",
    "said_next_thing",
    "said_turn",
]
MORE = [
    "sign_text",
    "odd_event",
    "topic",
    "direction",
    "track",
    "size",
    "still_colour",
    "still_shape",
    "moving",
    "movers",
    "sum_of_two",
    "absent",
    "detail",
    "without",
    "antonym",
    "activity",
    "navigation",
]
EGOS = ["pose", "person_after", "ego_order", "c_ends", "c_after", "c_order", "c_sum"]
BUILDERS = [
    *(getattr(facts_time, name) for name in TIME),
    *(getattr(facts_more, name) for name in MORE),
    *(getattr(facts_ego, name) for name in EGOS),
]


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_only_the_answer_of_a_pool_is_true(builder):
    made = 0
    recipes = WORLDS.get(builder) or ((EGO,) if builder.__module__.endswith("ego") else SOME)
    for recipe in recipes:
        for i in range(60):
            world = make_world(f"facts/{i}", recipe)
            for fact in builder(world, Dice(f"{i}")):
                assert fact.answer in fact.pool
                told = judge_more(world, fact.text, fact.pool)
                expected = [option == fact.answer for option in fact.pool]
                assert told == expected, (fact, caption(world))
                made += 1
    assert made >= 20, made


def test_every_builder_of_the_further_modules_is_tested():
    tested = {builder.__name__ for builder in BUILDERS}
    apart = {"with_numbers", "with_digits", "shuffle", "in_picture", "pictured", "next_act", "next_event"}
    apart |= {"handled_thing", "clock"}
    for module in (facts_time, facts_more, facts_ego):
        own = {n for n, f in vars(module).items() if getattr(f, "__module__", "") == module.__name__}
        assert {n for n in own if not n.startswith("_")} <= tested | apart, module


def test_numbers_in_words_and_digits():
    for builder in (facts.how_many, facts.times, facts_long.ego_count):
        for i in range(30):
            world = make_world(f"numbers/{i}", EGO if builder is facts_long.ego_count else RECIPES["count"])
            plain = list(builder(world, Dice("d")))
            wide = list(facts_more.with_numbers(builder)(world, Dice("d")))
            digits = list(facts_more.with_digits(builder)(world, Dice("d")))
            assert [f[:2] for f in wide] == [f[:2] for f in plain]
            for fact in wide:
                assert len(fact.pool) == 9
                expected = [option == fact.answer for option in fact.pool]
                assert judge_more(world, fact.text, fact.pool) == expected
            for fact, word in zip(digits, plain, strict=True):
                assert fact.answer in fact.pool and len(fact.pool) >= 5
                assert facts_more.NUMBERS[int(fact.answer)] == word.answer


def test_a_cut_video_asks_for_the_act_that_it_stops_in():
    for i in range(30):
        world = clips.cut_in_last(make_world(f"cut/{i}", EGO))
        last = world.events[-1]
        assert clips.is_cut(world) and last.start < world.seconds < last.end and world.seconds * 8 % 1 == 0
        for builder in (facts_ego.next_act, facts_ego.next_event):
            (fact,) = builder(world, Dice("d"))
            assert judge_more(world, fact.text, fact.pool) == [o == fact.answer for o in fact.pool]
        assert not list(facts_ego.next_act(make_world(f"cut/{i}", EGO), Dice("d")))
        # The thing shows before the video stops, and the act is not done.
        early, late = (sprites(world, world.seconds - t) for t in (0.4, 0.125))
        shown = [sprite for sprite in late if f"{sprite.colour} {sprite.form}" == last.thing.name]
        assert shown, (early, late)


def test_a_clip_has_the_events_of_its_seconds_only():
    for i in range(20):
        world = make_world(f"clip/{i}", PLAIN)
        part = clips.clip(world, 2, 5)
        assert part.events == world.events[2:6] and part.seconds == world.events[5].end
        assert [part.place_of(e) for e in part.events] == [world.place_of(e) for e in part.events]
    for i in range(20):
        world = make_world(f"clip/{i}", EGO)
        pair = next(k for k in range(6) if world.events[k].kind != world.events[k + 1].kind)
        part = clips.clip(world, pair, pair + 1)
        found = list(facts_ego.handled_thing(part, Dice("d")))
        assert len(found) == 2
        for fact in found:
            assert judge_more(part, fact.text, fact.pool) == [o == fact.answer for o in fact.pool]


def test_backwards_and_joined_worlds_show_what_they_say():
    for i, kind in enumerate(("cross", "grow", "shrink") * 5):
        world = make_world(f"back/{i}", mvbench._one(kind))
        back = clips.backwards(world)
        event = world.events[0]
        for part in (0.2, 0.5, 0.7):
            at = event.start + part * (event.end - event.start)
            mirrored = event.start + (1 - part) * (event.end - event.start)
            for a, b in zip(sprites(world, at), sprites(back, mirrored), strict=True):
                assert (a.form, a.colour) == (b.form, b.colour)
                assert np.allclose((a.x, a.y, a.size), (b.x, b.y, b.size))
        both = clips.joined(world, back)
        assert both.seconds == 2 * world.seconds and len(both.events) == 2
        assert sprites(both, world.seconds + 2.0) == sprites(back, 2.0)
        assert both.scene_at(world.seconds + 1).place == back.scenes[0].place


def test_the_hidden_thing_is_where_the_answer_says():
    """Followed by eye: the cover over the thing at first is watched from picture to picture."""
    for i in range(30):
        world = make_world(f"hide/{i}", mvbench._one("shuffle", seconds=8.0))
        (fact,) = facts_more.shuffle(world, Dice("d"))
        (event,) = world.events
        first = sprites(world, 0.1)
        hidden = next(sprite for sprite in first if sprite.form == event.other.form)
        at = (hidden.x, 0.58)
        for k in range(0, round(event.end * 40)):
            if k / 40 < 0.3 * (event.end - event.start):
                continue
            covers = [s for s in sprites(world, k / 40) if s.form == event.thing.form]
            assert len(covers) == 3
            if k / 40 > 0.32 * (event.end - event.start):
                assert all(s.form == event.thing.form for s in sprites(world, k / 40))
            near = min(covers, key=lambda s: (s.x - at[0]) ** 2 + (s.y - at[1]) ** 2)
            at = (near.x, near.y)
        rank = round((at[0] - 0.2) / 0.3)
        assert fact.pool.index(fact.answer) == rank and len(fact.pool) == 3


def test_races_have_the_speeds_they_say():
    seen = set()
    for i in range(30):
        world = make_world(f"race/{i}", mvbench._one("race", seconds=8.0))
        (event,) = world.events
        a, b = (event.start + part * (event.end - event.start) for part in (0.1, 0.3))
        x = {t: {f"{s.colour} {s.form}": s for s in sprites(world, t)} for t in (a, b)}
        upper, lower = (x[a][name] for name in (event.thing.name, event.other.name))
        assert upper.y < lower.y
        speeds = [abs(x[b][s.name].x - x[a][s.name].x) for s in (event.thing, event.other)]
        relation = {True: "as fast as", False: "faster than" if speeds[0] > speeds[1] else "slower than"}
        assert relation[bool(np.isclose(*speeds))] == event.relation
        seen.add(event.relation)
    assert len(seen) == 3


def test_the_picture_shows_the_thing_that_is_asked_about_in_another_place():
    worlds = [make_world(f"picture/{i}", PLAIN) for i in range(20)]
    asked = [(world, fact) for world in worlds for fact in facts_more.in_picture(world, Dice("d"))]
    assert len(asked) > 15
    for world, fact in asked:
        still = videovista._elsewhere(world)
        (sprite,) = sprites(still.world, still.seconds)
        (event,) = [e for e in world.events if e.thing.name == f"{sprite.colour} {sprite.form}"]
        assert fact.answer == f"in the {world.place_of(event)}"
        assert still.world.scenes[0].place not in {scene.place for scene in world.scenes}


def test_events_that_a_text_is_about():
    world = make_world("about/1", PLAIN)
    event = next(e for e in world.events if e.kind == "meet")
    assert clips.mentioned(world, f"what does the {event.other.name} do?") == [event]
    (sign,) = (e for e in world.events if e.kind == "sign")
    assert clips.mentioned(world, "what does the sign say? K7") == [sign]
    cue = world.cues[2]
    assert clips.mentioned(world, f'what is there when the subtitle says "{cue.text}"?')[0].start <= cue.start
    scene = world.scenes[1]
    assert clips.mentioned(world, f"what happens in the {scene.place}?") == list(scene.events)
    assert clips.mentioned(world, "which sentence sums up the video?") == list(world.events)


def test_types_with_other_numbers_of_options():
    world = make_world("options/1", PLAIN)
    for options in (1, 2, 3, 5, 6):
        found = ask(world, TaskType("t", (facts.action,), options), Dice("d"))
        assert found.type == "t" and len(found.options) == options == len(set(found.options))
    assert ask(world, TaskType("t", (facts.where,), 6), Dice("d")) is None


def test_balanced_whatever_the_number_of_options():
    asked = [Question("t", str(i), tuple("abcdef"[: 2 + i % 5]), 0) for i in range(60)]
    moved = balanced(asked, "s")
    assert [q.text for q in moved] == [q.text for q in asked]
    for n in range(2, 7):
        rights = [q.right for q in moved if len(q.options) == n]
        counts = [rights.count(k) for k in range(n)]
        assert max(counts) - min(counts) <= 1 and all(q.answer == "a" for q in moved)


def test_further_phrases_leave_the_vocabulary_alone():
    assert not set(PHRASES) & set(TEMPLATES)
    used = {word for text in PHRASES.values() for word in split(text)}
    assert used - set(WORDS)  # they do need other words, and those stay outside
    assert len(WORDS) == 171
    with pytest.raises(KeyError):
        say("no such sentence")


def test_open_answers_are_true():
    for _, recipe, kinds in mmbench_video._VIDEOS:
        for kind in kinds:
            for i in range(10):
                world = make_world(f"open/{i}", recipe)
                found = ask(world, kind, Dice("d"))
                assert found is None or judge_more(world, found.text, found.options) == [True], found
