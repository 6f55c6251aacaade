"""What the layouts of several benchmarks share: names made of a seed, files of rows, and texts as they write them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from uuid import UUID

from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.facts import Builder
from kangaroo_eval.miniworld.questions import Question, TaskType, balanced
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import World


def video_id(where: str) -> str:
    """Eleven characters as YouTube names its videos."""
    return base64.urlsafe_b64encode(_digest(where))[:11].decode()


def code(where: str) -> str:
    """Five capitals and digits as Charades names its videos."""
    dice = Dice(where)
    return "".join(dice.pick("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for _ in range(5))


def uuid_of(where: str) -> str:
    """A UUID of version 4 in form."""
    return str(UUID(bytes=_digest(where)[:16], version=4))


def _digest(where: str) -> bytes:
    return hashlib.sha256(where.encode()).digest()


def json_of(rows: object) -> bytes:
    """A JSON file."""
    return json.dumps(rows, indent=4).encode()


def seconds_between(where: str, low: float, high: float) -> float:
    """A length for a video, on a grid of half seconds."""
    return low + Dice(where).below(int(2 * (high - low)) + 1) / 2


def length(world: World) -> float | int:
    """The seconds of a video; a whole number of them is an int."""
    return int(world.seconds) if world.seconds == int(world.seconds) else world.seconds


def options_of(question: Question, end: str = "") -> list[str]:
    """The options as sentences, in their order."""
    return [sentence(option, end) for option in question.options]


def right_of(question: Question, end: str = "") -> str:
    """The right option as `options_of` writes it."""
    return sentence(question.answer, end)


def balanced_by_video(asked: Sequence[Sequence[Question]], seed: str) -> list[list[Question]]:
    """What was asked about each of several videos, the right options balanced over all of them."""
    left = iter(balanced([question for found in asked for question in found], seed))
    return [[next(left) for _ in found] for found in asked]


_BETWEEN = ", "


def type_of(names: Sequence[str], by: tuple[Builder, ...], options: int = 4) -> TaskType:
    """A type for questions that belong to several categories at once; `names_of` gives them back."""
    return TaskType(_BETWEEN.join(names), by, options)


def names_of(question: Question) -> list[str]:
    """The categories that a question of `type_of` belongs to."""
    return question.type.split(_BETWEEN)
