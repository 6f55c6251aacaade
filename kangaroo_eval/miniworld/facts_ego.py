"""More builders of `Fact`s about first-person worlds: what the person, "I" or "C", picks up and puts down."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, permutations

from kangaroo_eval.miniworld.clips import is_cut
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.facts import ALL_THINGS, Fact, near
from kangaroo_eval.miniworld.phrases import POSES
from kangaroo_eval.miniworld.words import NUMBERS, say
from kangaroo_eval.miniworld.world import Event, World

_ACT = {"pick": say("pick up"), "put": say("put down")}
_DID = {"pick": say("picked up"), "put": say("put down")}
_ACTS = {"pick": "picks up", "put": "puts down"}


def _handled(world: World) -> list[Event]:
    return [event for event in world.events if event.kind in _ACT]


def _act(event: Event) -> str:
    return say("answer act", act=_ACT[event.kind], thing=event.thing.name)


def _c(event: Event) -> str:
    return say("answer c", acts=_ACTS[event.kind], thing=event.thing.name)


def pose(world: World, dice: Dice) -> Iterator[Fact]:
    """What is done in a video of one act."""
    if len(world.events) == 1 and (done := _handled(world)):
        yield Fact(say("ask person"), _ACT[done[0].kind], POSES)


def person_after(world: World, dice: Dice) -> Iterator[Fact]:
    """What the person did right after something."""
    done = _handled(world)
    for before, after in pairwise(done):
        text = say("ask person after", did=_DID[before.kind], thing=before.thing.name)
        yield Fact(text, _act(after), tuple(_act(event) for event in done if event != before))


def next_act(world: World, dice: Dice) -> Iterator[Fact]:
    """What the person is about to do when a cut video ends; the wrong acts are the other one, and another thing."""
    if last := _cut_off(world):
        other = dice.pick([name for name in ALL_THINGS if name != last.thing.name])
        pool = tuple(
            say("answer act", act=act, thing=name)
            for act in _ACT.values()
            for name in (last.thing.name, other)
        )
        yield Fact(say("ask person next"), _act(last), pool)


def next_event(world: World, dice: Dice) -> Iterator[Fact]:
    """The same of "me"; the wrong acts are the other one, and what was done before."""
    if last := _cut_off(world):
        acts = [(_ACT[event.kind], event.thing.name) for event in (last, *_handled(world)[:-1])]
        other = next(act for act in _ACT.values() if act != acts[0][0])
        pool = tuple(say("answer ego", act=act, thing=name) for act, name in (*acts, (other, acts[0][1])))
        yield Fact(say("ask next event"), pool[0], pool)


def _cut_off(world: World) -> Event | None:
    """The act that a cut video ends in."""
    last = world.events[-1]
    return last if is_cut(world) and last.kind in _ACT else None


def handled_thing(world: World, dice: Dice) -> Iterator[Fact]:
    """Which thing the person picked up, or put down, where it is only one."""
    for kind, did in _DID.items():
        names = [event.thing.name for event in _handled(world) if event.kind == kind]
        if len(names) == 1:
            pool = tuple(
                say("answer handled", thing=name) for name in (*names, *near(world, dice, tuple(names)))
            )
            yield Fact(say("ask handled", did=did), pool[0], pool)


def ego_order(world: World, dice: Dice) -> Iterator[Fact]:
    """The order of three acts."""
    done = _handled(world)
    if len(done) >= 3:
        chosen = [_act(done[i]) for i in sorted(dice.shuffled(range(len(done)))[:3])]
        options = tuple(
            say("answer event order", first=a, second=b, third=c) for a, b, c in permutations(chosen)
        )
        yield Fact(say("ask ego order"), options[0], options)


def c_ends(world: World, dice: Dice) -> Iterator[Fact]:
    """What C does first and last."""
    done = [_c(event) for event in _handled(world)]
    yield Fact(say("ask c first"), done[0], tuple(done))
    yield Fact(say("ask c last"), done[-1], tuple(done))


def c_after(world: World, dice: Dice) -> Iterator[Fact]:
    """What C does right after something."""
    done = _handled(world)
    for before, after in pairwise(done):
        text = say("ask c after", acts=_ACTS[before.kind], thing=before.thing.name)
        yield Fact(text, _c(after), tuple(_c(event) for event in done if event != before))


def c_order(world: World, dice: Dice) -> Iterator[Fact]:
    """In which order C deals with three things."""
    names = [event.thing.name for event in _handled(world)]
    if len(names) >= 3:
        chosen = [names[i] for i in sorted(dice.shuffled(range(len(names)))[:3])]
        options = tuple(say("answer c order", first=a, second=b, third=c) for a, b, c in permutations(chosen))
        yield Fact(say("ask c order"), options[0], options)


def c_sum(world: World, dice: Dice) -> Iterator[Fact]:
    """How many things C picks up and puts down in all; one number right or none in the wrong options."""
    picks, puts = (sum(event.kind == kind for event in world.events) for kind in _ACT)
    near_picks = [n for n in (picks - 1, picks, picks + 1) if n > 0]
    near_puts = [n for n in (puts - 1, puts, puts + 1) if n > 0]
    pairs = [(picks, puts), *((a, b) for a in near_picks for b in near_puts)]
    pool = tuple(say("answer c sum", picks=NUMBERS[a], puts=NUMBERS[b]) for a, b in pairs)
    yield Fact(say("ask c sum"), pool[0], pool)
