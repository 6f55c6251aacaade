"""The mini SEED-Bench (1) in the official layout: 2 questions for each of the video dimensions 10 to 12.

The pictures are those that were handed out ready-made; `data_id` and `segment` name the raw videos, which are not
there, as they were not there. Two rows of other dimensions stand among them, without their pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.layout import json_of
from kangaroo_eval.miniworld.questions import Question, balanced
from kangaroo_eval.miniworld.seed_clips import choices, clip_of, stills
from kangaroo_eval.miniworld.stills import Still
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import World

SEED = "mini/seedbench_v1/1"


@dataclass(frozen=True, slots=True)
class _Dimension:
    number: int
    name: str
    folder: str
    first_id: int
    data_id: str
    rate: int
    """How many units of `segment` a second has; 0: no segment."""


_DIMENSIONS = (
    _Dimension(10, "Action Recognition", "task10/ssv2_8_frame", 1738, "{n}.webm", 0),
    _Dimension(11, "Action Prediction", "task11/kitchen_8_frame", 1962, "P03/P03_{n}.MP4", 1),
    _Dimension(12, "Procedure Understanding", "task12/breakfast_8_frame", 4397, "P06/cam01/P06_{n}.avi", 15),
)
_EACH = 2
_QUESTION_TYPE = (
    "Scene Understanding",
    "Instance Identity",
    "Instance Attributes",
    "Instance Location",
    "Instances Counting",
    "Spatial Relation",
    "Instance Interaction",
    "Visual Reasoning",
    "Text Understanding",
    *(dimension.name for dimension in _DIMENSIONS),
)
"""The dimensions, 1 to 12."""


def plan(seed: str = SEED) -> Plan:
    """What `seedbench_v1/` holds, for a seed."""
    pictures: dict[str, Still] = {}
    drafts: list[tuple[_Dimension, int, World, Question]] = []
    for dimension in _DIMENSIONS:
        for k in range(_EACH):
            world, question = clip_of(f"{seed}/{dimension.number}/{k}", dimension.name)
            number = dimension.first_id + k
            drafts.append((dimension, number, world, question))
            for i, still in enumerate(stills(world), start=1):
                pictures[f"v1_video/{dimension.folder}/v{number}/{i}.png"] = still
    asked = balanced([question for *_, question in drafts], seed)
    rows = [_row(*draft[:3], question) for draft, question in zip(drafts, asked, strict=True)]
    file = {
        "questions": [_picture_row(101669, 5), *rows, _picture_row(101670, 9)],
        "question_type": {name: i for i, name in enumerate(_QUESTION_TYPE, start=1)},
    }
    return Plan(seed, {"SEED-Bench.json": json_of(file)}, {}, pictures)


def _row(dimension: _Dimension, number: int, world: World, question: Question) -> dict[str, object]:
    row: dict[str, object] = {
        **choices(question),
        "data_id": dimension.data_id.format(n=number),
        "data_type": "video",
        "question": sentence(question.text),
        "question_id": f"v{number}",
        "question_type_id": dimension.number,
    }
    start = 10 * (number % 60)
    if dimension.rate == 1:
        row["segment"] = [float(start), start + world.seconds]
    elif dimension.rate:
        row["segment"] = [start * dimension.rate, round((start + world.seconds) * dimension.rate)]
    return row


def _picture_row(number: int, dimension: int) -> dict[str, object]:
    """A question about a single picture."""
    return {
        "answer": "A",
        "choice_a": "One",
        "choice_b": "Two",
        "choice_c": "Three",
        "choice_d": "Four",
        "data_id": f"{number}_2000000000",
        "data_type": "image",
        "question": "How many circles are in the image?",
        "question_id": str(number),
        "question_type_id": dimension,
    }
