"""A video file to frames with timestamps: probe, choose, decode, subtitles, and decoding ahead of a model.

Names are imported when they are used, so that naming a sampler or checking a FrameSpec loads neither libav nor
numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kangaroo_eval.media.decoding import decode
    from kangaroo_eval.media.info import Info, probe
    from kangaroo_eval.media.pool import Decoded, Failure, Job, decode_ahead
    from kangaroo_eval.media.sampling import SAMPLERS
    from kangaroo_eval.media.spec import FrameSpec, select

_HOME = {
    "SAMPLERS": "sampling",
    "Decoded": "pool",
    "Failure": "pool",
    "FrameSpec": "spec",
    "Info": "info",
    "Job": "pool",
    "decode": "decoding",
    "decode_ahead": "pool",
    "probe": "info",
    "select": "spec",
}

__all__ = [
    "SAMPLERS",
    "Decoded",
    "Failure",
    "FrameSpec",
    "Info",
    "Job",
    "decode",
    "decode_ahead",
    "probe",
    "select",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
