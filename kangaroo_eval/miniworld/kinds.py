"""Nine kinds of questions that measure one ability each, and worlds in which to ask them.

A group of three kinds shares a video: what things look like and how often they come ("looks"), what happens and
in which order ("changes"), and what a sign and the narrator tell ("signs"). `video` gives a world of a group with
its three questions, at one of three difficulties and two lengths.

Wrong options are what a model picks that misses the ability: for "state change" always the change played
backwards, for "order" the same things in other orders, for "needle" what is on the other side of the sign. The
generator treats all colours, shapes, directions and sides alike, so the text alone tells nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from kangaroo_eval.miniworld import facts, words
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.facts import ALL_THINGS, Fact, solo
from kangaroo_eval.miniworld.questions import Question, TaskType, world_with
from kangaroo_eval.miniworld.words import NUMBERS, say, sentence
from kangaroo_eval.miniworld.world import Event, Kind, Recipe, Shape, World

Difficulty = Literal["easy", "medium", "hard"]
Length = Literal["short", "long"]

DIFFICULTIES: tuple[Difficulty, ...] = ("easy", "medium", "hard")
LENGTHS: tuple[Length, ...] = ("short", "long")

SENTENCES: dict[str, str] = {
    "shape moves": "which shape is the thing that moves {direction}?",
    "shape alone": "which shape is the only {colour} thing in the video?",
    "first": "which of these things appears first in the video?",
    "last": "which of these things appears last in the video?",
    "changes in": "what happens to the {shape} in the {place}?",
    "changes alone": "what happens to the only {shape} in the video?",
    "turns": "it is {colour} and turns {after}",
    "colour sign says": "what does the {colour} sign say?",
}
"""What only these kinds say, beside `words.TEMPLATES`, in words that are all in `words.WORDS`."""


def _tell(template: str, **names: str) -> str:
    return SENTENCES[template].format(**names)


# Colour and shape


def _fixed(world: World) -> list[str]:
    """The names of things that never change colour, each once."""
    turned = {name for event in world.events if event.colour for name in event.names}
    return [name for name in world.things if name in ALL_THINGS and name not in turned]


def colour_alone(world: World, dice: Dice) -> Iterator[Fact]:
    """The colour of the only circle (square, ...) in the video."""
    forms = Counter(name.split()[1] for name in world.things if name in ALL_THINGS)
    for name in _fixed(world):
        colour, form = name.split()
        if forms[form] == 1:
            yield Fact(say("ask colour alone", shape=form), colour, tuple(words.COLOURS))


def shape_alone(world: World, dice: Dice) -> Iterator[Fact]:
    """The shape of the only red (green, ...) thing in the video; signs are things too."""
    colours = Counter(name.split()[0] for name in world.things)
    for name in _fixed(world):
        colour, form = name.split()
        if colours[colour] == 1:
            yield Fact(_tell("shape alone", colour=colour), form, tuple(words.SHAPES))


def shape_of_mover(world: World, dice: Dice) -> Iterator[Fact]:
    """The shape of the only thing that moves in a direction."""
    for direction in words.DIRECTIONS:
        movers = [event for event in world.events if event.direction == direction]
        back = any(event.kind == "meet" for event in world.events)
        if len(movers) == 1 and movers[0].kind == "cross" and movers[0].count == 1 and not back:
            text = _tell("shape moves", direction=direction)
            yield Fact(text, movers[0].thing.form, tuple(words.SHAPES))


# Motion, order, number


def direction(world: World, dice: Dice) -> Iterator[Fact]:
    """In which of the four directions a single thing moves."""
    pool = tuple(say("it moves", direction=way) for way in words.DIRECTIONS)
    for event in solo(world):
        if event.kind == "cross" and event.count == 1:
            text = say("ask action", thing=event.thing.name)
            yield Fact(text, say("it moves", direction=event.direction), pool)


def first_of(world: World, dice: Dice) -> Iterator[Fact]:
    """Which of four things, all of them shown, appears first."""
    yield from _end("first", world, dice)


def last_of(world: World, dice: Dice) -> Iterator[Fact]:
    """Which of four things, all of them shown, appears last."""
    yield from _end("last", world, dice)


def _end(which: str, world: World, dice: Dice) -> Iterator[Fact]:
    alone = solo(world)
    if len(alone) >= 4:
        chosen = [alone[i].thing.name for i in sorted(dice.shuffled(range(len(alone)))[:4])]
        yield Fact(_tell(which), chosen[0 if which == "first" else -1], tuple(chosen))


def times(world: World, dice: Dice) -> Iterator[Fact]:
    """How many times a thing appears: that which `come_again` made come back, one seen once, or one never seen.

    One question a world; over many, each of the four numbers is the answer as often as another.
    """
    seen = Counter(name for event in world.events for name in event.names if name in ALL_THINGS)
    often = [name for name in seen if seen[name] > 1]
    numbers = _numbers(world)
    if len(often) == 1 and seen[often[0]] in numbers:
        once = [name for name in seen if seen[name] == 1]
        asked = dice.pick(numbers)
        name = dice.pick(often if asked > 1 else once if asked == 1 else _alike(list(seen)))
        text = say("ask times", thing=name)
        yield Fact(text, NUMBERS[seen[name]], tuple(NUMBERS[n] for n in numbers))


def _numbers(world: World) -> tuple[int, ...]:
    """The four numbers to choose from. Four times and never twice in a row need seven events at least."""
    return (0, 1, 2, 3) if len(world.events) < 7 else (1, 2, 3, 4)


def _alike(names: list[str]) -> list[str]:
    """Things that have the colour or the form of one of `names`, without these."""
    halves = {half for name in names for half in name.split()}
    return [name for name in ALL_THINGS if name not in names and halves & set(name.split())]


# Changes


def state_change(world: World, dice: Dice) -> Iterator[Fact]:
    """What change the only circle (square, ...) of the video, or of a place, goes through.

    The question does not name its colour, which would tell how a change of colour begins. Which of both sorts of
    change, of size or of colour, is drawn first: else those of colour, which use up a form, would be more often
    the only ones of their form.
    """
    sort = dice.pick((("grow", "shrink"), ("recolour",)))
    for event in solo(world):
        if event.kind in sort:
            form, place = event.thing.form, world.place_of(event)
            there = [other for other in world.events if other.thing.form == form and other != event]
            if not there:
                yield Fact(_tell("changes alone", shape=form), *_changes(event, dice))
            if all(world.place_of(other) != place for other in there):
                yield Fact(_tell("changes in", shape=form, place=place), *_changes(event, dice))


def _changes(event: Event, dice: Dice) -> tuple[str, tuple[str, ...]]:
    """The change, and two pairs of changes that are each other's time-reversed counterpart."""
    before = event.thing.colour
    after = event.colour or dice.pick([colour for colour in words.COLOURS if colour != before])
    pool = (
        say("it grows"),
        say("it shrinks"),
        _tell("turns", colour=before, after=after),
        _tell("turns", colour=after, after=before),
    )
    return pool[("grow", "shrink", "recolour").index(event.kind)], pool


# Signs and the narrator


def _signs(world: World) -> Iterator[tuple[str, Event]]:
    """What texts call a sign, and its event: "sign" if there is but one, else by a colour no other sign has."""
    found = [event for event in world.events if event.kind == "sign"]
    colours = Counter(event.thing.colour for event in found)
    for event in found:
        if colours[event.thing.colour] == 1:
            yield ("sign" if len(found) == 1 else event.thing.name), event


def beside_sign(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing appears right after, or right before, a sign; that on the sign's other side is offered too.

    The other two options are things that the video shows, as far as it shows enough of them.
    """
    alone = solo(world)
    signs = {event.start: name for name, event in _signs(world)}
    for (before, sign), (_, after) in pairwise(pairwise(world.events)):
        if sign.start in signs and before in alone and after in alone:
            a, b = before.thing.name, after.thing.name
            out = (*before.names, *after.names)
            seen = [name for name in world.things if name in ALL_THINGS and name not in out]
            unseen = [name for name in ALL_THINGS if name not in world.things]
            others = (*dice.shuffled(seen), *dice.shuffled(unseen))[:2]
            yield Fact(say("ask after", thing=signs[sign.start]), b, (b, a, *others))
            yield Fact(say("ask before", thing=signs[sign.start]), a, (a, b, *others))


def sign_text(world: World, dice: Dice) -> Iterator[Fact]:
    """What the only sign says; where there are two, what the one of a colour says, and the other's text is offered.

    Only where all characters differ: a pool has no false text of two equal ones, so that one would be true.
    """
    signs = list(_signs(world))
    if len(signs) == 1 and len(set(signs[0][1].text)) == 2:
        yield from facts.sign_text(world, dice)
    if len(signs) == 2:
        for (name, event), (_, other) in (signs, signs[::-1]):
            if len(set(event.text + other.text)) == 4:
                text = _tell("colour sign says", colour=name.split()[0])
                crossed = (event.text[0] + other.text[1], other.text[0] + event.text[1])
                yield Fact(text, event.text, (event.text, *crossed, other.text))


def called(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing the narrator calls by a name, among things that are all shown, one at a time (subtitles)."""
    shown = [event.thing.name for event in solo(world) if event.count == 1]
    for thing, name in world.names:
        others = [other for other in shown if other != thing]
        yield Fact(say("ask called", name=name), thing, (thing, *others), needs_subtitles=True)


# The kinds, and worlds to ask them in

KINDS: dict[str, TaskType] = {
    name: TaskType(name, builders)
    for name, builders in {
        "colour": (facts.colour_in_place, facts.colour_of_mover, colour_alone),
        "shape": (facts.shape_in_place, shape_of_mover, shape_alone),
        "direction": (direction,),
        "order": (facts.order, first_of, last_of),
        "count": (times,),
        "state change": (state_change,),
        "needle": (beside_sign,),
        "ocr": (sign_text,),
        "subtitles": (called, facts.name_told, facts.code_word),
    }.items()
}
"""What makes the questions of each kind."""

GROUPS: dict[str, tuple[str, ...]] = {
    "looks": ("colour", "shape", "count"),
    "changes": ("direction", "order", "state change"),
    "signs": ("needle", "ocr", "subtitles"),
}
"""The kinds that are asked about one video."""


@dataclass(frozen=True, slots=True)
class _Size:
    events: int
    scenes: int
    seconds: float


# Counting to three takes five events, two signs with their neighbours eight; else easy is three events.
_SHORT: dict[str, tuple[_Size, _Size, _Size]] = {
    "looks": (_Size(5, 1, 10.0), _Size(6, 2, 13.0), _Size(8, 3, 16.0)),
    "changes": (_Size(3, 1, 9.0), _Size(4, 2, 12.0), _Size(7, 3, 16.0)),
    "signs": (_Size(3, 1, 9.0), _Size(5, 2, 12.0), _Size(8, 3, 16.0)),
}
_LONG: dict[str, tuple[_Size, _Size, _Size]] = {
    "looks": (_Size(8, 2, 64.0), _Size(10, 3, 90.0), _Size(12, 4, 120.0)),
    "changes": (_Size(8, 2, 64.0), _Size(10, 3, 90.0), _Size(12, 4, 120.0)),
    "signs": (_Size(8, 2, 72.0), _Size(10, 3, 110.0), _Size(12, 4, 150.0)),
}
_QUIET: tuple[Kind, ...] = ("stay", "group", "cross", "stop", "grow", "shrink")
# Changes of colour are as frequent as those of size.
_MAY: dict[str, tuple[Kind, ...]] = {
    "looks": _QUIET,
    "changes": ("recolour", "recolour", "grow", "shrink", "cross", "stay"),
    "signs": _QUIET,
}
_COLOURS_AND_FORMS = 4
"""Of how many colours and how many forms the things of a hard world are made, as far as they go."""


def recipe(group: str, difficulty: Difficulty, length: Length) -> Recipe:
    """What kind of world to ask the kinds of a group (a key of `GROUPS`) in; `video` changes it a little.

    Easy: three to six events in one scene. Medium: more, in two. Hard: seven or eight in three, two signs where
    there are any, and things alike. Short is 9 to 16 s, long 64 to 150 s with eight, ten or twelve events.
    """
    size = (_SHORT if length == "short" else _LONG)[group][DIFFICULTIES.index(difficulty)]
    signs: tuple[Kind, ...] = ("sign", "sign") if difficulty == "hard" else ("sign",)
    must: dict[str, tuple[Kind, ...]] = {"looks": (), "changes": ("cross",), "signs": signs}
    return Recipe(
        name=f"{group} {difficulty} {length}",
        seconds=size.seconds,
        events=size.events,
        scenes=size.scenes,
        must=must[group],
        may=_MAY[group],
        needle=group == "signs",
        narrated=group == "signs",
    )


def video(
    seed: str, group: str, difficulty: Difficulty, length: Length, pace: float | None = None
) -> tuple[World, list[Question]]:
    """A world, and one question of each kind of the group. Another seed gives another; see `generate`. `pace`: seconds for
    each event, where not as long as `recipe` has them."""

    def change(world: World) -> World:
        if difficulty == "hard":
            world = crowded(world)
        return come_again(world, seed) if group == "looks" else world

    types = [KINDS[name] for name in GROUPS[group]]
    wanted = recipe(group, difficulty, length)
    if pace is not None:
        wanted = replace(wanted, seconds=pace * wanted.events)
    return world_with(seed, wanted, types, change=change)


def come_again(world: World, seed: str) -> World:
    """`world` with one more thing, like another, that takes the part of two to four and never of two in a row.

    How often follows from `seed` and the recipe alone: that worlds are passed over for want of a question
    favours no number.
    """
    count = Dice(f"times/{world.recipe.name}/{seed}").pick([n for n in _numbers(world) if n > 1])
    dice = Dice(f"again/{world.seed}")
    events = list(world.events)
    ends = sorted(dice.shuffled(range(len(events) - count + 1))[:count])
    where = [
        end + gap for gap, end in enumerate(ends)
    ]  # choosing from n - k + 1 and spreading keeps them apart
    kept = [name for i, event in enumerate(events) if i not in where for name in event.names]
    colour, form = dice.pick(_alike(kept)).split()
    for i in where:
        event = Event(
            kind=dice.pick(("stay", "cross", "grow", "shrink", "stop")),
            thing=Shape(colour, form),
            start=events[i].start,
            end=events[i].end,
        )
        if event.kind == "stay":
            event = replace(event, spot=dice.pick(tuple(words.SPOTS)))
        if event.kind in ("cross", "stop"):
            event = replace(event, direction=dice.pick(tuple(words.DIRECTIONS)))
        events[i] = event
    return _with(world, events)


def crowded(world: World) -> World:
    """`world` with things that are alike: of four colours and four forms, as far as these 16 go.

    For events of one kind of thing, and for signs, which stay as they are.
    """
    dice = Dice(f"crowded/{world.seed}")
    few = (
        *dice.shuffled(words.COLOURS)[:_COLOURS_AND_FORMS],
        *dice.shuffled(words.SHAPES)[:_COLOURS_AND_FORMS],
    )
    pairs = dice.shuffled((colour, form) for colour in words.COLOURS for form in words.SHAPES)
    pairs.sort(key=lambda pair: -((pair[0] in few) and (pair[1] in few)))
    events, told = [], {}
    for event in world.events:
        if event.kind != "sign":
            before = event.thing.name
            event = _in_new_colours(event, pairs)
            told[before] = event.thing.name
        events.append(event)
    cues = list(world.cues)
    for thing, name in world.names:
        old, new = (sentence(say("called", thing=t, name=name), ".") for t in (thing, told[thing]))
        cues = [replace(cue, text=new) if cue.text == old else cue for cue in cues]
    names = tuple((told[thing], name) for thing, name in world.names)
    return replace(_with(world, events), cues=tuple(cues), names=names)


def _in_new_colours(event: Event, pairs: list[tuple[str, str]]) -> Event:
    """The event with the first of `pairs` for its thing, which is taken out, as is one for what it turns."""
    colour, form = pairs.pop(0)
    event = replace(event, thing=replace(event.thing, colour=colour, form=form))
    if event.kind != "recolour":
        return event
    again = next((pair for pair in pairs if pair[1] == form), None)
    if again is None:  # that form is used up: grow instead, as the generator does
        return replace(event, kind="grow", colour="")
    pairs.remove(again)
    return replace(event, colour=again[0])


def _with(world: World, events: list[Event]) -> World:
    """`world` with other events at the times of its own."""
    left = iter(events)
    return replace(
        world,
        scenes=tuple(
            replace(scene, events=tuple(next(left) for _ in scene.events)) for scene in world.scenes
        ),
    )
