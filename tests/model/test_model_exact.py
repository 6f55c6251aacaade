"""Proofs that the network computes what the paper writes, and the same whatever way it is asked.

Most compare with a reference that is written here in another way: numbers of 50 digits, float64, loops.
`pytest -rP` prints the largest errors.
"""

# ruff: noqa: T201  (pytest -rP shows the errors that were measured)

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from kangaroo_eval.model.config import VIDEO_TOKEN, VISUAL_TOKENS, kangaroo_tiny
from kangaroo_eval.model.generation import greedy, prefill
from kangaroo_eval.model.modeling import PARTS, KangarooForConditionalGeneration, part_of
from kangaroo_eval.model.position import temporal_embedding

QUESTIONS = (
    ("What?", 3),
    ("A longer question about the colour of the thing on the left?", 1),
    ("Who is it (A) or (B)?", 4),
    ("", 2),
    ("视频里有几个物体？", 5),
    ("How many?\n(A) one\n(B) two\n(C) three", 2),
    ("x", 1),
    ("And what happens at the end of it all?", 6),
)
NEW = 12


# Equation 3


@pytest.mark.parametrize("theta", [10000.0, 500.0])
@pytest.mark.parametrize("seconds", [0.0, 1 / 24, 60.0, 600.0, 3723.4, 7200.0])
def test_time_embedding_is_equation_3_to_the_last_digit(seconds, theta):
    """All 1024 channels against 50 digits: the fp32 number nearest to the true value, or its neighbour."""
    mpmath = pytest.importorskip("mpmath")
    width = 1024
    with mpmath.workdps(50):
        angles = [mpmath.mpf(seconds) / mpmath.mpf(theta) ** (mpmath.mpf(i) / width) for i in range(width)]
        exact = [mpmath.cos(angle) if i % 2 else mpmath.sin(angle) for i, angle in enumerate(angles)]
        expected = np.array([float(value) for value in exact])
    got = temporal_embedding(torch.tensor([seconds], dtype=torch.float64), width, theta)[0]
    assert got.dtype == torch.float32
    error = np.abs(got.double().numpy() - expected)
    # Near a zero of sine or cosine float64's own rounding of the angle shows, 1e-12 at two hours.
    limit = 0.5000001 * np.spacing(np.abs(expected).astype(np.float32)) + 2e-12
    print(f"max error of TPE({seconds:g} s): {error.max():.1e}")
    assert (error <= limit).all()


@pytest.mark.parametrize("seconds", [60.0, 600.0, 7200.0])
def test_time_embedding_does_not_depend_on_the_dtype_of_the_times(seconds):
    """These times are exact in bf16, so the embedding must be too: the arithmetic is never done in bf16."""
    wide = temporal_embedding(torch.tensor([seconds], dtype=torch.float64), 128)
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.equal(temporal_embedding(torch.tensor([seconds], dtype=dtype), 128), wide)
    angle = torch.tensor(seconds, dtype=torch.bfloat16) / 10000 ** (torch.arange(128).bfloat16() / 128)
    assert (angle.sin().float() - wide)[0, ::2].abs().max() > 0.05, "what bf16 would have made of it"


def test_a_bf16_network_adds_the_time_in_fp32(make_network, monkeypatch):
    """Eq. 4 with bf16 tokens at two hours: the sum is rounded once, and the time is not rounded before it."""
    network = make_network(patchify=False).to(torch.bfloat16)
    monkeypatch.setattr(network, "projector", torch.nn.Identity())
    pixels, times = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8), [7199.5, 7200.25, 601.3]
    with torch.no_grad():
        got = network.encode_frames(pixels, torch.tensor(times, dtype=torch.float64))
        tokens = network.vision(pixels).float().flatten(1, 2)
    angles = np.array(times)[:, None] / 10000 ** (np.arange(128) / 128)
    embedding = np.where(np.arange(128) % 2, np.cos(angles), np.sin(angles)).astype(np.float32)
    assert torch.equal(got, (tokens + torch.from_numpy(embedding)[:, None]).to(torch.bfloat16))


def test_times_that_lost_their_digits_are_refused(network, processor, make_frames):
    """`inputs.to(torch.bfloat16)`, as many examples write it, would turn 601.3 s into 600 s."""
    inputs = processor("What?", make_frames(2).pixels, [601.3, 602.9])
    assert network(**inputs.to(torch.float32)).logits.isfinite().all()
    for dtype in (torch.bfloat16, torch.float16):
        with pytest.raises(ValueError, match="off by seconds"):
            network(**processor("What?", make_frames(2).pixels, [601.3, 602.9]).to(dtype))


# Figure 2


@pytest.mark.parametrize("frames", [1, 2, 5, 6])
def test_every_token_of_figure_2(network, processor, make_frames, frames):
    """Ids and vectors of the whole prompt, one by one, with pooling, projection and order written as loops."""
    video = make_frames(frames)
    inputs = processor("What?", video.pixels, video.times)
    ids = inputs["input_ids"][0].tolist()
    start, eof, eov, end = (processor.token_id(token) for token in VISUAL_TOKENS)
    place = processor.token_id(VIDEO_TOKEN)
    with torch.no_grad():
        got = network.embed(inputs["input_ids"], inputs["pixel_values"], inputs["frame_times"])[0]
        tokens = network.vision(inputs["pixel_values"]).double()
        table = network.llm.model.embed_tokens.weight.double()
        weight, bias = network.projector.weight.double(), network.projector.bias.double()
    marks = dict(zip((start, eof, eov, end), network.visual_tokens.detach().double(), strict=True))

    times = list(video.times)
    if frames % 2:
        tokens, times = torch.cat([tokens, tokens[-1:]]), [*times, times[-1]]
    for index, seconds in enumerate(times):
        for channel in range(tokens.shape[-1]):
            angle = seconds / 10000 ** (channel / tokens.shape[-1])
            tokens[index, :, :, channel] += np.cos(angle) if channel % 2 else np.sin(angle)
    expected_ids, vectors = [start], [marks[start]]
    for slot in range(len(times) // 2):
        for row in range(4):
            for column in range(4):
                cube = tokens[2 * slot : 2 * slot + 2, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                expected_ids.append(place)
                vectors.append(weight @ cube.mean((0, 1, 2)) + bias)
        last = slot == len(times) // 2 - 1
        expected_ids.append(eov if last else eof)
        vectors.append(marks[expected_ids[-1]])
    expected_ids.append(end)
    vectors.append(marks[end])

    at = ids.index(start)
    stop = at + len(expected_ids)
    assert ids[at:stop] == expected_ids
    assert not {start, eof, eov, end, place} & {*ids[:at], *ids[stop:]}
    whole = [*table[ids[:at]], *vectors, *table[ids[stop:]]]
    error = max(float((one.double() - two).abs().max()) for one, two in zip(got, whole, strict=True))
    print(f"max error of {len(whole)} vectors: {error:.1e} (largest value {float(got.abs().max()):.1f})")
    assert error < 1e-4 * float(got.abs().max())


def test_an_image_is_its_frame_twice_at_time_zero(network):
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        one = network.encode_video(pixels, [0.0])
        torch.testing.assert_close(one, network.encode_video(pixels.repeat(2, 1, 1, 1), [0.0, 0.0]))
        assert not torch.allclose(one, network.encode_video(pixels, [5.0])), "the time does count"


# Precision


def tiny():
    """kangaroo-tiny as training starts it: weights of an ordinary size."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return KangarooForConditionalGeneration(kangaroo_tiny()).eval()


def test_fp32_is_float64_to_six_digits(processor, make_frames):
    frames = make_frames(6)
    inputs = processor("What?", frames.pixels, frames.times)
    with torch.no_grad():
        single = tiny()(**inputs).logits
        exact = tiny().double()(**inputs).logits
    assert exact.dtype == torch.float64
    error, scale = float((single - exact).abs().max()), float(exact.abs().max())
    print(f"max error of fp32 logits: {error:.1e} of {scale:.1f}")
    assert error < 2e-5 * scale


def test_bf16_is_fp32_within_its_rounding(processor, make_frames):
    """A long video (40 minutes, 682 visual tokens). Where the best token leads by more than the error, it stays."""
    frames = make_frames(80)
    inputs = processor("What?", frames.pixels, [30.0 * index for index in range(80)])
    with torch.no_grad():
        full = tiny()(**inputs).logits[0]
        half = tiny().to(torch.bfloat16)(**inputs).logits[0].float()
    error, scale = float((full - half).abs().max()), float(full.std())
    best = full.topk(2).values
    clear = best[:, 0] - best[:, 1] > 2 * error
    agree = full.argmax(-1) == half.argmax(-1)
    print(f"max error of bf16 logits: {error:.3f}, their spread {scale:.3f}; {int(clear.sum())} clear tokens")
    assert error < 0.15 * scale
    assert clear.sum() > 20
    assert agree[clear].all()


@pytest.mark.parametrize("cast", ["to", "bfloat16", "half", "module"])
def test_no_cast_touches_the_rotary_frequencies(make_network, cast, tmp_path):
    """In bf16 they are off by 2^-9: at position 20,000 the second channel pair would point anywhere."""
    network = make_network()
    expected = network.llm.model.rotary_emb.inv_freq.clone()
    if cast == "to":
        network.to(torch.bfloat16)
    elif cast == "module":
        torch.nn.Module.to(network, device="cpu", dtype=torch.bfloat16)
    else:
        getattr(network, cast)()
    assert network.visual_tokens.dtype in (torch.bfloat16, torch.float16)
    network.save_pretrained(tmp_path)
    loaded = KangarooForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    for each in (network, loaded):
        for name in ("inv_freq", "original_inv_freq"):
            assert torch.equal(getattr(each.llm.model.rotary_emb, name), expected)


# The same answer whatever way it is asked


@pytest.fixture
def asked(processor, make_frames):
    """Eight questions of different length about eight videos of different length."""
    inputs = []
    for seed, (question, count) in enumerate(QUESTIONS):
        frames = make_frames(count, seed)
        inputs.append(processor(question, frames.pixels, frames.times))
    return inputs


def collate(items, side):
    """A batch, padded with zeros on one side; the videos one behind the other."""
    width = max(item["input_ids"].shape[1] for item in items)
    batch = {
        name: torch.cat(
            [
                pad(
                    item[name],
                    (width - item[name].shape[1], 0) if side == "left" else (0, width - item[name].shape[1]),
                )
                for item in items
            ]
        )
        for name in ("input_ids", "attention_mask")
    }
    for name in ("pixel_values", "frame_times"):
        batch[name] = torch.cat([item[name] for item in items])
    batch["frame_counts"] = [len(item["frame_times"]) for item in items]
    return batch


def alone(network, item):
    ids = network.generate(**item, max_new_tokens=NEW, do_sample=False)
    return ids[0, item["input_ids"].shape[1] :].tolist()


def stripped(network, ids):
    """An answer without what a batch leaves behind its stop id."""
    stops = set(network.generation_config.eos_token_id or network.config.text_config.eos_token_id)
    end = next((index for index, token in enumerate(ids) if token in stops), len(ids))
    return ids[:end]


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_generate_in_batches_of_any_size(network, asked, size):
    expected = [stripped(network, alone(network, item)) for item in asked]
    assert len({tuple(answer) for answer in expected}) > 4, "the answers differ, or this shows nothing"
    answers = []
    for first in range(0, len(asked), size):
        batch = collate(asked[first : first + size], "left")
        ids = network.generate(**batch, max_new_tokens=NEW, do_sample=False, pad_token_id=1)
        answers += [stripped(network, row) for row in ids[:, batch["input_ids"].shape[1] :].tolist()]
    assert answers == expected


@pytest.mark.parametrize("side", ["left", "right"])
def test_forward_is_the_same_on_either_side_of_padding(network, asked, side):
    batch = collate(asked, side)
    options = {}
    if side == "left":
        options["position_ids"] = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        together = network(**batch, **options).logits
        worst = 0.0
        for row, item in enumerate(asked):
            expected = network(**item).logits[0]
            kept = together[row][batch["attention_mask"][row].bool()]
            worst = max(worst, float((kept - expected).abs().max()))
            assert kept[-1].argmax() == expected[-1].argmax()
    print(f"max error of logits padded on the {side}: {worst:.1e} of {float(together.abs().max()):.1f}")
    assert worst < 1e-4 * float(together.abs().max())


def test_the_cached_prefix_gives_the_tokens_of_generate(network, processor, asked):
    """Our own decoding with one prefix for all questions about a video, in batches of 1 and 3."""
    item, questions = asked[7], ["Why?", "Which of the two is it, and since when?", ""]
    video = {name: item[name] for name in ("pixel_values", "frame_times")}
    prompts = [processor.prompt_ids(question, 6) for question in questions]
    ids = [torch.tensor([prompt.prefix + prompt.suffix]) for prompt in prompts]
    expected = [stripped(network, alone(network, {"input_ids": each, **video})) for each in ids]
    with torch.no_grad():
        embeds = network.embed(torch.tensor([prompts[0].prefix]), **video)
    prefix = prefill(network, embeds)
    suffixes = [prompt.suffix for prompt in prompts]
    assert greedy(network, prefix, suffixes, [NEW] * 3) == expected
    assert [greedy(network, prefix, [suffix], [NEW])[0] for suffix in suffixes] == expected


def test_saved_and_loaded_answers_with_the_same_tokens(network, asked, tmp_path):
    network.save_pretrained(tmp_path)
    loaded = KangarooForConditionalGeneration.from_pretrained(tmp_path).eval()
    for item in asked[:3]:
        assert alone(loaded, item) == alone(network, item)
        with torch.no_grad():
            assert torch.equal(loaded(**item).logits, network(**item).logits)


def test_eager_attention_gives_the_same_tokens(network, make_network, asked):
    other = make_network(_attn_implementation="eager")
    assert other.llm.config._attn_implementation == "eager" != network.llm.config._attn_implementation
    assert [alone(other, item) for item in asked[:4]] == [alone(network, item) for item in asked[:4]]


def compiler() -> None:
    if not any(shutil.which(name) for name in ("gcc", "g++", "clang")):
        pytest.skip("torch.compile needs a C++ compiler")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        pytest.skip("torch.compile needs Python's headers")
    if torch.__version__ < (
        2,
        12,
    ):  # "'tmp2' was not declared in this scope", in what torch 2.11 writes itself
        pytest.skip("torch before 2.12 writes C++ for the CPU that does not compile")


@pytest.mark.slow
def test_torch_compile_gives_the_same_answers(network, asked):
    """Encoder and LLM both compiled, over inputs of several lengths."""
    compiler()
    items = asked[:2]
    expected = [alone(network, item) for item in items]
    with torch.no_grad():
        logits = [network(**item).logits for item in items]
        slots = network.encode_frames(items[0]["pixel_values"], items[0]["frame_times"])
        network.vision.forward = torch.compile(network.vision.forward, dynamic=True)
        network.llm.forward = torch.compile(network.llm.forward, dynamic=True)
        again = network.encode_frames(items[0]["pixel_values"], items[0]["frame_times"])
        torch.testing.assert_close(again, slots, atol=1e-4, rtol=1e-4)
        worst = max(
            float((network(**item).logits - before).abs().max())
            for item, before in zip(items, logits, strict=True)
        )
    print(f"max error of compiled logits: {worst:.1e} of {float(logits[0].abs().max()):.1f}")
    assert worst < 1e-4 * float(logits[0].abs().max())
    assert [alone(network, item) for item in items] == expected


# Training


@pytest.mark.parametrize(
    "changes", [{}, {"patchify": False}, {"projector": "mlp"}], ids=["paper", "stage I", "mlp"]
)
def test_a_gradient_reaches_every_parameter(make_network, processor, make_frames, changes):
    """Of every part, not of some: a detached branch or a parameter without use would show."""
    network = make_network(**changes)
    words = type(processor).for_config(processor.tokenizer, network.config)
    frames = make_frames(3)
    inputs = words("What colour?", frames.pixels, frames.times)
    network.train()
    network(**inputs, labels=inputs["input_ids"].masked_fill(inputs["input_ids"] < 12, -100)).loss.backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
    parts = {part_of(name) for name, _ in network.named_parameters()}
    assert parts == set(PARTS) - (set() if network.config.patchify else {"patchify"})
    assert all(bool(row.any()) for row in network.visual_tokens.grad), "all four special tokens"
