"""Parts of a world: stretches of it for questions about some seconds only, and videos that stop in the middle."""

from __future__ import annotations

import re
from dataclasses import replace

from kangaroo_eval.miniworld.world import Event, Kind, World

_SHOWN = 0.4
"""Part of the last act that a cut video shows: a thing lies there, or comes in the hand, and no more."""


def clip(world: World, first: int, last: int) -> World:
    """`world` with only the events `first` to `last` (indexes in `events`), at their times, and ending with them."""
    kept = world.events[first : last + 1]
    scenes = tuple(
        replace(scene, events=tuple(event for event in scene.events if event in kept))
        for scene in world.scenes
        if any(event in kept for event in scene.events)
    )
    return replace(world, scenes=scenes, seconds=kept[-1].end)


def cut_in(world: World, index: int) -> World:
    """`world` up to the event at `index`, of which only the first two fifths are left."""
    event = world.events[index]
    seconds = event.start + _SHOWN * (event.end - event.start)
    return replace(clip(world, 0, index), seconds=round(seconds * 8) / 8)


def cut_in_last(world: World) -> World:
    """`cut_in` the last event."""
    return cut_in(world, len(world.events) - 1)


def is_cut(world: World) -> bool:
    """Whether the video stops before its last event is over."""
    return world.seconds < world.events[-1].end


def mentioned(world: World, text: str) -> list[Event]:
    """The events that `text` (a question with its answer) is about: all of them where it names none.

    It names an event by one of its things, its subtitle or, without those, its place.
    """
    cues = {cue.start for cue in world.cues if cue.text in text}
    by_name = [
        event
        for event in world.events
        if event.start in cues or any(name in text for name in event.names) or _names_sign(event, text)
    ]
    if by_name:
        return by_name
    places = {scene.place for scene in world.scenes if re.search(rf"\b{scene.place}\b", text)}
    return [event for event in world.events if world.place_of(event) in places] or list(world.events)


def _names_sign(event: Event, text: str) -> bool:
    return event.kind == "sign" and re.search(r"\bsigns?\b", text) is not None


def backwards(world: World) -> World:
    """A world of one event, which crosses the picture or changes its size, as its video played backwards shows it."""
    (event,) = world.events
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up", "": ""}
    kinds: dict[str, Kind] = {"grow": "shrink", "shrink": "grow"}
    turned = replace(event, kind=kinds.get(event.kind, event.kind), direction=opposite[event.direction])
    return replace(world, scenes=(replace(world.scenes[0], events=(turned,)),))


def joined(first: World, second: World) -> World:
    """Two worlds one after the other."""
    by = first.seconds
    late = tuple(
        replace(
            scene,
            start=scene.start + by,
            end=scene.end + by,
            events=tuple(
                replace(event, start=event.start + by, end=event.end + by) for event in scene.events
            ),
        )
        for scene in second.scenes
    )
    return replace(first, seconds=by + second.seconds, scenes=(*first.scenes, *late))
