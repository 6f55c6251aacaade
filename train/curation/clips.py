"""From curated clips to examples: captions that do not repeat themselves (Section III.D), and dense captions of frames."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from kangaroo_eval.train.curation.captions import caption_of
from kangaroo_eval.train.curation.instructions import Example, Segment
from kangaroo_eval.train.curation.language import Lang
from kangaroo_eval.train.curation.similarity import refine
from kangaroo_eval.train.curation.stage import Row

SOURCE = "curated"
"""Where clips are from whose list says nothing under `source`."""
CATEGORY = "category"
"""The key of a clip's category, unless another is given."""
THRESHOLD = 0.6
"""The similarity (Eq. 2) above which two sentences of a caption say the same; the paper gives none."""


def examples(
    rows: Iterable[Row],
    drops: Counter[str],
    *,
    threshold: float = THRESHOLD,
    dense: bool = False,
    lang: Lang = "en",
    category: str = CATEGORY,
) -> Iterator[Example]:
    """A detailed caption of each clip that has a good one, and (`dense`) one of its frames in their order, with the category that
    the row has under that key. What is left out is counted by reason in `drops`."""
    for row in rows:
        caption = None if row.get("error") else caption_of(row)
        if caption is None:
            drops["clip without a caption"] += 1
            continue
        (verdict,) = refine([caption], threshold)
        if not verdict.kept:
            drops[f"caption: {verdict.reason}"] += 1
            continue
        common = {**_common(row, lang), "category": str(row.get(category) or "")}
        yield Example(task="detailed_caption", captions=(caption,), **common)
        segments = _segments(row) if dense else ()
        if len(segments) > 1:
            yield Example(task="dense_caption", segments=segments, **{**common, "id": f"{row['id']}/dense"})


def _common(row: Row, lang: Lang) -> dict[str, Any]:
    bounded = row.get("start") is not None
    return {
        "id": str(row["id"]),
        # As it was given to annotate: from the working folder, and not from the manifest's.
        "video": os.path.abspath(row["path"]),
        "source": str(row.get("source") or SOURCE),
        "lang": lang,
        "start": row.get("start"),
        "end": row.get("end"),
        # A row's duration is the clip's; the manifest's is the whole file's, which a clip does not tell.
        "duration": None if bounded else row.get("duration"),
    }


def _segments(row: Row) -> tuple[Segment, ...]:
    """The frames' captions, each for the fifth of the clip that its frame is from."""
    begin = row.get("start") or 0.0
    length = float(row["duration"])
    frames = row["captions"]["frames"]
    step = length / len(frames)
    return tuple(
        Segment(begin + i * step, begin + (i + 1) * step, each["text"])
        for i, each in enumerate(frames)
        if each["outcome"] == "ok"
    )
