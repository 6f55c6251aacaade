"""What a run costs on a local Ray cluster with one worker and with two, decode-bound. Run by hand, on a machine that does nothing
else: what is counted are the CPU seconds of the whole machine.

    python tests/bench/bench_ray.py [--videos 8] [--rounds 3]

Models that cost nothing, 64 frames of 448 pixels of made 720p videos; Ray's own start is taken off by a run over one video.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_store import make
from conftest import videomme_rows, write_videomme

GOAL = 1.10
BEGIN = "from kangaroo_eval.cli import console; console()"
MODEL = """
from kangaroo_eval.types import Response

class Idle:
    name, frame_size, model_hash, dtype, notes, settings = "idle", 448, "one", "float32", (), {}

    def respond(self, requests):
        for request in requests:
            yield Response(request.id, "C", request.frames.times, 7, 1, 0.0)

def load(argument=None, **options):
    return Idle()
"""


def machine() -> float:
    """CPU seconds that this machine has spent so far, idle ones left out."""
    user, nice, system, _idle, _wait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def run(folder: Path, workers: int, limit: int) -> tuple[float, float]:
    """CPU and wall seconds of a run over `limit` videos."""
    words = [
        "--tasks",
        "videomme",
        "--model",
        "idle",
        "--data-root",
        str(folder / "data"),
        "-q",
        "--frames",
        "64",
    ]
    words += ["--gpus", str(workers), "--workers", str(workers), "--limit", str(limit)]
    with tempfile.TemporaryDirectory() as output:
        before, began = machine(), time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", BEGIN, *words, "--output", f"{output}/run"],
            check=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(folder / "plugin"), os.environ.get("PYTHONPATH", "")]),
            },
            stderr=subprocess.DEVNULL,
        )
        return machine() - before, time.perf_counter() - began


def prepare(folder: Path, videos: int) -> None:
    """The plug-in and the data."""
    info = folder / "plugin/idle-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "plugin/idle.py").write_text(MODEL)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: idle\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kangaroo_eval.models]\nidle = idle:load\n")
    root = write_videomme(folder / "data", videomme_rows(videos, 1), videos=False)
    (root / "videomme/data").mkdir()
    for number in range(videos):
        make(root / f"videomme/data/video{number:06d}.mp4", gop=60 + number, seconds=20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, options.videos)
        spent: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        for _ in range(options.rounds):
            for workers, found in spent.items():
                bare, whole = run(folder, workers, 1), run(folder, workers, options.videos)
                found.append(tuple(b - a for a, b in zip(bare, whole, strict=True)))
        means = {
            workers: [statistics.median(column) / (options.videos - 1) for column in zip(*found, strict=True)]
            for workers, found in spent.items()
        }
        for workers, (cpu, wall) in means.items():
            print(f"{workers} worker(s): {cpu:.2f} CPU s and {wall:.2f} s a video")
        ratio = means[2][0] / means[1][0]
        print(
            f"CPU seconds a video, two workers / one: {ratio:.2f} (goal {GOAL}: {'reached' if ratio <= GOAL else 'MISSED'}); "
            f"wall, one / two: {means[1][1] / means[2][1]:.2f}"
        )


if __name__ == "__main__":
    main()
