"""What reuse of a video saves a Kangaroo on the CPU, through the whole adapter, with ratios beside the goals.

    python tests/bench/bench_kangaroo.py [--scales tiny mid] [--frames 64] [--rounds 3] [--threads 1]

One process and the same weights throughout; frames are decoded already. Scales: `tiny` is kangaroo-tiny as bundled
(64-pixel frames), `mid` a network of EVA-02's and Llama-3's proportions (224-pixel frames, 6 + 8 layers), `135m`
kangaroo-135m; the latter two have random weights, so that nearly every answer is as long as it may be. Medians of
rounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from transformers import LlamaConfig
from transformers import __version__ as transformers_version

from kangaroo_eval.model import generation
from kangaroo_eval.model.adapter import KangarooModel
from kangaroo_eval.model.config import KangarooConfig, KangarooVisionConfig, kangaroo_135m, kangaroo_tiny
from kangaroo_eval.model.loading import load_tiny
from kangaroo_eval.model.memory import Workload, memory_plan
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.types import Frames, Request, Video

LATER_GOAL = 0.2
NEW_TOKENS = 8
QUESTION = (
    "Which of these happens in the video, number {}?\n(A) a star\n(B) a circle\n(C) a cross\n(D) nothing"
)


def with_tiny_ids(config: KangarooConfig) -> KangarooConfig:
    """The same sizes with the bundled tokenizer's ids; its vocabulary is the smaller one."""
    tiny = kangaroo_tiny()
    config.visual_token_ids, config.video_token_id = tiny.visual_token_ids, tiny.video_token_id
    config.text_config.eos_token_id = tiny.text_config.eos_token_id
    return config


def mid() -> KangarooConfig:
    vision = KangarooVisionConfig(
        hidden_size=256, intermediate_size=682, num_hidden_layers=6, num_attention_heads=4
    )
    text = LlamaConfig(
        vocab_size=kangaroo_tiny().text_config.vocab_size,
        hidden_size=384,
        intermediate_size=1344,
        num_hidden_layers=8,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=8192,
    )
    return KangarooConfig(vision_config=vision, text_config=text, frame_size=224)


def load(scale: str, threads: int) -> KangarooModel:
    if scale == "tiny":
        return load_tiny(threads=threads)
    config = with_tiny_ids({"mid": mid, "135m": kangaroo_135m}[scale]())
    torch.manual_seed(0)
    network = KangarooForConditionalGeneration(config).eval()
    processor = KangarooProcessor.for_config(load_tiny_tokenizer(), config)
    return KangarooModel(scale, network, processor, threads=threads)


def requests(model: KangarooModel, frames: int, count: int, seed: int = 0) -> list[Request]:
    """`count` different questions about one video of noise."""
    size = model.frame_size
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)
    shown = Frames(pixels, tuple(2.0 * index for index in range(frames)))
    return [
        Request(f"q{i}", Video("v"), QUESTION.format(i), shown, NEW_TOKENS, siblings=count - 1 - i)
        for i in range(count)
    ]


class Spent(NamedTuple):
    """Seconds of one piece of work."""

    cpu: float
    wall: float


def clock() -> Spent:
    return Spent(time.process_time(), time.perf_counter())


def since(start: Spent) -> Spent:
    now = clock()
    return Spent(now.cpu - start.cpu, now.wall - start.wall)


def middle(found: list[Spent]) -> Spent:
    return Spent(
        statistics.median(each.cpu for each in found), statistics.median(each.wall for each in found)
    )


def total(found: list[Spent]) -> Spent:
    return Spent(sum(each.cpu for each in found), sum(each.wall for each in found))


def one_by_one(model: KangarooModel, asked: list[Request]) -> list[Spent]:
    """Seconds until each answer, in order."""
    spent, answers = [], model.respond(asked)
    for _ in asked:
        start = clock()
        next(answers)
        spent.append(since(start))
    answers.close()
    return spent


def alone(model: KangarooModel, asked: list[Request]) -> list[Spent]:
    """Seconds of each question when nothing is kept from the one before."""
    spent = []
    for request in asked:
        model.forget()
        spent += one_by_one(model, [dataclasses.replace(request, siblings=0)])
    return spent


def verdict(value: float, goal: float) -> str:
    return f"goal at most {goal:g}: {'met' if value <= goal else 'MISSED'}"


def reuse(model: KangarooModel, frames: int, rounds: int) -> None:
    """(a) Later questions against the first; (b) all of them against no reuse."""
    four = requests(model, frames, 4)
    found = [one_by_one(model, four) for _ in range(rounds)]
    first = middle([spent[0] for spent in found])
    later = middle([each for spent in found for each in spent[1:]])
    ratio = later.cpu / first.cpu
    print(f"  first question       {first.cpu:8.3f} CPU-s {first.wall:8.3f} s")
    print(
        f"  each later question  {later.cpu:8.3f} CPU-s {later.wall:8.3f} s   "
        f"{ratio:.3f} of the first ({verdict(ratio, LATER_GOAL)})"
    )
    for count in (4, 15):
        asked = requests(model, frames, count)
        together = middle([total(one_by_one(model, asked)) for _ in range(rounds)])
        apart = total(alone(model, asked))
        print(
            f"  {count:2} questions         {together.cpu:8.3f} CPU-s together, {apart.cpu:8.3f} each alone: "
            f"{apart.cpu / together.cpu:.1f} times (wall {apart.wall / together.wall:.1f})"
        )


def batches(model: KangarooModel, frames: int, rounds: int) -> None:
    """(c) Questions a second once the video is read, at batch 1, 4 and 8."""
    asked = requests(model, frames, 24)
    speed = {}
    for size in (1, 4, 8):
        model.batch_size, rest, found = size, len(asked) - size, []
        for _ in range(rounds):
            answers = model.respond(asked)
            for _ in range(size):
                next(answers)  # the first batch pays for the video
            start = clock()
            for _ in range(rest):
                next(answers)
            spent = since(start)
            answers.close()
            found.append(Spent(spent.cpu / rest, spent.wall / rest))
        speed[size] = middle(found)
    model.batch_size = 1
    for size, spent in speed.items():
        print(
            f"  batch {size}: {1 / spent.wall:7.2f} questions/s, {1 / spent.cpu:7.2f} a CPU-second, "
            f"{speed[1].cpu / spent.cpu:.2f} times batch 1"
        )


@torch.inference_mode()
def stages(model: KangarooModel, frames: int, rounds: int) -> None:
    """(d) Where the time of a first question goes."""
    network, (request,) = model.network, requests(model, frames, 1)
    prompt = model.processor.prompt_ids(request.prompt, frames)
    found: dict[str, list[Spent]] = {"vision": [], "prefill": [], "answer": []}
    for _ in range(rounds):
        start = clock()
        sequence = network.encode_video(model.processor.pixels(request.frames.pixels), request.frames.times)
        found["vision"].append(since(start))
        start = clock()
        opening = network.embed(torch.tensor([prompt.prefix[: len(prompt.prefix) - len(sequence)]]))
        prefix = generation.prefill(network, torch.cat([opening, sequence[None]], 1))
        found["prefill"].append(since(start))
        start = clock()
        generation.greedy(network, prefix, [prompt.suffix], [NEW_TOKENS])
        found["answer"].append(since(start))
    spent = {name: middle(each) for name, each in found.items()}
    whole = total(list(spent.values()))
    for name, each in spent.items():
        print(f"  {name:8} {each.cpu:8.3f} CPU-s {each.wall:8.3f} s  {each.cpu / whole.cpu:6.1%}")


def peak_child(scale: str, frames: int, threads: int) -> None:
    """How far the resident memory of a process rises over the model's own, as JSON; and the plan's bytes."""
    torch.set_num_threads(threads)
    model = load(scale, threads)
    next(model.respond(requests(model, 2, 1)))
    asked = requests(model, frames, 1)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    next(model.respond(asked))
    suffix = model.processor.prompt_ids(asked[0].prompt, frames).suffix
    work = Workload(frames=frames, question_tokens=len(suffix), new_tokens=NEW_TOKENS)
    plan = memory_plan(model.network.config, work, "float32")
    # The pixels are the decoder's array, which was there before.
    pixels = frames * 3 * model.frame_size**2
    moment = max(each.bytes - pixels * (each.stage == "encode") for each in plan.moments)
    print(json.dumps([status("VmHWM") - before, moment]))


def status(key: str) -> int:
    """Bytes of a line of /proc/self/status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def memory(scale: str, options: argparse.Namespace) -> None:
    """(e) The resident peak of a fresh process beside the arithmetic of `kangaroo-eval models show`."""
    words = ["--child", scale, "--frames", str(options.frames), "--threads", str(options.threads)]
    # Large blocks go back to the system when they are freed, so that the peak is of what is alive.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    run = subprocess.run(
        [sys.executable, __file__, *words], env=environment, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise SystemExit(f"{scale}: {run.stderr[-2000:]}")
    grown, planned = json.loads(run.stdout.splitlines()[-1])
    print(
        f"  memory over the weights: {grown / 1e6:.1f} MB resident, {planned / 1e6:.1f} MB by the formulas "
        f"({planned / grown:.2f})"
    )


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scales", nargs="+", default=["tiny", "mid"], choices=["tiny", "mid", "135m"])
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads)
    if options.child:
        peak_child(options.child, options.frames, options.threads)
        return
    print(
        f"{os.cpu_count()} cores, {options.threads} thread(s), Python {sys.version.split()[0]}, "
        f"torch {torch.__version__}, transformers {transformers_version}; {options.frames} frames, "
        f"answers of {NEW_TOKENS} tokens, medians of {options.rounds} rounds"
    )
    for scale in options.scales:
        model = load(scale, options.threads)
        config = model.network.config
        count = sum(parameter.numel() for parameter in model.network.parameters())
        sequence = config.layout.sequence_length(options.frames)
        print(f"{scale}: {count / 1e6:.1f} M parameters, {config.frame_size} px, {sequence} tokens a video")
        one_by_one(model, requests(model, options.frames, 2))
        reuse(model, options.frames, options.rounds)
        batches(model, options.frames, options.rounds)
        stages(model, options.frames, options.rounds)
        memory(scale, options)


if __name__ == "__main__":
    main()
