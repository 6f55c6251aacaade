"""From one stage's weights to the next one's: what is kept to the bit, what is new, and what is refused."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import torch.nn.functional as F
from components import small_vision, write_llm
from transformers.utils import logging as hf_logging

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.train import grow
from kangaroo_eval.train.curriculum import Settings, run_all
from kangaroo_eval.train.recipes import KANGAROO_135M, PAPER_8B, RECIPES, SMOKE
from kangaroo_eval.train.stages import NAMES


def stage(name):
    return SMOKE.plan(name).stage


@pytest.fixture
def learner():
    return grow.begin(SMOKE, {})


def state(learner):
    return {name: value.clone() for name, value in learner.network.state_dict().items()}


def through(learner, *names):
    for name in names:
        grow.note(learner.network, name, "data", 3)
    return learner


def test_it_begins_as_stage_i_is_and_always_the_same(learner):
    config = learner.network.config
    assert not config.patchify and learner.network.patchify is None
    assert config.frame_size == learner.processor.frame_size == 32
    assert grow.stages_of(config) == []
    torch.manual_seed(99)
    again = state(grow.begin(SMOKE, {}))
    assert all(torch.equal(value, again[name]) for name, value in state(learner).items())
    other = state(grow.begin(replace(SMOKE, seed=1), {}))
    assert not torch.equal(other["visual_tokens"], again["visual_tokens"])


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.model != "components"])
def test_every_preset_is_as_wide_as_its_recipe_says(name):
    grow.check_shape(grow.begin(RECIPES[name], {}), RECIPES[name], "here")


def test_public_checkpoints_are_asked_for_by_their_flags():
    with pytest.raises(UserError, match=r"paper-8b starts from public checkpoints: give --vision .* --llm "):
        grow.begin(PAPER_8B, {})
    with pytest.raises(UserError, match=r"give --llm PATH_OR_HUB_ID$"):
        grow.begin(PAPER_8B, {"vision": "somewhere"})
    with pytest.raises(UserError, match="starts from nothing: leave --llm out"):
        grow.begin(SMOKE, {"llm": "somewhere"})


def test_a_stage_at_the_same_size_changes_nothing(learner):
    learner = grow.advance(learner, stage("image"))
    before = state(learner)
    after = grow.advance(learner, stage("video"))
    assert all(torch.equal(value, before[name]) for name, value in state(after).items())
    assert after.processor.frame_size == 32 and not after.processor.patchify


def test_refinement_brings_patchify_and_a_larger_table_and_keeps_the_rest(learner):
    learner = grow.advance(learner, stage("video"))
    before = state(learner)
    after = grow.advance(learner, stage("refinement"))
    now = state(after)
    new = now.keys() - before.keys()
    assert new and all(name.startswith("patchify.") for name in new)
    changed = {name for name in before if before[name].shape != now[name].shape}
    assert len(changed) == 1 and "position_embedding" in next(iter(changed))
    for name in before.keys() - changed:
        assert torch.equal(now[name], before[name]), name
    assert after.network.config.frame_size == after.processor.frame_size == 64
    assert after.network.config.vision_config.image_size == 64 and after.processor.patchify
    assert after.network.vision(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).shape[1:3] == (8, 8)


def test_the_new_patchify_is_a_mean(learner):
    """Uniform, as Table II has it: 2 x 2 x 2 neighbours become their mean."""
    network = grow.advance(learner, stage("refinement")).network
    weight = next(value for name, value in network.patchify.named_parameters() if value.ndim == 5)
    assert weight.shape[-3:] == (2, 2, 2)
    assert torch.equal(weight, torch.full_like(weight, 1 / 8))
    width = weight.shape[0]
    pixels = torch.randn(1, width, 4, 8, 8)
    expected = F.avg_pool3d(pixels, 2)
    assert torch.allclose(F.conv3d(pixels, weight, stride=2, groups=width), expected, atol=1e-6)


def test_a_patchify_that_is_there_stays(learner):
    grown = grow.advance(learner, stage("refinement"))
    with torch.no_grad():
        for parameter in grown.network.patchify.parameters():
            parameter.fill_(7.0)
    again = grow.advance(grown, stage("instruction"))
    assert all(bool((parameter == 7).all()) for parameter in again.network.patchify.parameters())


def test_stages_without_patchify_do_not_take_it_away(learner):
    grown = grow.advance(learner, stage("refinement"))
    with pytest.raises(UserError, match="stage video has no patchify, but these weights have one"):
        grow.advance(grown, stage("video"))


def test_patches_of_another_size_are_refused(learner):
    with pytest.raises(UserError, match="patches of 16 pixels, but the weights have 8"):
        grow.advance(learner, replace(stage("image"), patch=16))


def test_the_order_of_the_stages(learner):
    for place, name in enumerate(NAMES):
        weights = through(copy.deepcopy(learner), "words", "sight", *NAMES[:place])
        grow.check_order(weights, stage(name), "here")
        for other in NAMES:
            if other != name:
                with pytest.raises(UserError, match=f"here: its last stage is .*, and {other} starts from"):
                    grow.check_order(weights, stage(other), "here")


def test_a_warm_up_comes_first(learner):
    grow.check_order(through(copy.deepcopy(learner), "words"), None, "here")
    with pytest.raises(
        UserError, match="last stage is image, and a warm-up starts from weights before any stage"
    ):
        grow.check_order(through(learner, "words", "image"), None, "here")


def test_a_note_is_added_to_the_provenance(learner):
    grow.note(learner.network, "image", "made lessons", 12)
    first = learner.network.config.provenance
    grow.note(learner.network, "video", "mine.jsonl", 7)
    found = learner.network.config.provenance["stages"]
    assert [(each["stage"], each["data"], each["steps"]) for each in found] == [
        ("image", "made lessons", 12),
        ("video", "mine.jsonl", 7),
    ]
    assert len(first["stages"]) == 1 and found[0]["date"].count("-") == 2


def test_a_model_without_a_provenance_gets_one(learner):
    learner.network.config.provenance = None
    assert grow.stages_of(learner.network.config) == []
    grow.note(learner.network, "image", "x", 1)
    assert grow.stages_of(learner.network.config) == ["image"]


def test_saved_and_read_it_is_the_same(learner, tmp_path, capfd):
    before = hf_logging.is_progress_bar_enabled()
    learner = through(grow.advance(learner, stage("refinement")), "image", "video", "refinement")
    learner.save(tmp_path / "new" / "model")
    again = grow.read(tmp_path / "new" / "model")
    assert all(torch.equal(value, state(again)[name]) for name, value in state(learner).items())
    assert grow.stages_of(again.network.config) == ["image", "video", "refinement"]
    assert again.processor.frame_size == 64 and again.processor.patchify
    assert again.processor.visual_ids(4) == learner.processor.visual_ids(4)
    assert capfd.readouterr().err == "" and hf_logging.is_progress_bar_enabled() == before


def test_another_shape_is_named(learner):
    grow.check_shape(learner, SMOKE, "here")
    grow.check_shape(learner, KANGAROO_135M, "here")
    with pytest.raises(UserError, match=r"here: not a model of recipe kangaroo-tiny: .*num_hidden_layers 2"):
        grow.check_shape(learner, RECIPES["kangaroo-tiny"], "here")


def test_an_encoder_that_a_warm_up_teaches_may_start_from_nothing(tmp_path):
    llm = write_llm(tmp_path / "llm")
    learner = grow.begin(KANGAROO_135M, {"llm": str(llm)})
    config = learner.network.config
    assert (config.vision_config.hidden_size, config.vision_config.num_hidden_layers) == (384, 12)
    assert config.provenance["vision"] == {"source": "random weights"} and config.frame_size == 112
    assert config.text_config.max_position_embeddings == 8192
    with pytest.raises(UserError, match=r"give --llm PATH_OR_HUB_ID$"):
        grow.begin(KANGAROO_135M, {})


def test_the_135m_recipe_runs_from_its_warm_up_to_long_videos(tmp_path):
    """Its own stages, resolutions and packs, one step each, with a small LLM and a small encoder in their places."""
    # Its words are whole ones: by single bytes the lessons would not fit the sequences.
    vision, llm = tmp_path / "vision", write_llm(tmp_path / "llm", load_tiny_tokenizer())
    small_vision().save_pretrained(vision)
    stages = tuple(
        replace(plan, stage=replace(plan.stage, batch=1), steps=1, micro_batch=1)
        for plan in KANGAROO_135M.stages
    )
    warmups = tuple(replace(warmup, batch=2, steps=1) for warmup in KANGAROO_135M.warmups)
    short = replace(KANGAROO_135M, stages=stages, warmups=warmups)
    settings = Settings(components={"vision": str(vision), "llm": str(llm)}, workers=0)
    result = run_all(short, tmp_path / "out", settings)
    config = grow.read(result).network.config
    assert grow.stages_of(config) == ["sight", *NAMES]
    assert config.patchify and config.frame_size == config.vision_config.image_size == 224
