"""Pictures for image pre-training (Section III): looked at, and captioned anew in English (LAION, COYO) or Chinese (Wukong).

Stages of the same engine as the clips', in the same folders: scores first, then `select`, then captions of what stays. The text
that the web has for a picture stays in its row; what is learnt is the caption alone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kangaroo_eval.errors import MediaError, UserError
from kangaroo_eval.train.curation.captions import Server, about_picture, ask, caption_of, endpoint
from kangaroo_eval.train.curation.instructions import Example
from kangaroo_eval.train.curation.language import Lang, language
from kangaroo_eval.train.curation.probe import fitted
from kangaroo_eval.train.curation.similarity import refine
from kangaroo_eval.train.curation.sources import PICTURES, read_source
from kangaroo_eval.train.curation.stage import Row
from kangaroo_eval.train.curation.writer import Prompt

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

PROMPTS: dict[Lang, Prompt] = {
    "en": Prompt(
        "image-en-1",
        "Describe this image in at most {words} words: the people and things in it, what they do, the place, and any text that "
        "can be read. Say nothing that cannot be seen. Reply in English, with the description alone.",
    ),
    "zh": Prompt(
        "image-zh-1",
        "请用不超过 {words} 个字描述这张图片：其中的人和物、他们在做什么、地点，以及能看清的文字。不要写看不到的内容。"
        "请用中文回答，只输出描述。",
    ),
}
"""What the captioner is asked, by language."""
WORDS = {"en": 60, "zh": 90}
"""The length that the prompt asks for, unless another is given: English words, Chinese characters."""
_ALT = ("text", "caption", "alt")
"""Keys of a list, in any case of letters, whose text is the web's: LAION's TEXT, COYO's text, Wukong's caption."""
_JPEG_END = b"\xff\xd9"
_TAIL = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Size and scores of a picture, and its hashes. `side`: pixels of the longer side at which they are taken."""

    side: int = 480
    name: ClassVar[str] = "picture"
    version: ClassVar[int] = 1

    def setup(self) -> None:
        """Nothing to load."""

    def one(self, row: Row) -> list[Row]:
        """The row with `width`, `height` (upright), `bytes`, `hashes`, and as `scores` the shorter `side` (pixels), `ratio` (longer
        by shorter side) and those of `quality`. MediaError for what is no picture, or one that is cut short."""
        from kangaroo_eval.train.curation import hashes, quality

        frame, height, width = opened(row["path"])
        small = pixels(frame, fitted(height, width, self.side))
        light, _ = quality.scores([small])
        scores = {"side": min(height, width), "ratio": max(height, width) / min(height, width), **light}
        return [
            {
                **row,
                "width": width,
                "height": height,
                "bytes": os.path.getsize(row["path"]),
                "scores": {name: round(float(value), 5) for name, value in scores.items()},
                "hashes": hashes.of_frames([small]),
            }
        ]


@dataclass(frozen=True, kw_only=True)
class CaptionPicture:
    """A caption of a picture by `captioner`, in `lang`, for which the prompt asks at most `words` words. Replies are kept in the
    folder `cache` ("": nowhere). `side`: pixels of the longer side as the captioner sees it. `threads`: pictures at a time."""

    captioner: Server
    lang: Lang = "en"
    words: int = 0
    side: int = 448
    threads: int = 4
    cache: str = field(default="", metadata={"secret": True})
    name: ClassVar[str] = "caption-picture"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.lang not in PROMPTS:
            raise UserError(f"captions in {self.lang!r}: choose among {', '.join(PROMPTS)}")
        if self.words < 0:
            raise UserError(f"captions of at most {self.words} words: give 1 or more (0: {WORDS[self.lang]})")

    @property
    def prompt(self) -> str:
        """What is asked about each picture."""
        return PROMPTS[self.lang].text.replace("{words}", str(self._words))

    @property
    def _words(self) -> int:
        return self.words or WORDS[self.lang]

    def setup(self) -> None:
        """Reach the server once."""
        endpoint(self.captioner, self.cache)

    def one(self, row: Row) -> list[Row]:
        """The row with `captions`: of the `image` text, outcome and model; `lang`, the prompt's id and its `words`."""
        frame, height, width = opened(row["path"])
        asked = about_picture(pixels(frame, fitted(height, width, self.side)), self.prompt, self.captioner)
        (written,) = ask(self.captioner, [asked], self.cache)
        told = {"lang": self.lang, "prompt": PROMPTS[self.lang].id, "words": self._words}
        return [{**row, "captions": {"image": dict(written._asdict()), **told}}]


def rows(source: Path, root: Path | None, name: str = "") -> list[Row]:
    """The rows of a folder or list of pictures (see `sources.read_source`), with whole paths and the `source` that they are
    from: their own, or `name`, or else the folder's or list's name."""
    given = name or source.absolute().stem
    found = read_source(source.absolute(), root.absolute() if root else None, PICTURES)
    return [{**row, "source": str(row.get("source") or given)} for row in found]


def opened(path: str) -> tuple[VideoFrame, int, int]:
    """The picture as training reads it, and its upright height and width. MediaError for what is none, or cut short."""
    from kangaroo_eval.media import pictures
    from kangaroo_eval.media.container import orientation

    frame, why = pictures.load(path)
    if frame is None or frame.is_corrupt:
        raise MediaError(f"{path}: not a picture ({why if frame is None else 'damaged'})")
    # libav paints what a JPEG lacks grey and says nothing; a download that broke off has no end mark.
    if why == "mjpeg" and _JPEG_END not in _tail(path):
        raise MediaError(f"{path}: a JPEG that is cut short")
    turned = orientation(frame).transpose
    return frame, *((frame.width, frame.height) if turned else (frame.height, frame.width))


def _tail(path: str) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - _TAIL))
        return file.read()


def pixels(frame: VideoFrame, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture upright, uint8 RGB of shape (height, width, 3) with `shape` (height, width)."""
    import numpy as np

    from kangaroo_eval.media.container import Converter

    out = np.empty((*shape, 3), np.uint8)
    Converter().write(frame, out)
    return out


def alt_of(row: Mapping[str, Any]) -> str:
    """The text that the web had for a picture; "" where the list has none."""
    known = {key.lower(): value for key, value in row.items() if isinstance(value, str) and value.strip()}
    return next((" ".join(known[key].split()) for key in _ALT if key in known), "")


def examples(rows: Iterable[Row], drops: Counter[str], *, threshold: float) -> Iterator[Example]:
    """The caption of each picture that has a good one, in the language that was asked for, that does not repeat itself (Eq. 2). What
    is left out is counted by reason in `drops`."""
    for row in rows:
        caption = None if row.get("error") else caption_of(row, "image")
        if caption is None:
            drops["picture without a caption"] += 1
            continue
        (verdict,) = refine([caption], threshold)
        lang: Lang = row["captions"]["lang"]
        reason = verdict.reason or ("" if language(caption) == lang else "wrong language")
        if reason:
            drops[f"caption: {reason}"] += 1
            continue
        yield Example(
            # Two sets of pictures may well have a 00001.jpg each.
            id=f"{row['source']}/{row['id']}",
            video=str(row["path"]),
            source=str(row["source"]),
            task="image_caption",
            lang=lang,
            captions=(caption,),
            alt=alt_of(row),
        )
