"""One decode of a clip, and all that is measured on its frames: motion, text, faces, hashes, light and sharpness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from kangaroo_eval.train.curation import faces, hashes, motion, quality, text
from kangaroo_eval.train.curation.probe import fitted
from kangaroo_eval.train.curation.stage import Row
from kangaroo_eval.types import Video

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 480
"""Pixels of a frame's longer side in which text and faces are looked for. Thresholds belong to this and to the detector."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Scores of a clip. `text` and `faces` name detectors (`text.DETECTORS`, `faces.DETECTORS`), or are "" for none; `faces` may
    also be the path of a YOLOv8-face model in ONNX. `most` (seconds): of longer clips so much is looked at, spread evenly.

    Of a clip are taken: 8 frames a second for motion, light and still stretches; 3 frames for text, 5 for faces (the paper's
    numbers) and 8 for hashes, at the centres of equal parts.
    """

    text: str = "rapidocr"
    faces: str = "centerface"
    side: int = SIDE
    most: float = 60.0
    name: ClassVar[str] = "look"
    version: ClassVar[int] = 1

    def setup(self) -> None:
        """Load the detectors of this process."""
        if self.text:
            text.detector(self.text)
        if self.faces:
            faces.detector(self.faces)

    def one(self, row: Row) -> list[Row]:
        """The row with `scores` (flat, by name), the details that they were made from, and `hashes`."""
        from kangaroo_eval.media import decode, probe

        video = Video(row["path"], start=row.get("start"), end=row.get("end"))
        info = probe(video)
        steady = motion.places(info.times, info.duration, self.most)
        parts = {"text": spread(info.total, 3), "faces": spread(info.total, 5), "hash": spread(info.total, 8)}
        wanted = sorted({*(i for run in steady for i in run), *(i for each in parts.values() for i in each)})
        pixels = decode(video, info, wanted, fitted(info.height, info.width, self.side), 1).pixels
        at = {place: pixels[n] for n, place in enumerate(wanted)}
        found: Row = {**row, "scores": {}, "details": {}}
        self._add(found, "motion", motion.scores([[(info.times[i], at[i]) for i in run] for run in steady]))
        self._add(found, "quality", quality.scores([at[i] for run in steady for i in run]))
        if self.text:
            self._add(found, "text", text.scores([at[i] for i in parts["text"]], self.text))
        if self.faces:
            self._add(found, "faces", faces.scores([at[i] for i in parts["faces"]], self.faces))
        found["hashes"] = hashes.of_frames([at[i] for i in parts["hash"]])
        return [found]

    def _add(self, row: Row, what: str, measured: tuple[Mapping[str, float], Mapping[str, Any]]) -> None:
        scores, details = measured
        row["scores"].update({name: round(float(value), 5) for name, value in scores.items()})
        if details:
            row["details"][what] = dict(details)


def spread(total: int, count: int) -> list[int]:
    """The frames at the centres of `count` equal parts; fewer where there are not as many."""
    return sorted({min(total - 1, (2 * i + 1) * total // (2 * count)) for i in range(count)})


def gray(frames: Sequence[NDArray[np.uint8]], side: int) -> list[NDArray[np.uint8]]:
    """Frames (h, w, 3) as gray squares of `side` pixels."""
    import cv2
    import numpy as np

    return [
        np.asarray(
            cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA),
            np.uint8,
        )
        for frame in frames
    ]
