"""timm's EVA-02 names both ways, and parity with timm where it imports: names, shapes, tables, tokens."""

# ruff: noqa: T201  (pytest -rP shows the errors that were measured)

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


def timm_or_skip():
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed (it needs torchvision)")
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"timm does not import here: {error}")
    return timm


def randomise(model):
    """Weights of a trained network's size, norms about 1."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.02 if parameter.ndim > 1 else 0.1)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1)
    return model.eval()


def ours_of(state, config=None):
    """Our encoder with timm's weights, sized from their shapes."""
    shapes = {name: tensor.shape for name, tensor in state.items()}
    config = convert.timm_config(convert.trunk(shapes), config or {}, "timm")
    with torch.device("meta"):
        ours = KangarooVisionModel(config)
    ours.load_state_dict(convert.from_timm(state), strict=True, assign=True)
    return ours.eval()


SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3, "mlp_ratio": 2.0}


def small_timm(architecture, **options):
    """timm's own small encoder of the build, and the model_args of its config.json."""
    timm = timm_or_skip()
    torch.manual_seed(0)
    options = {"num_classes": 5, **SMALL, **options}
    patch = convert.ARCHITECTURES[architecture].patch_size
    arguments = {**SMALL, "patch_size": patch, **{k: v for k, v in options.items() if k == "img_size"}}
    model = randomise(timm.create_model(architecture, dynamic_img_size=True, **options))
    return model, {"architecture": architecture, "model_args": arguments}


@pytest.mark.parametrize("architecture", convert.ARCHITECTURES)
def test_every_name_and_shape_is_timms(architecture):
    """Sizes read from timm's shapes give the encoder that has exactly timm's parameters, each with its shape."""
    timm = timm_or_skip()
    with torch.device("meta"):
        theirs = timm.create_model(architecture, num_classes=5)
    state = theirs.state_dict()
    ours = ours_of(state)
    expected = {name: tensor.shape for name, tensor in state.items() if not name.startswith("head.")}
    assert {n: t.shape for n, t in convert.to_timm(ours.state_dict()).items()} == expected
    assert ours.config.num_attention_heads == theirs.blocks[0].attn.num_heads
    assert ours.config.rotary_reference == theirs.rope.ref_feat_shape[0] == theirs.rope.ref_feat_shape[1]
    assert ours.config.grid == theirs.rope.feat_shape[0]
    assert ours.config.layer_norm_eps == theirs.norm.eps == theirs.blocks[0].attn.norm.eps


@pytest.mark.parametrize(
    ("architecture", "named"),
    [
        ("eva02_tiny_patch14_224", "blocks.{0-11}.attn.qkv.weight"),
        ("eva02_large_patch14_224", "missing blocks.{0-23}.attn.norm.weight"),
        ("eva_giant_patch14_clip_224", "unknown blocks.{0-39}.attn.q_bias"),
        ("vit_tiny_patch16_224", "blocks.{0-11}.attn.qkv.bias"),
    ],
)
def test_timms_other_builds_are_refused_by_what_differs(architecture, named):
    timm = timm_or_skip()
    with torch.device("meta"):
        state = timm.create_model(architecture).state_dict()
    with pytest.raises(WeightsError) as error:
        ours_of(state, {"architecture": architecture})
    assert named in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("eva02_large_patch14_clip_224", 224),
        ("eva02_large_patch14_clip_224", 448),
        ("eva02_large_patch14_clip_336", 336),
        ("eva02_large_patch14_clip_336", 448),
        ("eva02_base_patch16_clip_224", 224),
        ("eva02_base_patch16_clip_224", 448),
    ],
)
def test_small_encoders_are_timms(architecture, size):
    """Other grids and rotary references than L/14's at 224, in two layers: to 1e-5 in fp32."""
    theirs, config = small_timm(architecture)
    ours = ours_of(theirs.state_dict(), config)
    pixels = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected = theirs.forward_features(pixels)[:, 1:]
        error = float((ours(pixels).flatten(1, 2) - expected).abs().max())
    print(f"max error against timm, small {architecture} at {size}: {error:.1e}")
    assert error < 1e-5 < expected.abs().max()


@pytest.mark.parametrize("size", [336, 448, 210])
def test_resampled_positions_are_timms(size):
    """Baked for another size they are the table that timm makes when it loads the checkpoint, and so the tokens."""
    theirs, config = small_timm("eva02_large_patch14_clip_224")
    from timm.layers import resample_abs_pos_embed
    from timm.models.eva import checkpoint_filter_fn

    ours = ours_of(theirs.state_dict(), config)
    ours.resample_positions(size)
    grid = size // 14
    table = resample_abs_pos_embed(theirs.pos_embed, [grid, grid])
    assert (ours.position_embedding - table).abs().max() < 1e-5
    larger, told = small_timm("eva02_large_patch14_clip_224", img_size=size)
    larger.load_state_dict(checkpoint_filter_fn(theirs.state_dict(), larger))
    again = ours_of(larger.state_dict(), told)
    assert again.config.to_dict() == ours.config.to_dict()
    pixels = torch.randn(1, 3, size, size)
    with torch.no_grad():
        expected = larger.forward_features(pixels)[:, 1:]
        for encoder in (ours, again):
            assert (encoder(pixels).flatten(1, 2) - expected).abs().max() < 1e-5


def test_bf16_stays_as_close_as_timms_own():
    """Both in bf16 are off from fp32 by its rounding; ours by no more than timm's."""
    theirs, config = small_timm("eva02_large_patch14_clip_224", depth=4)
    config["model_args"]["depth"] = 4
    ours = ours_of(theirs.state_dict(), config)
    pixels = torch.randn(4, 3, 224, 224)
    with torch.no_grad():
        exact = theirs.forward_features(pixels)[:, 1:]
        their_error = theirs.bfloat16().forward_features(pixels.bfloat16())[:, 1:].float() - exact
        our_error = ours.bfloat16()(pixels).flatten(1, 2).float() - exact
    error, limit = our_error.square().mean().sqrt(), their_error.square().mean().sqrt()
    print(f"rms error in bf16: ours {error:.1e}, timm's {limit:.1e}")
    assert 0 < error < 1.2 * limit


@pytest.mark.slow
@pytest.mark.parametrize("size", [224, 448])
def test_parity_with_timm(size):
    """Random weights, fp32: our tokens are timm's to 1e-5."""
    timm = timm_or_skip()
    torch.manual_seed(0)
    theirs = timm.create_model("eva02_large_patch14_clip_224", num_classes=0, dynamic_img_size=True)
    ours = ours_of(randomise(theirs).state_dict())
    pixels = torch.randn(1, 3, size, size)
    with torch.no_grad():
        expected = theirs.forward_features(pixels)[:, 1:]
        error = float((ours(pixels).flatten(1, 2) - expected).abs().max())
    print(f"max error against timm, eva02_large_patch14_clip_224 at {size}: {error:.1e}")
    assert error < 1e-5
