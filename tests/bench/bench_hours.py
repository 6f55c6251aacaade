"""What the ten benchmarks take on 1, 8 and 64 GPUs, and what bounds each: arithmetic on rates. Run by hand.

    python tests/bench/bench_hours.py [--frames 64] [--tflops 400] [--terabytes 3] [--cores 16] [--keyframes 250]

Measured here is decoding: CPU seconds for each frame that the decoder has to pass through in a made 720p H.264 file. A GPU's
rates are given: `--tflops` is what vision and prefill reach (bench_gpu.py prints both for a card), `--terabytes` a second how
fast weights are read for each new token. FLOPs are kangaroo-8b's, counted from its configuration. A benchmark's numbers are
those that its authors publish; MLVU's and LongVideoBench's numbers of videos, and all lengths of videos and answers, are about right, not exact.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_gpu import prefill_flops, vision_flops
from bench_store import make

from kangaroo_eval.media import decode, probe, sampling
from kangaroo_eval.model.config import KangarooConfig, kangaroo_8b
from kangaroo_eval.types import Video

FPS = 30
GPUS = (1, 8, 64)
QUESTION = 150
"""Tokens of a question with its options."""


class Work(NamedTuple):
    """A benchmark: videos, questions, a typical length in seconds, tokens of an answer, and pictures where it has no files."""

    name: str
    videos: int
    questions: int
    seconds: float
    answer: int = 8
    pictures: int | None = None


WORK = (
    Work("MVBench", 3851, 4000, 16),
    Work("Video-MME", 900, 2700, 1018),
    Work("MLVU (Dev, choices)", 1242, 2175, 930),
    Work("LVBench", 103, 1549, 4101),
    Work("EgoSchema (full)", 5031, 5031, 180),
    Work("TempCompass", 410, 7540, 12, 32),
    Work("LongVideoBench (validation)", 753, 1337, 473),
    Work("SEED-Bench-2 (19 to 22)", 5351, 5351, 0, 1, pictures=8),
    Work("MMBench-Video", 609, 1998, 165, 64),
    Work("VideoVista", 3400, 25000, 130),
)


class Rates(NamedTuple):
    """FLOP/s of vision and prefill, bytes a second of weights, cores beside each GPU, CPU seconds a frame passed through."""

    flops: float
    read: float
    cores: int
    passed: float


def shown(work: Work, frames: int) -> int:
    """Frames that the model sees."""
    return work.pictures or min(frames, int(work.seconds * FPS))


def passed(work: Work, frames: int, keyframes: int) -> float:
    """Frames that are decoded of a video: all, or from the keyframe before each one shown, half a group in the mean."""
    return work.pictures or min(work.seconds * FPS, frames * (keyframes / 2 + 1))


def measured(frames: int) -> float:
    """CPU seconds a frame that is passed through, in a minute of which all are."""
    with tempfile.TemporaryDirectory() as folder:
        video = Video(make(Path(folder) / "a.mp4", gop=250))
        info = probe(video)
        spent = []
        for _ in range(3):
            began = time.process_time()
            decode(video, info, sampling.uniform(info.total, frames), (448, 448), 1)
            spent.append(time.process_time() - began)
        return sorted(spent)[1] / info.total


def hours(work: Work, frames: int, keyframes: int, rates: Rates) -> tuple[float, float]:
    """Core hours of decoding, and hours of one GPU: a video is encoded and prefilled once, its questions go one by one."""
    config = kangaroo_8b()
    seen = shown(work, frames)
    tokens = config.layout.sequence_length(seen)
    video = (vision_flops(config, seen) + prefill_flops(config, tokens)) / rates.flops
    # The question reads the video's keys and values: the longer prompt's FLOPs less those of what is there.
    question = (prefill_flops(config, tokens + QUESTION) - prefill_flops(config, tokens)) / rates.flops
    answer = work.answer * weights(config) / rates.read
    gpu = work.videos * video + work.questions * (question + answer)
    return work.videos * passed(work, frames, keyframes) * rates.passed / 3600, gpu / 3600


def weights(config: KangarooConfig) -> float:
    """Bytes of the LLM's layers and output in bf16, which each new token reads: two a weight, as FLOPs of one token are."""
    return prefill_flops(config, 1) + 2.0 * config.text_config.vocab_size * config.text_config.hidden_size


def table(frames: int, keyframes: int, rates: Rates) -> str:
    """A row a benchmark: hours on each number of GPUs, and what bounds it."""
    rows = []
    for work in WORK:
        cpu, gpu = hours(work, frames, keyframes, rates)
        spans = [max(cpu / (rates.cores * count), gpu / count) for count in GPUS]
        bound = "GPU" if gpu >= cpu / rates.cores else "decoding"
        told = [f"{span:.2f}" for span in spans]
        rows.append([work.name, work.videos, work.questions, f"{cpu:.1f}", *told, bound])
    heading = ["benchmark", "videos", "questions", "core hours", *(f"h, {n} GPU" for n in GPUS), "bound by"]
    return tabulate(rows, heading, tablefmt="pipe", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--keyframes", type=int, default=250, help="frames from a keyframe to the next")
    parser.add_argument("--tflops", type=float, default=400, help="TFLOP/s that vision and prefill reach")
    parser.add_argument("--terabytes", type=float, default=3, help="TB/s at which weights are read")
    parser.add_argument("--cores", type=int, default=16, help="cores beside each GPU")
    options = parser.parse_args()
    rates = Rates(options.tflops * 1e12, options.terabytes * 1e12, options.cores, measured(options.frames))
    print(
        f"{options.frames} frames; decoding, measured here: {1000 * rates.passed:.2f} CPU-ms a 720p frame; given: "
        f"{options.tflops:g} TFLOP/s, {options.terabytes:g} TB/s, {options.cores} cores a GPU, a keyframe every "
        f"{options.keyframes} frames\n"
    )
    print(table(options.frames, options.keyframes, rates))


if __name__ == "__main__":
    main()
