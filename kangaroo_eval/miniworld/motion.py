"""Where everything is at a time: `sprites(world, seconds)`. Geometry only; `render` paints what this says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kangaroo_eval.miniworld.words import DIRECTIONS, RELATIONS, SPOTS
from kangaroo_eval.miniworld.world import SIZES, Event, Shape, World


@dataclass(frozen=True, slots=True)
class Sprite:
    """One figure to paint: `form` (a shape, "sign" or "hand") around `x`, `y`, `size` wide (picture = 1)."""

    form: str
    colour: str
    x: float
    y: float
    size: float
    text: str = ""


_REST = ((0.2, 0.95), (0.8, 0.95))
_LANES = {1: (0.5,), 2: (0.32, 0.68), 3: (0.2, 0.5, 0.8)}
_HAND = 0.2
_SMALL, _LARGE = 0.18, 0.56
_STANDS = (0.2, 0.5, 0.8)
_HIDDEN = 0.14


def sprites(world: World, seconds: float) -> tuple[Sprite, ...]:
    """What is to be painted at a time, from back to front; empty between two events."""
    scene = world.scene_at(seconds)
    for event in scene.events:
        if event.start <= seconds < event.end:
            part = (seconds - event.start) / (event.end - event.start)
            return _MOTIONS[event.kind](event, part)
    return _hands(*_REST) if scene.ego else ()


def _paint(shape: Shape, x: float, y: float, colour: str = "", size: float = 0.0) -> Sprite:
    return Sprite(shape.form, colour or shape.colour, x, y, size or SIZES[shape.size])


def _stay(event: Event, part: float) -> tuple[Sprite, ...]:
    return (_paint(event.thing, *SPOTS[event.spot]),)


def _group(event: Event, part: float) -> tuple[Sprite, ...]:
    return tuple(_paint(event.thing, x, y) for x, y in event.positions)


def _cross(event: Event, part: float) -> tuple[Sprite, ...]:
    dx, dy = DIRECTIONS[event.direction]
    along = part - 0.5
    lanes = [(lane if dy else 0.5, lane if dx else 0.5) for lane in _LANES[event.count]]
    return tuple(_paint(event.thing, x + dx * along, y + dy * along) for x, y in lanes)


def _stop(event: Event, part: float) -> tuple[Sprite, ...]:
    dx, dy = DIRECTIONS[event.direction]
    left = 0.5 * max(0.0, 1 - part / 0.4)
    return (_paint(event.thing, 0.5 - dx * left, 0.5 - dy * left),)


def _grow(event: Event, part: float) -> tuple[Sprite, ...]:
    return (_paint(event.thing, 0.5, 0.5, size=_SMALL + (_LARGE - _SMALL) * part),)


def _shrink(event: Event, part: float) -> tuple[Sprite, ...]:
    return _grow(event, 1 - part)


def _recolour(event: Event, part: float) -> tuple[Sprite, ...]:
    return (_paint(event.thing, 0.5, 0.5, event.colour if part >= 0.5 else ""),)


def _meet(event: Event, part: float) -> tuple[Sprite, ...]:
    """Both come to the middle until 0.4, stand side by side until 0.55, then the effect on `thing` shows."""
    assert event.other is not None
    dx = DIRECTIONS[event.direction][0]
    far = 0.14 + 0.36 * max(0.0, 1 - part / 0.4)
    other = _paint(event.other, 0.5 + dx * far, 0.5)
    after = part >= 0.55
    if not after:
        return other, _paint(event.thing, 0.5 - dx * far, 0.5)
    if event.effect == "disappears":
        return (other,)
    if event.effect == "turns back":
        return other, _paint(event.thing, 0.5 - dx * (0.14 + 0.4 * (part - 0.55) / 0.45), 0.5)
    if event.effect == "grows":
        size = _SMALL + 0.24 * min(1.0, (part - 0.55) / 0.3)
        return other, _paint(event.thing, 0.5 - dx * (0.04 + size / 2), 0.5, size=size)
    return other, _paint(event.thing, 0.5 - dx * far, 0.5, event.colour)


def _pair(event: Event, part: float) -> tuple[Sprite, ...]:
    assert event.other is not None
    dx, dy = RELATIONS[event.relation]
    return (
        _paint(event.other, 0.5 - 0.22 * dx, 0.5 - 0.22 * dy),
        _paint(event.thing, 0.5 + 0.22 * dx, 0.5 + 0.22 * dy),
    )


def _sign(event: Event, part: float) -> tuple[Sprite, ...]:
    return (Sprite("sign", event.thing.colour, 0.5, 0.45, 0.84, event.text),)


def _race(event: Event, part: float) -> tuple[Sprite, ...]:
    """One above the other; the faster one needs half the time and is gone then."""
    assert event.other is not None
    dx = DIRECTIONS[event.direction][0]
    out = []
    for shape, lane, fast in ((event.other, 0.68, "slower than"), (event.thing, 0.32, "faster than")):
        along = part * (2 if event.relation == fast else 1) - 0.5
        out.append(_paint(shape, 0.5 + dx * 1.3 * along, lane))
    return tuple(out)


def _shuffle(event: Event, part: float) -> tuple[Sprite, ...]:
    """Until 0.2 the things are lifted and `other` shows; from 0.3 to 0.85 they change places."""
    assert event.other is not None
    start, *swaps = event.text.split()
    lift = 0.28 * min(1.0, max(0.0, (0.3 - part) / 0.1))
    under = _paint(event.other, _STANDS[int(start)], 0.6, size=_HIDDEN)
    places = list(range(3))
    step = min(max(0.0, (part - 0.3) / 0.55), 1.0) * len(swaps)
    spots = [(x, 0.58 - lift) for x in _STANDS]
    for i, swap in enumerate(swaps):
        a, b = (places.index(int(place)) for place in swap)
        done = min(1.0, max(0.0, step - i))
        if done < 1:
            arc = 0.2 * (1 - abs(2 * done - 1))
            left, right = _STANDS[places[a]], _STANDS[places[b]]
            spots[a] = (left + (right - left) * done, 0.58 - arc)
            spots[b] = (right + (left - right) * done, 0.58 + arc)
            break
        places[a], places[b] = places[b], places[a]
        spots[a], spots[b] = (_STANDS[places[a]], 0.58), (_STANDS[places[b]], 0.58)
    covers = tuple(_paint(event.thing, x, y) for x, y in spots)
    return (under, *covers) if part < 0.3 else covers


def _hands(left: tuple[float, float], right: tuple[float, float]) -> tuple[Sprite, ...]:
    return tuple(Sprite("hand", "", x, y, _HAND) for x, y in (left, right))


def _carry(event: Event, rise: float, holding: bool, lying: bool) -> tuple[Sprite, ...]:
    """The hand nearer to the thing, `rise` of the way from its rest (0) to the thing's position (1)."""
    x, y = event.positions[0]
    near = 0 if x < 0.5 else 1
    rest_x, rest_y = _REST[near][0], 1.2
    hand = (rest_x + (x - rest_x) * rise, rest_y + (y + 0.12 - rest_y) * rise)
    both = _hands(hand, _REST[1]) if near == 0 else _hands(_REST[0], hand)
    if lying:
        return (_paint(event.thing, x, y), *both)
    return (*both, _paint(event.thing, hand[0], hand[1] - 0.12)) if holding else both


def _pick(event: Event, part: float) -> tuple[Sprite, ...]:
    """It lies there; from 0.3 a hand comes, has it at 0.5, and takes it out of the picture until 0.85."""
    if part < 0.5:
        return _carry(event, max(0.0, (part - 0.3) / 0.2), holding=False, lying=True)
    return _carry(event, max(0.0, 1 - (part - 0.5) / 0.35), holding=True, lying=False)


def _put(event: Event, part: float) -> tuple[Sprite, ...]:
    """A picking backwards: the hand brings it from 0.15 to 0.5, goes, and the thing lies there."""
    return _pick(event, 1 - part)


_MOTIONS: dict[str, Callable[[Event, float], tuple[Sprite, ...]]] = {
    "stay": _stay,
    "group": _group,
    "cross": _cross,
    "stop": _stop,
    "grow": _grow,
    "shrink": _shrink,
    "recolour": _recolour,
    "meet": _meet,
    "pair": _pair,
    "sign": _sign,
    "pick": _pick,
    "put": _put,
    "race": _race,
    "shuffle": _shuffle,
}
