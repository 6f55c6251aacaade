"""timm's EVA-02 names both ways, parity with timm where it imports, and the stage-I start."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from kangaroo_eval.model import convert
from kangaroo_eval.model.config import KangarooVisionConfig
from kangaroo_eval.model.modeling import WeightsError
from kangaroo_eval.model.vision import KangarooVisionModel


@pytest.fixture(scope="module")
def large():
    with torch.device("meta"):
        return KangarooVisionModel(KangarooVisionConfig())


def test_the_map_is_a_bijection(large):
    ours = large.state_dict()
    theirs = convert.to_timm(ours)
    assert len(theirs) == len(ours)
    back = convert.from_timm(theirs)
    assert set(back) == set(ours)
    assert all(back[name] is ours[name] for name in ours)
    assert len({name for name, _ in convert.TIMM_NAMES}) == len({name for _, name in convert.TIMM_NAMES})


def test_timm_names_are_timms(large):
    names = set(convert.to_timm(large.state_dict()))
    assert {
        "cls_token",
        "pos_embed",
        "patch_embed.proj.weight",
        "blocks.23.attn.q_proj.bias",
        "blocks.0.attn.k_proj.weight",
        "blocks.7.attn.norm.weight",
        "blocks.0.mlp.fc1_g.bias",
        "blocks.12.mlp.norm.bias",
        "norm.bias",
    } <= names
    assert "blocks.0.attn.k_proj.bias" not in names


def test_open_clip_form_and_heads_are_read(large):
    theirs = {f"visual.trunk.{name}": item for name, item in convert.to_timm(large.state_dict()).items()}
    theirs |= {"visual.trunk.head.weight": torch.zeros(1), "text.positional_embedding": torch.zeros(1)}
    assert set(convert.from_timm(theirs)) == set(large.state_dict())
    with pytest.raises(WeightsError, match=r"blocks\.0\.attn\.qkv\.weight"):
        convert.from_timm({"blocks.0.attn.qkv.weight": torch.zeros(1)})


def small_llm(folder):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def test_from_components(tmp_path):
    """The encoder's and the LLM's weights arrive untouched; the rest is new; nothing stays on meta."""
    torch.manual_seed(0)
    config = KangarooVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=28
    )
    vision = KangarooVisionModel(config)
    vision.save_pretrained(tmp_path / "vision")
    small_llm(tmp_path / "llm")
    model = convert.from_components(tmp_path / "vision", tmp_path / "llm", frame_size=56)
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())
    assert torch.equal(model.vision.position_embedding, vision.position_embedding)
    assert (model.patchify.weight == 1 / 8).all()
    assert model.projector.weight.std() > 0 and model.visual_tokens.std() > 0
    with torch.no_grad():
        assert model.encode_video(torch.zeros(3, 3, 56, 56), [0.0, 1.0, 2.0]).isfinite().all()


def timm_or_skip():
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed (it needs torchvision)")
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"timm does not import here: {error}")
    return timm


@pytest.mark.slow
@pytest.mark.parametrize("size", [224, 448])
def test_parity_with_timm(size):
    """Random weights, fp32: our tokens are timm's to 1e-5."""
    timm = timm_or_skip()
    torch.manual_seed(0)
    theirs = timm.create_model("eva02_large_patch14_clip_224", num_classes=0, dynamic_img_size=True).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.normal_(std=0.02 if parameter.ndim > 1 else 0.1)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1)
        with torch.device("meta"):
            ours = KangarooVisionModel(KangarooVisionConfig())
        ours.load_state_dict(convert.from_timm(theirs.state_dict()), strict=True, assign=True)
        pixels = torch.randn(1, 3, size, size)
        expected = theirs.forward_features(pixels)[:, 1:]
        assert (ours.eval()(pixels).flatten(1, 2) - expected).abs().max() < 1e-5
