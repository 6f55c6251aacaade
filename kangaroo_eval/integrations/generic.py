"""Tasks of other harnesses that are no benchmark of ours: what their logs hold is all that is known of them.

The official score is the one that the other harness recorded for each sample. The careful one is ours where the label
is an option's letter; what an open answer is worth nobody can tell from a log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kangaroo_eval.answers import careful_choice
from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.task import Source, Task, one
from kangaroo_eval.types import Sample, Score, View

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def lmms(name: str) -> Task:
    """The task that lmms-eval calls `name`."""
    return _task("lmms", "lmms-eval", "https://github.com/EvolvingLMMs-Lab/lmms-eval", name)


def vlmeval(name: str) -> Task:
    """The data set that VLMEvalKit calls `name`."""
    return _task("vlmeval", "VLMEvalKit", "https://github.com/open-compass/VLMEvalKit", name)


def _task(family: str, harness: str, homepage: str, name: str) -> Task:
    if not _NAME.fullmatch(name):
        raise UserError(f"task {family}:{name!r}: a name has letters, digits and . _ + - alone")

    def unread(root: Path) -> Iterator[Sample]:
        raise DataError(
            f"{family}:{name} is no benchmark of ours: its questions come with a log (kangaroo-eval import)"
        )

    return Task(
        name=f"{family}:{name}",
        version=1,
        title=f"{name} of {harness}",
        source=Source(
            folder=f"{family}-{name}",
            annotations=(),
            homepage=homepage,
            hub=None,
            licence=f"see {harness}",
            citation="",
        ),
        read=unread,
        prompt=_question,
        scorer=_careful,
        official=_recorded,
        official_rule=f"the score that {harness} recorded",
        breakdown=(),
        notes=(f"not a benchmark of ours: official is the score that {harness} recorded for each answer",),
    )


def _question(sample: Sample, view: View) -> str:
    return sample.question


def _careful(sample: Sample, text: str) -> Score:
    """By the letter, where the label is one."""
    if sample.choices:
        return careful_choice(sample, text)
    return Score(None, text, "an open answer: not read")


def _recorded(sample: Sample, text: str) -> Score:
    """The other harness's verdict; outside the denominator where it recorded none."""
    score = sample.facts.get("recorded_score")
    answer = sample.facts.get("recorded_answer")
    return Score(None if score is None else float(one(score)), text if answer is None else one(answer))
