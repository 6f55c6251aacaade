"""A pipeline gives the gradients of the whole network."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from train_ranks import LENGTH, adamw, far, gradients, objective, packs, ranks, step, values

from kangaroo_eval.errors import UserError
from kangaroo_eval.train import parallel
from kangaroo_eval.train.checkpoint import Checkpoints
from kangaroo_eval.train.pipeline import Pipeline, Section, cut

FRAMES = (4, 0, 2, 1)


@pytest.mark.parametrize(
    "layers, stages, expected",
    [
        (32, 4, [2, 10, 10, 10]),
        (32, 1, [32]),
        (32, 2, [12, 20]),
        (32, 8, [0, 5, 5, 5, 5, 4, 4, 4]),
        (30, 4, [1, 10, 10, 9]),
        (4, 4, [0, 2, 1, 1]),
        (2, 2, [1, 1]),
        (1, 2, [0, 1]),
    ],
)
def test_cut_is_balanced_with_the_vision_encoder_in_the_first(layers, stages, expected):
    sections = cut(layers, stages)
    assert [len(each) for each in sections] == expected
    assert [number for each in sections for number in each] == list(range(layers))


def test_more_sections_than_work_are_refused():
    for layers, stages in ((2, 4), (4, 0)):
        with pytest.raises(UserError, match=f"{stages} pipeline stages for an LLM of {layers} layers"):
            cut(layers, stages)


def test_tied_embeddings_are_refused():
    tied = objective()
    tied.network.config.tie_word_embeddings = True
    with pytest.raises(UserError, match="tied to the embedding"):
        Section(tied, 0, 2)


def _parts(world, stages, frozen, dtype=torch.float32):
    whole = objective(frozen, layers=4, dtype=dtype)
    parallel.checkpoint_activations(whole.network)
    grid = parallel.grid(world, stages)
    section = Section(whole, grid.stage, stages)
    parallel.shard(section, grid.data)
    pipeline = Pipeline(section, grid.stages, packs=4 // grid.replicas, length=LENGTH, device=world.device)
    return section, grid, pipeline


def _two_steps(world, stages, frozen):
    """The second step follows other lengths and other videos."""
    section, grid, pipeline = _parts(world, stages, frozen)
    found = []
    for seed in (0, 1):
        section.zero_grad()
        batch = packs(seed, *FRAMES[seed:], *FRAMES[:seed])
        targets = sum(pack.labelled for pack in batch)
        mine = batch[grid.replica :: grid.replicas]
        loss = pipeline.step(mine, targets)
        if grid.replicas > 1:
            loss = parallel.sum_over_ranks(loss) / stages
        norm = parallel.clip_norm(section.parameters(), 1e9, grid.stages)
        found.append((loss, norm, gradients(section)))
    refused = []
    for wrong in (batch[:1], packs(3, 0, 0, 0)[:2] * 3):
        with pytest.raises(ValueError, match="for a pipeline of"):
            pipeline.step(wrong, 1)
        refused.append(True)
    return found, pipeline.evaluate(packs(5, 3, 0, 1)), sorted(name for name, _ in section.named_parameters())


def _same_as_whole(count, stages, frozen=()):
    found = ranks(count, _two_steps, stages, frozen)
    whole = objective(frozen, layers=4)
    parallel.shard(whole, None)
    for number, seed in enumerate((0, 1)):
        whole.zero_grad()
        batch = packs(seed, *FRAMES[seed:], *FRAMES[:seed])
        targets = sum(pack.labelled for pack in batch)
        loss = sum(whole(pack) for pack in batch) / targets
        loss.backward()
        norm = parallel.clip_norm(whole.parameters(), 1e9)
        expected = gradients(whole)
        together = {}
        for rank in found:
            steps, _, _ = rank
            assert steps[number][0] == pytest.approx(loss.item(), rel=1e-6)
            assert steps[number][1] == pytest.approx(norm, rel=1e-5)
            together |= steps[number][2]
        assert far(together, expected) < 1e-5
        close = [
            (together[name] - value).norm() / value.norm()
            for name, value in expected.items()
            if value.norm() > 1e-6
        ]
        assert max(close) < 1e-6
    with torch.no_grad():
        score = sum(float(whole(pack)) for pack in packs(5, 3, 0, 1))
    assert all(rank[1] == pytest.approx(score, rel=1e-6) for rank in found)
    names = [name for rank in found for name in rank[2]]
    assert set(names) == {name for name, _ in whole.named_parameters()}
    return names


def test_two_sections_give_the_gradients_of_one():
    names = _same_as_whole(2, 2)
    assert len(names) == len(set(names))


def test_with_a_frozen_llm_too():
    _same_as_whole(2, 2, ("llm",))


def test_four_sections():
    _same_as_whole(4, 4, ("vision",))


def test_two_pipelines_of_two_share_parameters():
    _same_as_whole(4, 2)


def _saved(world, folder):
    section, grid, pipeline = _parts(world, 2, ("vision",))
    optimizer = adamw(section)
    checkpoints = Checkpoints(folder)
    if checkpoints.latest() is not None:
        checkpoints.load(section, optimizer, recipe={})
    for seed in (0, 1):
        optimizer.zero_grad(set_to_none=True)
        batch = packs(seed, *FRAMES)
        pipeline.step(batch, sum(pack.labelled for pack in batch))
        parallel.clip_norm(section.parameters(), 1.0, grid.stages)
        optimizer.step()
    checkpoints.save((checkpoints.latest() or 0) + 2, section, optimizer, {}, recipe={})


def test_a_checkpoint_fits_any_cut(tmp_path):
    """2 steps by a pipeline, 2 in one process, 2 by a pipeline, against 6 in one process."""

    def alone(times):
        trained = objective(("vision",), layers=4)
        parallel.shard(trained, None)
        optimizer = adamw(trained)
        if checkpoints.latest() is not None:
            checkpoints.load(trained, optimizer, recipe={})
        for seed in (0, 1) * times:
            batch = packs(seed, *FRAMES)
            step(trained, optimizer, batch, sum(pack.labelled for pack in batch))
        return trained, optimizer

    checkpoints = Checkpoints(tmp_path / "none")
    expected = values(alone(3)[0])
    checkpoints = Checkpoints(tmp_path / "run")
    ranks(2, _saved, tmp_path / "run")
    checkpoints.save(4, *alone(1), {}, recipe={})
    ranks(2, _saved, tmp_path / "run")
    found = objective(layers=4, seed=3)
    assert checkpoints.load_weights(found) == 6
    found = values(found)
    assert max(float((found[name] - expected[name]).abs().max()) for name in expected) < 1e-5


def _few(world):
    section = Section(objective(layers=4), world.rank, 2)
    with pytest.raises(UserError, match="1 packs a step do not fill a pipeline of 2"):
        Pipeline(section, parallel.grid(world, 2).stages, packs=1, length=LENGTH, device=world.device)


def test_too_few_packs_are_refused():
    ranks(2, _few)
