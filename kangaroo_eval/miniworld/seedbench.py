"""The mini SEED-Bench-2 in the official layout: 3 questions for each of the video dimensions 19 to 22.

Two rows of other dimensions stand among them, as in the original file; their pictures are not there.
"""

from __future__ import annotations

from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.layout import code, json_of
from kangaroo_eval.miniworld.questions import Question, balanced
from kangaroo_eval.miniworld.seed_clips import choices, clip_of, stills
from kangaroo_eval.miniworld.stills import Still
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import World

SEED = "mini/seedbench/1"

_PICTURES = "SEED-Bench-2-image"
_FOLDERS = {
    "Global Video Understanding": "task19/Charades_test_frame",
    "Action Recognition": "task20/ssv2_8_frame",
    "Action Prediction": "task21/kitchen_8_frame",
    "Procedure Understanding": "task22/breakfast_8_frame",
}
_EACH = 3
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
    "Celebrity Recognition",
    "Landmark Recognition",
    "Chart Understanding",
    "Visual Referring Expression",
    "Science Knowledge",
    "Emotion Recognition",
    "Visual Mathematics",
    "Difference Spotting",
    "Meme Comprehension",
    "Global Video Understanding",
    "Action Recognition",
    "Action Prediction",
    "Procedure Understanding",
    "In-Context Captioning",
    "Interleaved Image-Text Analysis",
    "Text-to-Image Generation",
    "Next Image Prediction",
    "Text-Image Creation",
)
"""The dimensions, 1 to 27."""


def plan(seed: str = SEED) -> Plan:
    """What `seedbench/` holds, for a seed."""
    pictures: dict[str, Still] = {}
    drafts: list[tuple[World, Question, dict[str, object]]] = []
    for name, folder in _FOLDERS.items():
        dimension = _QUESTION_TYPE.index(name) + 1
        for k in range(_EACH):
            world, question = clip_of(f"{seed}/{dimension}/{k}", name)
            paths = [f"{folder}/{code(f'{seed}/{dimension}/{k}')}/{i}.png" for i in range(1, 9)]
            pictures |= {
                f"{_PICTURES}/{path}": still for path, still in zip(paths, stills(world), strict=True)
            }
            fields = {"data_id": paths, "question_id": f"{dimension}_{k}", "question_type_id": dimension}
            drafts.append((world, question, fields))
    asked = balanced([question for _, question, _ in drafts], seed)
    rows = [_row(question, fields) for question, (_, _, fields) in zip(asked, drafts, strict=True)]
    file = {
        "question_type": {name: i for i, name in enumerate(_QUESTION_TYPE, start=1)},
        "questions": [_picture_row(1), *rows, _picture_row(5)],
    }
    return Plan(seed, {"SEED-Bench_v2_level1_2_3.json": json_of(file)}, {}, pictures)


def _row(question: Question, fields: dict[str, object]) -> dict[str, object]:
    return {
        **choices(question),
        "data_id": fields["data_id"],
        "data_source": "SEED-Bench v2",
        "data_type": "Video",
        "level": "L1",
        "question": sentence(question.text),
        "question_id": fields["question_id"],
        "question_type_id": fields["question_type_id"],
        "subpart": "Video & Text Comprehension",
        "version": "v2",
    }


def _picture_row(dimension: int) -> dict[str, object]:
    """A question about a single picture."""
    return {
        "answer": "B",
        "choice_a": "One",
        "choice_b": "Two",
        "choice_c": "Three",
        "choice_d": "Four",
        "data_id": f"{1000000 + dimension}_2000000000",
        "data_source": "cc3m",
        "data_type": "Single Image",
        "level": "L1",
        "question": "How many circles are in the image?",
        "question_id": f"{dimension}_0",
        "question_type_id": dimension,
        "subpart": "Single-Image & Text Comprehension",
        "version": "v1",
    }
