"""MLVU Dev, the seven multiple-choice tasks on videos of minutes to hours. M-Avg is their unweighted mean.

Prompt, prefill and reader: JUNJIE99/MLVU, evaluation/multiple_choice_evaluation/choice_bench.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kangaroo_eval.answers import careful_choice, letters_of, official_choice
from kangaroo_eval.rows import Row, read_rows
from kangaroo_eval.task import Folder, Published, Source, Task
from kangaroo_eval.types import Sample, Video, View

STEMS = ("1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco", "7_topic_reasoning")
SYSTEM = (
    "Carefully watch this video and pay attention to every detail. Based on your observations, "
    "select the best option that accurately addresses the question."
)


def read(root: Path) -> Iterator[Sample]:
    """The seven files `json/{stem}.json`, videos `video/{stem}/{name}`; also below `MLVU/`, as the hub has it."""
    folder = Folder(root)
    for stem in STEMS:
        # All seven or none: a mean over six tasks would look like an M-Avg.
        for row in read_rows(Path(folder.first(f"json/{stem}.json", f"MLVU/json/{stem}.json"))):
            yield _sample(folder, stem, row)


def _sample(folder: Folder, stem: str, row: Row) -> Sample:
    name = row.text("video")
    places = (f"video/{stem}/{name}", f"MLVU/video/{stem}/{name}", f"{stem}/{name}", f"video/{name}")
    candidates = row.texts("candidates", least=2, most=6)
    row.number_of("duration")
    return Sample(
        id=f"{stem}/{row.number}",
        video=Video(folder.first(*places)),
        question=row.text("question"),
        choices=candidates,
        target=_gold(candidates, row.text("answer", empty=True)),
        tags={"task": stem.partition("_")[2]},
    )


def _gold(candidates: tuple[str, ...], answer: str) -> str:
    """The letter of the LAST candidate that equals the answer, "@" when none does: both happen in the public
    files (items 34 and 338 of needle have no right option), and choice_bench.py reads them so."""
    places = [
        letter for letter, text in zip(letters_of(candidates), candidates, strict=True) if text == answer
    ]
    return places[-1] if places else "@"


def prompt(sample: Sample, view: View) -> str:
    """Question, lettered options, and the request for one; the assistant turn is prefilled."""
    options = "\n".join(
        f"({letter}) {text}" for letter, text in zip(letters_of(sample.choices), sample.choices, strict=True)
    )
    return f"Question: {sample.question}\nOptions:\n{options}".rstrip() + "\nOnly give the best option."


MLVU = Task(
    name="mlvu",
    version=1,
    title="MLVU Dev, multiple choice (M-Avg)",
    source=Source(
        folder="mlvu",
        annotations=tuple(f"{place}json/{stem}.json" for place in ("", "MLVU/") for stem in STEMS),
        homepage="https://github.com/JUNJIE99/MLVU",
        hub="MLVU/MVLU",
        licence="CC-BY-NC-SA-4.0; research only",
        citation="Zhou et al., MLVU, arXiv:2406.04264",
        mini="kangaroo_eval.miniworld:make",
    ),
    read=read,
    prompt=prompt,
    scorer=careful_choice,
    official=official_choice("mlvu"),
    official_rule="mlvu",
    breakdown=("task",),
    metric="macro_accuracy",
    macro_over="task",
    system=SYSTEM,
    prefill="Best Option: (",
    max_new_tokens=100,
    frames=64,
    sampler="mlvu",
    published=Published(table="III", column="mlvu", samples=2175),
    notes=("items whose answer is among no candidate cannot be answered; they stay in the denominator",),
)
