"""What a log of another harness holds, in one form: who answered, and each answer with what was recorded of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

FAILED = re.compile(
    r"\s*\[LMMS_EVAL_(?:REQUEST_FAILED|BUDGET_EXCEEDED)"
    r"|\s*Failed to obtain answer via API\.?"
    r"|\s*(?:Video .{0,400})?can not load, check the source\s*\Z",
    re.DOTALL,
)
"""How other harnesses write a failure in an answer's place."""


class Failure(NamedTuple):
    """Why there is no answer: the kind of failure, and the text that stood in the answer's place."""

    kind: str
    message: str


def failure_of(text: str | None) -> Failure | None:
    """What is wrong with a text that is no answer; None for an answer."""
    if text is None or not text.strip():
        return Failure("EmptyAnswer", "the file has no text for it")
    if FAILED.match(text):
        return Failure("RequestFailed", " ".join(text.split())[:300])
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a log. `number` is the document's (lmms-eval's doc_id, VLMEvalKit's index), `id` the benchmark's
    own where the log has it. `prompt` is all that was asked, `question` the question alone; `choices` and `target`
    are the label as the log has it; `answer` and `score` what the harness read and gave. None: the log has it not."""

    number: int | str
    text: str | None
    id: str | None = None
    prompt: str | None = None
    question: str | None = None
    choices: tuple[str, ...] = ()
    target: str | None = None
    video: str | None = None
    answer: str | None = None
    score: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Part(NamedTuple):
    """One task of a log, under the harness's own name: its file, its rows, how many documents it says it asked (None:
    not said), and the metrics it recorded."""

    name: str
    file: Path
    rows: Sequence[Row]
    asked: int | None
    metrics: Mapping[str, Any]


class Log(NamedTuple):
    """All that was found: `family` as in `FAMILIES`, the harness's name and version, the model, how many frames it was
    shown (None: not told), when, and further facts for the run record."""

    family: str
    harness: str
    version: str | None
    model: str
    frames: int | None
    date: str | None
    settings: Mapping[str, Any]
    parts: Sequence[Part]
