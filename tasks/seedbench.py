"""SEED-Bench, video: dimensions 19 to 22 of SEED-Bench-2 (the paper's Table V), and 10 to 12 of SEED-Bench-1.

Eight frames a question, shown twice each as the Kangaroo paper does (Section V.B.1). The authors rank the choices by
likelihood (AILab-CVC/SEED-Bench, EVALUATION.md): so does a run whose model can. Data: DATASET.md.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kangaroo_eval.answers import careful_choice, official_choice, official_ranking
from kangaroo_eval.predictions import DECODER, dump, field, read_text
from kangaroo_eval.prompts import with_letter
from kangaroo_eval.rows import Row, read_rows
from kangaroo_eval.task import (
    Exported,
    Folder,
    Pack,
    Predicted,
    Predictions,
    Published,
    Ranking,
    Source,
    Task,
)
from kangaroo_eval.types import Sample, Score, Video

DIMENSIONS = {
    19: "Global Video Understanding",
    20: "Action Recognition",
    21: "Action Prediction",
    22: "Procedure Understanding",
}
V1_DIMENSIONS = {10: "Action Recognition", 11: "Action Prediction", 12: "Procedure Understanding"}
V1_FOLDERS = {10: "task10/ssv2_8_frame", 11: "task11/kitchen_8_frame", 12: "task12/breakfast_8_frame"}
FRAMES = 8
LETTERS = tuple("ABCD")


def reader(
    file: str, dimensions: dict[int, str], video: Callable[[Folder, Row], Video]
) -> Callable[[Path], Iterator[Sample]]:
    """Reads the questions of these dimensions; the file's others, most of them images, are left out."""

    def read(root: Path) -> Iterator[Sample]:
        folder = Folder(root)
        for row in read_rows(root / file, inside="questions"):
            name = dimensions.get(row.whole("question_type_id"))
            if name is not None:
                label = row.text("answer")
                if label.strip() not in LETTERS:
                    raise row.wrong("answer", "one of A, B, C, D")
                yield Sample(
                    id=row.name("question_id"),
                    video=video(folder, row),
                    question=row.text("question"),
                    choices=tuple(row.text(f"choice_{letter}", empty=True) for letter in "abcd"),
                    target=label.strip(),
                    tags={"dimension": name, **_fault(label)},
                )

    return read


def _fault(label: str) -> dict[str, str]:
    """Six published labels of dimension 19 to 22 have a space before or after the letter."""
    return (
        {}
        if label in LETTERS
        else {"fault": "the label has a space beside its letter: no answer equals it officially"}
    )


def _frames(folder: str) -> Video:
    """Picture k is shown at k - 1 seconds: the files tell no times."""
    return Video(folder, frames_dir=folder, fps=1.0, pictures=FRAMES)


def _v2_video(folder: Folder, row: Row) -> Video:
    """The folder that all eight paths of a question lie in."""
    paths = row.texts("data_id", least=FRAMES, most=FRAMES)
    place = os.path.dirname(paths[0])
    if [os.path.splitext(path)[0] for path in paths] != [f"{place}/{k}" for k in range(1, FRAMES + 1)]:
        raise row.wrong("data_id", "the frames 1 to 8 of one folder, in order")
    return _frames(folder.first(f"SEED-Bench-2-image/{place}", place))


def _v1_video(folder: Folder, row: Row) -> Video:
    place = f"{V1_FOLDERS[row.whole('question_type_id')]}/{row.name('question_id')}"
    return _frames(folder.first(f"v1_video/{place}", place))


def official(sample: Sample, text: str) -> Score:
    """The first character against the label as it is published, spaces included."""
    return _as_published(sample, _FIRST_CHARACTER(sample, text))


def ranked(sample: Sample, losses: Sequence[float]) -> Score:
    """The likeliest choice against the label as it is published, spaces included."""
    return _as_published(sample, official_ranking(sample, losses))


_FIRST_CHARACTER = official_choice("seedbench")


def _as_published(sample: Sample, score: Score) -> Score:
    return dataclasses.replace(score, value=0.0) if "fault" in sample.tags else score


def question(sample: Sample) -> str:
    """What the choices are ranked as replies to."""
    return sample.question


_BETWEEN = re.compile(r"[\s,\[\]]*")
"""What may stand around the objects of a file of predictions."""


def prediction_reader(dimension: Callable[[str], str | None]) -> Callable[[Path], Iterator[Predicted]]:
    """Reads objects with question_id and prediction, a list or one a line, separated by commas or not; `gt_answer`
    is the label, where it is given. `dimension(id)` is None for ids that are not this benchmark's."""

    def read(path: Path) -> Iterator[Predicted]:
        found, text = [], read_text(path)
        place = _skip(text, 0)
        while place < len(text):
            try:
                entry, end = DECODER.raw_decode(text, place)
            except RecursionError as error:
                raise ValueError(f"not JSON ({error})") from error
            name = field(entry, "question_id")
            found.append(Predicted(name, field(entry, "prediction"), _bare(name, entry, dimension(name))))
            place = _skip(text, end)
        if not found:
            raise ValueError("no predictions in it")
        return iter(found)

    return read


def _skip(text: str, place: int) -> int:
    between = _BETWEEN.match(text, place)
    assert between is not None
    return between.end()


def _bare(name: str, entry: Mapping[str, Any], dimension: str | None) -> Sample | None:
    """A question as far as a file of predictions tells it; None where it tells no label."""
    label = entry.get("gt_answer")
    if dimension is None or not isinstance(label, str) or label.strip() not in LETTERS:
        return None
    tags = {"dimension": dimension, **_fault(label)}
    return Sample(name, Video(name), "", ("",) * 4, label.strip(), tags)


def _dimension(name: str) -> str | None:
    """The dimension that an id of SEED-Bench-2 begins with."""
    return next((title for number, title in DIMENSIONS.items() if name.startswith(f"{number}_")), None)


def _v1_dimension(name: str) -> str | None:
    """The dimension of a video of SEED-Bench-1, by the ranges of their ids (v1738 is of the first)."""
    if not re.fullmatch(r"v\d{1,4}", name):
        return None
    number = int(name[1:])
    return V1_DIMENSIONS[10 if number <= 1739 else 11 if number <= 3816 else 12]


def _write(rows: Sequence[Exported]) -> dict[str, str]:
    entries = [{"question_id": row.sample.id, "prediction": row.answer or ""} for row in rows]
    return {"seedbench_results.json": dump(entries)}


SEEDBENCH_VIDEO = Task(
    name="seedbench_video",
    version=1,
    title="SEED-Bench-2, video (dimensions 19 to 22)",
    source=Source(
        folder="seedbench",
        annotations=("SEED-Bench_v2_level1_2_3.json",),
        homepage="https://github.com/AILab-CVC/SEED-Bench",
        hub="AILab-CVC/SEED-Bench-2",
        licence="CC-BY-NC-4.0",
        citation="Li et al., SEED-Bench-2, arXiv:2311.17092",
        mini="kangaroo_eval.miniworld:make",
        packs=(Pack("SEED-Bench-2-image.zip*", parts=True),),
    ),
    read=reader("SEED-Bench_v2_level1_2_3.json", DIMENSIONS, _v2_video),
    prompt=with_letter,
    scorer=careful_choice,
    official=official,
    official_rule="seedbench (first character; likelihood where the model ranks)",
    breakdown=("dimension",),
    ranking=Ranking(prompt=question, score=ranked),
    frames=FRAMES,
    repeat_frames=2,
    predictions=(
        Predictions(
            name="seedbench",
            about='the leaderboard\'s results, {"question_id", "prediction"}; unreadable: ""',
            read=prediction_reader(_dimension),
            write=_write,
            suffixes=(".json", ".jsonl"),
        ),
    ),
    other_ids=lambda name: bool(re.fullmatch(r"(?!19_|20_|21_|22_)\d+_\d+", name)),
    published=Published(
        table="V",
        column="avg",
        samples=5351,
        breakdown={
            column: ("dimension", DIMENSIONS[number])
            for column, number in {"gvu": 19, "ar": 20, "ap": 21, "pu": 22}.items()
        },
    ),
    notes=("times of the eight frames are not published: picture k stands at k - 1 seconds",),
)

SEEDBENCH_V1_VIDEO = dataclasses.replace(
    SEEDBENCH_VIDEO,
    name="seedbench_v1_video",
    title="SEED-Bench-1, video (dimensions 10 to 12)",
    source=dataclasses.replace(
        SEEDBENCH_VIDEO.source,
        folder="seedbench_v1",
        annotations=("SEED-Bench.json",),
        hub="AILab-CVC/SEED-Bench",
        packs=(Pack("v1_video.zip*", parts=True),),
        citation="Li et al., SEED-Bench, arXiv:2307.16125",
    ),
    read=reader("SEED-Bench.json", V1_DIMENSIONS, _v1_video),
    predictions=(dataclasses.replace(SEEDBENCH_VIDEO.predictions[0], read=prediction_reader(_v1_dimension)),),
    other_ids=lambda name: name.isdecimal(),
    published=None,
)
