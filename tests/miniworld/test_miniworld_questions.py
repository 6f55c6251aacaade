"""Each question's right option is true and each other is false: judged by a second reading of the captions."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from miniworld.told import judge

from kangaroo_eval.miniworld.captions import caption
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.questions import (
    BUILDERS,
    MLVU,
    VIDEOMME,
    Question,
    balanced,
    questions,
    with_right_at,
    world_with,
)
from kangaroo_eval.miniworld.recipes import RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_only_the_right_option_is_true(name):
    judged = 0
    for i in range(40):
        world = make_world(f"judge/{i}", replace(RECIPES[name], narrated=i % 2 == 0))
        for question in questions(world, "q", each=2):
            expected = [k == question.right for k in range(4)]
            assert judge(world, question.text, question.options) == expected, (question, caption(world))
            judged += 1
    assert judged > 200


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.text(max_size=8), name=st.sampled_from(sorted(RECIPES)), each=st.integers(1, 3))
def test_any_seed_gives_well_formed_questions(seed, name, each):
    world = make_world(seed, RECIPES[name])
    asked = questions(world, seed, each=each)
    assert asked == questions(make_world(seed, RECIPES[name]), seed, each=each)
    assert len({question.text for question in asked}) == len(asked)
    for question in asked:
        assert len(question.options) == 4 == len(set(question.options)) and 0 <= question.right < 4
        assert all(option.strip() for option in question.options)
        assert not question.needs_subtitles


def test_the_types_are_the_official_ones():
    assert len(VIDEOMME) == 12 and len(MLVU) == 7 and len(BUILDERS) == 19
    assert {"OCR Problems", "Counting Problem"} <= set(VIDEOMME)
    assert "findNeedle" in MLVU


def test_right_option_can_be_put_anywhere():
    question = Question("t", "q", ("a", "b", "c", "d"), 1)
    for right in range(4):
        moved = with_right_at(question, right)
        assert moved.answer == "b" and moved.right == right
        assert [o for o in moved.options if o != "b"] == ["a", "c", "d"]
    assert with_right_at(question, 1) == question
    assert question.lettered() == ("A. A.", "B. B.", "C. C.", "D. D.")


def test_balanced_letters():
    asked = [Question("t", str(i), ("a", "b", "c", "d"), 0) for i in range(37)]
    counts = Counter(q.right for q in balanced(asked, "s"))
    assert sorted(counts.values()) == [9, 9, 9, 10]
    assert [q.right for q in balanced(asked, "s")] != [q.right for q in balanced(asked, "other")]


def test_letters_are_even_without_balancing():
    counts = Counter(
        q.right for i in range(60) for q in questions(make_world(f"even/{i}", RECIPES["plot"]), "q")
    )
    assert max(counts.values()) / sum(counts.values()) < 0.3


def test_options_alone_do_not_give_the_answer_away():
    """Choosing the option that shares most words with the others is a known shortcut: it must stay near 25 %."""
    hits, asked = Counter(), Counter()
    for name, recipe in RECIPES.items():
        for i in range(60):
            for q in questions(make_world(f"blind/{name}/{i}", recipe), "q"):
                tokens = [
                    Counter(re.findall(r"\w", o) if "sign say" in q.text else o.split()) for o in q.options
                ]
                shared = [sum((a & b).total() for b in tokens) - a.total() for a in tokens]
                best = [k for k in range(4) if shared[k] == max(shared)]
                hits[q.type] += (q.right in best) / len(best)
                asked[q.type] += 1
    rates = {t: hits[t] / asked[t] for t in asked}
    assert all(rate < 0.42 for rate in rates.values()), rates
    assert sum(hits.values()) / sum(asked.values()) < 0.32


def test_world_with_finds_what_is_asked_or_says_so():
    world, asked = world_with("w", RECIPES["order"], ("order",), each=2)
    assert len(asked) == 2 and world.seed.startswith("w/")
    with pytest.raises(ValueError, match="no world of 500"):
        world_with("w", RECIPES["order"], ("OCR Problems",))
    told, asked = world_with(
        "w", replace(RECIPES["numbers"], narrated=True), ("Information Synopsis",), subtitled=1
    )
    assert asked[0].needs_subtitles and told.cues


def test_no_two_events_of_one_thing_unless_the_pattern_says_so():
    for i in range(20):
        world = make_world(f"once/{i}", RECIPES["plot"])
        names = [name for event in world.events for name in event.names]
        assert len(names) == len(set(names))
        again = make_world(f"once/{i}", RECIPES["count"])
        counts = Counter(event.thing.name for event in again.events)
        (back,) = [name for name, n in counts.items() if n > 1]
        assert all(not (a.thing.name == b.thing.name == back) for a, b in pairwise(again.events))
