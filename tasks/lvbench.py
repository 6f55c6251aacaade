"""LVBench: 103 videos of about an hour, 1,549 questions of four options, six overlapping capabilities.

The authors give no prompt. Reader: THUDM/LVBench, lvbench/utils/answer_util.py, polish_answer. Metric and answers
file: scripts/compute_accuracy.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kangaroo_eval.answers import careful_choice, official_choice
from kangaroo_eval.predictions import as_text, mapping
from kangaroo_eval.prompts import WITH_LETTER
from kangaroo_eval.rows import Row, read_rows
from kangaroo_eval.task import Folder, Pack, Published, Source, Task
from kangaroo_eval.types import Sample, Video, View

_OPTION = re.compile(r"\n\s*\(([A-D])\)[ \t]*(.*?)(?=\n\s*\([A-D]\)|\Z)", re.DOTALL)


def read(root: Path) -> Iterator[Sample]:
    """The questions of every record of video_info.meta.jsonl; videos `videos/{key}.mp4`."""
    folder = Folder(root)
    for record in read_rows(root / "video_info.meta.jsonl"):
        key, genre = record.text("key"), record.tag("type")
        places = [f"{place}{key}.mp4" for place in ("videos/", "all_videos/", "")]
        for row in record.rows("qa"):
            yield _sample(row, Video(folder.first(*places)), genre, _duration(record))


def _duration(record: Row) -> dict[str, str]:
    """The least seconds that the video has: its annotation is in whole minutes."""
    minutes = record.mapping("video_info").get("duration_minutes") if "video_info" in record else None
    if not isinstance(minutes, int | float) or minutes <= 0:
        return {}
    return {"duration": str(60 * max(0.0, minutes - 0.5))}


def _sample(row: Row, video: Video, genre: str, facts: dict[str, str]) -> Sample:
    question = row.text("question")
    found = _OPTION.findall(question)
    whole = [letter for letter, _ in found] == list("ABCD")
    fault = {} if whole else {"fault": "the options cannot be told apart in the question"}
    return Sample(
        id=row.name("uid"),
        video=video,
        question=question,
        choices=tuple(text.strip() for _, text in found) if whole else ("",) * 4,
        target=row.one_of("answer", tuple("ABCD")),
        tags={"category": row.texts("question_type"), "genre": genre, **fault},
        facts=facts,
    )


def prompt(sample: Sample, view: View) -> str:
    """The question, which holds its options, and the request for a letter."""
    return f"{sample.question}\n{WITH_LETTER}"


LVBENCH = Task(
    name="lvbench",
    version=1,
    title="LVBench",
    source=Source(
        folder="lvbench",
        annotations=("video_info.meta.jsonl",),
        homepage="https://github.com/zai-org/LVBench",
        hub="zai-org/LVBench",
        licence="CC-BY-NC-SA-4.0",
        citation="Wang et al., LVBench, arXiv:2406.08035",
        mini="kangaroo_eval.miniworld:make",
        hints={
            "videos": "the authors' own way to them is YouTube (scripts/download.sh), where several are gone"
        },
        # The authors' repository has no videos; lmms-eval's copy has.
        videos_hub="lmms-eval/LVBench",
        packs=(Pack("*.zip", named=True),),
        kept=("lvbench",),
        copies=("THUDM/LVBench",),
    ),
    read=read,
    prompt=prompt,
    scorer=careful_choice,
    official=official_choice("lvbench"),
    official_rule="lvbench",
    breakdown=("category", "genre"),
    predictions=(
        mapping(
            "lvbench",
            'the official answers file, {uid: "A"}; an unreadable answer is ""',
            file="lvbench_answers.json",
            text=as_text,
            value=lambda row: row.answer or "",
        ),
    ),
    published=Published(table="III", column="lvbench", samples=1549),
    notes=("the prompt is not the authors'", "a question counts under each of its categories"),
)
