"""The rows of a log to the samples of a benchmark: by id where the log has it, else by question, options, label and
video; without annotations the rows are the samples."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import NamedTuple

from kangaroo_eval.answers import letters_of
from kangaroo_eval.errors import DataError
from kangaroo_eval.integrations.benchmarks import CARRIED, own_id
from kangaroo_eval.integrations.theirs import Part, Row
from kangaroo_eval.task import Task
from kangaroo_eval.types import Sample, Video

log = logging.getLogger(__name__)

_OPTION = re.compile(r"^[ \t]*\(?([A-Z])[).:][ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_LETTER = re.compile(r"\(?([A-Z])(?:[).:]|\Z)")
LEAST_OPTIONS = 4


class Joined(NamedTuple):
    """Sample id -> the row that answers it; rows that answer no sample; rows of the benchmark's other parts."""

    rows: dict[str, Row]
    unknown: list[str]
    others: int


def _plain(text: str) -> str:
    return "".join(re.findall(r"\w+", text.lower()))


def join(task: Task, parts: Sequence[Part], samples: Sequence[Sample]) -> Joined:
    """Bind each row to a sample. A row whose id is known must be about that sample's question, where it says."""
    index = {sample.id: sample for sample in samples}
    finder = _Finder(samples)
    found: dict[str, Row] = {}
    rest: list[tuple[str | None, str, Row]] = []
    # Those with an id first: what is found by what was asked must not take their place.
    for part in parts:
        for row in part.rows:
            name = own_id(task.name, part.name, row)
            if name in index and name not in found and _fits(row, index[name]):
                found[name] = row
            else:
                rest.append((name, f"{part.name} document {row.number}", row))
    unknown: list[str] = []
    others = 0
    for name, document, row in rest:
        sample = finder.find(row, found)
        if sample is not None:
            found[sample.id] = row
        elif name is not None and task.other_ids and task.other_ids(name):
            others += 1
        else:
            unknown.append(name or document)
    return Joined(found, unknown, others)


def _fits(row: Row, sample: Sample) -> bool:
    """Whether a row can be about the sample's question: nothing that it says speaks against it."""
    asked = row.question if row.question is not None else row.prompt
    if asked is not None and not _asks(asked, sample):
        return False
    if row.choices:
        if any(sample.choices) and _order(row.choices) != _order(sample.choices):
            return False
    elif row.prompt and not _offers(row.prompt, sample):
        return False
    target = letter_of(row.target, sample.choices)
    return (
        target is None or sample.target is None or target == sample.target.strip() or len(sample.target) > 1
    )


def _offers(prompt: str, sample: Sample) -> bool:
    """Whether the sample's options stand in the prompt, in their order where it letters them."""
    found = choices_in(prompt)
    if len(found) == len(sample.choices) and any(sample.choices):
        return _order(found) == _order(sample.choices)
    asked = _plain(prompt)
    return all(_plain(_text_of(choice)) in asked for choice in sample.choices)


def _order(choices: Sequence[str]) -> list[str]:
    return [_plain(_text_of(choice)) for choice in choices]


def _text_of(choice: str) -> str:
    return re.sub(r"\A\s*\(?[A-Z][).:]\s*", "", choice)


def _asks(asked: str, sample: Sample) -> bool:
    question = _plain(re.sub(r"<[^>]{1,20}>", "", sample.question))
    return not question or question in _plain(asked)


class _Finder:
    """Finds samples by what was asked. Questions that are asked of several videos are told apart by options, label
    and video; samples that nothing tells apart are taken in their order."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._by_question: dict[str, list[Sample]] = defaultdict(list)
        for sample in samples:
            self._by_question[_plain(sample.question)].append(sample)

    def find(self, row: Row, taken: Iterable[str] | dict[str, Row]) -> Sample | None:
        asked = _plain(row.question or row.prompt or "")
        if not asked:
            return None
        fitting = self._by_question.get(asked)
        if fitting is None:
            fitting = [
                sample for key, group in self._by_question.items() if key and key in asked for sample in group
            ]
        fitting = [
            each
            for each in fitting
            if each.id not in taken
            and (row.video is None or _stem(row.video) == _stem(each.video.path))
            and _fits(row, each)
        ]
        if not fitting:
            return None
        # "Where is the cat?" stands within "Where is the cat now?": the longest question is the one that was asked.
        longest = max(len(_plain(each.question)) for each in fitting)
        return next(each for each in fitting if len(_plain(each.question)) == longest)


def _stem(path: str) -> str:
    return PurePath(path).stem.lower()


def letter_of(label: str | None, choices: Sequence[str]) -> str | None:
    """A label as a letter: a letter, "B. text", an option's text or the number before it, else an option's number from 0. None
    for any other. Texts come before numbers: of the options 3, 2 and 4 the label 3 is the first."""
    if label is None:
        return None
    letters, wanted = letters_of(choices), _plain(label)
    # "J. K. Rowling" and "I" may be options, and of four J is none's letter.
    if len(label.strip()) > 1 or label.strip() not in letters:
        exact = [place for place, each in enumerate(choices) if each.strip() == label.strip()]
        if len(exact) == 1:
            return letters[exact[0]]
    match = _LETTER.match(label.strip())
    if match and (match[1] in letters or not any(choices)):
        return match[1]
    for told in ([_plain(_text_of(each)) for each in choices], [_number_of(each) for each in choices]):
        if wanted and wanted in told:
            return letters[told.index(wanted)]
    if wanted.isdecimal() and int(wanted) < (len(choices) or LEAST_OPTIONS + 1):
        return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[int(wanted)]
    return None


def _number_of(choice: str) -> str:
    """The number that an option begins with, as in "2. A dog" and "(2) A dog"; "" where there is none."""
    match = re.match(r"\s*\(?(\d+)[).:]\s*\S", choice)
    return match[1] if match else ""


def choices_in(prompt: str | None) -> tuple[str, ...]:
    """The options that stand in a prompt, each on a line of its own behind its letter; none where they do not run
    from A on."""
    found: list[str] = []
    for letter, text in _OPTION.findall(prompt or ""):
        if letter == "A":
            found = []
        if letter == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[len(found)]:
            found.append(text)
    return tuple(found) if len(found) > 1 else ()


def carried(task: Task, parts: Sequence[Part]) -> dict[str, tuple[Sample, Row]]:
    """The samples as the log itself has them, by id. `DataError` where the official rule needs more than a log says."""
    known = CARRIED.get(task.name)
    if known is None and ":" not in task.name:
        raise DataError(
            f"{task.name}: its rule needs more than a log holds: give the annotations with --data-root "
            f"(DIR/{task.source.folder}, from {task.source.homepage})"
        )
    found: dict[str, tuple[Sample, Row]] = {}
    for part in parts:
        if known is None and any(row.score is not None and not 0 <= row.score <= 1 for row in part.rows):
            log.warning(
                "%s: what was recorded of each answer is no share of a whole (0 to 1), so it is no score here",
                task.name,
            )
            unscored = [dataclasses.replace(row, score=None) for row in part.rows]
            part = part._replace(rows=unscored)
        labels = [letter for row in part.rows if (letter := letter_of(row.target, row.choices))]
        counts = [len(letters_of(row.choices)) for row in part.rows]
        letters = max(
            [*counts, LEAST_OPTIONS, *("ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(each) + 1 for each in labels)]
        )
        for row in part.rows:
            name = own_id(task.name, part.name, row) or f"{part.name}/{row.number}"
            if ":" in task.name:
                name = str(row.number)
            if task.other_ids and task.other_ids(name):
                continue
            sample = _sample(task, name, part.name, row, letters)
            if known is not None and known.needs_options and not any(sample.choices):
                raise DataError(
                    f"{task.name}: the log has no texts of options for {name}, which the official rule compares with: "
                    "give the annotations with --data-root"
                )
            if task.macro_over is not None and task.macro_over not in sample.tags:
                raise DataError(
                    f"{task.name}: the log does not tell the {task.macro_over} of {name}, which the mean is over: give the "
                    "annotations with --data-root"
                )
            found[name] = (sample, row)
    return found


def _sample(task: Task, name: str, part: str, row: Row, letters: int) -> Sample:
    known = CARRIED.get(task.name)
    choices = row.choices or choices_in(row.prompt)
    target = letter_of(row.target, choices)
    facts: dict[str, str] = {}
    if known is None:
        if row.score is not None:
            facts["recorded_score"] = repr(row.score)
        if row.answer is not None:
            facts["recorded_answer"] = row.answer
        # An open answer: its label is kept, though no letter can be compared with it.
        choices, target = (choices or ("",) * letters, target) if target else ((), row.target)
    elif not choices:
        choices = ("",) * letters
    return Sample(
        id=name,
        video=Video(row.video or name),
        question=row.question or row.prompt or "",
        choices=choices,
        target=target,
        tags=known.tags(part, row.details) if known else {},
        facts=facts,
    )
