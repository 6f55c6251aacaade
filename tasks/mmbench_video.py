"""MMBench-Video: 1,998 open questions on 609 videos, judged from 0 to 3, over a tree of 26 capabilities.

Home of the benchmark: open-compass/VLMEvalKit, vlmeval/dataset/mmbench_video.py (prompt for video models) and
vlmeval/dataset/utils/mmbench_video.py (judge, tree, aggregation).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from kangaroo_eval.predictions import as_text, load_json
from kangaroo_eval.prompts import question_alone
from kangaroo_eval.rows import Row, read_rows
from kangaroo_eval.task import (
    Folder,
    Judging,
    Pack,
    Predicted,
    Predictions,
    Published,
    Source,
    Task,
    judge_alone,
)
from kangaroo_eval.types import Sample, Score, Video
from kangaroo_eval.verdicts import mmbench_video, mmbench_video_pack, mmbench_video_strict

TREE = {
    "CP": ("Video Topic", "Video Emotion", "Video Scene", "Video Style"),
    "FP-S": (
        "OCR",
        "Object Recognition",
        "Attribute Recognition",
        "Event Recognition",
        "Human Motion",
        "Counting",
    ),
    "FP-C": ("Spatial Relationship", "Human-object Interaction", "Human Interaction"),
    "HL": ("Hallucination",),
    "LR": ("Structuralized Image-Text Understanding", "Mathematical Calculation"),
    "AR": ("Physical Property", "Function Reasoning", "Identity Reasoning"),
    "RR": ("Natural Relation", "Physical Relation", "Social Relation"),
    "CSR": ("Common Sense Reasoning",),
    "TR": ("Counterfactual Reasoning", "Causal Reasoning", "Future Prediction"),
}
PERCEPTION = ("CP", "FP-S", "FP-C", "HL")
SYSTEM = (
    "\nAs an AI assistant, your task is to evaluate a candidate answer in comparison to a given correct answer.\n"
    "The question itself, the correct 'groundtruth' answer, and the candidate answer will be provided to you.\n"
    "Your assessment should range from 0 to 3, based solely on the semantic similarity between the groundtruth and "
    "the candidate answer, disregarding any grammatical differences.\n"
    "A rating of 0 suggests no similarity, implying the candidate answer is entirely incorrect.\n"
    "A rating of 1 suggests low similarity, meaning the candidate answer is largely incorrect.\n"
    "A rating of 2 suggests high similarity, meaning the candidate answer is largely correct.\n"
    "Lastly, a rating of 3 indicates complete similarity, which means the candidate answer is entirely correct.\n"
    "Your response should be a single integer from 0, 1, 2, or 3.\n"
)


def read(root: Path) -> Iterator[Sample]:
    """The rows of MMBench-Video.tsv; videos `video/{video}.mp4`."""
    folder = Folder(root)
    for row in read_rows(root / "MMBench-Video.tsv"):
        name = row.text("video")
        leaves = _leaves(row)
        coarse = tuple(node for node, below in TREE.items() if set(below) & set(leaves))
        ability = ["perception" if node in PERCEPTION else "reasoning" for node in coarse]
        yield Sample(
            id=row.text("index"),
            video=Video(folder.first(f"video/{name}.mp4", f"{name}.mp4")),
            question=row.text("question"),
            target=row.text("answer"),
            tags={
                "ability": tuple(dict.fromkeys(ability)),
                "coarse": coarse,
                "fine": leaves,
                "video type": row.tag("video_type"),
            },
        )


def _leaves(row: Row) -> tuple[str, ...]:
    """The capabilities, a Python list written as text; only names of the tree."""
    known = {leaf for leaves in TREE.values() for leaf in leaves}
    try:
        found = ast.literal_eval(row.text("dimensions"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list) or not found or not set(map(str, found)) <= known:
        raise row.wrong("dimensions", "a list of capabilities of the tree")
    return tuple(dict.fromkeys(found))


def ask_judge(sample: Sample, text: str) -> tuple[tuple[str, str], ...]:
    """The official system and user texts."""
    user = (
        f"Question: {sample.question}\nGroundtruth answer: {sample.target}\nCandidate answer: {text}\n"
        "Your response: "
    )
    return ("system", SYSTEM), ("user", user)


def official_verdict(sample: Sample, reply: str) -> Score:
    """An integer as the official script reads it (no range check); its failure, -1, counts as 0."""
    found = mmbench_video(reply)
    return Score(float(max(found, 0)), None if found < 0 else str(found), "judge")


def careful_verdict(sample: Sample, reply: str) -> Score:
    """The one rating from 0 to 3 that the reply gives."""
    found = mmbench_video_strict(reply)
    return Score(float(found or 0), None if found is None else str(found), "judge")


def read_packs(path: Path) -> Iterator[Predicted]:
    """{video: reply}, each reply the answers to all questions of a video: what the official packed prompt asks for.
    A reply that its parser cannot read answers nothing."""
    found = load_json(path)
    if not isinstance(found, dict) or not found:
        raise ValueError("not an object of video: packed reply")
    packs = [mmbench_video_pack(as_text(reply)) for reply in found.values()]
    return iter(
        [Predicted(str(name), str(answer)) for pack in packs for name, answer in (pack or {}).items()]
    )


MMBENCH_VIDEO = Task(
    name="mmbench_video",
    version=1,
    title="MMBench-Video (open answers, judged 0 to 3)",
    source=Source(
        folder="mmbench_video",
        annotations=("MMBench-Video.tsv",),
        homepage="https://mmbench-video.github.io",
        hub="opencompass/MMBench-Video",
        licence="CC-BY-4.0",
        citation="Fang et al., MMBench-Video, arXiv:2406.14515",
        mini="kangaroo_eval.miniworld:make",
        packs=(Pack("video_pkl/*", under="video/", named=True, pickled=True),),
        copies=("nebulae09/MMBench-Video",),
    ),
    read=read,
    prompt=question_alone,
    scorer=judge_alone,
    official=judge_alone,
    official_rule="judge; coarse_all and fine_all (unreadable verdicts count 0)",
    breakdown=("ability", "coarse", "fine", "video type"),
    metric="judge_mean",
    scale=3,
    valid=True,
    judge=Judging(
        model="gpt-4-1106-preview",
        parameters={"temperature": 0},
        ask=ask_judge,
        official=official_verdict,
        careful=careful_verdict,
    ),
    max_new_tokens=512,
    sampler="vlmevalkit",
    predictions=(
        Predictions(
            name="mmbench_video_pack",
            about="a JSON object of video: packed reply",
            read=read_packs,
        ),
    ),
    published=Published(table="III", column="mmbench_video", samples=1998),
    notes=("the paper does not name its judge; gpt-4-1106-preview is the benchmark's default",),
)
