"""More builders of `Fact`s, for the tasks that only MLVU has: first person, anomalies, topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from kangaroo_eval.miniworld import words
from kangaroo_eval.miniworld.captions import phrase, plural
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.facts import Fact
from kangaroo_eval.miniworld.words import NUMBERS, say
from kangaroo_eval.miniworld.world import Event, World

_ACTS = {"pick": say("pick up"), "put": say("put down")}


def _handled(world: World, kind: str) -> list[Event]:
    return [event for event in world.events if event.kind == kind]


def ego_ends(world: World, dice: Dice) -> Iterator[Fact]:
    """What "I" pick up or put down first and last; the wrong options are other things that are handled."""
    handled = [event.thing.name for event in world.events if event.kind in _ACTS]
    for kind in _ACTS:
        if events := _handled(world, kind):
            yield Fact(say(f"ask {kind} first"), events[0].thing.name, tuple(handled))
            yield Fact(say(f"ask {kind} last"), events[-1].thing.name, tuple(handled))


def ego_colour(world: World, dice: Dice) -> Iterator[Fact]:
    """The colour of the only circle (square, ...) that "I" pick up or put down."""
    for kind, act in _ACTS.items():
        forms = Counter(event.thing.form for event in _handled(world, kind))
        for event in _handled(world, kind):
            if forms[event.thing.form] == 1:
                text = say("ask ego colour", shape=event.thing.form, act=act)
                yield Fact(text, event.thing.colour, tuple(words.COLOURS))


def ego_after(world: World, dice: Dice) -> Iterator[Fact]:
    """What "I" do right after something."""
    done = tuple(_done(event) for event in world.events if event.kind in _ACTS)
    for before, after in pairwise(world.events):
        if before.kind in _ACTS and after.kind in _ACTS:
            text = say("ask ego after", act=_ACTS[before.kind], thing=before.thing.name)
            yield Fact(text, _done(after), tuple(option for option in done if option != _done(before)))


def _done(event: Event) -> str:
    return say("answer ego", act=_ACTS[event.kind], thing=event.thing.name)


def ego_count(world: World, dice: Dice) -> Iterator[Fact]:
    """How many things "I" pick up or put down."""
    for kind, act in _ACTS.items():
        count = len(_handled(world, kind))
        if 2 <= count <= 5:
            yield Fact(say("ask ego count", act=act), NUMBERS[count], NUMBERS[2:6])


def oddity(world: World, dice: Dice) -> Iterator[Fact]:
    """What is unusual, if anything."""
    if world.odd_kind:
        yield Fact(say("ask odd"), words.ODDITIES[world.odd_kind], tuple(words.ODDITIES.values()))


def odd_event(world: World, dice: Dice) -> Iterator[Fact]:
    """What happens in the one event that breaks the pattern; the wrong options break it in other ways."""
    if world.odd is None:
        return
    usual, odd = world.events[0], world.events[world.odd]
    name, form = usual.thing.name, usual.thing.form
    way = usual.direction
    opposite = next(d for d, (x, y) in words.DIRECTIONS.items() if (-x, -y) == words.DIRECTIONS[way])
    colour = dice.pick([c for c in words.COLOURS if c != usual.thing.colour])
    other_form = dice.pick([f for f in words.SHAPES if f != form])
    breaks = {
        "colour": say("cross", who=say("one", thing=f"{colour} {form}"), direction=way),
        "shape": say("cross", who=say("one", thing=f"{usual.thing.colour} {other_form}"), direction=way),
        "direction": say("cross", who=say("one", thing=name), direction=opposite),
        "number": say("cross many", who=say("many", number=NUMBERS[2], things=plural(name)), direction=way),
        "stop": say("stop", who=say("one", thing=name)),
    }
    breaks[world.odd_kind] = phrase(odd)
    yield Fact(say("ask odd event"), phrase(odd), tuple(breaks.values()))


def topic(world: World, dice: Dice) -> Iterator[Fact]:
    """Shape and place together: two shapes with two places each."""
    form, place = _main_form(world), _main_place(world)
    if form and place:
        other_form = dice.pick([f for f in words.SHAPES if f != form])
        other_place = dice.pick([p for p in words.PLACES if p != place])
        pairs = ((form, place), (other_form, place), (form, other_place), (other_form, other_place))
        options = tuple(say("answer topic", things=words.SHAPES[f], place=p) for f, p in pairs)
        yield Fact(say("ask topic"), options[0], options)


def topic_shape(world: World, dice: Dice) -> Iterator[Fact]:
    """The shape that more than half of the events show."""
    if form := _main_form(world):
        yield Fact(say("ask topic shape"), words.SHAPES[form], tuple(words.SHAPES.values()))


def topic_place(world: World, dice: Dice) -> Iterator[Fact]:
    """The place that takes more than half of the time."""
    if place := _main_place(world):
        pool = tuple(say("place", place=p) for p in words.PLACES)
        yield Fact(say("ask topic place"), say("place", place=place), pool)


def _main_form(world: World) -> str:
    """The shape of more than half of the events, "" if there is none."""
    form, count = Counter(event.thing.form for event in world.events).most_common(1)[0]
    return form if 2 * count > len(world.events) and form in words.SHAPES else ""


def _main_place(world: World) -> str:
    """The place of at least 55 % of the time, "" if there is none."""
    lengths = {scene.place: 0.0 for scene in world.scenes}
    for scene in world.scenes:
        lengths[scene.place] += scene.end - scene.start
    place = max(lengths, key=lambda name: lengths[name])
    return place if lengths[place] >= 0.55 * world.seconds else ""
