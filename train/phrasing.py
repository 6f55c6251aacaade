"""How a lesson's questions are put and answered, in conversations: without options, or in the ways of benchmarks.

Answers are in lower case and their letter is the only capital: Video-MME's own reader takes the first of A to D that it
finds, and "Cross. (D)" would be read as C.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kangaroo_eval.miniworld import facts, words
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.questions import LETTERS, Question, with_right_at
from kangaroo_eval.miniworld.words import COLOURS, NUMBERS, PLACES, SHAPES, say, sentence
from kangaroo_eval.miniworld.world import World
from kangaroo_eval.train.rows import Message

Turn = tuple[Message, ...]

Way = Literal["open", "short", "letter", "videomme", "bracket"]
"""How a question is put: without options; or with options and as few words as may be, the usual request for a letter,
Video-MME's own instruction, or MVBench's, whose answers begin with the letter in brackets. The answer is the right
option's text, and its letter where there are options."""

COMPACT: tuple[Way, ...] = ("open", "short", "short")
WAYS: tuple[Way, ...] = ("open", "short", "short", "letter", "videomme", "videomme", "bracket")

VIDEOMME = (
    "Select the best answer to the following multiple-choice question based on the video. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)
SUBTITLES = "This video's subtitles are listed below:"
WITH_LETTER = "Answer with the option's letter from the given choices directly."
BEST = "Only give the best option."
_BEGUN = ("Best option:(", "Best Option: (")

_SENTENCES = tuple(
    say(name, **{"direction": direction})
    for name in ("it moves", "it stops", "it grows", "it shrinks", "it stays", "it recolours")
    for direction in (words.DIRECTIONS if name == "it moves" else ("",))
)


def conversation(turns: Sequence[Turn]) -> tuple[Message, ...]:
    """The messages of all turns."""
    return tuple(message for turn in turns for message in turn)


def describe(dice: Dice, what: str, told: str) -> Turn:
    """A request to tell what a picture or video (`what`) shows, and that."""
    asked = dice.pick(
        (f"Describe the {what}.", f"What does the {what} show?", f"Tell me what is in the {what}.")
    )
    return Message("user", asked), Message("assistant", told)


def statement(asked: tuple[str, str]) -> Turn:
    """A question and its answer, without options."""
    question, answer = asked
    return Message("user", sentence(question)), Message("assistant", answer)


def put(dice: Dice, world: World, question: Question, way: Way) -> Turn:
    """A question in one of the ways that it may be put, with the answer as that way wants it."""
    question = with_right_at(question, dice.below(len(question.options)))
    told = subtitles(dice, world) if question.needs_subtitles or (world.cues and dice.below(6) == 0) else ""
    letter, answer = LETTERS[question.right], question.answer
    asked = f"{told}{sentence(question.text)}"
    if way == "open":
        return Message("user", asked), Message("assistant", answer)
    if way == "bracket":
        options = "\n".join(
            f"({a}) {sentence(o, '.')}" for a, o in zip(LETTERS, question.options, strict=False)
        )
        asked = f"{told}Question: {sentence(question.text)}\nOptions:\n{options}\n{BEST}"
        return Message("user", asked), Message("assistant", f"{dice.pick(_BEGUN)}{letter}) {answer}")
    options = "\n".join(question.lettered())
    # The answer first: a small model finds the letter of what it has said far sooner than of what it has not.
    reply = Message("assistant", f"{answer} ({letter})")
    if way == "letter":
        return Message("user", f"{asked}\n{options}\n{WITH_LETTER}"), reply
    if way == "videomme":
        asked = f"{told}{VIDEOMME}\n{sentence(question.text)}"
    return Message("user", f"{asked}\n{options}\nThe best answer is:"), reply


def subtitles(dice: Dice, world: World) -> str:
    """The cues at evenly spread times, one line a time, as Video-MME's own script lists them."""
    count = 8 + 2 * dice.below(13)
    times = [world.seconds * (2 * i + 1) / (2 * count) for i in range(count)]
    shown = [cue.text for time in times for cue in world.cues if cue.start < time < cue.end]
    return "\n".join([SUBTITLES, *shown]) + "\n" if shown else ""


def letters(dice: Dice, most: int = 4) -> Turn:
    """Up to `most` options, and all of them with their letters in another order."""
    pools = (
        tuple(COLOURS),
        tuple(SHAPES),
        NUMBERS,
        words.NAMES,
        words.CODES,
        PLACES,
        facts.ALL_THINGS,
        _SENTENCES,
    )
    return lettered(dice, dice.shuffled(dice.pick(pools))[:most])


def lettered(dice: Dice, options: Sequence[str]) -> Turn:
    """Options with their letters, and all of them with these in another order."""
    named = "ABCDEFGH"
    asked = "\n".join(
        f"{letter}. {sentence(each, '.')}" for letter, each in zip(named, options, strict=False)
    )
    told = [f"{options[place]} ({named[place]})" for place in dice.shuffled(range(len(options)))]
    return Message("user", f"{asked}\nSay each with its letter."), Message("assistant", "\n".join(told))
