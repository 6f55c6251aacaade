"""Video-MME: 900 videos of three durations, three four-option questions each, with and without subtitles.

Prompt: MME-Benchmarks/Video-MME, README. Reader and metric: thanku-all/parse_answer, eval_your_results.py, the
script that README points to. Subtitles at the sampled frames: look4u-ok/video-slicer, slice_and_extract.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kangaroo_eval.answers import careful_choice, official_choice
from kangaroo_eval.predictions import dump, field, objects
from kangaroo_eval.rows import read_rows
from kangaroo_eval.task import Exported, Folder, Pack, Predicted, Predictions, Published, Source, Task
from kangaroo_eval.types import Cue, Sample, Video, View

DURATIONS = ("short", "medium", "long")
INSTRUCTION = (
    "Select the best answer to the following multiple-choice question based on the video. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)


def read(root: Path) -> Iterator[Sample]:
    """The samples without their subtitles, so that a broken subtitle file costs this task nothing."""
    for sample in read_with_subtitles(root):
        yield dataclasses.replace(sample, video=dataclasses.replace(sample.video, subtitles=None))


def read_with_subtitles(root: Path) -> Iterator[Sample]:
    """The rows of test-00000-of-00001.parquet. Videos are `data/{videoID}.mp4`, `.MP4` or `.mkv` (or under
    `video/`, as VLMEvalKit leaves them), subtitles `subtitle/{videoID}.srt` where the video has any."""
    folder = Folder(root)
    file = Path(folder.first("videomme/test-00000-of-00001.parquet", "test-00000-of-00001.parquet"))
    for row in read_rows(file):
        name = row.text("videoID")
        options = row.texts("options", least=4, most=4)
        places = [f"{place}/{name}{end}" for place in ("data", "video") for end in (".mp4", ".MP4", ".mkv")]
        yield Sample(
            id=row.text("question_id"),
            video=Video(folder.first(*places), subtitles=folder.find(f"subtitle/{name}.srt")),
            question=row.text("question"),
            choices=options,
            target=row.one_of("answer", tuple("ABCD")),
            tags={
                "duration": row.one_of("duration", DURATIONS),
                "domain": row.tag("domain"),
                "sub_category": row.tag("sub_category"),
                "task_type": row.tag("task_type"),
            },
            facts={"video_id": row.text("video_id")},
        )


def prompt(sample: Sample, view: View) -> str:
    """The authors' prompt without subtitles."""
    question = "\n".join((sample.question, *sample.choices))
    return f"{INSTRUCTION}\n{question}\nThe best answer is:"


def subtitles_at(view: View) -> list[str]:
    """For each sampled frame the first cue with start < t < end, times in whole milliseconds as pysubs2 gives
    them; no de-duplication, frames without a cue left out (video-slicer, slice_and_extract.py)."""
    return [text for time in view.frame_times if (text := _text_at(view.cues, round(time * 1000)))]


def _text_at(cues: tuple[Cue, ...], now: int) -> str:
    shown = (cue.text for cue in cues if round(cue.start * 1000) < now < round(cue.end * 1000))
    return next(shown, "").strip()


def prompt_with_subtitles(sample: Sample, view: View) -> str:
    """The authors' prompt with subtitles; a video without any gets the prompt without."""
    if not view.cues:
        return prompt(sample, view)
    lines = "\n".join(subtitles_at(view))
    return f"This video's subtitles are listed below:\n{lines}\n{prompt(sample, view)}"


_OLD_NAMES = {
    "duration": "duration_category",
    "domain": "video_category",
    "sub_category": "video_subcategory",
    "options": "choices",
}
"""Key of a result file -> what files from before the re-annotation of June 2024 call it."""


def read_predictions(path: Path) -> Iterator[Predicted]:
    """output_test_template.json filled in: videos with their questions, labels included. The official one, with its
    commas too many, is read too; a question without a response has no answer."""
    found = []
    for video in objects(path):
        questions = video.get("questions")
        if not isinstance(questions, list):
            raise ValueError("a video without its questions")
        for question in questions:
            name = field(question, "question_id")
            said = None if question.get("response") is None else field(question, "response")
            found.append(Predicted(name, said, _predicted(video, question)))
    return iter(found)


def _predicted(video: Mapping[str, Any], question: Mapping[str, Any]) -> Sample | None:
    """The question as the result file has it; None where its label is left out."""
    if question.get("answer") not in tuple("ABCD"):
        return None
    tags = {name: field(video, name, _OLD_NAMES[name]) for name in ("duration", "domain", "sub_category")}
    options = question.get("options", question.get(_OLD_NAMES["options"]))
    if not isinstance(options, list) or len(options) != 4:
        raise ValueError(f"{question['question_id']} has no four options")
    return Sample(
        id=field(question, "question_id"),
        video=Video(field(video, "video_id")),
        question=field(question, "question"),
        choices=tuple(map(str, options)),
        target=str(question["answer"]),
        tags={**tags, "task_type": field(question, "task_type")},
        facts={"video_id": field(video, "video_id")},
    )


def write_predictions(rows: Sequence[Exported]) -> dict[str, str]:
    """The template filled in, as eval_your_results.py takes it."""
    videos: dict[str, dict[str, Any]] = {}
    for row in rows:
        tags, sample = row.sample.tags, row.sample
        key = str(sample.facts["video_id"])
        video = {"video_id": key, **{name: tags[name] for name in ("duration", "domain", "sub_category")}}
        videos.setdefault(key, {**video, "questions": []})["questions"].append(
            {
                "question_id": sample.id,
                "task_type": tags["task_type"],
                "question": sample.question,
                "options": list(sample.choices),
                "answer": sample.target,
                "response": row.text,
            }
        )
    return {"videomme_results.json": dump(list(videos.values()))}


VIDEOMME = Task(
    name="videomme",
    version=1,
    title="Video-MME (without subtitles)",
    source=Source(
        folder="videomme",
        annotations=("videomme/test-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
        homepage="https://video-mme.github.io",
        hub="lmms-lab/Video-MME",
        licence="academic research only; no redistribution",
        citation="Fu et al., Video-MME, arXiv:2405.21075",
        mini="kangaroo_eval.miniworld:make",
        packs=(
            Pack("videos_chunked_*.zip", under="data/", named=True),
            Pack("subtitle.zip", under="subtitle/", named=True, subtitles=True),
        ),
        kept=("videomme",),
        copies=("lmms-eval/Video-MME",),
    ),
    read=read,
    prompt=prompt,
    scorer=careful_choice,
    official=official_choice("videomme", unreadable="drop"),
    official_rule="videomme",
    breakdown=("duration", "domain", "sub_category", "task_type"),
    max_new_tokens=64,
    frames=64,
    sampler="videomme",
    predictions=(
        Predictions(
            name="videomme",
            about="output_test_template.json with responses",
            read=read_predictions,
            write=write_predictions,
        ),
    ),
    published=Published(
        table="IV",
        column="overall_wo",
        samples=2700,
        breakdown={f"{name}_wo": ("duration", name) for name in DURATIONS},
    ),
    notes=("the official accuracy leaves unreadable answers out of its denominator",),
)

VIDEOMME_SUBTITLES = dataclasses.replace(
    VIDEOMME,
    name="videomme_subtitles",
    title="Video-MME (with subtitles at the sampled frames)",
    read=read_with_subtitles,
    subtitles=True,
    prompt=prompt_with_subtitles,
    published=Published(
        table="IV",
        column="overall_w",
        samples=2700,
        breakdown={f"{name}_w": ("duration", name) for name in DURATIONS},
    ),
)
