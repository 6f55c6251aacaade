"""Whether a model is broken: failures in a row, in the order in which it was asked."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

# A model that fails this often in a row is broken; asking it the remaining questions would only burn hours.
FAILURES_IN_A_ROW = 10
# One video that a server will not have, with all its questions, is no broken model.
FAILED_VIDEOS = 3


class _Asked(NamedTuple):
    id: str
    video: str


class Streak:
    """Counts in the order of the questions and not of the outcomes: of many requests in flight the failures are often
    quicker than the answers, and ten of them may come before the first answer."""

    def __init__(self) -> None:
        self.length = 0
        self._videos: set[str] = set()
        self._asked: deque[_Asked] = deque()
        self._ended: dict[str, bool | None] = {}

    @property
    def broken(self) -> bool:
        """Whether so many in a row failed that the model must be broken."""
        return self.length >= FAILURES_IN_A_ROW and len(self._videos) >= FAILED_VIDEOS

    def ask(self, request: str, video: str) -> None:
        """A request goes to the model."""
        self._asked.append(_Asked(request, video))

    def end(self, request: str, answered: bool | None) -> None:
        """It was answered, or failed, or (None) its failure says nothing of the model."""
        self._ended[request] = answered
        while self._asked and self._asked[0].id in self._ended:
            asked = self._asked.popleft()
            answered = self._ended.pop(asked.id)
            if answered:
                self.length = 0
                self._videos.clear()
            elif answered is not None:
                self.length += 1
                self._videos.add(asked.video)
