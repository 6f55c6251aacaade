"""64 frames of ten-minute videos, ours against torchcodec, decord and lmms-eval's way. Run by hand.

    python tests/bench/bench_decode.py [--minutes 10] [--rounds 3] [--frames 64]

Needs decord, torchcodec, opencv-python-headless, and ffmpeg on the path (it makes the videos; torchcodec needs its
libraries). Every measurement is a fresh process, the ways take turns, and what is compared is CPU seconds (user +
system of that process), less what importing the way's packages takes, which is shown apart.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZE = 448
GOALS = {"torchcodec exact": 0.7, "decord": 0.5, "lmms default": 0.25}


def make(folder: Path, minutes: float, keyint: int) -> Path:
    """Motion, detail and grain, with B-frames; kept for the next run."""
    path = folder / f"720p30_{minutes:g}min_k{keyint}.mp4"
    if not path.exists():
        part = path.with_suffix(".part.mp4")
        source = "testsrc2=s=1280x720:r=30,noise=alls=6:allf=t"
        command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-t", str(minutes * 60)]
        command += ["-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", str(keyint)]
        subprocess.run([*command, "-pix_fmt", "yuv420p", str(part)], check=True)
        part.rename(path)
    return path


def ours(path: str, n: int):
    from kangaroo_eval.media import decode, probe, sampling
    from kangaroo_eval.types import Video

    yield
    info = probe(Video(path))
    yield decode(Video(path), info, sampling.uniform(info.total, n), (SIZE, SIZE), 2).pixels


def torchcodec_exact(path: str, n: int):
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    yield
    video = VideoDecoder(
        path,
        dimension_order="NHWC",
        num_ffmpeg_threads=2,
        seek_mode="exact",
        transforms=[Resize((SIZE, SIZE))],
    )
    yield video.get_frames_at(centres(len(video), n)).data.numpy()


def decord(path: str, n: int):
    import decord

    yield
    video = decord.VideoReader(path, width=SIZE, height=SIZE, num_threads=2)
    yield video.get_batch(centres(len(video), n)).asnumpy()


def lmms_default(path: str, n: int):
    import av
    import cv2
    import numpy as np

    yield
    container = av.open(path)
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    wanted = set(centres(stream.frames, n))
    frames = [
        frame.to_ndarray(format="rgb24") for k, frame in enumerate(container.decode(stream)) if k in wanted
    ]
    yield np.stack([cv2.resize(frame, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for frame in frames])


WAYS = {"ours": ours, "torchcodec exact": torchcodec_exact, "decord": decord, "lmms default": lmms_default}


def centres(total: int, n: int) -> list[int]:
    return [(2 * i + 1) * total // (2 * n) for i in range(n)]


def child(way: str, path: str, n: int) -> None:
    """One measurement, as JSON on stdout."""

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    steps = WAYS[way](path, n)
    next(steps)
    imported, began = cpu(), time.perf_counter()
    pixels = next(steps)
    assert pixels.shape == (n, SIZE, SIZE, 3), pixels.shape
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall = time.perf_counter() - began
    print(json.dumps({"cpu": cpu() - imported, "wall": wall, "import": imported, "peak": peak}))


def measure(way: str, path: Path, n: int) -> dict[str, float]:
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, __file__, "--child", way, str(path), str(n)]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"{way}: {run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()) / "kangaroo-eval-bench")
    options = parser.parse_args()
    options.dir.mkdir(exist_ok=True)
    print(
        "| keyint | way | CPU s | wall s | peak MB | import CPU s | ours / it (CPU) | goal |\n"
        + "|---" * 8
        + "|"
    )
    for keyint in (60, 250):
        path = make(options.dir, options.minutes, keyint)
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                runs[way].append(measure(way, path, options.frames))
        middle = {
            way: {key: statistics.median(run[key] for run in found) for key in found[0]}
            for way, found in runs.items()
        }
        for way, values in middle.items():
            ratio = middle["ours"]["cpu"] / values["cpu"]
            goal = f"<= {GOALS[way]} {'met' if ratio <= GOALS[way] else 'MISSED'}" if way in GOALS else ""
            print(
                f"| {keyint} | {way} | {values['cpu']:.2f} | {values['wall']:.2f} | {values['peak']:.0f} "
                f"| {values['import']:.2f} | {ratio:.2f} | {goal} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
