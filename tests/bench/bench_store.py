"""The frame store's forms against decoding, on one's own videos or on two made ones. Run by hand.

    python tests/bench/bench_store.py [VIDEO ...] [--frames 64] [--rounds 3]

For each way, in turns in one process: size of a frame, CPU milliseconds to write and to read it, its error, and what reading
costs as a share of decoding. Further lossless forms are there to choose by.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from kangaroo_eval.media import FrameSpec, Job, decode_ahead
from kangaroo_eval.media.store import FORMS, Store, Stored, packed, unpacked
from kangaroo_eval.types import Frames, Video

GOAL = 0.03
Pixels = NDArray[np.uint8]


def make(path: Path, gop: int, seconds: int = 60) -> Path:
    """720p at 30 frames a second with motion, detail and grain."""
    rng = np.random.default_rng(gop)
    grain = rng.normal(0, 6, (4, 720, 1280, 1))
    x, y = np.meshgrid(np.arange(1280), np.arange(720))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 1280, 720, "yuv420p", gop
        for number in range(30 * seconds):
            wave = 128 + 60 * np.sin((x + 4 * number) / 37) + 50 * np.cos((y - 3 * number) / 23)
            picture = np.clip(wave[..., None] + grain[number % 4], 0, 255).astype(np.uint8).repeat(3, -1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return path


def ffv1(pixels: Pixels) -> tuple[list[bytes], Callable[[list[bytes]], Pixels]]:
    codec: Any = av.CodecContext.create("ffv1", "w")
    codec.height, codec.width = pixels.shape[1:3]
    codec.pix_fmt, codec.time_base = "bgr0", Fraction(1, 25)
    parts = []
    for frame in pixels:
        image = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")
        parts += [bytes(packet) for packet in codec.encode(image)]
    parts += [bytes(packet) for packet in codec.encode(None)]

    def back(found: list[bytes]) -> Pixels:
        reader: Any = av.CodecContext.create("ffv1", "r")
        reader.height, reader.width, reader.pix_fmt = *pixels.shape[1:3], "bgr0"
        reader.extradata = codec.extradata
        packets = [*(av.Packet(part) for part in found), None]
        images = [image for packet in packets for image in reader.decode(packet)]
        return np.stack([image.to_ndarray(format="rgb24") for image in images])

    return parts, back


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def ways(
    frames: Frames,
) -> dict[str, tuple[Callable[[], Any], Callable[[Any], Pixels], Callable[[Any], int]]]:
    """Name -> how to write, read, and measure what was written."""
    kept = Stored(frames, 30.0)

    def own(form: str) -> tuple[Callable[[], Any], Callable[[Any], Pixels], Callable[[Any], int]]:
        return lambda: packed(kept, form), lambda data: unpacked(data).frames.pixels, len

    def raw_size(data: bytes) -> int:
        return len(data)

    raw = (
        frames.pixels.tobytes,
        lambda data: np.frombuffer(data, np.uint8).reshape(frames.pixels.shape).copy(),
        raw_size,
    )
    lossless = (
        lambda: ffv1(frames.pixels),
        lambda made: made[1](made[0]),
        lambda made: sum(map(len, made[0])),
    )
    return {"raw": raw, **{name: own(name) for name in FORMS}, "ffv1": lossless}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        videos = options.videos or [make(Path(folder) / f"gop{gop}.mp4", gop) for gop in (250, 60)]
        told: dict[str, list[tuple[float, float, float, float, int]]] = {}
        decoding = []
        for path in videos:
            job = Job(Video(str(path)), FrameSpec(frames=options.frames, size=448))
            for _ in range(options.rounds):
                seconds, (found,) = cpu(lambda job=job: list(decode_ahead([job], workers=0)))
                count = len(found.frames.times)
                decoding.append(1000 * seconds / count)
                for name, (write, read, size) in ways(found.frames).items():
                    wrote, made = cpu(write)
                    took, back = cpu(lambda read=read, made=made: read(made))
                    off = np.abs(back.astype(int) - found.frames.pixels)
                    error = float((off.astype(float) ** 2).mean())
                    told.setdefault(name, []).append(
                        (
                            size(made) / count / 1024,
                            1000 * wrote / count,
                            1000 * took / count,
                            error,
                            int(off.max()),
                        )
                    )
        decoded = statistics.median(decoding)
        print(f"decoding: {decoded:.2f} CPU ms a frame, {options.frames} frames of {len(videos)} videos")
        print(
            f"{'form':8}{'KiB/frame':>10}{'write ms':>10}{'read ms':>10}{'read/decode':>12}{'PSNR dB':>9}{'most off':>9}"
        )
        for name, rows in told.items():
            size_, write_, read_, error, _ = (statistics.median(column) for column in zip(*rows, strict=True))
            quality = f"{10 * np.log10(255**2 / error):.1f}" if error else "same"
            most = max(row[4] for row in rows)
            print(
                f"{name:8}{size_:10.0f}{write_:10.2f}{read_:10.2f}{read_ / decoded:11.1%} {quality:>8}{most:9}"
            )
        runs(videos, options.frames)


def runs(videos: list[Path], frames: int) -> None:
    """The pool's decoding part of a first and a second run over the videos, in CPU seconds of the processes that do it."""
    spec = FrameSpec(frames=frames, size=448)
    for form in FORMS:
        with tempfile.TemporaryDirectory() as folder:
            jobs = [Job(Video(str(path)), spec, Store(folder, form)) for path in videos]
            spent = []
            for _ in range(2):
                before = sum(os.times()[:4])
                assert all(each.error is None for each in decode_ahead(jobs, workers=0))
                spent.append(sum(os.times()[:4]) - before)
            share = spent[1] / spent[0]
            verdict = "reached" if share <= GOAL else "MISSED"
            print(
                f"{form}: second run / first run: {share:.1%} of the CPU seconds (goal {GOAL:.0%}: {verdict})"
            )


if __name__ == "__main__":
    main()
