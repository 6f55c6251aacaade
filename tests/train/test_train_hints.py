"""What tokens can tell: by worlds made by hand, whose every answer is plain to see."""

from __future__ import annotations

import pytest
import torch

from kangaroo_eval.miniworld.world import Event, Recipe, Scene, Shape, World
from kangaroo_eval.model.config import kangaroo_tiny
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.train.batch import IGNORED
from kangaroo_eval.train.frame_budget import FrameBudget
from kangaroo_eval.train.hints import HINTS, MENTIONS, hints, mentions
from kangaroo_eval.train.recipe import Phase, WarmUp
from kangaroo_eval.train.spelling import SpeltData, SpeltText

EVENTS = (
    Event(kind="cross", thing=Shape("red", "circle"), direction="left", start=0.0, end=3.75),
    Event(kind="sign", thing=Shape("blue", "sign"), text="E5", start=4.0, end=7.75),
    Event(kind="recolour", thing=Shape("green", "ring"), colour="white", start=8.0, end=11.75),
    Event(kind="grow", thing=Shape("red", "circle"), start=12.0, end=15.75),
)
WORLD = World(
    seed="by hand",
    recipe=Recipe(name="by hand", seconds=16.0, events=4, scenes=2),
    seconds=16.0,
    scenes=(Scene(0.0, 8.0, "sea", EVENTS[:2]), Scene(8.0, 16.0, "snow", EVENTS[2:])),
    names=(("green ring", "tom"),),
)
SLOTS = [(0.5, 1.5), (2.5, 3.5), (4.5, 5.5), (8.5, 9.5), (10.0, 11.0), (12.5, 13.5)]


def told(head: str, slot: int) -> set[str]:
    """The classes that the visual tokens of a slot which show a thing have."""
    found = hints(WORLD, SLOTS, 4)[head][16 * slot : 16 * slot + 16]
    return {HINTS[head][index] for index in found if index != IGNORED}


def test_a_visual_token_tells_what_its_thing_does_and_what_came_before():
    assert told("act", 0) == told("act", 1) == {"cross left"}
    assert told("act", 3) == told("act", 4) == {"recolour"} and told("act", 5) == {"grow"}
    assert told("first colour", 4) == {"green"}, "though it is white by then"
    assert told("previous colour", 0) == told("previous form", 0) == {"none"}
    assert (told("previous colour", 2), told("previous form", 2)) == ({"red"}, {"circle"})
    assert (told("previous colour", 3), told("previous form", 3)) == ({"blue"}, {"sign"})
    assert (told("previous colour", 5), told("previous form", 5)) == ({"white"}, {"ring"}), "as last seen"
    assert [told("time", slot) for slot in (1, 2, 3, 5)] == [{"1"}, set(), {"1"}, {"2"}]
    assert [told("number", slot) for slot in range(6)] == [{"1"}, {"1"}, {"2"}, {"3"}, {"3"}, {"4"}]


def test_one_look_does_not_tell_what_a_thing_does_and_two_things_tell_nothing():
    first = hints(WORLD, [(0.5,)], 4)
    assert set(first["act"]) == {IGNORED} and {HINTS["number"][i] for i in first["number"] if i >= 0} == {"1"}
    between = hints(WORLD, [(3.5, 4.5)], 4)
    assert all(set(found) == {IGNORED} for found in between.values())
    nothing = hints(WORLD, [(3.8, 3.9)], 4)
    assert all(set(found) == {IGNORED} and len(found) == 16 for found in nothing.values())


def said(text: str) -> dict[str, dict[str, str]]:
    """The last mention that ends with each word -> what it tells."""
    words = text.replace("?", " ?").lower().split()
    return {
        words[i]: {name: MENTIONS[name][value] for name, value in found.items()}
        for i, found in mentions(WORLD, words).items()
    }


def test_a_mention_tells_what_all_that_it_may_mean_have_in_common():
    ring = said("What does the green ring do?")["ring"]
    assert ring == {
        "act": "recolour",
        "form": "ring",
        "colour": "green",
        "number": "3",
        "previous colour": "blue",
        "previous form": "sign",
        "next colour": "red",
        "next form": "circle",
        "times": "1",
    }
    circle = said("What does the red circle do?")["circle"]
    assert circle == {"form": "circle", "colour": "red", "times": "2"}, "two events, which differ in the rest"
    assert said("the yellow cross") == {"cross": {"times": "0"}}


@pytest.mark.parametrize(
    ("text", "ends", "what"),
    [
        ("What colour is the circle in the sea?", "sea", {"colour": "red", "act": "cross left"}),
        ("What colour is the circle in the snow?", "snow", {"colour": "red", "act": "grow", "number": "4"}),
        ("Which shape is the white thing in the snow?", "snow", {"form": "ring", "colour": "green"}),
        ("Which shape is the thing that moves left?", "left", {"form": "circle", "number": "1"}),
        ("Which thing appears right after the sign?", "sign", {"next form": "ring", "right character": "5"}),
        ("Which thing is called tom?", "tom", {"colour": "green", "form": "ring"}),
    ],
)
def test_things_are_meant_in_many_ways(text, ends, what):
    found = said(text)[ends]
    assert what.items() <= found.items()


def test_a_place_or_a_direction_alone_means_nothing():
    assert said("it moves left") == {} and said("now we are in the snow") == {"snow": {}}


@pytest.fixture(scope="module")
def processor():
    return KangarooProcessor.for_config(load_tiny_tokenizer(), kangaroo_tiny())


def test_a_batch_has_hints_for_its_tokens_and_learns_from_them(processor):
    warmup = WarmUp(
        kind="words",
        steps=10,
        batch=3,
        lr=1e-3,
        phases=(Phase(1.0, {"drill": 1, "options": 1, "pictures": 1}),),
        budget=FrameBudget(least=8, most=8),
    )
    spelt = SpeltData(warmup, 10, processor)[0]
    ids = spelt.pack.input_ids
    visual = ids == processor.token_id("<|video|>")
    assert all(len(found) == int(visual.sum()) for found in spelt.hints.values())
    assert all(len(found) == len(ids) for found in spelt.mentions.values())
    assert (spelt.hints["act"] != IGNORED).any()
    ends = {
        processor.tokenizer.decode([int(i)]).strip().lower() for i in ids[spelt.mentions["form"] != IGNORED]
    }
    assert {"circle", "square", "triangle", "cross", "ring"} & ends and not ends & {"what", "the", "."}
    torch.manual_seed(0)
    objective = SpeltText(KangarooForConditionalGeneration(kangaroo_tiny()))
    objective(spelt).backward()
    heads = [*objective.heads.values(), *objective.naming.values()]
    assert sum(head.weight.grad is not None for head in heads) > len(heads) // 2
    with_hints = objective(spelt)
    none = {name: torch.full_like(found, IGNORED) for name, found in spelt.mentions.items()}
    assert objective(SpeltData(warmup, 10, processor)[0]) == with_hints, "the same batch each time"
    spelt.hints.update({name: torch.full_like(found, IGNORED) for name, found in spelt.hints.items()})
    spelt.mentions.update(none)
    assert objective(spelt) < with_hints
