"""EgoSchema: three-minute first-person videos, one question of five options each; labels of 500 are public.

The authors give no prompt for language models and no reader: the prompt is the usual one, the official rule
lmms-eval's (tasks/egoschema/utils.py), whose random guesses count as their expected value. Data: egoschema/EgoSchema.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kangaroo_eval.answers import careful_choice, official_choice
from kangaroo_eval.predictions import mapping, read_text, shown
from kangaroo_eval.prompts import with_letter
from kangaroo_eval.rows import Row, read_object, read_rows
from kangaroo_eval.task import Exported, Folder, Pack, Predicted, Predictions, Published, Source, Task
from kangaroo_eval.types import Sample, Video

LETTERS = "ABCDE"
INVALID = -1
"""What an unreadable answer is in a submission: no option's number, so that it cannot count as a guess."""


def read(root: Path) -> Iterator[Sample]:
    """The 500 samples of questions.json whose labels subset_answers.json has."""
    labels = Row(root / "subset_answers.json", 0, read_object(root / "subset_answers.json"))
    for sample in read_full(root):
        if sample.id in labels:
            yield dataclasses.replace(sample, target=LETTERS[labels.whole(sample.id, below=5)])


def read_full(root: Path) -> Iterator[Sample]:
    """All samples of questions.json, without labels; videos `videos/{q_uid}.mp4`."""
    folder = Folder(root)
    for row in read_rows(root / "questions.json"):
        name = row.text("q_uid")
        yield Sample(
            id=name,
            video=Video(
                folder.first(f"videos/{name}.mp4", f"videos/{name}.MP4", f"{name}.mp4", f"{name}.MP4")
            ),
            question=row.text("question"),
            choices=tuple(row.text(f"option {number}") for number in range(5)),
        )


def _letter(value: object) -> str:
    # In a table numbers are text. True is an int to Python, and no answer.
    if not isinstance(value, int | str) or not re.fullmatch(r"-1|[0-4]", str(value)):
        raise ValueError(f"{shown(value)} is no number of an option, 0 to 4")
    return "" if int(value) == INVALID else LETTERS[int(value)]


def _number(row: Exported) -> int:
    return INVALID if row.answer is None else LETTERS.index(row.answer)


def _read_csv(path: Path) -> Iterator[Predicted]:
    try:
        rows = [row for row in csv.reader(io.StringIO(read_text(path))) if row]
    except csv.Error as error:
        raise ValueError(f"no table ({error})") from error
    if not rows or rows[0] != ["q_uid", "answer"] or any(len(row) != 2 for row in rows):
        raise ValueError("not a table of q_uid,answer")
    return iter([Predicted(name, _letter(answer)) for name, answer in rows[1:]])


def _write_csv(rows: Sequence[Exported]) -> Mapping[str, str]:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(
        [("q_uid", "answer"), *((row.sample.id, _number(row)) for row in rows)]
    )
    return {"egoschema_submission.csv": out.getvalue()}


SUBMISSION = mapping(
    "egoschema",
    "the validation server's {q_uid: 0 to 4}; an unreadable answer is -1",
    file="egoschema_submission.json",
    text=_letter,
    value=_number,
    complete=True,
)
KAGGLE = Predictions(
    name="egoschema_csv",
    about="Kaggle's table of q_uid,answer",
    read=_read_csv,
    write=_write_csv,
    complete=True,
    suffixes=(".csv",),
)

EGOSCHEMA = Task(
    name="egoschema",
    version=1,
    title="EgoSchema (the 500 questions with public labels)",
    source=Source(
        folder="egoschema",
        annotations=("questions.json", "subset_answers.json"),
        homepage="https://egoschema.github.io",
        hub="lmms-lab/egoschema",
        licence="videos: Ego4D licence",
        citation="Mangalam et al., EgoSchema, arXiv:2308.09126",
        mini="kangaroo_eval.miniworld:make",
        packs=(Pack("videos_chunked_*.zip", under="videos/", named=True),),
        elsewhere={
            "questions.json": "https://github.com/egoschema/EgoSchema (lmms-eval's copy on the hub has other option orders)",
            "subset_answers.json": "https://github.com/egoschema/EgoSchema",
        },
        kept=("egoschema",),
        copies=("lmms-eval/egoschema",),
    ),
    read=read,
    prompt=with_letter,
    scorer=careful_choice,
    official=official_choice("egoschema", unreadable="guess"),
    official_rule="egoschema (lmms-eval's; the authors give none)",
    breakdown=(),
    # Of the 500 a submission is read, to score it, but never written: it would pass for one of the 5,031.
    predictions=tuple(dataclasses.replace(each, write=None) for each in (SUBMISSION, KAGGLE)),
    published=Published(
        table="III",
        column="egoschema",
        samples=500,
        other="the paper's 62.7 is the full set of 5,031, whose labels are not public",
    ),
    notes=("the prompt is not the authors'",),
)

EGOSCHEMA_FULL = dataclasses.replace(
    EGOSCHEMA,
    name="egoschema_full",
    title="EgoSchema (all 5,031 questions: a submission, not scored)",
    read=read_full,
    predictions=tuple(dataclasses.replace(each, count=5031) for each in (SUBMISSION, KAGGLE)),
    source=dataclasses.replace(EGOSCHEMA.source, annotations=("questions.json",)),
    published=None,
)
