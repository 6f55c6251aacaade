"""MLVU on videos of minutes to hours: Dev, seven multiple-choice tasks (M-Avg is their unweighted mean) and two
generation tasks (G-Avg); Test, nine multiple-choice tasks of six options.

Prompts, prefill and readers: JUNJIE99/MLVU, evaluation/multiple_choice_evaluation/choice_bench.py,
evaluation/generation_evaluation/{open_bench,evaluate_ssc,evaluate_summary,calculate,calculate_sum}.py,
evaluation_test/test_bench.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from kangaroo_eval.answers import careful_choice, letters_of, official_choice
from kangaroo_eval.predictions import listing
from kangaroo_eval.prompts import bracketed, question_alone, text
from kangaroo_eval.rows import Row, read_rows
from kangaroo_eval.task import Folder, Judging, Pack, Published, Source, Task, judge_alone, one
from kangaroo_eval.types import Sample, Score, Video, View
from kangaroo_eval.verdicts import mlvu_scores, mlvu_scores_strict

STEMS = ("1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco", "7_topic_reasoning")
OPEN_STEMS = ("8_sub_scene", "9_summary")
SYSTEM = (
    "Carefully watch this video and pay attention to every detail. Based on your observations, "
    "select the best option that accurately addresses the question."
)


def reader(
    stems: tuple[str, ...], make: Callable[[Folder, str, Row], Sample]
) -> Callable[[Path], Iterator[Sample]]:
    """Reads the files `json/{stem}.json`; also below `MLVU/`, as the hub has it. All of them or none: a mean over
    six tasks would look like an M-Avg."""

    def read(root: Path) -> Iterator[Sample]:
        folder = Folder(root)
        for stem in stems:
            for row in read_rows(Path(folder.first(f"json/{stem}.json", f"MLVU/json/{stem}.json"))):
                yield make(folder, stem, row)

    return read


def _video(folder: Folder, stem: str, row: Row) -> Video:
    name = row.text("video")
    row.number_of("duration")
    places = (f"video/{stem}/{name}", f"MLVU/video/{stem}/{name}", f"{stem}/{name}", f"video/{name}", name)
    return Video(folder.first(*places))


def _choice(folder: Folder, stem: str, row: Row) -> Sample:
    candidates = row.texts("candidates", least=2, most=6)
    answer = row.text("answer", empty=True)
    return Sample(
        id=f"{stem}/{row.number}",
        video=_video(folder, stem, row),
        question=row.text("question", empty=True),
        choices=candidates,
        target=_gold(candidates, answer),
        tags={"task": stem.partition("_")[2], **_fault(candidates, answer)},
        facts={"duration": str(row.number_of("duration"))},
    )


def _gold(candidates: tuple[str, ...], answer: str) -> str:
    """The letter of the LAST candidate that equals the answer, "@" when none does: both happen in the public
    files (items 34 and 338 of needle have no right option), and choice_bench.py reads them so."""
    places = [
        letter for letter, text in zip(letters_of(candidates), candidates, strict=True) if text == answer
    ]
    return places[-1] if places else "@"


def _fault(candidates: tuple[str, ...], answer: str) -> dict[str, str]:
    """What is wrong with an item of the public files, as a tag."""
    if not any(candidates):
        return {"fault": "all candidates are empty"}
    right = candidates.count(answer)
    if right == 1:
        return {}
    return {"fault": "no candidate is the answer" if not right else "several candidates are the answer"}


def _open(folder: Folder, stem: str, row: Row) -> Sample:
    points = row.texts("scoring_points", most=99) if stem == "8_sub_scene" else ()
    return Sample(
        id=f"{stem}/{row.number}",
        video=_video(folder, stem, row),
        question=row.text("question"),
        target=row.text("answer"),
        tags={"task": stem.partition("_")[2]},
        facts={"scoring_points": points, "duration": str(row.number_of("duration"))},
    )


def read_test(root: Path) -> Iterator[Sample]:
    """The rows of test_mcq.json; labels, published later, are read where the file has them."""
    folder = Folder(root)
    for row in read_rows(root / "test_mcq.json"):
        candidates = row.texts("candidates", least=2, most=6)
        # Labels came later: files without them lack the field, or have it empty.
        bare = "answer" not in row or row.is_null("answer")
        answer = None if bare else row.text("answer", empty=True) or None
        name = row.text("video")
        yield Sample(
            id=row.text("question_id"),
            video=Video(folder.first(f"video/{name}", f"MLVU_Test/video/{name}", name)),
            question=row.text("question"),
            choices=candidates,
            target=None if answer is None else _gold(candidates, answer),
            tags={
                "task": row.tag("question_type"),
                **({} if answer is None else _fault(candidates, answer)),
            },
        )


def prompt(sample: Sample, view: View) -> str:
    """Question, lettered options, and the request for one; the assistant turn is prefilled."""
    return f"{bracketed(sample)}\nOnly give the best option."


JUDGED = {
    "sub_scene": ("ssc", ("score_accuracy", "score_relevance")),
    "summary": ("vs", ("score_completeness", "score_reliability")),
}
"""Task -> its texts, and the two scores that the judge gives."""


def ask_judge(sample: Sample, reply: str) -> tuple[tuple[str, str], ...]:
    """The official system and user texts, indentation included."""
    name, _ = JUDGED[one(sample.tags["task"])]
    user = text(f"mlvu_{name}_user.txt").format(
        question=sample.question.replace("\n", ""),
        scoring_points=list(sample.facts["scoring_points"]),
        answer=sample.target,
        pred=reply,
    )
    return ("system", text(f"mlvu_{name}_system.txt")), ("user", user)


def official_verdict(sample: Sample, reply: str) -> Score:
    """The sum of the scores that calculate.py finds (a missing one counts 0, and the first found is taken for the
    first key); where that script would die, 0."""
    _, keys = JUDGED[one(sample.tags["task"])]
    found = mlvu_scores(reply, keys)
    return Score(sum(found[:2]) if found else 0.0, f"{found}" if found else None, "judge")


def careful_verdict(sample: Sample, reply: str) -> Score:
    """The sum of both scores where the reply gives both, from 1 to 5."""
    _, keys = JUDGED[one(sample.tags["task"])]
    found = mlvu_scores_strict(reply, keys)
    return Score(sum(found), f"{list(found)}", "judge") if found else Score(0.0, None, "judge")


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
        packs=(Pack("*.zip"),),
        access="sign in to the hub: it wants a token",
        kept=("mlvu",),
        copies=("sy1998/MLVU_dev",),
    ),
    read=reader(STEMS, _choice),
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

MLVU_GENERATION = dataclasses.replace(
    MLVU,
    name="mlvu_generation",
    title="MLVU Dev, generation: sub-scene captioning and summary (G-Avg)",
    source=dataclasses.replace(
        MLVU.source,
        annotations=tuple(f"{place}json/{stem}.json" for place in ("", "MLVU/") for stem in OPEN_STEMS),
    ),
    read=reader(OPEN_STEMS, _open),
    prompt=question_alone,
    scorer=judge_alone,
    official=judge_alone,
    official_rule="judge, calculate.py",
    metric="judge_mean",
    scale=10,
    judge=Judging(
        model="gpt-4-turbo",
        parameters={"temperature": 0},
        ask=ask_judge,
        official=official_verdict,
        careful=careful_verdict,
    ),
    system=(
        "Carefully watch this video and pay attention to every detail. Based on your observations, "
        "answer the given questions."
    ),
    prefill=None,
    max_new_tokens=1024,
    published=None,
    notes=(),
)

MLVU_TEST = dataclasses.replace(
    MLVU,
    name="mlvu_test",
    title="MLVU Test, multiple choice of six options (M-Avg)",
    source=dataclasses.replace(
        MLVU.source,
        folder="mlvu_test",
        annotations=("test_mcq.json",),
        hub="MLVU/MLVU_Test",
        copies=("sy1998/MLVU_Test",),
    ),
    read=read_test,
    predictions=(
        listing(
            "mlvu_test",
            'the official submission, a list of {"question_id", "question_type", "option"}; unreadable: ""',
            file="mlvu_test_submission.json",
            keys=("question_id", "option"),
            entry=lambda row: {
                "question_id": row.sample.id,
                "question_type": row.sample.tags["task"],
                "option": row.answer or "",
            },
            complete=True,
        ),
    ),
    published=None,
    notes=(),
)
