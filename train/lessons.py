"""What the bundled model learns from: made pictures and videos of the mini world, and conversations about them.

A lesson is a pure function of its name and a number. Its worlds come from seeds that begin with "train/"; those of
the mini benchmarks begin with "mini/" and those of the held-out exam with "exam/".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING

from kangaroo_eval.miniworld import facts, facts_long, facts_more, facts_time, kinds
from kangaroo_eval.miniworld.captions import caption, plural
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.facts import Fact
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.motion import Sprite, sprites
from kangaroo_eval.miniworld.questions import Question, TaskType, questions
from kangaroo_eval.miniworld.words import (
    COLOURS,
    NUMBERS,
    PLACES,
    SHAPES,
    SIGN_CHARACTERS,
    SPOTS,
    say,
    sentence,
)
from kangaroo_eval.miniworld.world import Kind, Pattern, Recipe, Scene, World
from kangaroo_eval.train.phrasing import (
    COMPACT,
    WAYS,
    Way,
    conversation,
    describe,
    lettered,
    letters,
    put,
    statement,
    subtitles,
)
from kangaroo_eval.train.rows import Message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]

VERSION = 4
"""Raised whenever a lesson of the same name and number becomes another one."""

PREFIX = "train/"
"""What every seed of a lesson begins with."""

QUESTIONS = 8
"""The most questions in one conversation."""

DRILLED = 12
"""The most questions of a drill."""

PACE = 2.0
"""Seconds for each event of a video of seconds in which as much happens as in one of minutes."""

EASIER: tuple[kinds.Difficulty, ...] = ("easy", "easy", "medium", "hard")
"""The difficulties of drills, by their shares."""

COUNTED: tuple[Way, ...] = ("open", "open", "open", "short", "videomme")
"""The ways in which numbers are asked for where that is all that is asked."""

MORE: tuple[TaskType, ...] = tuple(
    TaskType(name, builders)
    for name, builders in {
        "time": (facts.quarter, facts.first_and_last),
        "where": (facts.where,),
        "action": (facts.action,),
        "object": (facts.thing_in_place, facts.appears),
        "sign": (facts.colour_of_sign, facts.place_of_sign),
        "how many": (facts.how_many,),
        "turns": (facts.turns, facts.which_turns),
        "after": (facts.neighbours,),
        "relation": (facts.relation, facts.beside),
        "effect": (facts.effect, facts.why),
        "meets": (facts.meets,),
        "place": (facts.place_of_thing,),
        "synopsis": (facts.synopsis,),
        "ego": (facts_long.ego_ends, facts_long.ego_colour, facts_long.ego_after, facts_long.ego_count),
        "odd": (facts_long.oddity, facts_long.odd_event),
        "topic": (facts_long.topic, facts_long.topic_shape, facts_long.topic_place),
        "way": (facts_more.direction,),
        "size": (facts_more.size,),
        "next": (facts_time.neighbouring_events,),
        "places": (facts_time.place_order,),
    }.items()
)
"""Questions of other kinds than the exam's, which teach the same world."""


def _how_often(world: World, dice: Dice) -> Iterator[Fact]:
    """How many times a thing appears, for each that does and for some that do not but are like one of them."""
    seen = Counter(_names(world))
    halves = {half for name in seen for half in name.split()}
    alike = [name for name in facts.ALL_THINGS if name not in seen and halves & set(name.split())]
    pool = tuple(NUMBERS[: max(5, *seen.values(), 0) + 1])
    for name in (*seen, *dice.shuffled(alike)[:2]):
        yield Fact(say("ask times", thing=name), NUMBERS[seen[name]], pool)


def _names(world: World) -> list[str]:
    """The things of all events, as often as they come."""
    return [name for event in world.events for name in event.names if name in facts.ALL_THINGS]


HOW_OFTEN = TaskType("how often", (_how_often,))
"""The exam asks this once of a video; a drill asks it of several things."""

ALL_KINDS: tuple[Kind, ...] = tuple(
    [
        "stay",
        "group",
        "cross",
        "cross",
        "stop",
        "grow",
        "shrink",
        "recolour",
        "recolour",
        "meet",
        "pair",
        "sign",
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A conversation about a picture (`seconds` None), a video or nothing (0), and what is to be seen at each time.

    `apart`: its rounds are questions of their own and no conversation. `world`: that which a video shows.
    """

    messages: tuple[Message, ...]
    seconds: float | None
    at: Callable[[float], tuple[Scene, tuple[Sprite, ...]]]
    apart: bool = True
    world: World | None = None

    def frames(self, times: Sequence[float], side: int) -> Frames:
        """The pictures at `times` (seconds), uint8 RGB of shape (n, side, side, 3) where `side` divides 128, else
        (n, 128, 128, 3): whoever wants another size resizes, as for any video."""
        import numpy as np

        from kangaroo_eval.miniworld.render import SIDE, painted, smaller

        seen: dict[tuple[str, bool, tuple[Sprite, ...]], int] = {}
        order: list[int] = []
        pictures: list[Frames] = []
        for time in times:
            scene, figures = self.at(time)
            key = (scene.place, scene.ego, figures)
            if key not in seen:
                seen[key] = len(pictures)
                pictures.append(painted(scene, figures))
            order.append(seen[key])
        small: Frames = smaller(np.stack(pictures), side if SIDE % side == 0 else SIDE)[order]
        return small


def lesson(name: str, number: int) -> Lesson:
    """Lesson `number` of a kind (`LESSONS`)."""
    return LESSONS[name](Dice(f"{PREFIX}{name}/{number}"), f"{PREFIX}{name}/{number}")


def chosen(mixture: Mapping[str, float], seed: str) -> tuple[str, Dice]:
    """One kind of lessons by weight, and the dice that it was drawn with."""
    dice = Dice(f"{PREFIX}chosen/{seed}")
    at = dice.between(0.0, sum(mixture.values()))
    for name, weight in mixture.items():
        at -= weight
        if at < 0:
            return name, dice
    return list(mixture)[-1], dice


# Pictures


def _picture(dice: Dice, seed: str) -> Lesson:
    """A still: one to four different things, or some equal ones, or a sign; told, and asked about."""
    scene = Scene(0.0, 1.0, dice.pick(PLACES), ())
    which = dice.below(8)
    if which == 0:
        figures, told, asked = _sign_picture(dice)
    elif which < 3:
        figures, told, asked = _equal_things(dice)
    else:
        figures, told, asked = _things(dice, 1 + dice.below(4))
    return _still(dice, scene, figures, told, asked)


def _sign(dice: Dice, seed: str) -> Lesson:
    """A still of a sign: told, and asked about."""
    return _still(dice, Scene(0.0, 1.0, dice.pick(PLACES), ()), *_sign_picture(dice))


def _still(
    dice: Dice, scene: Scene, figures: tuple[Sprite, ...], told: str, asked: list[tuple[str, str]]
) -> Lesson:
    place = say("place", place=scene.place)
    caption_ = sentence(say("caption", place=place, what=told), ".")
    turns = [describe(dice, "picture", caption_)]
    turns += [statement(question) for question in dice.shuffled(asked)[:4]]
    return Lesson(conversation(turns), None, lambda time: (scene, figures))


def _free_spots(dice: Dice, count: int) -> list[tuple[float, float]]:
    cells = [(x, y) for y in (0.2, 0.5, 0.8) for x in (0.2, 0.5, 0.8)]
    chosen = sorted(dice.shuffled(range(len(cells)))[:count])
    return [
        (cells[i][0] + dice.between(-0.06, 0.06), cells[i][1] + dice.between(-0.06, 0.06)) for i in chosen
    ]


def _spot(x: float, y: float) -> str:
    return min(SPOTS, key=lambda name: (SPOTS[name][0] - x) ** 2 + (SPOTS[name][1] - y) ** 2)


def _things(dice: Dice, count: int) -> tuple[tuple[Sprite, ...], str, list[tuple[str, str]]]:
    pairs = dice.shuffled((colour, form) for colour in COLOURS for form in SHAPES)[:count]
    figures = tuple(
        Sprite(form, colour, x, y, dice.between(0.18, 0.34))
        for (colour, form), (x, y) in zip(pairs, _free_spots(dice, count), strict=True)
    )
    named = [say("at", who=say("one", thing=f"{s.colour} {s.form}"), spot=_spot(s.x, s.y)) for s in figures]
    asked = []
    for sprite in figures:
        if sum(other.form == sprite.form for other in figures) == 1:
            asked.append((say("ask colour alone", shape=sprite.form), sprite.colour))
        if sum(other.colour == sprite.colour for other in figures) == 1:
            asked.append((kinds.SENTENCES["shape alone"].format(colour=sprite.colour), sprite.form))
        asked.append((say("ask where", thing=f"{sprite.colour} {sprite.form}"), _spot(sprite.x, sprite.y)))
    return figures, ", ".join(named), asked


def _equal_things(dice: Dice) -> tuple[tuple[Sprite, ...], str, list[tuple[str, str]]]:
    colour, form = dice.pick(tuple(COLOURS)), dice.pick(tuple(SHAPES))
    count, size = 2 + dice.below(4), dice.between(0.18, 0.26)
    figures = tuple(Sprite(form, colour, x, y, size) for x, y in _free_spots(dice, count))
    things = plural(f"{colour} {form}")
    told = say("many", number=NUMBERS[count], things=things)
    return figures, told, [(say("ask how many", things=things), NUMBERS[count])]


def _sign_picture(dice: Dice) -> tuple[tuple[Sprite, ...], str, list[tuple[str, str]]]:
    colour = dice.pick(tuple(COLOURS))
    text = dice.pick(SIGN_CHARACTERS) + dice.pick(SIGN_CHARACTERS)
    figures = (Sprite("sign", colour, 0.5, 0.45, 0.84, text),)
    asked = [(say("ask sign"), text), (say("ask colour sign"), colour)]
    return figures, say("sign", colour=colour, text=text), asked


# Videos


def _world(dice: Dice, seed: str, most: int) -> World:
    """A world of one to `most` events, of any pattern."""
    events = 1 + dice.below(most)
    patterns: tuple[Pattern, ...] = ("plain", "plain", "plain", "repeat", "topic", "anomaly", "ego")
    pattern = dice.pick(patterns)
    if pattern != "plain" and events < 4:
        pattern = "plain"
    seconds = round(events * dice.between(2.0, 4.0) * 8) / 8
    recipe = Recipe(
        name="lesson",
        seconds=max(seconds, 2.0 * events, 3.0),
        events=events,
        scenes=1 if pattern in ("anomaly", "ego") else 1 + dice.below(min(events, 4)),
        may=ALL_KINDS,
        pattern=pattern,
        narrated=dice.below(4) == 0,
    )
    return make_world(seed, recipe)


def _clip(dice: Dice, seed: str) -> Lesson:
    """A short video, told in sentences, with some open questions."""
    world = _world(dice, seed, 4)
    turns = [describe(dice, "video", caption(world))]
    asked = questions(world, seed, dice.shuffled([*kinds.KINDS.values(), *MORE])[:8])
    seen = [question for question in asked if not question.needs_subtitles]
    turns += [statement((question.text, question.answer)) for question in seen[:3]]
    return Lesson(conversation(turns), world.seconds, _looking(world), world=world)


def _first(dice: Dice, seed: str) -> Lesson:
    """A video of one event with questions."""
    return _examined(dice, seed, _world(dice, seed, 1), [], COMPACT, drills=2)


def _second(dice: Dice, seed: str) -> Lesson:
    """A video of up to three events with questions."""
    return _examined(dice, seed, _world(dice, seed, 3), [], COMPACT, drills=1)


def _drill(dice: Dice, seed: str) -> Lesson:
    """A video of seconds and many questions of the exam's kinds, put in as few words as may be: most of what a small model
    reads about a video is the video, so that many answers about one cost little more than a few. Two of three are of
    the kinds such a video is made for: of the others a rare one, what a sign says, would hardly be asked at all. One of
    three has as much happening as a video of minutes, in less time."""
    group, difficulty = dice.pick(tuple(kinds.GROUPS)), dice.pick(EASIER)
    world, _ = kinds.video(seed, group, difficulty, *_paced(dice))
    own = [kinds.KINDS[name] for name in kinds.GROUPS[group]] + ([HOW_OFTEN] if group == "looks" else [])
    other = [kind for name, kind in kinds.KINDS.items() if name not in kinds.GROUPS[group]]
    first = dice.shuffled(questions(world, seed, own, each=4))[: DRILLED - DRILLED // 3]
    rest = dice.shuffled(questions(world, seed, other, each=4))[: DRILLED - len(first)]
    asked = dice.shuffled([*first, *rest])
    turns = [put(dice, world, question, _drilled(dice, question)) for question in asked]
    return Lesson(conversation(turns), world.seconds, _looking(world), world=world)


def _counts(dice: Dice, seed: str) -> Lesson:
    """A video of seconds in which several things come back: how often each does, and one that comes once and one that
    never does. Of a drill's things but one comes back, and most of its numbers are none and one."""
    recipe = kinds.recipe("looks", dice.pick(kinds.DIFFICULTIES), dice.pick((*kinds.LENGTHS, "long")))
    world = make_world(seed, replace(recipe, seconds=PACE * recipe.events))
    turns_, most = 2 + dice.below(4), max(2, min(4, recipe.events // 2)) - dice.below(2)
    for turn in range(12):
        # Each takes the part of what it meets, also of the one before: so there are all numbers; and, so that the
        # larger ones are not the rarest, on until something comes as often as it may.
        if turn >= turns_ and max(Counter(_names(world)).values()) >= most:
            break
        world = kinds.come_again(replace(world, seed=f"{seed}/{turn}"), f"{seed}/{turn}")
    asked: dict[str, list[Question]] = {}
    for fact in _how_often(world, dice):
        wrong = dice.shuffled(number for number in fact.pool if number != fact.answer)[:3]
        found = Question(HOW_OFTEN.name, fact.text, (fact.answer, *wrong), 0)
        asked.setdefault(fact.answer, []).append(found)
    few = [*asked.pop(NUMBERS[0], [])[:1], *dice.shuffled(asked.pop(NUMBERS[1], []))[:1]]
    many = [question for found in asked.values() for question in dice.shuffled(found)[:2]]
    turns = [put(dice, world, question, dice.pick(COUNTED)) for question in dice.shuffled([*few, *many])]
    return Lesson(conversation(turns), world.seconds, _looking(world), world=world)


def _boards(dice: Dice, seed: str) -> Lesson:
    """A video of seconds with two signs: what each says, and what stands before and after it. Of a drill's videos one of
    twelve has two; with no more, characters of both were read as one sign's."""
    world, _ = kinds.video(seed, "signs", "hard", *_paced(dice))
    asked = questions(world, seed, [kinds.KINDS["ocr"], kinds.KINDS["needle"]], each=4)
    silent = replace(world, cues=())
    turns = [put(dice, silent, question, _drilled(dice, question)) for question in dice.shuffled(asked)]
    return Lesson(conversation(turns), world.seconds, _looking(world), world=world)


def _paced(dice: Dice) -> tuple[kinds.Length, float | None]:
    """The length of a video of seconds, and its pace: see `kinds.video`."""
    return ("long", PACE) if dice.below(3) == 0 else ("short", None)


def _drilled(dice: Dice, question: Question) -> Way:
    """Where the options are things to choose from, they are told."""
    return "short" if question.type == "order" or dice.below(8) == 0 else "open"


def _quiz(dice: Dice, seed: str) -> Lesson:
    """A video of seconds, and questions in the ways benchmarks put them; for three of five, those of the exam's kinds."""
    if dice.below(5) < 2:
        return _examined(dice, seed, _world(dice, seed, 6), [])
    difficulty = dice.pick((*kinds.DIFFICULTIES, kinds.DIFFICULTIES[0]))
    return _examined(dice, seed, *kinds.video(seed, dice.pick(tuple(kinds.GROUPS)), difficulty, "short"))


def _long(dice: Dice, seed: str) -> Lesson:
    """A video of minutes with questions."""
    group, difficulty = dice.pick(tuple(kinds.GROUPS)), dice.pick(kinds.DIFFICULTIES)
    return _examined(dice, seed, *kinds.video(seed, group, difficulty, "long"))


def _examined(
    dice: Dice,
    seed: str,
    world: World,
    asked: Sequence[Question],
    ways: Sequence[Way] = WAYS,
    drills: int = 0,
) -> Lesson:
    """The questions given and further ones, now and then with the whole video told first; and `drills` times options
    with their letters, which have nothing to do with the video: to find a letter behind one is learnt anew."""
    left = [kind for kind in (*kinds.KINDS.values(), *MORE) if kind.name not in [each.type for each in asked]]
    chosen_ = dice.shuffled(left)[: 2 * QUESTIONS]
    found = [*asked, *questions(world, seed, chosen_)][:QUESTIONS]
    turns = [describe(dice, "video", caption(world))] if dice.below(6) == 0 or not found else []
    turns += [put(dice, world, question, dice.pick(ways)) for question in dice.shuffled(found)]
    turns += [letters(dice) for _ in range(drills)]
    return Lesson(conversation(turns), world.seconds, _looking(world), world=world)


def _looking(world: World) -> Callable[[float], tuple[Scene, tuple[Sprite, ...]]]:
    return lambda time: (world.scene_at(time), sprites(world, time))


# Text alone


def _options(dice: Dice, seed: str) -> Lesson:
    """No video: up to eight options, and which letter each of them has. What every question with options needs, and
    thirty times as often as a question about a video asks for it."""
    return Lesson(letters(dice, 8), 0.0, _nothing, apart=False)


def _told(dice: Dice, seed: str) -> Lesson:
    """No video: what a narrator tells of one, and questions that this answers."""
    world, _ = kinds.video(seed, "signs", dice.pick(kinds.DIFFICULTIES), "short")
    asked = dice.shuffled(questions(world, seed, [kinds.KINDS["subtitles"]], each=6))
    turns = []
    for place, question in enumerate(asked):
        user, assistant = put(dice, replace(world, cues=()), question, dice.pick(COMPACT))
        before = "" if place else subtitles(dice, world)
        turns.append((replace(user, content=before + user.content), assistant))
    return Lesson(conversation(turns), 0.0, _nothing, apart=False)


def _choices(dice: Dice, seed: str) -> Lesson:
    """No video: options that are hard to tell apart, and which letter each of them has: what signs say, the same things in
    other orders, shapes."""
    which = dice.below(3)
    if which == 0:
        options = dice.shuffled(a + b for a in SIGN_CHARACTERS for b in SIGN_CHARACTERS)[:4]
    elif which == 1:
        orders = dice.shuffled(permutations(dice.shuffled(facts.ALL_THINGS)[:3]))[:4]
        options = [say("answer order", first=a, second=b, third=c) for a, b, c in orders]
    else:
        options = dice.shuffled(SHAPES)[:4]
    return Lesson(lettered(dice, options), 0.0, _nothing, apart=False)


def _nothing(time: float) -> tuple[Scene, tuple[Sprite, ...]]:
    raise ValueError("a lesson of text alone shows nothing")


LESSONS: dict[str, Callable[[Dice, str], Lesson]] = {
    "options": _options,
    "choices": _choices,
    "told": _told,
    "pictures": _picture,
    "signs": _sign,
    "clips": _clip,
    "first": _first,
    "second": _second,
    "drill": _drill,
    "counts": _counts,
    "boards": _boards,
    "quiz": _quiz,
    "long": _long,
}
"""Kinds of lessons by name, from easy to hard."""
