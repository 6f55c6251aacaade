"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell starts jobs in the background with SIGINT ignored, which every program that a test starts would inherit.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Processors with AMX take scratch memory for bf16 that others do not: what a network needs is measured without it.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

SITE = Path(__file__).parent / "site"
# Here and in every process that a test starts (see the file).
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(SITE), os.environ.get("PYTHONPATH"))))
if getattr(sys.modules.get("sitecustomize"), "__file__", None) != str(SITE / "sitecustomize.py"):
    _spec = importlib.util.spec_from_file_location("torchvision_under_cpu_torch", SITE / "sitecustomize.py")
    assert _spec is not None and _spec.loader is not None
    # Kept in sys.modules: what it declares lasts as long as it does.
    sys.modules[_spec.name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_spec.name])


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """A command line sets the logger up for its process. Nothing of it stays, or what a later test reads of the log would
    depend on which ran before it."""
    logger, training = (logging.getLogger(name) for name in ("kangaroo_eval", "kangaroo_eval.train"))
    before = logger.handlers, logger.propagate, logger.level, training.level
    yield
    logger.handlers, logger.propagate, level, training_level = before
    logger.setLevel(level)
    training.setLevel(training_level)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real annotations and golden cases beside the checkout; tests skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip(f"golden cases and real data are not there ({folder})")
    return folder


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with no data and no cache of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KANGAROO_EVAL_DATA", raising=False)
    monkeypatch.setenv("KANGAROO_EVAL_CACHE", str(tmp_path / "cache"))


def write_video(
    path: Path, frames: int = 24, size: int = 64, fps: int = 8, front: bool = False, shade: int = 0
) -> Path:
    """A small real H.264 file whose brightness rises from frame to frame, from `shade` on; `front` puts its index first."""
    import av
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "faststart"} if front else {}) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = np.full((size, size, 3), 10 * (number % 24) + shade, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


VIDEOMME_ROW = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Humanity & History",
    "url": "https://www.youtube.com/watch?v=fFjv93ACGo8",
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "task_type": "Counting Problem",
    "question": "How many apples are on the tree?",
    "options": ["A. One.", "B. Two.", "C. Three.", "D. Four."],
    "answer": "C",
}


def write_videomme(root: Path, rows: list[dict], videos: bool = True) -> Path:
    """Video-MME's layout under `root`: the parquet file, and a video for every row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = root / "videomme"
    (folder / "videomme").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "videomme/test-00000-of-00001.parquet")
    if videos:
        for number, name in enumerate(sorted({row["videoID"] for row in rows})):
            # Files of one content would be taken for one download under several names.
            write_video(folder / f"data/{name}.mp4", shade=number % 20)
    return root


def videomme_rows(videos: int, questions: int = 3) -> list[dict]:
    """Rows for `videos` videos over the three durations; the right answers run through A to D."""
    rows = []
    for video in range(videos):
        for question in range(questions):
            rows.append(
                {
                    **VIDEOMME_ROW,
                    "video_id": f"{video + 1:03d}",
                    "videoID": f"video{video:06d}",
                    "question_id": f"{video + 1:03d}-{question + 1}",
                    "duration": ("short", "medium", "long")[video % 3],
                    "answer": "ABCD"[len(rows) % 4],
                }
            )
    return rows
