"""Lessons of the mini world as a source of training rows: painted when they are asked for, never on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from kangaroo_eval import miniworld
from kangaroo_eval.errors import UserError
from kangaroo_eval.train import lessons
from kangaroo_eval.train.lessons import LESSONS, Lesson
from kangaroo_eval.train.rows import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MadeSource:
    """`count` lessons of one kind. Their pictures are those that a decoded file would show, but for its losses."""

    def __init__(self, kind: str, count: int = 1_000_000, *, first: int = 0) -> None:
        """`first`: the number of the first lesson. UserError for a kind that there is not."""
        if kind not in LESSONS:
            raise UserError(f"no lessons {kind!r}: choose among {', '.join(LESSONS)}")
        self.name = kind
        self._count = count
        self._first = first
        told = (lessons.VERSION, miniworld.VERSION, kind, count, first)
        self.identity = hashlib.sha256(repr(told).encode()).hexdigest()

    def __len__(self) -> int:
        return self._count

    def row(self, index: int, seed: int) -> Row:
        """Lesson `first + index`; nothing about it is random."""
        return _row(self.name, self._first + index)

    def frames(self, row: Row, times: Sequence[float], side: int) -> NDArray[np.uint8]:
        """uint8 RGB (n, side, side, 3) where `side` divides 128, else (n, 128, 128, 3)."""
        return lesson_of(row).frames(times, side)


def lesson_of(row: Row) -> Lesson:
    """The lesson that a row of a `MadeSource` stands for."""
    kind, number = row.id.split("/")
    return _lesson(kind, int(number))


@lru_cache(maxsize=64)
def _lesson(kind: str, number: int) -> Lesson:
    return lessons.lesson(kind, number)


@lru_cache(maxsize=64)
def _row(kind: str, number: int) -> Row:
    lesson = _lesson(kind, number)
    name = f"{kind}/{number}"
    return Row(
        id=name,
        messages=lesson.messages,
        video=Path("made", name) if lesson.seconds != 0 else None,
        image=lesson.seconds is None,
        duration=lesson.seconds or None,
        source="made",
        task=kind,
        apart=lesson.apart,
    )
