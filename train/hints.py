"""What a visual token of a made video can tell once its LLM has looked at what came before it: dense labels for the
warm-up of an LLM that starts from nothing.

A question asks for one thing of a whole video, and a small LLM learns little from each. Here every token that shows a
thing is asked what the thing does, which colour it began with, how often it has come, and what came right before it:
what the questions about motion, change, number and order are made of. Linear heads on the output of one of the LLM's
layers answer, and are thrown away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from kangaroo_eval.miniworld.motion import Sprite, sprites
from kangaroo_eval.miniworld.words import COLOURS, DIRECTIONS, PLACES, SHAPES, SIGN_CHARACTERS
from kangaroo_eval.miniworld.world import Event, Kind, World
from kangaroo_eval.train.batch import IGNORED
from kangaroo_eval.train.sight import FAINT, shown_in

_ACTS = (
    *(f"cross {way}" for way in DIRECTIONS),
    *(f"stop {way}" for way in DIRECTIONS),
    *(kind for kind in get_args(Kind) if kind not in ("cross", "stop")),
)
_MOST = 4
_EVENTS = 12

HINTS: dict[str, tuple[str, ...]] = {
    "act": _ACTS,
    "first colour": tuple(COLOURS),
    "previous colour": ("none", *COLOURS),
    "previous form": ("none", *SHAPES, "sign"),
    "time": tuple(str(n + 1) for n in range(_MOST)),
    "number": tuple(str(n + 1) for n in range(_EVENTS)),
}
"""What is asked of each visual token, by the heads' names: what its thing does, the colour that it had at first, the
thing before it, the how manieth time it comes, the how manieth event of the video it is."""

MENTIONS: dict[str, tuple[str, ...]] = {
    "act": _ACTS,
    "colour": tuple(COLOURS),
    "form": (*SHAPES, "sign"),
    "previous colour": ("none", *COLOURS),
    "previous form": ("none", *SHAPES, "sign"),
    "next colour": ("none", *COLOURS),
    "next form": ("none", *SHAPES, "sign"),
    "times": tuple(str(n) for n in range(_MOST + 1)),
    "number": tuple(str(n + 1) for n in range(_EVENTS)),
    "left character": tuple(SIGN_CHARACTERS),
    "right character": tuple(SIGN_CHARACTERS),
}
"""What is asked where a text mentions a thing ("red circle", "the only circle", "the circle in the forest", "the thing that
moves left", or a name that the narrator told), by the heads' names."""


def hints(world: World, slots: Sequence[Sequence[float]], grid: int) -> dict[str, list[int]]:
    """For each head the class of each visual token, slot by slot on `grid` x `grid`; `IGNORED` where a token shows no
    thing, or what it shows does not tell. `slots`: the times, in seconds, of the frames of each."""
    out: dict[str, list[int]] = {name: [] for name in HINTS}
    seen = _Seen()
    for times in slots:
        events = {event.start: event for event in (_event_at(world, time) for time in times) if event}
        for time in times:
            seen.look(_event_at(world, time))
        told = seen.tell() if len(events) == 1 else {}
        figures = sprites(world, times[-1]) or sprites(world, times[0])
        for row in range(grid):
            for column in range(grid):
                here = told if _shows_thing(shown_in(figures, row, column, grid, FAINT)) else {}
                for name in HINTS:
                    out[name].append(here.get(name, IGNORED))
    return out


class _Seen:
    """The events that sampled frames have shown, up to now."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._looks = 0
        self._times: Counter[str] = Counter()

    def look(self, event: Event | None) -> None:
        if event is None:
            return
        if not self._events or self._events[-1] is not event:
            self._events.append(event)
            self._looks = 0
            self._times.update({event.thing.name})
        self._looks += 1

    def tell(self) -> Mapping[str, int]:
        event = self._events[-1]
        told = {"number": min(len(self._events), _EVENTS) - 1}
        if self._looks > 1:
            told["act"] = _ACTS.index(_act(event))
        if event.other is not None:
            return told
        if event.kind != "sign":
            told["time"] = min(self._times[event.thing.name], _MOST) - 1
            told["first colour"] = HINTS["first colour"].index(event.thing.colour)
        previous = self._events[-2] if len(self._events) > 1 else None
        if previous is None:
            told["previous colour"] = told["previous form"] = 0
        elif previous.other is None:
            told["previous colour"] = HINTS["previous colour"].index(previous.colour or previous.thing.colour)
            told["previous form"] = HINTS["previous form"].index(previous.thing.form)
        return told


def _event_at(world: World, time: float) -> Event | None:
    return next((event for event in world.scene_at(time).events if event.start <= time < event.end), None)


def _act(event: Event) -> str:
    return f"{event.kind} {event.direction}" if event.kind in ("cross", "stop") else event.kind


def _shows_thing(sprite: Sprite | None) -> bool:
    return sprite is not None and sprite.form != "hand"


def mentions(world: World, words: Sequence[str]) -> dict[int, dict[str, int]]:
    """For each place in a text (`words` in lower case) that ends the mention of a thing: head -> class, for all that the
    things that it may mean have in common."""
    out: dict[int, dict[str, int]] = {}
    meant: list[Event] = []
    called = {name: thing for thing, name in world.names}
    for i, word in enumerate(words):
        before = words[i - 1] if i else ""
        colour = before if before in COLOURS else ""
        if word in SHAPES or word == "sign" or (word == "thing" and colour):
            meant = [event for event in world.events if _is(event, word, colour)]
            out[i] = _common(world, meant)
            if word in SHAPES and colour:
                out[i]["times"] = min(len(meant), _MOST)
        elif word in PLACES and list(words[i - 2 : i]) == ["in", "the"]:
            out[i] = _common(world, [event for event in meant if world.place_of(event) == word])
        elif word in called:
            colour, form = called[word].split()
            out[i] = {
                "colour": MENTIONS["colour"].index(colour),
                "form": MENTIONS["form"].index(form),
            }
        elif word in DIRECTIONS and list(words[i - 3 : i]) == ["thing", "that", "moves"]:
            meant = [event for event in world.events if event.kind == "cross" and event.direction == word]
            out[i] = _common(world, meant)
    return out


def _is(event: Event, word: str, colour: str) -> bool:
    """Whether a thing of the event is the `word` (a form, "sign" or "thing") that is or turns `colour`, if that is said."""
    shapes = [(event.thing.form, event.thing.colour), (event.thing.form, event.colour)]
    if event.other is not None:
        shapes.append((event.other.form, event.other.colour))
    return any(word in (form, "thing") and colour in ("", tint) for form, tint in shapes)


def _common(world: World, meant: Sequence[Event]) -> dict[str, int]:
    told = [_facts(world, event) for event in meant]
    first = told[0] if told else {}
    return {name: value for name, value in first.items() if all(each.get(name) == value for each in told)}


def _facts(world: World, event: Event) -> dict[str, int]:
    """Head -> class of what is known of an event of one thing; nothing of one of two."""
    if event.other is not None:
        return {}
    events = world.events
    place = events.index(event)
    found = {
        "act": _act(event),
        "form": event.thing.form,
        "colour": event.thing.colour,
        "number": str(min(place + 1, _EVENTS)),
    }
    if event.kind == "sign":
        found["left character"], found["right character"] = event.text[0], event.text[1]
    for name, step in (("previous", -1), ("next", 1)):
        other = events[place + step] if 0 <= place + step < len(events) else None
        if other is None:
            found[f"{name} colour"] = found[f"{name} form"] = "none"
        elif other.other is None:
            last = other.colour if step < 0 else ""
            found[f"{name} colour"], found[f"{name} form"] = last or other.thing.colour, other.thing.form
    return {name: MENTIONS[name].index(value) for name, value in found.items()}
