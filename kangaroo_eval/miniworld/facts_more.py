"""More builders of `Fact`s, for the further benchmarks: motion, change, numbers, what would be, single acts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from kangaroo_eval.miniworld import facts, facts_long, words
from kangaroo_eval.miniworld.captions import phrase, plural
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.facts import ALL_THINGS, Builder, Fact, place_phrase, solo
from kangaroo_eval.miniworld.phrases import (
    ACTIVITIES,
    ANTONYMS,
    DIGITS,
    EDGES,
    NAVIGATION,
    RANKS,
    WAYS,
)
from kangaroo_eval.miniworld.words import NUMBERS, say, sentence
from kangaroo_eval.miniworld.world import Event, World

NOT_SURE = "not sure"
_YES_NO = ("yes", "no", NOT_SURE)

# Other pools for facts that there are


def with_numbers(builder: Builder) -> Builder:
    """The same facts with all numbers from one to nine to choose from."""

    def wide(world: World, dice: Dice) -> Iterator[Fact]:
        for fact in builder(world, dice):
            yield fact._replace(pool=NUMBERS[1:10])

    return wide


def with_digits(builder: Builder) -> Builder:
    """The same facts with digits for the words of numbers, and those near the right one to choose from."""

    def digits(world: World, dice: Dice) -> Iterator[Fact]:
        for fact in builder(world, dice):
            n = NUMBERS.index(fact.answer)
            yield fact._replace(answer=DIGITS[n], pool=DIGITS[max(0, n - 3) : n + 4])

    return digits


def sign_text(world: World, dice: Dice) -> Iterator[Fact]:
    """`facts.sign_text` with three first characters and two second ones."""
    for fact in facts.sign_text(world, dice):
        a, b = fact.answer[0], fact.answer[1]
        x, z, y = dice.shuffled(c for c in words.SIGN_CHARACTERS if c not in fact.answer)[:3]
        yield fact._replace(pool=tuple(first + second for first in (a, x, z) for second in (b, y)))


def odd_event(world: World, dice: Dice) -> Iterator[Fact]:
    """`facts_long.odd_event` with two more ways that break no pattern here: the thing moves aside."""
    usual = world.events[0]
    aside = [
        d for d, (x, _) in words.DIRECTIONS.items() if (x == 0) != (words.DIRECTIONS[usual.direction][0] == 0)
    ]
    more = [say("cross", who=say("one", thing=usual.thing.name), direction=way) for way in aside]
    for fact in facts_long.odd_event(world, dice):
        yield fact._replace(pool=(*fact.pool, *more))


def topic(world: World, dice: Dice) -> Iterator[Fact]:
    """`facts_long.topic` with three shapes and two places."""
    for fact in facts_long.topic(world, dice):
        things, _, _, place = fact.answer.split()
        x, y = dice.shuffled(form for form in words.SHAPES.values() if form != things)[:2]
        other = dice.pick([p for p in words.PLACES if p != place])
        pairs = ((form, p) for form in (things, x, y) for p in (place, other))
        yield fact._replace(pool=tuple(say("answer topic", things=form, place=p) for form, p in pairs))


# Motion and change


def direction(world: World, dice: Dice) -> Iterator[Fact]:
    """In which direction a thing moves, if it moves at all."""
    still = say("answer still")
    for event in solo(world):
        if event.kind in ("cross", "stay") and event.count == 1:
            answer = WAYS[event.direction] if event.direction else still
            yield Fact(say("ask direction", thing=event.thing.name), answer, (*WAYS.values(), still))


def track(world: World, dice: Dice) -> Iterator[Fact]:
    """From where to where a thing goes."""
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
    routes = {to: say("answer track", start=EDGES[opposite[to]], end=EDGES[to]) for to in EDGES}
    for event in solo(world):
        if event.kind == "cross" and event.count == 1:
            yield Fact(
                say("ask track", thing=event.thing.name), routes[event.direction], tuple(routes.values())
            )


def size(world: World, dice: Dice) -> Iterator[Fact]:
    """Whether a thing becomes bigger or smaller."""
    changes = {"grow": say("bigger"), "shrink": say("smaller"), "stay": say("same size")}
    for event in solo(world):
        if event.kind in changes:
            text = say("ask size", thing=event.thing.name)
            yield Fact(text, changes[event.kind], tuple(changes.values()))


def still_colour(world: World, dice: Dice) -> Iterator[Fact]:
    """The colour of the only thing that does not move."""
    if event := _only_still(world):
        yield Fact(say("ask still colour"), event.thing.colour, tuple(words.COLOURS))


def still_shape(world: World, dice: Dice) -> Iterator[Fact]:
    """The shape of the only thing that does not move."""
    if event := _only_still(world):
        yield Fact(say("ask still shape"), event.thing.form, tuple(words.SHAPES))


def _only_still(world: World) -> Event | None:
    still = [event for event in world.events if event.kind != "cross"]
    return still[0] if len(still) == 1 and still[0].kind == "stay" else None


def moving(world: World, dice: Dice) -> Iterator[Fact]:
    """Whether things of a colour move, where things only cross the picture or stay."""
    if all(event.kind in ("cross", "stay", "group") for event in world.events):
        colours = {event.thing.colour for event in world.events if event.kind == "cross"}
        still = {event.thing.colour for event in world.events} - colours
        for colour in dice.shuffled(sorted(colours if dice.below(2) else still)):
            yield Fact(say("ask moving", colour=colour), "yes" if colour in colours else "no", _YES_NO)


def movers(world: World, dice: Dice) -> Iterator[Fact]:
    """How many things move in a direction, where things only cross the picture or stay."""
    if all(event.kind in ("cross", "stay", "group") for event in world.events):
        for way in words.DIRECTIONS:
            count = sum(event.count for event in world.events if event.direction == way)
            if 1 <= count <= 6:
                yield Fact(say("ask movers", way=WAYS[way]), NUMBERS[count], NUMBERS[1:7])


def sum_of_two(world: World, dice: Dice) -> Iterator[Fact]:
    """How many there are of two kinds of things together."""
    many = [event for event in solo(world) if event.count > 1]
    for a, b in pairwise(many):
        text = say("ask sum", things=plural(a.thing.name), others=plural(b.thing.name))
        yield Fact(text, NUMBERS[a.count + b.count], NUMBERS[2:])


def shuffle(world: World, dice: Dice) -> Iterator[Fact]:
    """Under which of three things another is in the end."""
    for event in world.events:
        if event.kind == "shuffle":
            start, *swaps = event.text.split()
            for swap in swaps:
                start = swap.replace(start, "") if start in swap else start
            pool = tuple(say("answer shuffle", which=rank) for rank in RANKS)
            yield Fact(say("ask shuffle"), pool[int(start)], pool)


# The whole, and what would be


def absent(world: World, dice: Dice) -> Iterator[Fact]:
    """That there is no such thing."""
    unseen = [name for name in ALL_THINGS if name not in world.things]
    for name in dice.shuffled(unseen)[:3]:
        answer = say("answer there", thing=name)
        yield Fact(say("ask there", thing=name), answer, (answer,))


def detail(world: World, dice: Dice) -> Iterator[Fact]:
    """The caption of the video, among some with one thing, one place or the order changed."""
    told = [(world.place_of(event), phrase(event)) for event in world.events]
    seen = {scene.place for scene in world.scenes}
    k = dice.below(len(told) - 1)
    place = dice.pick([p for p in words.PLACES if p not in seen])
    event = world.events[k]
    colour = dice.pick([c for c in words.COLOURS if f"{c} {event.thing.form}" not in world.things])
    what = told[k][1].replace(event.thing.colour, colour, 1)
    changed = [
        told,
        [*told[:k], (told[k][0], told[k + 1][1]), (told[k + 1][0], told[k][1]), *told[k + 2 :]],
        [(place if p == told[k][0] else p, w) for p, w in told],
        [*told[:k], (told[k][0], what), *told[k + 1 :]],
    ]
    options = tuple(
        " ".join(sentence(say("caption", place=say("place", place=p), what=w), ".") for p, w in version)
        for version in changed
    )
    if len(set(options)) == len(options):
        yield Fact(say("ask detail"), options[0], options)


def without(world: World, dice: Dice) -> Iterator[Fact]:
    """Which meeting still happens without a thing that has to do with the other one."""
    meetings = [event for event in world.events if event.kind == "meet" and event.other]
    if len(meetings) != 2:
        return
    for gone, left in (meetings, meetings[::-1]):
        assert gone.other and left.other
        pairs = (
            (left.thing, left.other),
            (gone.thing, gone.other),
            (gone.thing, left.other),
            (left.thing, gone.other),
        )
        pool = tuple(say("answer without", thing=a.name, other=b.name) for a, b in pairs)
        for shape in (gone.thing, gone.other):
            yield Fact(say("ask without", thing=shape.name), pool[0], pool)


def pictured(world: World) -> Event | None:
    """The event whose thing `in_picture` asks about."""
    fits = [event for event in solo(world) if event.kind != "recolour" and event.count == 1]
    return fits[0] if fits else None


def in_picture(world: World, dice: Dice) -> Iterator[Fact]:
    """In which place a thing is that only a picture shows, and no word."""
    if event := pictured(world):
        places = tuple(say("place", place=place) for place in words.PLACES)
        yield Fact(say("ask picture"), place_phrase(world, event), places)


# One event, or where the video ends


def antonym(world: World, dice: Dice) -> Iterator[Fact]:
    """What is done in a video of one event, or the opposite."""
    event = world.events[0]
    if len(world.events) == 1 and (pair := ANTONYMS.get(event.direction or event.kind)):
        yield Fact(say("ask activity"), pair[0], (*pair, NOT_SURE))


def activity(world: World, dice: Dice) -> Iterator[Fact]:
    """What is done in a video of one event, in one word."""
    kind = world.events[0].kind
    if len(world.events) == 1 and kind in ACTIVITIES:
        yield Fact(say("ask activity"), ACTIVITIES[kind], tuple(ACTIVITIES.values()))


def navigation(world: World, dice: Dice) -> Iterator[Fact]:
    """What to do at the thing that the video ends with, in a list of what to do at which thing."""
    seen = world.things
    last = world.events[-1]
    if last.kind != "stay" or sum(last.thing.name in event.names for event in world.events) > 1:
        return
    way = dice.pick(tuple(NAVIGATION))
    others = iter(dice.shuffled(name for name in ALL_THINGS if name not in seen))
    steps = [say(f"step {w}", thing=last.thing.name if w == way else next(others)) for w in NAVIGATION]
    text = say("ask navigation", steps=" ".join(dice.shuffled(steps)))
    yield Fact(text, NAVIGATION[way], tuple(NAVIGATION.values()))
