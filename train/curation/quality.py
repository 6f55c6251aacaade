"""Light and sharpness of a clip's frames, and letterbox bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SIDE = 256
_BLACK = 16
"""Luma below which a frame is black (video black is 16)."""


def scores(frames: Sequence[NDArray[np.uint8]]) -> tuple[Mapping[str, float], Mapping[str, Any]]:
    """`luma`: mean, 0 to 255; `black`: the share of frames whose 95th percentile of luma is black; `sharpness`: the median
    variance of the Laplacian at 256 pixels, of frames that are not black; `bars`: the share of the picture that is black
    at the same rows or columns of its edges in every frame. `frames`: uint8 (h, w, 3)."""
    import numpy as np

    from kangaroo_eval.train.curation.look import gray

    squares = gray(frames, _SIDE)
    black = [float(np.percentile(square, 95)) <= _BLACK for square in squares]
    sharp = [_sharpness(square) for square, dark in zip(squares, black, strict=True) if not dark]
    return {
        "luma": float(np.mean([square.mean() for square in squares])),
        "black": sum(black) / len(black),
        "sharpness": float(np.median(sharp)) if sharp else 0.0,
        "bars": 0.0 if all(black) else _bars(np.max(np.stack(squares), axis=0)),
    }, {}


def _sharpness(square: NDArray[np.uint8]) -> float:
    import cv2

    return float(cv2.Laplacian(square, cv2.CV_64F).var())


def _bars(brightest: NDArray[np.uint8]) -> float:
    """`brightest`: the highest luma of each pixel over all frames."""
    kept = 1.0
    for lines in (brightest.max(axis=1), brightest.max(axis=0)):
        lit = (lines > 2 * _BLACK).nonzero()[0]
        if len(lit):
            kept *= (int(lit[-1]) - int(lit[0]) + 1) / len(lines)
    return 1.0 - kept
