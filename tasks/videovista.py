"""VideoVista: 25,000 questions on 3,400 videos, 19 types of understanding and 8 of reasoning.

The authors give no prompt. Reader and breakdowns: HITsz-TMG/VideoVista, VideoVista/evaluation/evaluation_videovista.py.
The published Kangaroo number is without the two types of relation reasoning, as most of the board's are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from kangaroo_eval.answers import careful_choice, letters_of, official_choice
from kangaroo_eval.predictions import listing
from kangaroo_eval.prompts import WITH_LETTER, lettered
from kangaroo_eval.rows import Row, read_rows
from kangaroo_eval.task import Folder, Pack, Published, Source, Task
from kangaroo_eval.types import Sample, Video, View

RELATIONS = ("Relation Reasoning-Image", "Relation Reasoning-Video")
REASONING = (
    *RELATIONS,
    "Event Prediction",
    "Action Prediction",
    "Causal Reasoning",
    "Counterfactual Reasoning",
    "Commonsense Reasoning",
    "Logic Reasoning",
)
UNDERSTANDING = (
    "Objects Existence",
    "Objects Count",
    "Action Count",
    "Detailed Description",
    "Brief Description",
    "Event Description",
    "Event Sequence",
    "Optical Character Recognition",
    "Action Recognition",
    "Action Sequence",
    "Action Location",
    "Event Location",
    "Objects Temporal Location",
    "Objects Temporal Relation",
    "Objects Spatial Location",
    "Objects Spatial Relation",
    "Objects Spatial Tracking",
    "Human Activity Analysis",
    "Anomaly Detection",
)
DURATIONS = ((600, "600+ s"), (300, "300-600 s"), (120, "120-300 s"), (60, "60-120 s"), (0, "0-60 s"))
"""The script's minute buckets 10, 5, 2, 1 and 0, by their first second."""


def reader(*, relations: bool) -> Callable[[Path], Iterator[Sample]]:
    """Reads VideoVista.json; videos `merged/{category}/{second part of the name}/{name}`."""

    def read(root: Path) -> Iterator[Sample]:
        folder = Folder(root)
        for row in read_rows(root / "VideoVista.json"):
            if relations or row.text("Type") not in RELATIONS:
                yield _sample(folder, row)

    return read


def _sample(folder: Folder, row: Row) -> Sample:
    kind = row.tag("Type")
    choices = row.texts("Answer_Choices", least=2, most=5)
    ability = "reasoning" if kind in REASONING else "understanding" if kind in UNDERSTANDING else "unlisted"
    # As in the script: durations are those of the questions of understanding.
    seconds = row.seconds("time")
    duration = next(name for least, name in DURATIONS if seconds >= least)
    return Sample(
        id=row.name("question_id"),
        video=_video(folder, row),
        question=row.text("Question"),
        choices=choices,
        target=letters_of(choices)[row.whole("Answer", below=len(choices))],
        tags={
            "ability": ability,
            "type": kind,
            "category": row.tag("category"),
            **({"duration": duration} if ability == "understanding" else {}),
        },
        facts={"duration": str(seconds)},
    )


def _video(folder: Folder, row: Row) -> Video:
    name = row.text("video_name")
    parts = name.split(".")
    inner = f"{parts[1]}/{name}" if len(parts) > 2 else name
    category = row.text("category")
    path = folder.first(f"merged/{category}/{inner}", f"{category}/{inner}", f"merged/{name}")
    if row.text("Type") != RELATIONS[0]:
        return Video(path)
    image = row.text("image_name")
    return Video(path, picture=folder.first(f"relation_images/{image}", f"merged/relation_images/{image}"))


def prompt(sample: Sample, view: View) -> str:
    """Question, options, and the usual request for a letter."""
    options = lettered(sample.choices, "({letter}) {text}")
    return f"{sample.question}\nOptions:\n{options}\n{WITH_LETTER}"


VIDEOVISTA = Task(
    name="videovista",
    version=1,
    title="VideoVista (without relation reasoning)",
    source=Source(
        folder="videovista",
        annotations=("VideoVista.json",),
        homepage="https://videovista.github.io",
        hub="Uni-MoE/VideoVista",
        licence="not stated",
        citation="Li et al., VideoVista, arXiv:2406.11303",
        mini="kangaroo_eval.miniworld:make",
        packs=(Pack("merged.zip*", parts=True), Pack("relation_images.zip", under="relation_images/")),
    ),
    read=reader(relations=False),
    prompt=prompt,
    scorer=careful_choice,
    official=official_choice("videovista"),
    official_rule="videovista",
    breakdown=("ability", "type", "duration", "category"),
    predictions=(
        listing(
            "videovista",
            'the script\'s prediction file, a list of {"question_id", "Model_Answer"}',
            file="videovista_predictions.json",
            keys=("question_id", "Model_Answer"),
            entry=lambda row: {"question_id": row.sample.id, "Model_Answer": row.text},
        ),
    ),
    # At least so many: of the 25,000 about 400 are of relation reasoning, by the board's own shares (0.211 of
    # reasoning without them, 0.224 with them).
    published=Published(table="III", column="videovista", samples=24000),
    notes=("the prompt is not the authors'",),
)

VIDEOVISTA_RELATION = dataclasses.replace(
    VIDEOVISTA,
    name="videovista_relation",
    title="VideoVista (all types, relation reasoning included)",
    read=reader(relations=True),
    published=Published(
        table="III",
        column="videovista",
        samples=25000,
        other="the paper's 69.50 is without relation reasoning",
    ),
    notes=(
        *VIDEOVISTA.notes,
        "the picture of Relation Reasoning-Image is shown as the last frame: our choice",
    ),
)
