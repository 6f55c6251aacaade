"""The memory arithmetic against what torch's allocator counts, moment by moment, on a scaled network."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from packaging.version import Version
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig

from kangaroo_eval.errors import UserError
from kangaroo_eval.model import generation
from kangaroo_eval.model.adapter import KangarooModel
from kangaroo_eval.model.checkpoint import read_config
from kangaroo_eval.model.config import (
    KangarooConfig,
    KangarooVisionConfig,
    kangaroo_8b,
    kangaroo_135m,
    kangaroo_tiny,
)
from kangaroo_eval.model.memory import (
    FRAME_CHUNK,
    OPENING_TOKENS,
    Workload,
    memory_plan,
    most_frames,
)
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.types import Frames, Request, Video

NEAR = 0.05
"""How far the arithmetic may be from the allocator's count: the small tables that it leaves out."""


def scaled(frame_size=224, layers=2, language=None, **options):
    """A Kangaroo of EVA-02's and Llama-3's proportions at a fraction of the width, with the tiny tokenizer's ids."""
    tiny = kangaroo_tiny()
    vision = KangarooVisionConfig(
        hidden_size=256, intermediate_size=682, num_hidden_layers=layers, num_attention_heads=4
    )
    text = LlamaConfig(
        **{
            "vocab_size": tiny.text_config.vocab_size,
            "hidden_size": 512,
            "intermediate_size": 1792,
            "num_hidden_layers": layers,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "bos_token_id": tiny.text_config.bos_token_id,
            "eos_token_id": tiny.text_config.eos_token_id,
            **(language or {}),
        }
    )
    return KangarooConfig(
        vision_config=vision,
        text_config=text,
        frame_size=frame_size,
        visual_token_ids=tiny.visual_token_ids,
        video_token_id=tiny.video_token_id,
        **options,
    )


def build(config, dtype=torch.float32, chunk=FRAME_CHUNK):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = KangarooForConditionalGeneration(config).eval().to(dtype)
    network.vision.frame_chunk = chunk
    return network


def measured(work):
    """What `work` returns, and the most bytes that torch's allocator had handed out at once while it ran."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = work()
    events = profiler.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    assert changes, "the profiler saw no allocation"
    now = top = 0
    for _, change in changes:
        now += change
        top = max(top, now)
    return result, top


def pixels_of(frames, size):
    return torch.randint(0, 256, (frames, 3, size, size), dtype=torch.uint8)


def times_of(frames):
    return [float(index) for index in range(frames)]


F32, BF16 = torch.float32, torch.bfloat16


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


@pytest.mark.parametrize("preset", [kangaroo_tiny, kangaroo_135m, kangaroo_8b])
def test_weights_are_the_parameters(preset):
    config = preset()
    with torch.device("meta"):
        network = KangarooForConditionalGeneration(config)
    plan = memory_plan(config, Workload(frames=2), "bfloat16")
    assert plan.weight_bytes == 2 * sum(parameter.numel() for parameter in network.parameters())
    sizes = {part.name: part.bytes // 2 for part in plan.weights}
    assert sizes["vision encoder"] == sum(parameter.numel() for parameter in network.vision.parameters())
    assert sizes["LLM embedding"] == network.llm.model.embed_tokens.weight.numel()


@pytest.mark.parametrize(
    "options",
    [
        {"projector": "mlp"},
        {"patchify": False},
        {"language": {"attention_bias": True, "mlp_bias": True}},
        {"language": {"head_dim": 32, "tie_word_embeddings": True}},
    ],
    ids=str,
)
def test_weights_of_every_option(options):
    config = scaled(**options)
    with torch.device("meta"):
        network = KangarooForConditionalGeneration(config)
    plan = memory_plan(config, Workload(frames=2), "float32")
    assert plan.weight_bytes == 4 * sum(parameter.numel() for parameter in network.parameters())


ENCODE = {
    # dtype, frames, chunk, options -> the line where it is fullest
    (F32, 33, 32): ({}, "encoder, MLP"),
    (BF16, 32, 32): ({}, "encoder, attention"),
    (BF16, 32, 16): ({}, "encoder, attention"),
    (BF16, 21, 16): ({}, "encoder, attention"),
    (BF16, 33, 4): ({}, "time embedding added"),
    (F32, 7, 1): ({}, "frames joined in pairs"),
    (F32, 32, 4): ({"projector": "mlp"}, "frames joined in pairs"),
    (F32, 48, 2): (
        {"patchify": False, "projector": "mlp", "language": {"hidden_size": 192}},
        "projector",
    ),
    (F32, 16, 4): ({"patchify": False}, "sequence put together"),
}


@pytest.mark.parametrize("case", ENCODE, ids=str)
def test_encoding(case):
    """Every moment of the encoder is the fullest in one of the cases, so none can be wrong unseen."""
    dtype, frames, chunk = case
    options, fullest = ENCODE[case]
    config = scaled(**options)
    network = build(config, dtype, chunk)
    plan = memory_plan(config, Workload(frames=frames, frame_chunk=chunk), name_of(dtype))
    pixels = pixels_of(frames, config.frame_size)
    with torch.inference_mode():
        sequence, top = measured(lambda: network.encode_video(pixels.clone(), times_of(frames)))
    assert len(sequence) == plan.lengths.sequence
    assert plan.stage("encode").name == fullest
    assert plan.stage("encode").bytes == pytest.approx(top, rel=NEAR)


def test_every_moment_of_the_encoder_is_measured():
    names = {
        moment.name
        for moment in memory_plan(kangaroo_8b(), Workload(frames=2)).moments
        if moment.stage == "encode"
    }
    assert names == {fullest for _, fullest in ENCODE.values()}


def filled(network, plan, dtype):
    """A prefix of the plan's length, from made vectors: the sequence is held beside the prompt, as in the adapter."""
    width = network.config.text_config.hidden_size
    sequence = torch.randn(plan.lengths.sequence, width).to(dtype).clone()

    def work():
        held = sequence.clone()
        opening = torch.zeros(1, OPENING_TOKENS, width, dtype=dtype)
        return held, generation.prefill(network, torch.cat([opening, held[None]], 1))

    return measured(work)


PREFILL = {
    (F32, 1792): "LLM layer, MLP",
    (BF16, 1792): "LLM layer, MLP",
    (BF16, 256): "LLM layer, attention",
}


@pytest.mark.parametrize("case", PREFILL, ids=str)
def test_prefill(case):
    dtype, inner = case
    config = scaled(layers=3, language={"intermediate_size": inner})
    network = build(config, dtype)
    plan = memory_plan(config, Workload(frames=64), name_of(dtype))
    (_, prefix), top = filled(network, plan, dtype)
    cache = sum(tensor.numel() * tensor.element_size() for pair in prefix.layers for tensor in pair)
    assert cache == plan.lengths.prefix * plan.cache_token
    assert plan.stage("prefill").name == PREFILL[case]
    assert plan.stage("prefill").bytes == pytest.approx(top, rel=NEAR)


ANSWER = {
    # dtype, questions, frames, tokens of a question, new tokens
    (F32, 1, 32, 20, 4): "question read, attention",
    (BF16, 4, 32, 20, 4): "question read, attention",
    (BF16, 2, 24, 200, 4): "question read, attention",
    (F32, 1, 2, 600, 2): "question read, MLP",
    (BF16, 1, 2, 10, 200): "last new token",
    (F32, 3, 2, 10, 120): "last new token",
}


@pytest.mark.parametrize("case", ANSWER, ids=str)
def test_answering(case, monkeypatch):
    dtype, batch, frames, asked, new = case
    if batch > 1 and new > 100 and Version(transformers.__version__) < Version("5.23"):
        pytest.skip("older transformers repeat keys and values at every step of padded questions")
    monkeypatch.setattr(generation, "stop_ids", lambda network: set())
    config = scaled(layers=4)
    network = build(config, dtype)
    work = Workload(frames=frames, batch_size=batch, question_tokens=asked, new_tokens=new)
    plan = memory_plan(config, work, name_of(dtype))
    (_, prefix), _ = filled(network, plan, dtype)
    questions = [[20] * (asked - row) for row in range(batch)]
    replies, top = measured(lambda: generation.greedy(network, prefix, questions, [new] * batch))
    assert {len(reply) for reply in replies} == {new}
    kept = ("visual sequence, kept", "KV cache of the video")
    moment = plan.stage("answer")
    assert moment.name == ANSWER[case]
    new_bytes = sum(part.bytes for part in moment.parts if part.name not in kept)
    assert new_bytes == pytest.approx(top, rel=NEAR)
    held = {part.name: part.bytes for part in moment.parts if part.name in kept}
    assert set(held) == set(kept)
    assert held["KV cache of the video"] == plan.lengths.prefix * plan.cache_token


@pytest.mark.parametrize("frames", [64, pytest.param(160, marks=pytest.mark.slow)])
def test_a_whole_answer_through_the_adapter(frames, tokenizer, monkeypatch):
    """Nothing else is held: vision, prefill and the answers of two questions, weights apart."""
    monkeypatch.setattr(generation, "stop_ids", lambda network: set())
    config = scaled(layers=4)
    network = build(config)
    model = KangarooModel("scaled", network, KangarooProcessor.for_config(tokenizer, config), batch_size=2)
    shown = Frames(
        np.random.default_rng(0).integers(0, 256, (frames, 224, 224, 3), dtype=np.uint8),
        tuple(times_of(frames)),
    )
    prompts = ["What colour is it?\n(A) red\n(B) blue"] * 2
    requests = [
        Request(f"q{i}", Video("v"), prompt, shown, max_new_tokens=6, siblings=1 - i)
        for i, prompt in enumerate(prompts)
    ]
    responses, top = measured(lambda: list(model.respond(requests)))
    suffix = model.processor.prompt_ids(prompts[0], frames).suffix
    work = Workload(frames=frames, batch_size=2, question_tokens=len(suffix), new_tokens=6)
    plan = memory_plan(config, work, "float32")
    assert {response.new_tokens for response in responses} == {6}
    # The tiny tokenizer spells "user" with as many tokens as Llama-3's, or with a few more.
    assert responses[0].prompt_tokens == pytest.approx(plan.lengths.prefix + len(suffix), abs=4)
    # On the CPU the pixels are the decoder's own array, which torch does not count.
    on_cpu = [
        moment.bytes - sum(part.bytes for part in moment.parts if part.name == "pixels")
        for moment in plan.moments
    ]
    assert max(on_cpu) == pytest.approx(top, rel=NEAR)


def test_the_chunk_is_the_encoders():
    with torch.device("meta"):
        assert KangarooForConditionalGeneration(kangaroo_tiny()).vision.frame_chunk == FRAME_CHUNK


def test_the_papers_longest_video_fits():
    """Table II: 160 frames of 448 pixels are 20,480 visual tokens; the paper trains them within 22 K."""
    plan = memory_plan(kangaroo_8b(), Workload(frames=160))
    assert plan.lengths.visual == 20480
    assert plan.lengths.row < 22 * 1024
    assert plan.in_context
    assert plan.cache_token == 131072
    assert plan.fits(80)
    assert not plan.fits(16)


def test_longer_videos_and_larger_batches_take_more():
    peaks = [memory_plan(kangaroo_8b(), Workload(frames=frames)).peak for frames in (8, 64, 160)]
    assert peaks == sorted(set(peaks))
    peaks = [memory_plan(kangaroo_8b(), Workload(frames=64, batch_size=batch)).peak for batch in (1, 4, 8)]
    assert peaks == sorted(set(peaks))


@pytest.mark.parametrize("largest", [0, 1, 7, 1000, 1 << 20])
def test_most_frames(largest):
    assert most_frames(lambda frames: frames <= largest) == largest


def test_most_frames_of_a_context():
    """One more frame does not go in."""
    config = kangaroo_8b()
    most = most_frames(lambda frames: memory_plan(config, Workload(frames=frames)).in_context)
    row = [memory_plan(config, Workload(frames=frames)).lengths.row for frames in (most, most + 1)]
    assert row[0] <= config.text_config.max_position_embeddings < row[1]


def test_bad_values_are_refused():
    with pytest.raises(UserError, match="dtype 'int8': choose float32, bfloat16, float16"):
        memory_plan(kangaroo_tiny(), Workload(frames=2), "int8")
    with pytest.raises(UserError, match="frames 0 must be a whole number of at least 1"):
        Workload(frames=0)
    with pytest.raises(UserError, match="batch_size -1"):
        Workload(frames=2, batch_size=-1)


def test_a_config_is_read_without_weights(tmp_path):
    kangaroo_135m().save_pretrained(tmp_path)
    assert read_config(tmp_path).text_config.hidden_size == kangaroo_135m().text_config.hidden_size


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "config.json is missing"),
        ("{", "cannot be read"),
        ("[]", "a model of type None"),
        ("{}", "a model of type None"),
        (json.dumps({"model_type": "llama"}), "a model of type 'llama'"),
        (json.dumps({"model_type": "kangaroo_video", "frame_size": 13}), "cannot be read"),
        (json.dumps({"model_type": "kangaroo_video", "text_config": {"hidden_size": "x"}}), "cannot be read"),
    ],
)
def test_configs_that_are_none(tmp_path, text, told):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=told) as error:
        read_config(tmp_path)
    assert "\n" not in str(error.value)


@pytest.fixture
def bench(monkeypatch, capsys):
    """Run a script of tests/bench within this process; what it prints, line by line."""

    def run(name, words):
        path = Path(__file__).parents[1] / f"bench/{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        assert not module.main(words)
        return capsys.readouterr().out.splitlines()

    return run


def test_the_gpu_bench_runs_to_its_end_on_the_cpu(bench):
    """Where no GPU is at hand it can at least not rot."""
    options = {"device": "cpu", "scale": "tiny", "frames": 3, "long": 4, "rounds": 1, "new-tokens": 3}
    lines = bench("bench_gpu", [f"--{name}={value}" for name, value in options.items()])
    rows = [*["batch"] * 3, *["peak"] * 3, "bf16"]
    found = [line.split()[0] for line in lines[1:]]
    assert found == ["built", "matrix", "vision", "prefill", "question", "first", *rows]
    different = int(lines[-1].split()[-3])
    assert different > 16, "agreement says nothing where all answers are the same"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_gpu_bench_says_when_it_did_not_run(bench):
    assert bench("bench_gpu", []) == ["not run: no GPU (torch.cuda.is_available() is False)"]


@pytest.mark.slow
def test_the_cpu_bench_runs_to_its_end(bench):
    lines = bench("bench_kangaroo", ["--scales", "tiny", "--frames", "2", "--rounds", "1"])
    assert lines[-1].strip().startswith("memory over the weights")
