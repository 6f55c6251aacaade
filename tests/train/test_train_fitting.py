"""The projector set at once: nearest to what videos spell, and the same wherever it is done."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.config import kangaroo_tiny
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.train import curriculum
from kangaroo_eval.train.fitting import fit_projector
from kangaroo_eval.train.forward import NextToken, spelt_out
from kangaroo_eval.train.recipes import KANGAROO_TINY, SMOKE
from kangaroo_eval.train.settings import Settings

PLAN = KANGAROO_TINY.plan("refinement")


@pytest.fixture(scope="module")
def packs():
    config = kangaroo_tiny()
    processor = KangarooProcessor.for_config(load_tiny_tokenizer(), config)
    data = curriculum._data(KANGAROO_TINY, replace(PLAN, micro_batch=2), processor, Settings())
    return [data[number] for number in range(4)]


@pytest.fixture
def objective():
    torch.manual_seed(0)
    return NextToken(KangarooForConditionalGeneration(kangaroo_tiny()).eval(), spelt=1.0)


def unlike(objective, packs):
    """The squared distances from what is spelt, and those of the latter from their mean."""
    network = objective.network
    far, wanted = 0.0, []
    with torch.no_grad():
        for pack in packs:
            seen = objective.embed(pack)[0][pack.input_ids == network.config.video_token_id].double()
            spelt = spelt_out(network, pack.spelling, objective.get_buffer("clock")).double()
            far += float((seen - spelt).square().sum())
            wanted.append(spelt)
    every = torch.cat(wanted)
    return far, float((every - every.mean(0)).square().sum())


def test_it_is_the_nearest_and_says_how_near(objective, packs):
    before, spread = unlike(objective, packs)
    left = fit_projector(objective, packs)
    after, _ = unlike(objective, packs)
    assert after == pytest.approx(left * spread, rel=1e-3) and after < 0.9 * spread < before
    for parameter in objective.network.projector.parameters():
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter += 0.01 * torch.randn(kept.shape, generator=torch.Generator().manual_seed(1))
        assert unlike(objective, packs)[0] > after, "any other map is farther"
        with torch.no_grad():
            parameter.copy_(kept)


def test_nothing_but_the_projector_changes_and_each_time_alike(objective, packs):
    kept = {name: value.clone() for name, value in objective.network.state_dict().items()}
    fit_projector(objective, packs)
    first = {name: value.clone() for name, value in objective.network.state_dict().items()}
    changed = {name for name in kept if not torch.equal(kept[name], first[name])}
    assert changed == {"projector.weight", "projector.bias"}
    fit_projector(objective, packs)
    again = objective.network.state_dict()
    assert all(torch.equal(again[name], first[name]) for name in first)


def test_what_cannot_be_fitted_is_told(objective, packs):
    with pytest.raises(UserError, match="no lesson tells what its video spells"):
        fit_projector(objective, [replace(packs[0], spelling=None)])
    objective.network.projector = nn.Sequential(objective.network.projector, nn.GELU())
    with pytest.raises(UserError, match="leave fit out"):
        fit_projector(objective, packs)


def test_a_stage_begins_with_it_and_says_so(tmp_path, caplog):
    """Also on a resumed run, whose weights are the checkpoint's."""
    caplog.set_level("INFO", "kangaroo_eval.train")
    fitted = replace(
        SMOKE, stages=tuple(replace(plan, fit=2 if plan.name == "image" else 0) for plan in SMOKE.stages)
    )
    results = {}
    for name, recipe in (("plain", SMOKE), ("fitted", fitted)):
        source = curriculum.run_stage(recipe, "words", tmp_path / name / "words", Settings(steps=1))
        results[name] = curriculum.run_stage(
            recipe, "image", tmp_path / name / "image", Settings(steps=1), source
        )
    assert caplog.text.count("image: projector set by least squares") == 1
    losses = {
        name: json.loads((tmp_path / name / "image/metrics.jsonl").read_text().splitlines()[0])["loss"]
        for name in results
    }
    assert losses["plain"] != losses["fitted"]
