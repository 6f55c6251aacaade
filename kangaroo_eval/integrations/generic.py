"""Tasks of other harnesses that are no benchmark of ours: known from their logs, or asked of lmms-eval where it is installed.

The official score is the one that the other harness recorded, or gives, for each sample. The careful one is ours where the
label is an option's letter; what an open answer is worth our readers cannot tell.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kangaroo_eval.answers import careful_choice
from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.integrations import lmms_tasks
from kangaroo_eval.task import Source, Task, one
from kangaroo_eval.types import Sample, Score, View

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def lmms(name: str) -> Task:
    """The task that lmms-eval calls `name`. Its questions come with a log, or from lmms-eval itself."""
    task = _task("lmms", "lmms-eval", "https://github.com/EvolvingLMMs-Lab/lmms-eval", name)
    source = dataclasses.replace(
        task.source,
        annotations=(lmms_tasks.DOCUMENTS,),
        gather="kangaroo_eval.integrations.lmms_tasks:gather",
    )
    return dataclasses.replace(
        task,
        source=source,
        read=lmms_tasks.read,
        reader=partial(_reader, name),
        official_rule="lmms-eval's own process_results",
        settle=lmms_tasks.settled,
        totals=partial(_totals, name),
    )


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
        return careful_choice(sample, lmms_tasks.ended(sample, text))
    return Score(None, text, "an open answer: not read")


def _reader(name: str, answers: Sequence[tuple[Sample, str]]) -> Callable[[Sample, str], Score]:
    """lmms-eval's verdicts: recorded, or asked for."""
    return lmms_tasks.reader(name, answers) if _ours(answers) else _recorded


def _ours(answers: Sequence[tuple[Sample, str]]) -> bool:
    """Whether they are those of a run of ours, and not a log's."""
    return bool(answers) and all("document" in sample.facts for sample, _ in answers)


def _totals(name: str, answers: Sequence[tuple[Sample, str]]) -> Mapping[str, Any] | None:
    """Of a run of ours alone: a log brings its own."""
    return lmms_tasks.totals(name, answers) if _ours(answers) else None


def _recorded(sample: Sample, text: str) -> Score:
    """The other harness's verdict; outside the denominator where it recorded none."""
    score = sample.facts.get("recorded_score")
    answer = sample.facts.get("recorded_answer")
    return Score(None if score is None else float(one(score)), text if answer is None else one(answer))
