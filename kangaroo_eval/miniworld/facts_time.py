"""More builders of `Fact`s, for the further benchmarks: when and where things happen, and what is said then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise, permutations
from math import ceil, floor

from kangaroo_eval.miniworld import words
from kangaroo_eval.miniworld.captions import phrase
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.facts import Fact, near, place_phrase, solo
from kangaroo_eval.miniworld.phrases import SENSES
from kangaroo_eval.miniworld.words import say
from kangaroo_eval.miniworld.world import Event, World
from kangaroo_eval.types import Cue

_PLACES = tuple(say("place", place=place) for place in words.PLACES)


def _phrases(world: World) -> dict[str, Event]:
    """What happens only once -> the event."""
    count = Counter(phrase(event) for event in world.events)
    return {what: event for event in world.events if count[what := phrase(event)] == 1}


def clock(seconds: int) -> str:
    """Minutes and seconds: "01:05"."""
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


# Order


def neighbouring_events(world: World, dice: Dice) -> Iterator[Fact]:
    """What happens right after, and right before, an event."""
    known = _phrases(world)
    for before, after in pairwise(world.events):
        a, b = phrase(before), phrase(after)
        if a in known and b in known:
            others = [what for what in known if what not in (a, b)]
            yield Fact(say("ask event after", what=a), b, (b, *others))
            yield Fact(say("ask event before", what=b), a, (a, *others))


def event_order(world: World, dice: Dice) -> Iterator[Fact]:
    """The order of three events."""
    known = list(_phrases(world))
    if len(known) >= 3:
        chosen = [known[i] for i in sorted(dice.shuffled(range(len(known)))[:3])]
        options = _orders("answer event order", chosen)
        yield Fact(say("ask event order"), options[0], options)


def place_order(world: World, dice: Dice) -> Iterator[Fact]:
    """The order of three places."""
    places = [scene.place for scene in world.scenes]
    if len(places) >= 3 and len(set(places)) == len(places):
        chosen = [places[i] for i in sorted(dice.shuffled(range(len(places)))[:3])]
        options = _orders("answer order", chosen)
        yield Fact(say("ask place order"), options[0], options)


def sign_order(world: World, dice: Dice) -> Iterator[Fact]:
    """The order of three signs."""
    texts = [event.text for event in world.events if event.kind == "sign"]
    if len(texts) == 3 == len(set(texts)):
        options = _orders("answer order", texts)
        yield Fact(say("ask sign order"), options[0], options)


def _orders(template: str, names: list[str]) -> tuple[str, ...]:
    """All orders of three, the given one first."""
    return tuple(say(template, first=a, second=b, third=c) for a, b, c in permutations(names))


def comes_back(world: World, dice: Dice) -> Iterator[Fact]:
    """The only thing that more than one event shows."""
    seen = Counter(name for event in world.events for name in event.names)
    often = [name for name in seen if seen[name] > 1]
    if len(often) == 1:
        others = [name for name in world.things if name not in often and not name.endswith("sign")]
        yield Fact(say("ask comes back"), often[0], (often[0], *others))


# Time and place


def between(world: World, dice: Dice) -> Iterator[Fact]:
    """What happens between two times, both within one event."""
    known = _phrases(world)
    for what, event in known.items():
        start, end = ceil(event.start), floor(event.end)
        if end - start >= 2:
            text = say("ask between", start=clock(start), end=clock(end))
            yield Fact(text, what, tuple(known))


def thing_at(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing is there at a time."""
    for event in solo(world):
        at = round((event.start + event.end) / 2)
        if event.kind not in ("recolour", "cross", "group") and event.start < at < event.end:
            name = event.thing.name
            yield Fact(say("ask thing at", at=clock(at)), name, (name, *near(world, dice, event.names)))


def event_quarter(world: World, dice: Dice) -> Iterator[Fact]:
    """In which quarter of the video something happens: well inside it, as in `facts.quarter`."""
    for what, event in _phrases(world).items():
        first = int(4 * (event.start / world.seconds + 0.02))
        if first == int(4 * (event.end / world.seconds - 0.02)):
            yield Fact(say("ask event quarter", what=what), words.PARTS[first], words.PARTS)


def event_place(world: World, dice: Dice) -> Iterator[Fact]:
    """In which place something happens."""
    for what, event in _phrases(world).items():
        yield Fact(say("ask event place", what=what), place_phrase(world, event), _PLACES)


def first_in_place(world: World, dice: Dice) -> Iterator[Fact]:
    """What happens first in a place."""
    known = _phrases(world)
    for scene in world.scenes:
        what = phrase(scene.events[0])
        if what in known and sum(other.place == scene.place for other in world.scenes) == 1:
            yield Fact(say("ask first in place", place=scene.place), what, tuple(known))


def scene_change(world: World, dice: Dice) -> Iterator[Fact]:
    """From which place to which a video of two scenes goes."""
    if len(world.scenes) == 2:
        first, last = (scene.place for scene in world.scenes)
        a, b = dice.shuffled(place for place in words.PLACES if place not in (first, last))[:2]
        pairs = ((first, last), (last, first), (first, b), (a, last), (a, b))
        options = tuple(say("answer scene change", first=x, last=y) for x, y in pairs)
        yield Fact(say("ask scene change"), options[0], options)


def turn_in_place(world: World, dice: Dice) -> Iterator[Fact]:
    """How the only thing of its form in a place changes colour."""
    for event in solo(world):
        if event.kind == "recolour":
            place, form = world.place_of(event), event.thing.form
            there = [e for e in world.events if world.place_of(e) == place]
            if sum(name.endswith(form) for e in there for name in e.names) == 2:  # before and after
                yield Fact(say("ask turn in place", shape=form, place=place), *_turn(event, dice))


def _turn(event: Event, dice: Dice) -> tuple[str, tuple[str, ...]]:
    """The change of colour, and other changes: both colours crossed with two others."""
    c, d = event.thing.colour, event.colour
    x, y = dice.shuffled(other for other in words.COLOURS if other not in (c, d))[:2]
    pairs = ((c, d), (d, c), (c, y), (x, d), (x, y))
    options = tuple(say("answer turn", colour=a, after=b) for a, b in pairs)
    return options[0], options


def sense(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing is in a place that is not named but described."""
    for place in dict.fromkeys(scene.place for scene in world.scenes):
        names = {name for e in world.events if world.place_of(e) == place for name in e.names}
        for event in solo(world):
            if world.place_of(event) == place and event.kind != "recolour":
                name = event.thing.name
                pool = (name, *near(world, dice, tuple(names)))
                yield Fact(say("ask sense", sense=SENSES[place]), name, pool)


# The narrator


def _said(world: World) -> Iterator[tuple[Cue, Event]]:
    """Subtitles that are said once, with what happens meanwhile."""
    count = Counter(cue.text for cue in world.cues)
    for cue, event in zip(world.cues, world.events, strict=bool(world.cues)):
        if count[cue.text] == 1:
            yield cue, event


def _hidden(world: World) -> Iterator[tuple[Cue, Event]]:
    """Those of `_said` that do not tell which thing there is."""
    for cue, event in _said(world):
        if not any(name in cue.text for name in event.names):
            yield cue, event


def said_event(world: World, dice: Dice) -> Iterator[Fact]:
    """What happens while something is said (subtitles)."""
    known = _phrases(world)
    for cue, event in _hidden(world):
        if (what := phrase(event)) in known:
            yield Fact(say("ask said event", cue=cue.text), what, tuple(known), needs_subtitles=True)


def said_thing(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing is there while something is said (subtitles)."""
    for cue, event in _hidden(world):
        if event in solo(world) and event.kind != "recolour":
            name = event.thing.name
            pool = (name, *near(world, dice, event.names))
            yield Fact(say("ask said thing", cue=cue.text), name, pool, needs_subtitles=True)


def said_colour(world: World, dice: Dice) -> Iterator[Fact]:
    """What colour a thing has while something is said (subtitles)."""
    for cue, event in _hidden(world):
        if event in solo(world) and event.kind != "recolour":
            text = say("ask said colour", shape=event.thing.form, cue=cue.text)
            yield Fact(text, event.thing.colour, tuple(words.COLOURS), needs_subtitles=True)


def said_place(world: World, dice: Dice) -> Iterator[Fact]:
    """In which place the video is while something is said that does not tell it (subtitles)."""
    for cue, event in _said(world):
        if world.place_of(event) not in cue.text:
            text = say("ask said place", cue=cue.text)
            yield Fact(text, place_phrase(world, event), _PLACES, needs_subtitles=True)


def said_next_event(world: World, dice: Dice) -> Iterator[Fact]:
    """What happens right after something is said (subtitles)."""
    known = _phrases(world)
    for (cue, before), after in _followed(world):
        if (what := phrase(after)) in known:
            pool = tuple(other for other in known if other != phrase(before))
            yield Fact(say("ask said next event", cue=cue.text), what, pool, needs_subtitles=True)


def said_next_thing(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing appears right after something is said (subtitles)."""
    for (cue, before), after in _followed(world):
        if after in solo(world) and after.kind != "recolour":
            name = after.thing.name
            pool = (name, *near(world, dice, (*before.names, *after.names)))
            yield Fact(say("ask said next thing", cue=cue.text), name, pool, needs_subtitles=True)


def _followed(world: World) -> Iterator[tuple[tuple[Cue, Event], Event]]:
    after = dict(pairwise(world.events))
    for cue, event in _said(world):
        if event in after:
            yield (cue, event), after[event]


def said_turn(world: World, dice: Dice) -> Iterator[Fact]:
    """How a thing changes colour while something is said (subtitles)."""
    for cue, event in _hidden(world):
        if event.kind == "recolour":
            text = say("ask said turn", shape=event.thing.form, cue=cue.text)
            yield Fact(text, *_turn(event, dice), needs_subtitles=True)
