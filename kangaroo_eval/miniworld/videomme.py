"""The mini Video-MME: 12 videos of 3 questions each, in the official layout.

Short, medium and long stand for the same three groups at a scale of about 1 : 20; each of the twelve task
types is asked once in every group.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.layout import video_id
from kangaroo_eval.miniworld.questions import LETTERS, Question, balanced, world_with
from kangaroo_eval.miniworld.recipes import SHORT, longer
from kangaroo_eval.miniworld.words import sentence
from kangaroo_eval.miniworld.world import Recipe, World
from kangaroo_eval.types import Cue

SEED = "mini/videomme/1"

_TYPES = {
    "objects": ("Object Recognition", "Attribute Perception", "Object Reasoning"),
    "space": ("Spatial Perception", "Spatial Reasoning", "OCR Problems"),
    "actions": ("Action Recognition", "Action Reasoning", "Temporal Perception"),
    "numbers": ("Counting Problem", "Temporal Reasoning", "Information Synopsis"),
}
_TOLD = ("objects", "numbers")
"""Groups with a question type that the narrator can answer."""
_CATEGORIES = (
    ("Knowledge", "Humanity & History"),
    ("Film & Television", "Animation"),
    ("Sports Competition", "Basketball"),
    ("Life Record", "Daily Life"),
    ("Knowledge", "Astronomy"),
    ("Artistic Performance", "Magic Show"),
    ("Multilingual", "Multilingual"),
    ("Life Record", "Travel"),
    ("Knowledge", "Technology"),
    ("Film & Television", "Documentary"),
    ("Artistic Performance", "Stage Play"),
    ("Sports Competition", "Football"),
)
_COLUMNS = (
    "video_id",
    "duration",
    "domain",
    "sub_category",
    "url",
    "videoID",
    "question_id",
    "task_type",
    "question",
    "options",
    "answer",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One video: `number` counts from 1, `youtube` is its name, `labels` are its domain and sub-category."""

    number: int
    duration: str
    labels: tuple[str, str]
    youtube: str
    world: World
    asked: list[Question]


def plan(seed: str = SEED) -> Plan:
    """What `videomme/` holds, for a seed."""
    clips = [_clip(seed, i) for i in range(12)]
    return plan_of(seed, clips, balanced([question for clip in clips for question in clip.asked], seed))


def plan_of(seed: str, clips: Sequence[Clip], asked: Sequence[Question]) -> Plan:
    """The official layout of `clips`, with `asked` for their questions: three each, in the order of the clips."""
    rows = [_row(clips[i // 3], i % 3 + 1, question) for i, question in enumerate(asked)]
    texts = {"videomme/test-00000-of-00001.parquet": _parquet(rows)}
    for clip in clips:
        if clip.world.cues:
            texts[f"subtitle/{clip.youtube}.srt"] = srt(clip.world.cues, fonts=clip.number % 2 == 1)
    return Plan(seed, texts, {f"data/{clip.youtube}.mp4": clip.world for clip in clips})


def _clip(seed: str, index: int) -> Clip:
    """The video at `index` 0-11: four short ones, four medium, four long."""
    group = tuple(_TYPES)[index % 4]
    duration = ("short", "medium", "long")[index // 4]
    recipe = _recipe(group, duration)
    told = 1 if group in _TOLD and duration != "short" else 0
    world, asked = world_with(f"{seed}/{index}", recipe, _TYPES[group], subtitled=told)
    return Clip(
        number=index + 1,
        duration=duration,
        labels=_CATEGORIES[index],
        youtube=video_id(f"{seed}/{index}"),
        world=world,
        asked=asked,
    )


def _recipe(group: str, duration: str) -> Recipe:
    """As in the original, some short videos and a few medium ones have no subtitles, and all long ones do."""
    short = SHORT[group]
    if duration == "short":
        return replace(short, narrated=group in ("objects", "actions"))
    if duration == "medium":
        return replace(longer(short, seconds=40.0, events=6, scenes=3), narrated=group != "space")
    return longer(short, seconds=120.0, events=10, scenes=4)


def _row(clip: Clip, k: int, question: Question) -> dict[str, object]:
    values = (
        f"{clip.number:03d}",
        clip.duration,
        *clip.labels,
        f"https://www.youtube.com/watch?v={clip.youtube}",
        clip.youtube,
        f"{clip.number:03d}-{k}",
        question.type,
        sentence(question.text),
        list(question.lettered()),
        LETTERS[question.right],
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _parquet(rows: list[dict[str, object]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {name: pa.string() for name in _COLUMNS} | {"options": pa.list_(pa.string())}
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items()))), out)
    return out.getvalue()


def srt(cues: tuple[Cue, ...], *, fonts: bool) -> bytes:
    """Cues as an SRT file; with `fonts`, in the font tags that many of the official files have."""
    blocks = []
    for i, cue in enumerate(cues, start=1):
        text = f'<font color="white" size=".72c">{cue.text}</font>' if fonts else cue.text
        blocks.append(f"{i}\n{_clock(cue.start)} --> {_clock(cue.end)}\n{text}\n")
    return "\n".join(blocks).encode()


def _clock(seconds: float) -> str:
    total = round(seconds * 1000)
    return f"{total // 3600000:02d}:{total // 60000 % 60:02d}:{total // 1000 % 60:02d},{total % 1000:03d}"
