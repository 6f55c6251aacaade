"""kangaroo-8b on a GPU: seconds a stage, share of the card's own matrix rate, peak memory beside the arithmetic.

    python tests/bench/bench_gpu.py [--frames 64] [--long 160] [--rounds 3]
    python tests/bench/bench_gpu.py --device cpu --scale tiny        (that it runs, on any machine)

Random weights in bf16, made on the device: the numbers are of speed and memory, the answers say nothing. FLOPs are
counted from the configuration, 2 a multiplication, attention over what the causal mask leaves.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import __version__ as transformers_version
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from kangaroo_eval.model import generation
from kangaroo_eval.model.adapter import KangarooModel
from kangaroo_eval.model.config import KangarooConfig, kangaroo_8b, kangaroo_tiny
from kangaroo_eval.model.loading import load_tiny
from kangaroo_eval.model.memory import MemoryPlan, Workload, memory_plan
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.types import Frames, Request, Video

PREFILL_GOAL = 0.55
LATER_GOAL = 0.2
CARD = 80
QUESTION = (
    "Which of these happens in the video, number {}?\n(A) a star\n(B) a circle\n(C) a cross\n(D) nothing"
)


class Scale(NamedTuple):
    """What is built, in which dtype, and how large a product measures the card."""

    config: Callable[[], KangarooConfig]
    dtype: torch.dtype
    matrix: int


SCALES = {
    "8b": Scale(kangaroo_8b, torch.bfloat16, 8192),
    "tiny": Scale(kangaroo_tiny, torch.bfloat16, 256),
}


@dataclasses.dataclass(frozen=True)
class Bench:
    """A network on its device, and what is measured of it."""

    model: KangarooModel
    device: torch.device
    rounds: int
    new_tokens: int

    @property
    def network(self) -> Any:
        return self.model.network

    @property
    def config(self) -> KangarooConfig:
        return self.model.network.config

    def settle(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object]) -> float:
        """Median over the rounds, after one to warm up."""
        found = []
        for _ in range(self.rounds + 1):
            self.settle()
            start = time.perf_counter()
            work()
            self.settle()
            found.append(time.perf_counter() - start)
        return statistics.median(found[1:])

    def peak(self, work: Callable[[], object]) -> int | None:
        """The most bytes that live tensors took, weights included; None where the device does not count."""
        if self.device.type != "cuda":
            work()
            return None
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        work()
        self.settle()
        return int(torch.cuda.max_memory_allocated())


def build(scale: Scale, device: torch.device, std: float = 0.02) -> KangarooModel:
    """Random weights, never on the CPU: 16 GB are drawn on the device in seconds. The bundled tokenizer stands in
    for Llama-3's, so its ids are the config's, those that end an answer among them."""
    config, tiny = scale.config(), kangaroo_tiny()
    config.text_config.eos_token_id = tiny.text_config.eos_token_id
    config.visual_token_ids, config.video_token_id = tiny.visual_token_ids, tiny.video_token_id
    with torch.device("meta"):
        network = KangarooForConditionalGeneration(config)
    nn.Module.to(network, scale.dtype)
    network.to_empty(device=device)
    network.llm.model.rotary_emb = LlamaRotaryEmbedding(config.text_config).to(device)
    for module in network.modules():
        norm = type(module).__name__.endswith("Norm")
        for name, parameter in module.named_parameters(recurse=False):
            with torch.no_grad():
                if name == "bias":
                    parameter.zero_()
                elif norm:
                    parameter.fill_(1)
                else:
                    parameter.normal_(std=std)
    processor = KangarooProcessor.for_config(load_tiny_tokenizer(), config)
    return KangarooModel("random", network.eval(), processor)


def made_frames(count: int, size: int, seed: int = 0) -> Frames:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return Frames(pixels, tuple(2.0 * index for index in range(count)))


def requests(bench: Bench, frames: int, count: int) -> list[Request]:
    """`count` different questions about one video of noise."""
    shown = made_frames(frames, bench.model.frame_size)
    return [
        Request(f"q{i}", Video("v"), QUESTION.format(i), shown, bench.new_tokens, siblings=count - 1 - i)
        for i in range(count)
    ]


def matrix_rate(bench: Bench, scale: Scale) -> float:
    """FLOP/s of one large product in the network's dtype: what the card gives."""
    side = scale.matrix
    one, other = (torch.randn(side, side, device=bench.device).to(scale.dtype) for _ in range(2))
    return 2 * side**3 * 10 / bench.seconds(lambda: [one @ other for _ in range(10)])


def vision_flops(config: KangarooConfig, frames: int) -> float:
    """Encoder, patchify and projector of a video."""
    vision, text, layout = config.vision_config, config.text_config, config.layout
    patches = (config.frame_size // vision.patch_size) ** 2
    width, inner = vision.hidden_size, vision.intermediate_size
    tokens = patches + 1
    layer = 2 * tokens * (4 * width * width + 3 * width * inner) + 4 * tokens * tokens * width
    embedding = 2 * patches * 3 * vision.patch_size**2 * width
    projector = 2 * layout.visual_tokens(frames) * width * text.hidden_size
    return frames * (vision.num_hidden_layers * layer + embedding) + projector


def prefill_flops(config: KangarooConfig, tokens: int) -> float:
    """The LLM's layers over a prompt; its output layer is not asked."""
    text = config.text_config
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    query, key = text.num_attention_heads * head, text.num_key_value_heads * head
    weights = text.hidden_size * (2 * query + 2 * key + 3 * text.intermediate_size)
    return text.num_hidden_layers * (2.0 * tokens * weights + 2.0 * tokens * tokens * query)


@torch.inference_mode()
def stages(bench: Bench, frames: int, rate: float) -> None:
    """Vision, prefill and decoding of one question."""
    network, (request,) = bench.network, requests(bench, frames, 1)
    prompt = bench.model.processor.prompt_ids(request.prompt, frames)
    pixels = bench.model.processor.pixels(request.frames.pixels).to(bench.device)
    sequence = network.encode_video(pixels, request.frames.times)
    count = len(prompt.prefix) - len(sequence)
    opening = network.embed(torch.tensor([prompt.prefix[:count]], device=bench.device))
    inputs = torch.cat([opening, sequence[None]], 1)
    spent = bench.seconds(lambda: network.encode_video(pixels, request.frames.times))
    share = vision_flops(bench.config, frames) / spent / rate
    print(f"vision   {spent:9.4f} s  {share:6.1%} of the matrix rate")
    spent = bench.seconds(lambda: generation.prefill(network, inputs))
    share = prefill_flops(bench.config, inputs.shape[1]) / spent / rate
    met = "met" if share >= PREFILL_GOAL else "MISSED"
    print(
        f"prefill  {spent:9.4f} s  {share:6.1%} of the matrix rate (goal at least {PREFILL_GOAL:.0%}: {met}), "
        f"{inputs.shape[1]} tokens"
    )
    prefix = generation.prefill(network, inputs)

    def answer(limit: int) -> float:
        return bench.seconds(lambda: generation.greedy(network, prefix, [prompt.suffix], [limit]))

    one, many = answer(1), answer(bench.new_tokens)
    written = len(generation.greedy(network, prefix, [prompt.suffix], [bench.new_tokens])[0])
    # A random network may write the stop id; the rate is over what was written.
    speed = f"{(written - 1) / (many - one):8.1f} tokens/s" if written > 1 and many > one else "not measured"
    print(f"question {one:9.4f} s until the first token; then {speed} ({written} tokens)")


def planned(bench: Bench, frames: int, suffix: int, batch: int) -> MemoryPlan:
    work = Workload(frames=frames, batch_size=batch, question_tokens=suffix, new_tokens=bench.new_tokens)
    return memory_plan(bench.config, work, bench.model.dtype)


def memory(bench: Bench, frames: int, batch: int) -> None:
    """The peak of a whole answer beside the plan's, and whether the card of the goal holds it."""
    asked = requests(bench, frames, batch)
    suffix = len(bench.model.processor.prompt_ids(asked[0].prompt, frames).suffix)
    plan = planned(bench, frames, suffix, batch)
    bench.model.batch_size = batch
    found = bench.peak(lambda: list(bench.model.respond(asked)))
    bench.model.batch_size = 1
    counted = "not counted on this device" if found is None else f"{found / 1e9:.2f} GB"
    ratio = "" if found is None else f" ({plan.peak / found:.3f} of the measured)"
    peak = plan.peak if found is None else found
    print(
        f"peak     {frames} frames, {batch} at a time: {counted}; by the formulas {plan.peak / 1e9:.2f} GB{ratio}; "
        f"{CARD} GB: {'fits' if peak <= CARD * 1e9 else 'DOES NOT FIT'}"
    )


def timed(bench: Bench, answers: Any, count: int) -> float:
    """Seconds of the next `count` answers."""
    bench.settle()
    start = time.perf_counter()
    for _ in range(count):
        next(answers)
    bench.settle()
    return time.perf_counter() - start


def questions(bench: Bench, frames: int) -> None:
    """The first question of a video and the later ones; then batches of 1, 4 and 8."""
    four, first, later = requests(bench, frames, 4), [], []
    for _ in range(bench.rounds + 1):
        answers = bench.model.respond(four)
        first.append(timed(bench, answers, 1))
        later.append(timed(bench, answers, 3) / 3)
        answers.close()
    ratio = statistics.median(later[1:]) / statistics.median(first[1:])
    print(
        f"first    {statistics.median(first[1:]):9.4f} s; each later question {statistics.median(later[1:]):.4f} s, "
        f"{ratio:.3f} of it (goal at most {LATER_GOAL:g}: {'met' if ratio <= LATER_GOAL else 'MISSED'})"
    )
    asked, alone = requests(bench, frames, 24), 0.0
    for size in (1, 4, 8):
        bench.model.batch_size, found = size, []
        for _ in range(bench.rounds):
            answers = bench.model.respond(asked)
            timed(bench, answers, size)
            found.append(timed(bench, answers, len(asked) - size) / (len(asked) - size))
            answers.close()
        spent = statistics.median(found)
        alone = alone or spent
        print(f"batch {size}  {1 / spent:9.2f} questions/s, {alone / spent:.2f} times batch 1")
    bench.model.batch_size = 1


def agreement(device: torch.device) -> None:
    """How many answers of kangaroo-tiny are the same in bf16 as in fp32: with the bundled weights, or with random
    ones so large that the answers differ from video to video."""
    full = load_tiny(device=str(device), dtype="float32")
    weights = "bundled"
    if full.notes:
        weights, full = "large random", build(SCALES["tiny"]._replace(dtype=torch.float32), device, std=0.1)
    half = KangarooModel("half", nn.Module.to(copy.deepcopy(full.network), torch.bfloat16), full.processor)
    asked = [
        Request(f"q{i}", Video("v"), QUESTION.format(i), made_frames(8, full.frame_size, seed=i), 8)
        for i in range(32)
    ]
    one, other = ([response.text for response in model.respond(asked)] for model in (full, half))
    same = sum(first == second for first, second in zip(one, other, strict=True))
    print(
        f"bf16     kangaroo-tiny ({weights} weights) gives {same} of {len(asked)} answers as in fp32, "
        f"which gives {len(set(one))} different ones"
    )


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--scale", default="8b", choices=sorted(SCALES))
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--long", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--new-tokens", type=int, default=64)
    options = parser.parse_args(words)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("not run: no GPU (torch.cuda.is_available() is False)")
        return 0
    device, scale = torch.device(options.device), SCALES[options.scale]
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(
        f"{card}, Python {sys.version.split()[0]}, torch {torch.__version__}, transformers "
        f"{transformers_version}; kangaroo-{options.scale} with random weights in "
        f"{str(scale.dtype).removeprefix('torch.')}, {options.frames} frames"
    )
    torch.manual_seed(0)
    start = time.perf_counter()
    bench = Bench(build(scale, device), device, options.rounds, options.new_tokens)
    bench.settle()
    print(f"built    {time.perf_counter() - start:9.4f} s")
    rate = matrix_rate(bench, scale)
    print(f"matrix   {rate / 1e12:9.2f} TFLOP/s in a product of {scale.matrix} x {scale.matrix}")
    stages(bench, options.frames, rate)
    questions(bench, options.frames)
    memory(bench, options.frames, 1)
    memory(bench, options.frames, 8)
    memory(bench, options.long, 1)
    agreement(device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
