"""Operations as they are reckoned against those that torch counts while the network runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from kangaroo_eval.model.config import kangaroo_tiny
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.train import flops, optim
from kangaroo_eval.train.batch import Document, collate
from kangaroo_eval.train.forward import NextToken
from kangaroo_eval.train.stages import IMAGE, INSTRUCTION, LONG, REFINEMENT


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return KangarooForConditionalGeneration(kangaroo_tiny()).train()


def pack(network, videos, text, targets):
    """A document for each video of so many frames, with `text` tokens, of which `targets` are learnt."""
    config = network.config
    processor = KangarooProcessor.for_config(load_tiny_tokenizer(), config)
    made = []
    for frames in videos:
        ids = (
            [*processor.visual_ids(frames), *range(300, 300 + text)]
            if frames
            else list(range(300, 300 + text))
        )
        labels = [-100] * (len(ids) - targets) + ids[len(ids) - targets :]
        pixels = torch.randint(0, 256, (frames, 3, 64, 64)).to(torch.uint8) if frames else None
        times = tuple(float(number) for number in range(frames))
        made.append(Document(ids=tuple(ids), labels=tuple(labels), pixels=pixels, times=times))
    return collate(made)


def counted(work):
    """What torch counts, attention by its two full products: the fused kernels on CPU are unknown to it."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work()
    return counter.get_total_flops()


def triangle(network, lengths):
    """What causal attention saves of the full products, forward."""
    text = network.config.text_config
    head = text.head_dim or text.hidden_size // text.num_attention_heads
    pairs = sum(length * length - length * (length + 1) / 2 for length in lengths)
    return text.num_hidden_layers * 4 * pairs * text.num_attention_heads * head


@pytest.mark.parametrize("frames", [1, 6])
def test_the_vision_encoder(network, frames):
    pixels = torch.zeros(frames, 3, 64, 64, dtype=torch.uint8)
    with torch.no_grad():
        found = counted(lambda: network.vision(pixels))
    assert flops.vision_flops(network.config, frames, 64) == pytest.approx(found, rel=0.03)


def test_the_llm_with_its_output_layer_at_targets_only(network):
    batch = pack(network, (0, 0), 100, 20)
    objective = NextToken(network)
    with torch.no_grad():
        found = counted(lambda: objective(batch))
    reckoned = flops.llm_flops(network.config, batch.lengths, batch.labelled)
    assert reckoned == pytest.approx(found - triangle(network, batch.lengths), rel=0.02)
    assert flops.llm_flops(network.config, batch.lengths, 0) < 0.97 * reckoned


@pytest.mark.parametrize("stage", [REFINEMENT, INSTRUCTION, LONG], ids=lambda stage: stage.name)
def test_a_step_forwards_and_backwards(network, stage):
    """Where all trains, where the LLM is frozen and where the encoder is."""
    optim.freeze(network, stage.trains)
    batch = pack(network, (16, 8), 60, 20)
    objective = NextToken(network)
    found = counted(lambda: objective(batch).backward())
    backwards = 3 if "llm" in stage.trains else 2
    attention = 3 * triangle(network, batch.lengths)
    small = replace(stage, resolution=64, patch=8)
    reckoned = flops.step_flops(network.config, small, [batch])
    # Attention has no weights: its backward pass costs twice its forward one, trained or not.
    assert reckoned == pytest.approx(found - attention, rel=0.06), backwards
    network.zero_grad()


def test_two_packs_cost_what_they_cost_alone(network):
    packs = [pack(network, (4,), 30, 5), pack(network, (0,), 90, 9)]
    small = replace(IMAGE, resolution=64, patch=8)
    alone = [flops.step_flops(network.config, small, [each]) for each in packs]
    assert flops.step_flops(network.config, small, packs) == pytest.approx(sum(alone))


def test_the_paper_s_sizes():
    """Forward passes of 64 frames at 448 pixels: 46 TFLOP in the encoder, about 170 in the LLM."""
    from transformers import LlamaConfig

    from kangaroo_eval.model.config import KangarooConfig, KangarooVisionConfig

    llama = LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
    )
    vision = KangarooVisionConfig(
        hidden_size=1024, intermediate_size=2730, num_hidden_layers=24, num_attention_heads=16, patch_size=14
    )
    ids = {"visual_token_ids": range(128256, 128260), "video_token_id": 128260}
    config = KangarooConfig(vision_config=vision, text_config=llama, **ids)
    assert flops.vision_flops(config, 64, 448) == pytest.approx(46e12, rel=0.05)
    assert flops.llm_flops(config, (10240,), 500) == pytest.approx(170e12, rel=0.1)


def test_only_known_cards_have_a_peak(monkeypatch):
    assert flops.peak_flops(torch.device("cpu")) is None
    for name, peak in (("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA A100-SXM4", 312e12), ("Radeon", None)):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        assert flops.peak_flops(torch.device("cuda")) == peak
