"""The mini TempCompass in the official layout: 6 videos, 9 groups of one video and one aspect, all four formats.

Speeds are relative ones: of two things, one above the other, the faster needs half the time. The second video is
the first one backwards, the fifth the first and the third one after the other, as the original makes its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.captions import phrase
from kangaroo_eval.miniworld.clips import backwards, joined
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.layout import json_of
from kangaroo_eval.miniworld.phrases import ACTIVITIES, WAYS
from kangaroo_eval.miniworld.questions import LETTERS
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import Kind, Recipe, World

SEED = "mini/tempcompass/1"

_ASPECTS = ("action", "speed", "direction", "order", "attribute_change")
_DIRECTIONS = {way: f"moving {where}" for way, where in WAYS.items()}
_SIZES = {"grow": "becoming bigger", "shrink": "becoming smaller"}


@dataclass(frozen=True, slots=True)
class _Group:
    """What one aspect of a video is: true of `subject` is `value`, and none of `wrong`. `fine`: the fine aspect."""

    aspect: str
    subject: str
    value: str
    wrong: tuple[str, ...]
    fine: str = ""

    @property
    def meta(self) -> dict[str, str]:
        """The aspect's entry in meta_info.json: an order has two events there, and no type."""
        if self.aspect == "order":
            first, second = self.value.split(", and then ")
            return {"subject": self.subject, "event1": first, "event2": second}
        return {"subject": self.subject, self.aspect: self.value, "type": self.fine}


def plan(seed: str = SEED) -> Plan:
    """What `tempcompass/` holds, for a seed."""
    made = _videos(seed)
    groups = [(name, group) for name, (_, groups) in made.items() for group in groups]
    files: dict[str, dict[str, dict[str, list[dict[str, str]]]]] = {name: {} for name in _FORMATS}
    for name, write in _FORMATS.items():
        # Every place is right as often, as near as their number allows.
        places = Dice(f"{seed}/{name}").shuffled(range(len(groups)))
        for k, (video, group) in zip(places, groups, strict=True):
            files[name].setdefault(video, {})[group.aspect] = write(group, k)
    meta = {
        video: {"eval_dim": _eval_dim(found), "content": ["abstract"]} for video, (_, found) in made.items()
    }
    texts = {f"questions/{name}.json": json_of(file) for name, file in files.items()}
    texts["meta_info.json"] = json_of(meta)
    return Plan(seed, texts, {f"videos/{video}.mp4": world for video, (world, _) in made.items()})


def _eval_dim(groups: Sequence[_Group]) -> dict[str, dict[str, str] | None]:
    by_aspect = {group.aspect: group.meta for group in groups}
    return {aspect: by_aspect.get(aspect) for aspect in _ASPECTS}


def _videos(seed: str) -> dict[str, tuple[World, tuple[_Group, ...]]]:
    a, b, c, d = (str(1010000000 + Dice(f"{seed}/{k}").below(90000000)) for k in range(4))
    cross, size = _single(f"{seed}/a", "cross"), _single(f"{seed}/b", "grow", "shrink")
    turn, race = _single(f"{seed}/c", "recolour"), _single(f"{seed}/d", "race")
    back, both = backwards(cross), joined(cross, size)
    return {
        a: (cross, (_action(cross), _direction(cross))),
        f"{a}_reverse": (back, (_direction(back),)),
        b: (size, (_action(size), _size(size))),
        c: (turn, (_turn(turn),)),
        f"{a}_{b}_0": (both, (_order(both),)),
        f"{d}_concat_1": (race, (_speed(race), _direction(race))),
    }


def _single(where: str, *kinds: Kind) -> World:
    """A world of one event, of one thing."""
    recipe = Recipe(name="single", seconds=7.0, events=1, scenes=1, may=kinds)
    tries = (make_world(f"{where}/{k}", recipe) for k in range(100))
    return next(world for world in tries if world.events[0].count == 1)


def _action(world: World) -> _Group:
    event = world.events[0]
    value = ACTIVITIES[event.kind]
    others = tuple(act for act in ACTIVITIES.values() if act != value)[:3]
    return _Group("action", event.thing.name, value, others, "fine-grained action")


def _direction(world: World) -> _Group:
    event = world.events[0]
    value = _DIRECTIONS[event.direction]
    others = tuple(way for way in _DIRECTIONS.values() if way != value)
    return _Group("direction", event.thing.name, value, others, "object motion")


def _size(world: World) -> _Group:
    event = world.events[0]
    value = _SIZES[event.kind]
    others = (*(change for change in _SIZES.values() if change != value), "changing its color")
    return _Group("attribute_change", event.thing.name, value, others, "size & shape change")


def _turn(world: World) -> _Group:
    event = world.events[0]
    unseen = [c for c in ("red", "green", "blue", "yellow") if c not in (event.thing.colour, event.colour)]
    others = (*(f"turning {colour}" for colour in unseen[:2]), "becoming smaller")
    return _Group(
        "attribute_change", event.thing.name, f"turning {event.colour}", others, "color & light change"
    )


def _order(world: World) -> _Group:
    first, second = (phrase(event) for event in world.events)
    others = (f"{second}, and then {first}", f"{first} and {second} at the same time")
    return _Group("order", "entire video", f"{first}, and then {second}", others)


def _speed(world: World) -> _Group:
    event = world.events[0]
    assert event.other
    below = event.other.name
    speeds = {
        "faster than": f"moving faster than the {below} below",
        "slower than": f"moving slower than the {below} below",
        "as fast as": f"moving at the same speed as the {below} below",
    }
    value = speeds[event.relation]
    others = tuple(speed for speed in speeds.values() if speed != value)
    return _Group("speed", f"{event.thing.name} above", value, others, "relative speed")


# The four formats, in the official wordings; `k` says which wording and which place the right option has.

_ASK = {
    "action": "What is the {subject} doing in the video?",
    "speed": "What is the speed of the {subject}?",
    "direction": "What is the direction of the {subject}?",
    "order": "What is the order of events in the video?",
    "attribute_change": "What is happening to the {subject}?",
}
_MATCH = (
    ("Which caption matches the video better?", "Caption A", "Caption B"),
    ("Which description is a more suitable match for the video?", "Option 1", "Option 2"),
    ("Which sentence better captures the essence of the video?", "Sentence A", "Sentence B"),
)
_CAPTION = (
    "You will be presented with a video and several pieces of information. One piece of information is "
    "consistent with the video while the others are not. Please identify the information that consistent with "
    "the video and generate a video caption accordingly.\n"
)


def _placed(group: _Group, k: int) -> list[str]:
    """All values, the true one at place `k`."""
    out = list(group.wrong)
    out.insert(k % (len(out) + 1), group.value)
    return out


def _lettered(group: _Group, k: int) -> list[str]:
    return [f"{a}. {value}" for a, value in zip(LETTERS, _placed(group, k), strict=False)]


def _row(question: str, answer: str) -> dict[str, str]:
    return {"question": question, "answer": answer}


def _multi_choice(group: _Group, k: int) -> list[dict[str, str]]:
    lines = _lettered(group, k)
    text = "\n".join([_ASK[group.aspect].format(subject=group.subject), *lines])
    return [_row(text, next(line for line in lines if line.endswith(f". {group.value}")))]


def _yes_no(group: _Group, k: int) -> list[dict[str, str]]:
    wrong = group.wrong[k % len(group.wrong)]
    if group.aspect == "order":
        return [
            _row(f'Is this what happens: "{value}"?', said)
            for value, said in ((group.value, "yes"), (wrong, "no"))
        ]
    return [
        _row(f"Is the {group.subject} {value}?", said)
        for value, said in ((group.value, "yes"), (wrong, "no"))
    ]


def _claim(group: _Group, value: str) -> str:
    return sentence(value, ".") if group.aspect == "order" else f"The {group.subject} is {value}."


def _matching(group: _Group, k: int) -> list[dict[str, str]]:
    ask, *labels = _MATCH[k % 3]
    claims = [_claim(group, group.value), _claim(group, group.wrong[k % len(group.wrong)])]
    lines = [
        f"{label}: {claim}" for label, claim in zip(labels, claims if k % 2 else claims[::-1], strict=True)
    ]
    return [_row("\n".join([ask, *lines]), lines[0 if k % 2 else 1])]


def _captioning(group: _Group, k: int) -> list[dict[str, str]]:
    values = _placed(group, k)
    known = [
        f"Information {a}: { {'subject': group.subject, group.aspect: v} }"
        for a, v in zip(LETTERS, values, strict=False)
    ]
    answer = f"{LETTERS[values.index(group.value)]}. {group.value}"
    return [_row(_CAPTION + "\n".join([*known, "Generated Caption:"]), answer)]


_FORMATS = {
    "multi-choice": _multi_choice,
    "yes_no": _yes_no,
    "caption_matching": _matching,
    "captioning": _captioning,
}
