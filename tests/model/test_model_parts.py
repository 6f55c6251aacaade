"""Time embedding, patchify, projector, token arithmetic, and the vision encoder."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from kangaroo_eval.model.config import (
    KangarooConfig,
    KangarooVisionConfig,
    VideoLayout,
    kangaroo_8b,
    kangaroo_tiny,
)
from kangaroo_eval.model.patchify import Patchify
from kangaroo_eval.model.position import temporal_embedding
from kangaroo_eval.model.projector import build_projector
from kangaroo_eval.model.vision import KangarooVisionModel, normalise


@pytest.mark.parametrize("seconds", [0.0, 0.04, 1.0, 59.94, 600.0, 7199.5])
def test_time_embedding_is_equation_3(seconds):
    """sin at even, cos at odd channels, exponent i/d, against Python's own double precision."""
    width = 128
    angles = [seconds / 10000.0 ** (i / width) for i in range(width)]
    expected = [math.sin(a) if i % 2 == 0 else math.cos(a) for i, a in enumerate(angles)]
    got = temporal_embedding(torch.tensor([seconds], dtype=torch.float64), width)
    assert got.dtype == torch.float32
    assert (got[0].double() - torch.tensor(expected, dtype=torch.float64)).abs().max() < 1e-7


def test_time_embedding_theta():
    got = temporal_embedding(torch.tensor([3.0]), 4, theta=16.0)
    expected = [math.sin(3), math.cos(3 / 16**0.25), math.sin(3 / 4), math.cos(3 / 16**0.75)]
    assert got[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_uniform_patchify_is_average_pooling():
    patchify = Patchify(6)
    patchify.reset_parameters()
    frames = torch.randn(4, 8, 8, 6)
    pooled = F.avg_pool3d(frames.permute(3, 0, 1, 2)[None], 2)[0].permute(1, 2, 3, 0).flatten(1, 2)
    torch.testing.assert_close(patchify(frames), pooled, atol=1e-6, rtol=0)


def test_random_patchify_differs():
    patchify = Patchify(6, "random")
    patchify.reset_parameters()
    assert patchify.weight.std() > 0.1


@pytest.mark.parametrize("count", [1, 3, 5])
def test_patchify_repeats_an_odd_last_frame(count):
    patchify = Patchify(4, "random")
    patchify.reset_parameters()
    frames = torch.randn(count, 2, 2, 4)
    torch.testing.assert_close(patchify(frames), patchify(torch.cat([frames, frames[-1:]])))
    assert len(patchify(frames)) == (count + 1) // 2


def test_projector_kinds():
    assert [tuple(p.shape) for p in build_projector("linear", 6, 10).parameters()] == [(10, 6), (10,)]
    assert build_projector("mlp", 6, 10)(torch.zeros(2, 6)).shape == (2, 10)
    with pytest.raises(ValueError, match="'linear' or 'mlp'"):
        build_projector("resampler", 6, 10)


@pytest.mark.parametrize(
    ("frames", "size", "patchify", "visual", "limit"),
    [
        (1, 224, False, 256, 512),
        (8, 224, False, 2048, 2560),
        (16, 448, True, 2048, 2560),
        (64, 448, True, 8192, 10240),
        (160, 448, True, 20480, 22528),
    ],
)
def test_token_budget_of_table_2(frames, size, patchify, visual, limit):
    """The check that the reading of the paper is right: every stage fits its sequence with room for text."""
    layout = VideoLayout(size, 14, patchify)
    assert layout.visual_tokens(frames) == visual
    assert visual < layout.sequence_length(frames) < limit


def test_odd_frame_counts_round_up():
    layout = VideoLayout(64, 8, True)
    assert layout.slots(5) == 3
    assert layout.sequence_length(5) == 3 * 17 + 2
    with pytest.raises(ValueError, match="at least one frame"):
        layout.slots(0)


def test_configurations_are_checked():
    with pytest.raises(ValueError, match="not a multiple of patch_size x 2"):
        KangarooConfig(frame_size=14 * 31)
    with pytest.raises(ValueError, match="projector 'resampler'"):
        KangarooConfig(projector="resampler")
    with pytest.raises(ValueError, match="patchify_init"):
        KangarooConfig(patchify_init="zero")
    with pytest.raises(ValueError, match="visual_token_ids"):
        KangarooConfig(visual_token_ids=[1, 2])
    with pytest.raises(ValueError, match="multiple of 4"):
        KangarooVisionConfig(hidden_size=12, num_attention_heads=2)


@pytest.mark.parametrize("preset", [kangaroo_8b, kangaroo_tiny])
def test_configuration_survives_the_disk(preset, tmp_path):
    from transformers import AutoConfig

    config = preset()
    config.save_pretrained(tmp_path)
    read = AutoConfig.from_pretrained(tmp_path)
    assert type(read) is KangarooConfig
    assert type(read.vision_config) is KangarooVisionConfig
    for part in (read, read.vision_config, read.text_config):
        assert part.to_dict().keys()
    assert read.vision_config.to_dict() == config.vision_config.to_dict()
    assert read.text_config.rope_parameters == config.text_config.rope_parameters
    assert (read.frame_size, read.visual_token_ids) == (config.frame_size, config.visual_token_ids)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    config = KangarooVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        initializer_range=0.2,
    )
    return KangarooVisionModel(config).eval()


def test_encoder_shapes_and_chunks(encoder):
    """Chunking bounds memory and changes nothing; another frame size resamples the positions."""
    pixels = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        whole = encoder(pixels)
        encoder.frame_chunk = 2
        torch.testing.assert_close(encoder(pixels), whole)
        assert whole.shape == (5, 4, 4, 32)
        assert encoder(torch.zeros(1, 3, 64, 64)).shape == (1, 8, 8, 32)
        with pytest.raises(ValueError, match="whole patches"):
            encoder(torch.zeros(1, 3, 30, 32))


def test_encoder_knows_where_a_patch_is(encoder):
    """Equal patches get different tokens, and frames do not mix."""
    with torch.no_grad():
        tokens = encoder(torch.zeros(2, 3, 32, 32))
        other = encoder(torch.cat([torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)]))
    assert not torch.allclose(tokens[0, 0, 0], tokens[0, 0, 1])
    torch.testing.assert_close(tokens[0], tokens[1])
    torch.testing.assert_close(tokens[0], other[0])


def test_gradient_checkpointing_gives_the_same_gradients(encoder):
    pixels = torch.randn(2, 3, 32, 32)
    encoder.train()

    def gradient():
        encoder.zero_grad()
        encoder(pixels).square().sum().backward()
        return encoder.position_embedding.grad.clone()

    plain = gradient()
    encoder.gradient_checkpointing_enable()
    torch.testing.assert_close(gradient(), plain)


def test_normalisation_is_clips():
    pixels = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    got = normalise(pixels, torch.float32).flatten().tolist()
    expected = [-0.48145466 / 0.26862954, (128 / 255 - 0.4578275) / 0.26130258, (1 - 0.40821073) / 0.27577711]
    assert got == pytest.approx(expected, abs=1e-6)


def test_importing_the_package_is_light():
    code = "import sys, kangaroo_eval.model as m; assert m.MODELS; print('torch' in sys.modules, 'transformers' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]


def test_exports_resolve():
    import kangaroo_eval.model as package

    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Wallaby'"):
        _ = package.Wallaby
