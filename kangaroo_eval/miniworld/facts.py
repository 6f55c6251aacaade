"""What is true of a world: builders yield `Fact`s: a question, its one true answer and a pool of options.

A builder says nothing where the answer would not be the only true one: a thing seen twice, a colour that
changes. Pools are made so that the options alone do not give the answer away: two halves of an answer are
crossed, not varied one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise, permutations
from typing import NamedTuple

from kangaroo_eval.miniworld import words
from kangaroo_eval.miniworld.captions import phrase, plural
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.words import NUMBERS, say
from kangaroo_eval.miniworld.world import Event, World


class Fact(NamedTuple):
    """`answer` is true and all else in `pool` false. `needs_subtitles`: no picture shows it."""

    text: str
    answer: str
    pool: tuple[str, ...]
    needs_subtitles: bool = False


Builder = Callable[[World, Dice], Iterator[Fact]]

ALL_THINGS = tuple(f"{colour} {form}" for colour in words.COLOURS for form in words.SHAPES)
"""The names of all things that there are."""
_SOLO = ("stay", "group", "cross", "stop", "grow", "shrink", "recolour")


def solo(world: World) -> list[Event]:
    """Events of one thing (or a group of equal ones) that no other event shows."""
    seen = Counter(name for event in world.events for name in event.names)
    return [e for e in world.events if e.kind in _SOLO and all(seen[name] == 1 for name in e.names)]


def _only(world: World, kind: str) -> Event | None:
    found = [event for event in world.events if event.kind == kind]
    return found[0] if len(found) == 1 else None


def near(world: World, dice: Dice, out: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Things for wrong options: up to five that the video shows and one that it does not; none of `out`."""
    seen = [name for name in world.things if name in ALL_THINGS and name not in out]
    unseen = [name for name in ALL_THINGS if name not in world.things and name not in out]
    return (*dice.shuffled(seen)[:5], *dice.shuffled(unseen)[: 1 if len(seen) > 2 else 3])


# Time


def quarter(world: World, dice: Dice) -> Iterator[Fact]:
    """In which quarter of the video something is: only for what lies well inside one (2 % of tolerance)."""
    for event in solo(world):
        first = int(4 * (event.start / world.seconds + 0.02))
        last = int(4 * (event.end / world.seconds - 0.02))
        if first == last and event.count == 1:
            yield Fact(say("ask quarter", thing=event.thing.name), words.PARTS[first], words.PARTS)


def first_and_last(world: World, dice: Dice) -> Iterator[Fact]:
    """What the video begins and ends with, among the other things that happen in it."""
    all_phrases = tuple(dict.fromkeys(phrase(event) for event in world.events))
    yield Fact(say("ask first"), phrase(world.events[0]), all_phrases)
    yield Fact(say("ask last"), phrase(world.events[-1]), all_phrases)


def neighbours(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing appears right after or before another."""
    alone = solo(world)
    for before, after in pairwise(world.events):
        if before in alone and after in alone:
            a, b = before.thing.name, after.thing.name
            others = near(world, dice, (*before.names, *after.names))
            yield Fact(say("ask after", thing=a), b, (b, *others))
            yield Fact(say("ask before", thing=b), a, (a, *others))


def order(world: World, dice: Dice) -> Iterator[Fact]:
    """The order of three things."""
    alone = solo(world)
    if len(alone) < 3:
        return
    for _ in range(3):
        names = [alone[i].thing.name for i in sorted(dice.shuffled(range(len(alone)))[:3])]
        options = tuple(say("answer order", first=a, second=b, third=c) for a, b, c in permutations(names))
        yield Fact(say("ask order"), options[0], options)


# Space


def where(world: World, dice: Dice) -> Iterator[Fact]:
    """Where in the picture a single thing stays."""
    for event in solo(world):
        if event.kind == "stay":
            yield Fact(say("ask where", thing=event.thing.name), event.spot, tuple(words.SPOTS))


def place_of_thing(world: World, dice: Dice) -> Iterator[Fact]:
    """In which place a single thing is."""
    for event in solo(world):
        if event.count == 1:
            yield Fact(say("ask place of", thing=event.thing.name), place_phrase(world, event), _PLACES)


def relation(world: World, dice: Dice) -> Iterator[Fact]:
    """How two things stand to each other."""
    for event in world.events:
        if event.kind == "pair" and event.other and not _again(world, event):
            a, b = event.thing.name, event.other.name
            pool = tuple(say("answer relation", relation=r, other=b) for r in words.RELATIONS)
            answer = say("answer relation", relation=event.relation, other=b)
            yield Fact(say("ask relation", thing=a, other=b), answer, pool)


def beside(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing is on a given side of another."""
    for event in world.events:
        if event.kind == "pair" and event.other and not _again(world, event):
            a, b = event.thing.name, event.other.name
            text = say("ask beside", relation=event.relation, thing=b)
            yield Fact(text, a, (a, *near(world, dice, (a, b))))


def _again(world: World, event: Event) -> bool:
    """Whether another event shows one of the same things."""
    seen = Counter(name for other in world.events for name in other.names)
    return any(seen[name] > 1 for name in event.names)


_PLACES = tuple(say("place", place=place) for place in words.PLACES)


def place_phrase(world: World, event: Event) -> str:
    """The place of an event, such as "in the sea"."""
    return say("place", place=world.place_of(event))


# Attributes, objects, actions


def _fixed_in_place(world: World) -> Iterator[tuple[str, str, set[str]]]:
    """Place, name of a thing there that never changes colour, all names of things in that place."""
    for place in {scene.place: None for scene in world.scenes}:
        events = [event for event in world.events if world.place_of(event) == place]
        names = {name for event in events for name in event.names if name in ALL_THINGS}
        changing = {n for e in events if e.colour for n in (e.thing.name, f"{e.colour} {e.thing.form}")}
        for name in sorted(names - changing):
            yield place, name, names


def colour_in_place(world: World, dice: Dice) -> Iterator[Fact]:
    """The colour of the only circle (square, ...) in a place."""
    for place, name, names in _fixed_in_place(world):
        colour, form = name.split()
        if sum(n.endswith(form) for n in names) == 1:
            yield Fact(say("ask colour", shape=form, place=place), colour, tuple(words.COLOURS))


def shape_in_place(world: World, dice: Dice) -> Iterator[Fact]:
    """The shape of the only red (green, ...) thing in a place; signs are things too."""
    for place, name, names in _fixed_in_place(world):
        colour, form = name.split()
        signs = [e for e in world.events if e.kind == "sign" and world.place_of(e) == place]
        if sum(n.startswith(colour) for n in names) == 1 and all(e.thing.colour != colour for e in signs):
            yield Fact(say("ask shape", colour=colour, place=place), form, tuple(words.SHAPES))


def colour_of_mover(world: World, dice: Dice) -> Iterator[Fact]:
    """The colour of the only thing that moves in a direction (nothing else may move that way for a while)."""
    for direction in words.DIRECTIONS:
        movers = [event for event in world.events if event.direction == direction]
        back = any(event.kind == "meet" for event in world.events)
        if len(movers) == 1 and movers[0].kind == "cross" and movers[0].count == 1 and not back:
            text = say("ask colour moves", direction=direction)
            yield Fact(text, movers[0].thing.colour, tuple(words.COLOURS))


def colour_of_sign(world: World, dice: Dice) -> Iterator[Fact]:
    """The colour of the only sign's plate."""
    if event := _only(world, "sign"):
        yield Fact(say("ask colour sign"), event.thing.colour, tuple(words.COLOURS))


def place_of_sign(world: World, dice: Dice) -> Iterator[Fact]:
    """In which place the only sign stands."""
    if event := _only(world, "sign"):
        yield Fact(say("ask place of sign"), place_phrase(world, event), _PLACES)


def turns(world: World, dice: Dice) -> Iterator[Fact]:
    """Which colour a thing turns."""
    for event in solo(world):
        if event.kind == "recolour":
            pool = tuple(colour for colour in words.COLOURS if colour != event.thing.colour)
            yield Fact(say("ask turns", thing=event.thing.name), event.colour, pool)


def which_turns(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing turns a given colour, by the colour that it had before."""
    for event in solo(world):
        again = [e for e in world.events if e.colour == event.colour]
        if event.kind == "recolour" and len(again) == 1:
            name = event.thing.name
            text = say("ask which turns", colour=event.colour)
            yield Fact(text, name, (name, *near(world, dice, event.names)))


def action(world: World, dice: Dice) -> Iterator[Fact]:
    """What a single thing does. Coming in and stopping is not offered beside moving that way or staying."""
    moves = {d: say("it moves", direction=d) for d in words.DIRECTIONS}
    others = {
        "stop": say("it stops"),
        "grow": say("it grows"),
        "shrink": say("it shrinks"),
        "recolour": say("it recolours"),
        "stay": say("it stays"),
    }
    pool = [*moves.values(), *others.values()]
    for event in solo(world):
        if event.count == 1:
            answer = moves[event.direction] if event.kind == "cross" else others[event.kind]
            close = {"stop": (moves.get(event.direction), others["stay"]), "stay": (others["stop"],)}
            left = tuple(option for option in pool if option not in close.get(event.kind, ()))
            yield Fact(say("ask action", thing=event.thing.name), answer, left)


def thing_in_place(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing is in a place; the others are elsewhere or nowhere."""
    for place, name, names in _fixed_in_place(world):
        yield Fact(say("ask in place", place=place), name, (name, *near(world, dice, tuple(names))))


def appears(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing appears at all; the others never do."""
    unseen = tuple(name for name in ALL_THINGS if name not in world.things)
    for event in solo(world):
        yield Fact(say("ask appears"), event.thing.name, (event.thing.name, *unseen))


def sign_text(world: World, dice: Dice) -> Iterator[Fact]:
    """What the only sign says. The four options are two first characters with two second ones each."""
    if event := _only(world, "sign"):
        a, b = event.text[0], event.text[1]
        x, y = dice.shuffled(c for c in words.SIGN_CHARACTERS if c not in event.text)[:2]
        pool = (event.text, a + y, x + b, x + y)
        yield Fact(say("ask sign"), event.text, pool)


# Numbers


def how_many(world: World, dice: Dice) -> Iterator[Fact]:
    """How many equal things are seen at once."""
    for event in solo(world):
        if event.kind in ("group", "cross") and (event.kind == "group" or event.count > 1):
            text = say("ask how many", things=plural(event.thing.name))
            yield Fact(text, NUMBERS[event.count], NUMBERS[2:6])


def times(world: World, dice: Dice) -> Iterator[Fact]:
    """How many times a thing appears that comes back."""
    seen = Counter(event.thing.name for event in world.events)
    all_seen = Counter(name for event in world.events for name in event.names)
    for name, count in seen.items():
        if 2 <= count <= 5 and count == all_seen[name] and name in ALL_THINGS:
            yield Fact(say("ask times", thing=name), NUMBERS[count], NUMBERS[2:6])


# What meets and why


def effect(world: World, dice: Dice) -> Iterator[Fact]:
    """What happens to a thing after it meets another."""
    for event in world.events:
        if event.kind == "meet" and event.other:
            pool = tuple(say("it effect", effect=e) for e in words.EFFECTS)
            text = say("ask effect", thing=event.thing.name, other=event.other.name)
            yield Fact(text, say("it effect", effect=event.effect), pool)


def why(world: World, dice: Dice) -> Iterator[Fact]:
    """Why a thing changes: which thing it has met."""
    for fact, event in _meetings(world, dice):
        text = say("ask why", thing=event.thing.name, effect=event.effect)
        pool = tuple(say("it meets", thing=name) for name in fact)
        yield Fact(text, pool[0], pool)


def meets(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing another meets."""
    for names, event in _meetings(world, dice):
        yield Fact(say("ask meets", thing=event.thing.name), names[0], names)


def _meetings(world: World, dice: Dice) -> Iterator[tuple[tuple[str, ...], Event]]:
    """The name of the thing that is met, with names of things that are not; and the event."""
    for event in world.events:
        if event.kind == "meet" and event.other and not _again(world, event):
            yield (event.other.name, *near(world, dice, event.names)), event


# The whole video


def synopsis(world: World, dice: Dice) -> Iterator[Fact]:
    """In which places the video begins and ends."""
    first, last = world.scenes[0].place, world.scenes[-1].place
    if first == last:
        return
    a, b = dice.shuffled(place for place in words.PLACES if place not in (first, last))[:2]
    pairs = ((first, last), (first, b), (a, last), (a, b))
    options = tuple(say("answer synopsis", first=x, last=y) for x, y in pairs)
    yield Fact(say("ask synopsis"), options[0], options)


def called(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing the narrator calls by a name (subtitles)."""
    for thing, name in world.names:
        others = near(world, dice, (thing,))
        yield Fact(say("ask called", name=name), thing, (thing, *others), needs_subtitles=True)


def name_told(world: World, dice: Dice) -> Iterator[Fact]:
    """What the narrator calls a thing (subtitles)."""
    for thing, name in world.names:
        yield Fact(say("ask name", thing=thing), name, words.NAMES, needs_subtitles=True)


def code_word(world: World, dice: Dice) -> Iterator[Fact]:
    """The code word that the narrator tells (subtitles)."""
    if world.code:
        yield Fact(say("ask code"), world.code, words.CODES, needs_subtitles=True)
