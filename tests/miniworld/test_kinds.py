"""The nine kinds: every answer is true by a second reading, wrong options are those that matter, texts tell nothing."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from miniworld.told import Told, judge

from kangaroo_eval.miniworld import words
from kangaroo_eval.miniworld.captions import caption
from kangaroo_eval.miniworld.kinds import (
    DIFFICULTIES,
    GROUPS,
    KINDS,
    LENGTHS,
    SENTENCES,
    crowded,
    recipe,
    video,
)
from kangaroo_eval.miniworld.questions import questions

CELLS = [(group, level, length) for group in GROUPS for level in DIFFICULTIES for length in LENGTHS]


@pytest.fixture(scope="module")
def videos():
    """A hundred videos of each group, difficulty and length, with their questions."""
    return {cell: [video(f"test/{i}", *cell) for i in range(100)] for cell in CELLS}


def everything(videos):
    return [(cell, world, asked) for cell, found in videos.items() for world, asked in found]


# A second reading, from captions


def _all_things(told):
    return {thing for i in range(len(told.lines)) for thing in told.things(i)}


def _changes(told, options, form, place=""):
    there = [
        what
        for what, where in zip(told.whats, told.places, strict=True)
        if (not place or where == place) and f" {form} " in f"{what} "
    ]
    (what,) = there
    out = []
    for option in options:
        turn = re.fullmatch(r"it is (\w+) and turns (\w+)", option)
        said = f"one {turn[1]} {form} turns {turn[2]}" if turn else None
        out.append(what == said if turn else what.endswith(option.removeprefix("it ")))
    return out


def _ends(told, options, which):
    at = [told.where(option) for option in options]
    assert all(len(found) == 1 for found in at)  # all four are shown
    best = (min if which == "first" else max)(at)
    return [found == best for found in at]


def _beside(told, options, side, sign):
    pattern = r"one \w+ sign says" if sign == "sign" else rf"one {sign} says"
    (i,) = [k for k, what in enumerate(told.whats) if re.match(pattern, what)]
    return [option in told.things(i + (1 if side == "after" else -1)) for option in options]


def _shape_alone(told, options, colour):
    found = {thing.split()[1] for thing in _all_things(told) if thing.startswith(colour)}
    found |= {"sign" for what in told.whats if what.startswith(f"one {colour} sign")}
    return [found == {option} for option in options]


MORE = {
    r"what colour is the only (\w+) in the video\?": lambda t, o, form: [
        {thing.split()[0] for thing in _all_things(t) if thing.endswith(form)} == {option} for option in o
    ],
    r"which shape is the only (\w+) thing in the video\?": _shape_alone,
    r"which shape is the thing that moves (\w+)\?": lambda t, o, way: [
        [what.split()[2] for what in t.whats if what.endswith(f" moves {way}")] == [option] for option in o
    ],
    r"what happens to the only (\w+) in the video\?": _changes,
    r"what happens to the (\w+) in the (\w+)\?": _changes,
    r"which of these things appears (first|last) in the video\?": _ends,
    r"which thing appears right (after|before) the (sign|\w+ sign)\?": _beside,
    r"what does the (\w+) sign say\?": lambda t, o, colour: [
        f"one {colour} sign says {option.lower()}" in t.whats for option in o
    ],
    r"how many times does the (.*) appear\?": lambda t, o, thing: [
        len(t.where(thing)) == words.NUMBERS.index(option) for option in o
    ],
}


def told(world, question):
    """Which options are true: what `judge` does not know, or knows for other pools, is in `MORE`."""
    for pattern, rule in MORE.items():
        if match := re.fullmatch(pattern, question.text):
            return rule(Told(world), list(question.options), *match.groups())
    return judge(world, question.text, question.options)


def test_only_the_right_option_is_true(videos):
    asked_of = Counter()
    for _, world, asked in everything(videos):
        for question in asked:
            expected = [k == question.right for k in range(4)]
            assert told(world, question) == expected, (question, caption(world))
            asked_of[question.type] += 1
    assert asked_of == {kind: 600 for kind in KINDS}


def test_every_fact_of_a_world_is_true_not_only_the_chosen_ones(videos):
    for cell, world, _ in everything(videos)[::5]:
        for question in questions(world, "more", [KINDS[kind] for kind in GROUPS[cell[0]]], each=4):
            assert told(world, question) == [k == question.right for k in range(4)], (
                question,
                caption(world),
            )


# What the worlds are


def test_every_kind_is_in_one_group_and_every_group_has_its_questions(videos):
    assert list(KINDS) == [
        *("colour", "shape", "direction", "order", "count", "state change", "needle", "ocr", "subtitles")
    ]
    assert sorted(KINDS) == sorted(kind for kinds in GROUPS.values() for kind in kinds)
    for (group, *_), _, asked in everything(videos):
        assert [question.type for question in asked] == list(GROUPS[group])
        assert [question.needs_subtitles for question in asked] == [q.type == "subtitles" for q in asked]


def test_difficulties_and_lengths_are_what_they_are_called():
    for group, level, length in CELLS:
        made = recipe(group, level, length)
        assert 9 <= made.seconds <= 16 if length == "short" else 60 <= made.seconds <= 150
        assert 8 <= made.events <= 12 if length == "long" else 3 <= made.events <= 8
        assert made.narrated == (group == "signs")
    for group in GROUPS:
        for length in LENGTHS:
            sizes = [recipe(group, level, length) for level in DIFFICULTIES]
            for easier, harder in pairwise(sizes):
                assert easier.events < harder.events and easier.scenes < harder.scenes
                assert easier.seconds < harder.seconds
    assert recipe("changes", "easy", "short").events == 3 == recipe("signs", "easy", "short").events


def test_signs_are_brief_and_hard_videos_have_two(videos):
    for (group, level, _), world, _ in everything(videos):
        signs = [event for event in world.events if event.kind == "sign"]
        assert len(signs) == (0 if group != "signs" else 2 if level == "hard" else 1)
        assert all(event.end - event.start <= 8 for event in signs)


def test_a_thing_comes_back_but_not_twice_in_a_row(videos):
    for (group, *_), world, _ in everything(videos):
        seen = Counter(name for event in world.events for name in event.names if "sign" not in name)
        often = [name for name in seen if seen[name] > 1]
        assert len(often) == (group == "looks")
        if often:
            assert 2 <= seen[often[0]] <= 4
            assert all(not (a.thing.name == b.thing.name == often[0]) for a, b in pairwise(world.events))


def test_things_of_hard_videos_are_alike(videos):
    for (_, level, length), world, _ in everything(videos):
        if level == "hard" and length == "short":
            names = {event.thing.name for event in world.events if event.kind != "sign"}
            halves = Counter(half for name in names for half in name.split())
            assert max(halves.values()) >= 2
            assert len({name.split()[0] for name in names}) <= 5


def test_crowding_keeps_times_signs_and_what_is_told(videos):
    for (group, level, _), world, _ in everything(videos):
        if level == "medium":
            made = crowded(world)
            assert [(e.start, e.end, e.kind) for e in made.events] == [
                (e.start, e.end, e.kind) for e in world.events
            ] or any(e.kind == "recolour" for e in world.events)
            assert [e for e in made.events if e.kind == "sign"] == [
                e for e in world.events if e.kind == "sign"
            ]
            assert len(made.names) == len(world.names) and len(made.cues) == len(world.cues)
            for thing, name in made.names:
                assert any(cue.text == f"The {thing} is called {name}." for cue in made.cues)
                assert thing in made.things
            if group != "looks":
                names = [name for event in made.events for name in event.names if "sign" not in name]
                assert len(names) == len(set(names))


def test_the_same_seed_gives_the_same_video_and_another_one_another():
    for cell in CELLS:
        assert video("a", *cell) == video("a", *cell)
        assert video("a", *cell)[0].scenes != video("b", *cell)[0].scenes


# What is offered


def test_a_change_is_offered_with_its_time_reversed_counterpart(videos):
    for _, _, asked in everything(videos):
        for question in asked:
            if question.type == "state change":
                turns = [re.fullmatch(r"it is (\w+) and turns (\w+)", option) for option in question.options]
                (one, other) = [match.groups() for match in turns if match]
                assert one == other[::-1]
                assert {"it grows", "it shrinks"} < set(question.options)


def test_directions_are_the_four_and_orders_are_of_the_same_things(videos):
    for _, _, asked in everything(videos):
        for question in asked:
            if question.type == "direction":
                assert sorted(question.options) == [f"it moves {w}" for w in ("down", "left", "right", "up")]
            if question.text.startswith("in what order"):
                assert len({tuple(sorted(option.split(", "))) for option in question.options}) == 1


def test_what_is_on_the_other_side_of_the_sign_is_always_offered(videos):
    for (_, level, length), world, asked in everything(videos):
        for question in asked:
            if question.type == "needle":
                turned = question.text.replace("after", "X").replace("before", "after").replace("X", "before")
                side, sign = re.search(r"right (after|before) the (.*)\?", turned).groups()
                assert sum(_beside(Told(world), question.options, side, sign)) == 1
                if (level, length) != ("easy", "short"):
                    assert set(question.options) <= set(world.things)


def test_sentences_are_made_of_known_words(videos):
    for template, text in SENTENCES.items():
        assert template not in words.TEMPLATES
        assert set(words.split(re.sub(r"{\w+}", "", text))) <= set(words.WORDS)
    for _, _, asked in everything(videos)[::10]:
        for question in asked:
            for text in (question.text, *question.options):
                assert set(words.split(text)) <= set(words.WORDS), text


# What the text alone tells


@pytest.fixture(scope="module")
def pairs():
    """Questions to learn from and others to test on, by kind: 450 of each kind in each."""
    out = []
    for seed in ("learn", "test"):
        found = defaultdict(list)
        for cell in CELLS:
            for i in range(75):
                for question in video(f"{seed}/{i}", *cell)[1]:
                    found[question.type].append(question)
        out.append(found)
    return out


def bare(text):
    """The question without what it names."""
    names = "|".join((*words.COLOURS, *words.SHAPES, *words.PLACES, *words.NAMES))
    return re.sub(rf"\b({names})\b", "_", text)


def features(question, k):
    """Simple things about option `k`, as one may know them from all options of the question."""
    option, options = question.options[k], question.options
    tokens = [
        Counter(re.findall(r"\w", o) if question.type == "ocr" else re.findall(r"\w+", o)) for o in options
    ]
    shared = [sum((a & b).total() for b in tokens) - a.total() for a in tokens]
    ranks = [words.NUMBERS.index(o) if o in words.NUMBERS else o for o in options]
    asked = set(question.text.rstrip("?").split())
    yield "text", bare(question.text), option
    yield "words", *sorted(tokens[k])
    yield "rank", bare(question.text), sum(other < ranks[k] for other in ranks)
    yield "shared", sum(other < shared[k] for other in shared), shared.count(shared[k])
    yield "length", sum(len(other) < len(option) for other in options)
    yield "in question", len(asked & set(tokens[k]))


def learned(found):
    """How often an option with a feature is right, by feature."""
    offered, right = Counter(), Counter()
    for question in found:
        for k in range(4):
            for feature in features(question, k):
                offered[feature] += 1
                right[feature] += k == question.right
    return lambda feature: (right[feature] + 5) / (offered[feature] + 20)


def hits(found, score):
    """The share of questions whose right option has the highest score; equal ones share it."""
    total = 0.0
    for question in found:
        scores = [score(question, k) for k in range(4)]
        best = [k for k in range(4) if scores[k] == max(scores)]
        total += (question.right in best) / len(best)
    return total / len(found)


@pytest.mark.parametrize("kind", KINDS)
def test_options_alone_do_not_give_the_answer_away(pairs, kind):
    """Learned on other videos, options are chosen by each simple feature, and by all of them together."""
    rate = learned(pairs[0][kind])
    names = [name for name, *_ in features(pairs[1][kind][0], 0)]
    rates = {"all": hits(pairs[1][kind], lambda q, k: product(rate(f) for f in features(q, k)))}
    for i, name in enumerate(names):
        rates[name] = hits(pairs[1][kind], lambda q, k, i=i: rate(list(features(q, k))[i]))
    assert all(0.19 < value < 0.31 for value in rates.values()), rates


def product(values):
    out = 1.0
    for value in values:
        out *= value
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_the_most_frequent_answer_to_a_question_is_worth_a_guess(pairs, kind):
    for key in (lambda question: question.text, lambda question: bare(question.text)):
        said = defaultdict(Counter)
        for question in pairs[0][kind]:
            said[key(question)][question.answer] += 1
        score = hits(pairs[1][kind], lambda q, k, said=said, key=key: said[key(q)][q.options[k]])
        assert 0.19 < score < 0.31, (kind, score)
