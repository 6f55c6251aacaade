"""A letter or ordinal that stands for an option, and what is said of it."""

from __future__ import annotations

from typing import NamedTuple

STATED, CHOSEN, NAMED, PASSING = 4, 3, 2, 1
"""How firmly a letter is put: "the answer is B", "so B", "(option B)", "A or B are possible"."""


MOST = 48
"""No reply that means something names letters more often; what is firm stands at the ends."""


class Mention(NamedTuple):
    """A letter that stands for an option (or for none, out of range), with its place and its dress around it."""

    letter: str
    start: int
    end: int
    left: int
    right: int
    dress: str


class Said(NamedTuple):
    """What is said of one or several options at one place."""

    letters: frozenset[str]
    start: int
    end: int
    affirmed: bool
    strength: int
    kind: str
