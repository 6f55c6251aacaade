"""LongVideoBench: 1,337 validation questions (labels public) and 5,341 of the test split, with subtitles.

Interleaving of frames and subtitles, frames and texts: longvideobench/LongVideoBench, longvideobench_dataset.py. It
has no reader; the authors' own is that of their task in lmms-eval, whose random guesses count as expected values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from kangaroo_eval.answers import careful_choice, letters_of, official_choice
from kangaroo_eval.predictions import as_text, mapping
from kangaroo_eval.prompts import with_letter
from kangaroo_eval.rows import Row, read_rows
from kangaroo_eval.task import Elsewhere, Folder, Pack, Published, Source, Task, one
from kangaroo_eval.types import Cue, Sample, Video, View


def reader(
    file: str, *, subtitles: bool = False, labelled: bool = True
) -> Callable[[Path], Iterator[Sample]]:
    """Reads lvb_val.json, or lvb_test_wo_gt.json, which is not `labelled`; videos `videos/`, subtitles
    `subtitles/`."""

    def read(root: Path) -> Iterator[Sample]:
        folder = Folder(root)
        for row in read_rows(root / file):
            sample = _sample(folder, row, subtitles)
            yield dataclasses.replace(sample, target=_label(row, sample.choices)) if labelled else sample

    return read


def _sample(folder: Folder, row: Row, subtitles: bool) -> Sample:
    choices = row.texts("candidates", least=2, most=5)
    duration = row.seconds("duration")
    told = folder.find(f"subtitles/{row.text('subtitle_path')}") if subtitles else None
    return Sample(
        id=row.text("id"),
        # The official loader takes frames up to the annotated duration.
        video=Video(folder.first(f"videos/{row.text('video_path')}"), end=duration, subtitles=told),
        question=row.text("question"),
        choices=choices,
        tags={
            "duration": f"{row.whole('duration_group')} s",
            "category": row.tag("question_category"),
            "level": row.tag("level"),
            "topic": row.tag("topic_category"),
        },
        facts={
            "duration": str(duration),
            "starting_timestamp": str(row.number_of("starting_timestamp_for_subtitles")),
        },
    )


def _label(row: Row, choices: tuple[str, ...]) -> str:
    return letters_of(choices)[row.whole("correct_choice", below=len(choices))]


def prompt_with_subtitles(sample: Sample, view: View) -> str:
    """The official loader's texts after the frames; the subtitles come between them."""
    return f"Question: {with_letter(sample, view)}"


def timed_text(sample: Sample, view: View) -> tuple[Cue, ...]:
    """The subtitles that the official loader places: those that strictly hold a sampled frame's time, at their
    middle. Spans under a second are widened to one. An end that is no float becomes the whole duration, as there."""
    start, duration = (float(one(sample.facts[name])) for name in ("starting_timestamp", "duration"))
    kept = []
    for cue in view.cues:
        begin = cue.start - start
        whole = isinstance(cue.end, int) or cue.end == float("inf")
        end = (duration if whole else cue.end) - start
        middle = (begin + end) / 2
        if end - begin < 1:
            begin, end = middle - 0.5, middle + 0.5
        if any(begin < time < end for time in view.frame_times):
            kept.append(Cue(begin, end, cue.text))
    return tuple(kept)


REPLIES = mapping(
    "longvideobench",
    "{id: reply}, as lmms-eval writes it (the authors publish no form)",
    file="longvideobench_replies.json",
    text=as_text,
    value=lambda row: row.text,
)

LONGVIDEOBENCH = Task(
    name="longvideobench",
    version=1,
    title="LongVideoBench, validation (without subtitles)",
    source=Source(
        folder="longvideobench",
        annotations=("lvb_val.json",),
        homepage="https://longvideobench.github.io",
        hub="longvideobench/LongVideoBench",
        licence="CC-BY-NC-SA-4.0; gated",
        citation="Wu et al., LongVideoBench, arXiv:2407.15754",
        mini="kangaroo_eval.miniworld:make",
        packs=(
            Pack("videos.tar.part.*", parts=True, under="videos/", named=True),
            Pack("subtitles.tar", under="subtitles/", named=True, subtitles=True),
        ),
        access="sign in to the hub and accept five conditions there",
        kept=("longvideobench",),
    ),
    read=reader("lvb_val.json"),
    prompt=with_letter,
    scorer=careful_choice,
    official=official_choice("longvideobench", unreadable="guess"),
    official_rule="longvideobench",
    breakdown=("duration", "category", "level"),
    sampler="longvideobench",
    predictions=(REPLIES,),
    notes=("the prompt is not the authors'",),
    published=Published(
        table="III",
        column="longvideobench",
        samples=1337,
        other="the paper's 54.8 is the test split",
        elsewhere=(
            Elsewhere(
                "Kangaroo",
                54.2,
                "official leaderboard, validation split, 64 frames; subtitles not stated",
            ),
        ),
    ),
)

LONGVIDEOBENCH_SUBTITLES = dataclasses.replace(
    LONGVIDEOBENCH,
    name="longvideobench_subtitles",
    title="LongVideoBench, validation (subtitles between the frames)",
    read=reader("lvb_val.json", subtitles=True),
    prompt=prompt_with_subtitles,
    timed_text=timed_text,
    subtitles=True,
    notes=(),
)

LONGVIDEOBENCH_TEST = dataclasses.replace(
    LONGVIDEOBENCH,
    name="longvideobench_test",
    title="LongVideoBench, test (labels withheld: answers are exported)",
    source=dataclasses.replace(LONGVIDEOBENCH.source, annotations=("lvb_test_wo_gt.json",)),
    read=reader("lvb_test_wo_gt.json", labelled=False),
    predictions=(dataclasses.replace(REPLIES, complete=True),),
    published=None,
)
