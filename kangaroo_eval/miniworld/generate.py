"""A seed and a recipe -> a `World`. The same on every machine; two seeds give two unlike worlds.

Seeds that start with "mini/" belong to the mini benchmarks: training and its held-out data use others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from kangaroo_eval.miniworld import words
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.words import say
from kangaroo_eval.miniworld.world import GAP, SIZES, Event, Kind, Recipe, Scene, Shape, World
from kangaroo_eval.types import Cue

_CELLS = tuple((x, y) for y in (0.2, 0.5, 0.8) for x in (0.2, 0.5, 0.8))
_OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}
_NEEDLE_SECONDS = 8.0


def make_world(seed: str, recipe: Recipe) -> World:
    """The world that `seed` and `recipe` stand for."""
    dice = Dice(f"world/{recipe.name}/{seed}")
    odd: int | None = None
    odd_kind = ""
    if recipe.pattern == "anomaly":
        events, odd, odd_kind = _anomaly(recipe, dice)
    else:
        events = _PATTERNS[recipe.pattern](recipe, dice)
    timed = _timed(events, recipe, dice)
    world = World(
        seed=seed,
        recipe=recipe,
        seconds=recipe.seconds,
        scenes=_scenes(timed, recipe, dice),
        odd=odd,
        odd_kind=odd_kind,
    )
    return _narrated(world, dice) if recipe.narrated else world


class _Shapes:
    """All 35 pairs of colour and form in a random order; each is given out once."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._left = dice.shuffled((colour, form) for colour in words.COLOURS for form in words.SHAPES)

    def take(self, form: str = "", colour: str = "", size: str = "") -> Shape:
        """A shape not given out before, with the form or colour asked for where one is left."""
        fits = [p for p in self._left if (not form or p[1] == form) and (not colour or p[0] == colour)]
        pair = (fits or self._left)[0]
        self._left.remove(pair)
        return Shape(pair[0], pair[1], size or self._dice.pick(tuple(SIZES)))


def _event(kind: Kind, thing: Shape | None, shapes: _Shapes, dice: Dice) -> Event:
    """An event of `kind` with `thing`, or with a shape taken from `shapes`."""
    if kind == "sign":
        text = dice.pick(words.SIGN_CHARACTERS) + dice.pick(words.SIGN_CHARACTERS)
        return Event(kind=kind, thing=Shape(dice.pick(tuple(words.COLOURS)), "sign", "big"), text=text)
    small = kind in ("group", "cross", "grow", "shrink", "race")
    thing = thing or shapes.take(size="small" if small else "")
    return _DETAILS[kind](Event(kind=kind, thing=thing), shapes, dice)


def _stay(event: Event, shapes: _Shapes, dice: Dice) -> Event:
    return replace(event, spot=dice.pick(tuple(words.SPOTS)))


def _group(event: Event, shapes: _Shapes, dice: Dice) -> Event:
    count = 2 + dice.below(4)
    return replace(event, count=count, positions=tuple(dice.shuffled(_CELLS)[:count]))


def _cross(event: Event, shapes: _Shapes, dice: Dice) -> Event:
    count = dice.pick((1, 1, 1, 2, 3))
    return replace(event, count=count, direction=dice.pick(tuple(words.DIRECTIONS)))


def _stop(event: Event, shapes: _Shapes, dice: Dice) -> Event:
    return replace(event, direction=dice.pick(tuple(words.DIRECTIONS)))


def _resize(event: Event, shapes: _Shapes, dice: Dice) -> Event:
    return event


def _recolour(event: Event, shapes: _Shapes, dice: Dice) -> Event:
    after = shapes.take(form=event.thing.form)
    if after.form != event.thing.form:  # that form is used up: grow instead
        return replace(event, kind="grow")
    return replace(event, colour=after.colour)


def _meet(event: Event, shapes: _Shapes, dice: Dice) -> Event:
    effect = dice.pick(words.EFFECTS)
    thing = replace(event.thing, size="small")
    event = replace(event, thing=thing, effect=effect, direction=dice.pick(("left", "right")))
    if effect == "changes colour":
        after = shapes.take(form=thing.form)
        if after.form == thing.form:
            event = replace(event, colour=after.colour)
        else:  # that form is used up
            event = replace(event, effect="grows")
    return replace(event, other=shapes.take(size="small"))


def _pair(event: Event, shapes: _Shapes, dice: Dice) -> Event:
    return replace(event, other=shapes.take(), relation=dice.pick(tuple(words.RELATIONS)))


def _hand(event: Event, shapes: _Shapes, dice: Dice) -> Event:
    return replace(event, positions=((dice.pick((0.28, 0.5, 0.72)), dice.pick((0.3, 0.4))),))


def _race(event: Event, shapes: _Shapes, dice: Dice) -> Event:
    speed = dice.pick(("faster than", "slower than", "as fast as"))
    way = dice.pick(("left", "right"))
    return replace(event, other=shapes.take(size="small"), relation=speed, direction=way)


def _shuffle(event: Event, shapes: _Shapes, dice: Dice) -> Event:
    swaps = [dice.pick(("01", "02", "12")) for _ in range(3)]
    return replace(
        event,
        thing=shapes.take(form="square", size="small"),
        other=shapes.take(form="circle", size="small"),
        count=3,
        text=" ".join([str(dice.below(3)), *swaps]),
    )


_DETAILS: dict[str, Callable[[Event, _Shapes, Dice], Event]] = {
    "stay": _stay,
    "group": _group,
    "cross": _cross,
    "stop": _stop,
    "grow": _resize,
    "shrink": _resize,
    "recolour": _recolour,
    "meet": _meet,
    "pair": _pair,
    "pick": _hand,
    "put": _hand,
    "race": _race,
    "shuffle": _shuffle,
}


def _kinds(recipe: Recipe, dice: Dice) -> list[Kind]:
    rest: list[Kind] = [dice.pick(recipe.may) for _ in range(recipe.events - len(recipe.must))]
    return dice.shuffled([*recipe.must, *rest])


def _plain(recipe: Recipe, dice: Dice) -> list[Event]:
    shapes = _Shapes(dice)
    return [_event(kind, None, shapes, dice) for kind in _kinds(recipe, dice)]


def _repeat(recipe: Recipe, dice: Dice) -> list[Event]:
    """A plain world in which one shape comes back, 2 to 5 times in all and never twice in a row."""
    shapes = _Shapes(dice)
    events = [_event(kind, None, shapes, dice) for kind in _kinds(recipe, dice)]
    again = shapes.take(size="small")
    times = 2 + dice.below(min(4, recipe.events // 2 - 1))
    ends = dice.shuffled(i for i in range(recipe.events - times + 1))[:times]
    for gap, at in enumerate(sorted(ends)):  # choosing from n - k + 1 and spreading keeps them apart
        kind: Kind = dice.pick(("stay", "cross", "grow", "shrink", "stop"))
        event = _event(kind, again, shapes, dice)
        events[at + gap] = replace(event, count=1)
    return events


def _topic(recipe: Recipe, dice: Dice) -> list[Event]:
    """A world where one form takes at least three of five events (in the colours there are)."""
    shapes = _Shapes(dice)
    form = dice.pick(tuple(words.SHAPES))
    main = min(len(words.COLOURS), -(-3 * recipe.events // 5))
    is_main = dice.shuffled([True] * main + [False] * (recipe.events - main))
    others = dice.shuffled(f for f in words.SHAPES if f != form)
    events = []
    for i, (mine, kind) in enumerate(zip(is_main, _kinds(recipe, dice), strict=True)):
        kind = "stay" if kind == "recolour" else kind
        thing = shapes.take(form=form if mine else others[i % len(others)], size="small")
        events.append(_event(kind, thing, shapes, dice))
    return events


def _ego(recipe: Recipe, dice: Dice) -> list[Event]:
    shapes = _Shapes(dice)
    kinds: list[Kind] = list(recipe.must) or ["pick", "put"]
    kinds += [dice.pick(("pick", "put")) for _ in range(recipe.events - len(kinds))]
    return [_event(kind, shapes.take(size="small"), shapes, dice) for kind in dice.shuffled(kinds)]


_PATTERNS: dict[str, Callable[[Recipe, Dice], list[Event]]] = {
    "plain": _plain,
    "repeat": _repeat,
    "topic": _topic,
    "ego": _ego,
}


def _anomaly(recipe: Recipe, dice: Dice) -> tuple[list[Event], int | None, str]:
    """The same crossing again and again; one, neither among the first two nor the last, is unlike."""
    shapes = _Shapes(dice)
    usual = Event(kind="cross", thing=shapes.take(size="small"), direction=dice.pick(tuple(words.DIRECTIONS)))
    kind = dice.pick(tuple(words.ODDITIES))
    events = [usual] * recipe.events
    if kind == "none":
        return events, None, kind
    odd = 2 + dice.below(recipe.events - 3)
    events[odd] = replace(
        usual,
        kind="stop" if kind == "stop" else "cross",
        count=2 if kind == "number" else 1,
        direction=_OPPOSITE[usual.direction] if kind == "direction" else usual.direction,
        thing=shapes.take(form=usual.thing.form, size="small")
        if kind == "colour"
        else shapes.take(colour=usual.thing.colour, size="small")
        if kind == "shape"
        else usual.thing,
    )
    return events, odd, kind


def _timed(events: list[Event], recipe: Recipe, dice: Dice) -> list[Event]:
    """The events one after the other on the frame grid, filling the video; lengths vary by up to a tenth."""
    needles = [recipe.needle and event.kind == "sign" for event in events]
    share = recipe.seconds / len(events)
    needle = min(_NEEDLE_SECONDS, share)
    weights = [dice.between(0.9, 1.1) for _ in events]
    free = recipe.seconds - needle * sum(needles)
    total = sum(w for w, n in zip(weights, needles, strict=True) if not n) or 1.0
    out, clock = [], 0.0
    for event, weight, is_needle in zip(events, weights, needles, strict=True):
        stop = clock + (needle if is_needle else free * weight / total)
        out.append(replace(event, start=_grid(clock), end=_grid(stop) - GAP))
        clock = stop
    return out


def _grid(seconds: float) -> float:
    return round(seconds * 8) / 8


def _scenes(events: list[Event], recipe: Recipe, dice: Dice) -> tuple[Scene, ...]:
    """Cut the events into scenes, each in another place. With a topic, one place takes most events."""
    n, k = len(events), recipe.scenes
    cuts = [round(i * n / k) for i in range(k + 1)]
    if recipe.pattern == "topic":
        small = dice.below(k)
        cuts = [i if i <= small else n - (k - i) for i in range(k + 1)]
    places = dice.shuffled(words.PLACES)
    starts = [0.0, *(events[cut].start for cut in cuts[1:-1]), recipe.seconds]
    ego = recipe.pattern == "ego"
    return tuple(
        Scene(starts[i], starts[i + 1], places[i], tuple(events[cuts[i] : cuts[i + 1]]), ego)
        for i in range(k)
    )


def _narrated(world: World, dice: Dice) -> World:
    """Add subtitles, one cue an event, which tell the code word and what two of the things are called."""
    events = world.events
    name_a, name_b = dice.shuffled(words.NAMES)[:2]
    code = dice.pick(words.CODES)
    seen = Counter(name for event in events for name in event.names)
    singles = [
        i
        for i, e in enumerate(events)
        if e.count == 1 and e.kind not in ("sign", "pair", "meet") and seen[e.thing.name] == 1
    ]
    told = dice.shuffled(singles)[:2]
    named = {i: name for i, name in zip(told, (name_a, name_b), strict=False)}
    code_at = dice.pick([i for i in range(len(events)) if i not in named] or [0])
    cues, names = [], []
    for i, event in enumerate(events):
        if i in named:
            text = say("called", thing=event.thing.name, name=named[i])
            names.append((event.thing.name, named[i]))
        elif i == code_at:
            text = say("code", code=code)
        elif i == 0:
            text = say("welcome")
        else:
            text = say("here", place=world.place_of(event))
        cues.append(Cue(event.start, event.end, words.sentence(text, ".")))
    return replace(world, cues=tuple(cues), names=tuple(names), code=code if code_at not in named else "")
