"""Text in a clip (Section III.B, Eq. 1): the area of the union of a frame's text boxes, and of a clip the most over 3 frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from kangaroo_eval.errors import UserError, cannot_import

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TextDetector(Protocol):
    """Finds text: `frame` uint8 RGB (h, w, 3) -> corners of each box in pixels, (4, 2) each."""

    def boxes(self, frame: NDArray[np.uint8]) -> Sequence[NDArray[np.float64]]: ...


def coverage(boxes: Sequence[Any], height: int, width: int) -> float:
    """Eq. 1: the area of the union of the boxes as a share of the frame. Boxes that overlap count once; what lies outside
    the frame does not count."""
    import cv2
    import numpy as np

    if not len(boxes):
        return 0.0
    # At four times the size: a pixel on a box's edge is in or out, and small boxes are mostly edge.
    scale = 4
    mask = np.zeros((height * scale, width * scale), np.uint8)
    for box in boxes:
        corners = np.asarray(box, np.float64) * scale
        # fillPoly takes the pixels under its outline too: half a pixel inwards, and areas come out right.
        middle = corners.mean(axis=0)
        corners = np.round(corners - 0.5 * np.sign(corners - middle) - 0.5 + 1e-9).astype(np.int32)
        cv2.fillPoly(mask, [corners], 1)
    return float(mask.mean())


def scores(frames: Sequence[NDArray[np.uint8]], name: str) -> tuple[Mapping[str, float], Mapping[str, Any]]:
    """`text`: the highest coverage of the frames; the details say that of each, and by which detector."""
    found = detector(name)
    each = [coverage(found.boxes(frame), *frame.shape[:2]) for frame in frames]
    return {"text": max(each)}, {"each": [round(value, 5) for value in each], "detector": name}


@lru_cache(maxsize=4)
def detector(name: str) -> TextDetector:
    """A text detector of this process by name. UserError for an unknown one."""
    if name not in DETECTORS:
        raise UserError(f"text detector {name!r}: choose among {', '.join(DETECTORS)}")
    return DETECTORS[name]()


class RapidOcr:
    """PP-OCR's detector, small, through rapidocr: its weights are in the wheel. Boxes are dilated, as that model's are."""

    def __init__(self) -> None:
        try:
            from rapidocr import RapidOCR
        except ImportError as error:
            raise cannot_import("rapidocr", error, 'pip install "kangaroo-eval[curate]"') from error
        import logging

        # One warning a frame without text would be one for most frames.
        logging.getLogger("RapidOCR").setLevel(logging.ERROR)
        self._engine = RapidOCR(
            params={
                "Det.limit_type": "max",
                "Det.limit_side_len": 480,
                "Global.log_level": "error",
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def boxes(self, frame: NDArray[np.uint8]) -> Sequence[NDArray[np.float64]]:
        """See `TextDetector`."""
        import numpy as np

        found: Any = self._engine(
            np.ascontiguousarray(frame[:, :, ::-1]), use_det=True, use_cls=False, use_rec=False
        )
        return [] if found.boxes is None else [np.asarray(box, np.float64) for box in found.boxes]


DETECTORS: dict[str, Callable[[], TextDetector]] = {"rapidocr": RapidOcr}
