"""Random choices that are the same on every machine and Python version: SHA-256 of a seed and a counter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A stream of choices fixed by `seed`. (`random.Random` only promises that of `random()`.)"""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._drawn = 0

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1; the bias of the modulus is below n / 2**64."""
        digest = hashlib.sha256(f"{self._seed}/{self._drawn}".encode()).digest()
        self._drawn += 1
        return int.from_bytes(digest[:8], "big") % n

    def between(self, low: float, high: float) -> float:
        """A number from `low` to `high` on a grid of 1024 steps."""
        return low + (high - low) * self.below(1025) / 1024

    def pick(self, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[self.below(len(items))]

    def shuffled(self, items: Iterable[T]) -> list[T]:
        """All `items` in a random order (Fisher-Yates)."""
        out = list(items)
        for i in range(len(out) - 1, 0, -1):
            j = self.below(i + 1)
            out[i], out[j] = out[j], out[i]
        return out
