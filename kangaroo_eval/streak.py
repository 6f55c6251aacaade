"""Whether a model is broken: failures in a row, in the order in which it was asked."""

from __future__ import annotations

from dataclasses import dataclass

# A model that fails this often in a row is broken; asking it the remaining questions would only burn hours.
FAILURES_IN_A_ROW = 10
# One video that a server will not have, with all its questions, is no broken model.
FAILED_VIDEOS = 3


@dataclass(slots=True, eq=False)
class _Asked:
    """A request in the row of those asked; `failed` is None while it is with the model."""

    video: str
    before: _Asked | None
    after: _Asked | None = None
    failed: bool | None = None


class Streak:
    """Counts in the order of the questions and not of the outcomes: of many requests in flight the failures are often
    quicker than the answers, and ten of them may come before the first answer. A request that is still with the model
    parts the row as an answer would, so that one slow request does not hide what fails after it.
    """

    def __init__(self) -> None:
        self.length = 0
        self.broken = False
        self._waiting: dict[str, _Asked] = {}
        self._last: _Asked | None = None

    def ask(self, request: str, video: str) -> None:
        """A request goes to the model."""
        asked = _Asked(video, before=self._last)
        if self._last is not None:
            self._last.after = asked
        self._last = self._waiting[request] = asked

    def end(self, request: str, answered: bool | None) -> None:
        """It was answered, or failed, or (None) its failure says nothing of the model. `broken`, once true, stays."""
        asked = self._waiting.pop(request, None)
        if asked is None:
            return
        if answered is None:
            asked = self._without(asked)
        elif answered:
            asked.failed = False
            # Nothing further back is looked at any more through it.
            asked.before = None
            return
        else:
            asked.failed = True
        if asked is not None and not self.broken:
            self._measure(asked)

    def _without(self, asked: _Asked) -> _Asked | None:
        """Take it out of the row, whose two sides then meet; one of them."""
        if asked.before is not None:
            asked.before.after = asked.after
        if asked.after is not None:
            asked.after.before = asked.before
        if self._last is asked:
            self._last = asked.before
        return asked.before or asked.after

    def _measure(self, asked: _Asked) -> None:
        row = []
        each: _Asked | None = asked
        while each is not None and each.failed:
            row.append(each)
            each = each.before
        each = asked.after
        while each is not None and each.failed:
            row.append(each)
            each = each.after
        if len(row) >= FAILURES_IN_A_ROW and len({each.video for each in row}) >= FAILED_VIDEOS:
            self.length, self.broken = len(row), True
