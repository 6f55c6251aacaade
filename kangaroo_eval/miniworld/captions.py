"""A world in words: what an event is, what a moment shows, what a video tells. For options and training."""

from __future__ import annotations

from kangaroo_eval.miniworld.motion import Sprite, sprites
from kangaroo_eval.miniworld.words import NUMBERS, SHAPES, SPOTS, say, sentence
from kangaroo_eval.miniworld.world import Event, Scene, World


def plural(name: str) -> str:
    """ "red cross" -> "red crosses"."""
    colour, form = name.split()
    return f"{colour} {SHAPES[form]}"


def phrase(event: Event) -> str:
    """What happens in an event, such as "two red circles move left"."""
    names = {
        "who": say("one", thing=event.thing.name),
        "colour": event.colour,
        "other": event.other.name if event.other else "",
        "direction": event.direction,
        "effect": event.effect,
        "relation": event.relation,
        "text": event.text,
    }
    if event.kind == "sign":
        names["colour"] = event.thing.colour
    if event.kind == "group":
        return say("group", number=NUMBERS[event.count], things=plural(event.thing.name))
    if event.kind == "shuffle":
        under = say("one", thing=names["other"])
        return say("shuffle", number=NUMBERS[event.count], things=plural(event.thing.name), other=under)
    if event.count > 1:
        names["who"] = say("many", number=NUMBERS[event.count], things=plural(event.thing.name))
        return say("cross many", **names)
    return say(event.kind, **names)


def caption(world: World) -> str:
    """The whole video, one sentence an event: "In the sea one red circle grows. ..."."""
    return " ".join(line for scene in world.scenes for line in told(scene))


def told(scene: Scene) -> list[str]:
    """What a scene shows, one sentence an event."""
    place = say("place", place=scene.place)
    return [sentence(say("caption", place=place, what=phrase(event)), ".") for event in scene.events]


def describe(world: World, seconds: float) -> str:
    """What the picture at a time shows, such as "in the sea one red circle in the centre"."""
    what = [_figure(sprite) for sprite in sprites(world, seconds)]
    place = say("place", place=world.scene_at(seconds).place)
    return say("caption", place=place, what=", ".join(dict.fromkeys(what)) or say("nothing"))


def _figure(sprite: Sprite) -> str:
    if sprite.form == "hand":
        return say("hands")
    if sprite.form == "sign":
        return say("said", colour=sprite.colour, text=sprite.text)
    spot = min(SPOTS, key=lambda name: (SPOTS[name][0] - sprite.x) ** 2 + (SPOTS[name][1] - sprite.y) ** 2)
    return say("at", who=say("one", thing=f"{sprite.colour} {sprite.form}"), spot=spot)
