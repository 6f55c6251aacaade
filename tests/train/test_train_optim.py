"""Learning rates, weight decay and what trains, against the paper's text and timm's own groups."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.config import kangaroo_tiny
from kangaroo_eval.model.modeling import PARTS, KangarooForConditionalGeneration, part_of
from kangaroo_eval.train import optim
from kangaroo_eval.train.optim import Schedule
from kangaroo_eval.train.stages import IMAGE, LONG, REFINEMENT, STAGES


@pytest.fixture
def network():
    torch.manual_seed(0)
    return KangarooForConditionalGeneration(kangaroo_tiny())


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine_to_the_minimum():
    schedule = Schedule(peak=1e-4, steps=1000, warmup=100)
    assert schedule.rate(0) == pytest.approx(1e-6)
    assert schedule.rate(49) == pytest.approx(5e-5)
    assert schedule.rate(99) == schedule.rate(100) == pytest.approx(1e-4)
    assert schedule.rate(550) == pytest.approx((1e-4 + 1e-6) / 2)
    assert schedule.rate(1000) == pytest.approx(1e-6)
    assert Schedule(peak=1e-5, steps=10).rate(0) == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"warmup": 11}, "11 warm-up steps of 10"),
        ({"steps": 0}, "0 warm-up steps of 0"),
        ({"minimum": 1.0}, "minimum"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(changes, said):
    with pytest.raises(UserError, match=said):
        Schedule(**{"peak": 1e-4, "steps": 10, **changes})


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_trains_its_parts_and_no_other(network, stage):
    if stage.patchify_init is None:
        network.patchify = None
    optim.freeze(network, stage.trains)
    trained = {part_of(name) for name, parameter in network.named_parameters() if parameter.requires_grad}
    frozen = {part_of(name) for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert trained == stage.trains and not trained & frozen
    inside = [parameter for group in optim.groups(network, layers=4) for parameter in group["params"]]
    assert len(inside) == len({id(parameter) for parameter in inside})
    assert {id(p) for p in inside} == {id(p) for p in network.parameters() if p.requires_grad}


def test_a_part_that_is_not_there_cannot_be_trained(network):
    network.patchify = None
    with pytest.raises(UserError, match="trains patchify, which this network does not have"):
        optim.freeze(network, REFINEMENT.trains)
    optim.freeze(network, ())
    with pytest.raises(UserError, match="nothing to train"):
        optim.build(network, layers=4)


def test_the_layers_of_the_encoder_learn_more_slowly_the_deeper_they_lie():
    assert optim.layer_scale("vision.patch_embedding.weight", 24) == pytest.approx(0.9**24)
    assert optim.layer_scale("vision.position_embedding", 24) == pytest.approx(0.0798, abs=1e-4)
    assert optim.layer_scale("vision.layers.0.mlp.up.weight", 24) == pytest.approx(0.9**23)
    assert optim.layer_scale("vision.layers.23.mlp.up.weight", 24) == 1.0
    assert optim.layer_scale("vision.norm.weight", 24) == 1.0
    assert optim.layer_scale("llm.model.layers.0.mlp.up_proj.weight", 24) == 1.0


def test_the_groups_are_timms(network):
    """`param_groups_layer_decay` of timm over an encoder of the same build: the same factors for the same weights."""
    timm = pytest.importorskip("timm", reason="timm is not there")
    from timm.optim import param_groups_layer_decay

    encoder = timm.create_model(
        "eva02_large_patch14_clip_224", pretrained=False, num_classes=0, depth=4, embed_dim=64, num_heads=2
    )
    theirs = {}
    for group in param_groups_layer_decay(
        encoder, weight_decay=0.05, no_weight_decay_list=encoder.no_weight_decay(), layer_decay=0.9
    ):
        for parameter in group["params"]:
            theirs[id(parameter)] = (round(group["lr_scale"], 6), group["weight_decay"])
    named = {name: theirs[id(parameter)] for name, parameter in encoder.named_parameters()}
    optim.freeze(network, {"vision"})
    ours = {}
    for group in optim.groups(network, layers=4):
        for parameter in group["params"]:
            ours[id(parameter)] = (round(group["scale"], 6), group["weight_decay"])
    found = {name: ours[id(parameter)] for name, parameter in network.vision.named_parameters()}
    pairs = {
        "class_token": "cls_token",
        "position_embedding": "pos_embed",
        "patch_embedding.weight": "patch_embed.proj.weight",
        "patch_embedding.bias": "patch_embed.proj.bias",
        "layers.0.mlp.up.weight": "blocks.0.mlp.fc1_x.weight",
        "layers.0.attention_norm.weight": "blocks.0.norm1.weight",
        "layers.3.attention.output.weight": "blocks.3.attn.proj.weight",
        "norm.weight": "norm.weight",
    }
    assert {ours_: found[ours_] for ours_ in pairs} == {
        ours_: named[theirs_] for ours_, theirs_ in pairs.items()
    }


def test_muon_and_adamw_take_the_steps_that_each_takes_alone():
    torch.manual_seed(0)
    matrix, vector = torch.nn.Parameter(torch.randn(6, 4)), torch.nn.Parameter(torch.randn(4))
    alone = [torch.nn.Parameter(each.detach().clone()) for each in (matrix, vector)]
    both = optim.MuonAdamW(
        [
            {"params": [matrix], "muon": True, "weight_decay": 0.05, "scale": 1.0},
            {"params": [vector], "muon": False, "weight_decay": 0.0, "scale": 0.5},
        ]
    )
    muon = torch.optim.Muon([alone[0]], lr=0.1, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW([alone[1]], lr=0.05, betas=optim.BETAS, weight_decay=0.0)
    for step in range(4):
        for parameter, other in zip((matrix, vector), alone, strict=True):
            parameter.grad = torch.full_like(parameter, 0.1 + step)
            other.grad = parameter.grad.clone()
        optim.set_rate(both, 0.1)
        for each in (both, muon, adamw):
            each.step()
        if step == 1:
            both.load_state_dict(both.state_dict())
    assert torch.equal(matrix, alone[0]) and torch.equal(vector, alone[1])
    with pytest.raises(ValueError, match="closure"):
        both.step(lambda: 0.0)


def test_the_minimum_is_scaled_too(network):
    """A floor of 1e-6 under 1e-5 x 0.0798 would raise the rate of the lowest layers."""
    optim.freeze(network, IMAGE.trains - {"patchify"})
    optimizer = optim.build(network, layers=4)
    optim.set_rate(optimizer, 1e-6)
    rates = {group["lr"] for group in optimizer.param_groups}
    assert min(rates) == pytest.approx(1e-6 * 0.9**4) and max(rates) == pytest.approx(1e-6)


def test_norms_biases_positions_and_visual_tokens_are_not_decayed(network):
    optim.freeze(network, PARTS)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    plain = {
        names[id(parameter)]
        for group in optim.groups(network, layers=4)
        if group["weight_decay"] == 0
        for parameter in group["params"]
    }
    assert {"visual_tokens", "vision.position_embedding", "vision.class_token", "projector.bias"} <= plain
    assert "llm.model.norm.weight" in plain and "llm.model.layers.0.input_layernorm.weight" in plain
    assert not {"llm.lm_head.weight", "projector.weight", "patchify.weight"} & plain


def test_long_videos_leave_the_encoder_alone(network):
    optim.freeze(network, LONG.trains)
    assert all(not name.startswith("vision.") for name, p in network.named_parameters() if p.requires_grad)
    with pytest.raises(dataclasses.FrozenInstanceError):
        LONG.lr = 1.0
