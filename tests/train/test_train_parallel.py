"""Two ranks train what one trains, and stop together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import torch.distributed as dist
from train_ranks import adamw, far, gradients, objective, outcomes, packs, ranks, step, values

from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.train import parallel
from kangaroo_eval.train.batch import IGNORED

# Frames of the packs of rank 0 and rank 1 in each step: now one of them sees no video, now the other, now neither.
STEPS = [(4, 3), (0, 2), (5, 0), (0, 0), (2, 2)]


def _train(trained, rank=None):
    """Five steps of AdamW; the norms."""
    optimizer = adamw(trained)
    norms = []
    for seed, frames in enumerate(STEPS):
        batch = packs(seed, *frames)
        if seed == 2:
            # One rank's pack may have nothing to learn.
            batch[1] = replace(batch[1], targets=torch.full_like(batch[1].targets, IGNORED))
        targets = sum(pack.labelled for pack in batch)
        norms.append(step(trained, optimizer, batch if rank is None else batch[rank : rank + 1], targets))
    return norms


def _sharded(world, frozen, checkpointed):
    trained = objective(frozen)
    if checkpointed:
        parallel.checkpoint_activations(trained.network)
    parallel.shard(trained, parallel.grid(world).data)
    norms = _train(trained, world.rank)
    local = sum(parameter.to_local().numel() for parameter in trained.parameters())
    return norms, values(trained), local


@pytest.mark.parametrize("frozen, checkpointed", [((), True), (("llm",), False), (("vision",), True)])
def test_two_ranks_train_to_the_same_weights_as_one(frozen, checkpointed):
    alone = objective(frozen)
    parallel.shard(alone, None)
    before = values(alone)
    norms = _train(alone)
    (first, weights, local), (second, others, _) = ranks(2, _sharded, frozen, checkpointed)
    expected = values(alone)
    assert max((weights[name] - expected[name]).abs().max() for name in expected) < 1e-4
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert first == second == pytest.approx(norms, rel=1e-4)
    total = sum(each.numel() for each in weights.values())
    assert local < 0.6 * total
    for name, value in weights.items():
        if name.split(".")[1] in frozen:
            assert torch.equal(value, before[name])


def _halves(world):
    trained = objective(dtype=torch.bfloat16)
    parallel.shard(trained, parallel.grid(world).data, bf16=True)
    batch = packs(0, 4, 0)
    targets = sum(pack.labelled for pack in batch)
    loss = trained(batch[world.rank]) / targets
    loss.backward()
    kinds = {parameter.dtype for parameter in trained.parameters()} | {
        parameter.grad.dtype for parameter in trained.parameters()
    }
    return parallel.sum_over_ranks(loss.item()), gradients(trained), kinds


def test_bf16_gathers_halves_and_sums_in_full():
    alone = objective()
    batch = packs(0, 4, 0)
    loss = sum(alone(pack) for pack in batch) / sum(pack.labelled for pack in batch)
    loss.backward()
    (found, sharded, kinds), _ = ranks(2, _halves)
    assert kinds == {torch.float32}
    assert found == pytest.approx(loss.item(), rel=2e-2)
    for name, expected in gradients(alone).items():
        assert float((sharded[name] - expected).norm() / (expected.norm() + 1e-6)) < 0.15, name


def _validate(world):
    """Twelve frames on one rank and two on the other, without gradients: the chunks must not differ."""
    trained = objective().eval()
    trained.network.vision.frame_chunk = 4
    parallel.shard(trained, parallel.grid(world).data)
    with torch.no_grad():
        return float(trained(packs(3, 12, 2)[world.rank]))


def test_ranks_evaluate_videos_of_different_lengths():
    alone = objective().eval()
    alone.network.vision.frame_chunk = 4
    with torch.no_grad():
        expected = [float(alone(pack)) for pack in packs(3, 12, 2)]
    assert ranks(2, _validate) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("frozen", [(), ("llm",)])
def test_checkpointed_activations_change_no_gradient(frozen):
    pack = packs(1, 5)[0]
    plain, checkpointed = objective(frozen), objective(frozen)
    parallel.checkpoint_activations(checkpointed.network)
    runs = []
    layer = checkpointed.network.llm.model.layers[0].mlp
    layer.register_forward_pre_hook(lambda *_: runs.append(1))
    for each in (plain, checkpointed):
        each(pack).backward()
    assert len(runs) == 2
    expected = gradients(plain)
    assert far(gradients(checkpointed), expected) == 0


def test_clip_norm_scales_and_tells_the_norm_before():
    parameters = [torch.nn.Parameter(torch.zeros(3)) for _ in range(3)]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0, 0]), torch.tensor([0, 4.0, 0])
    assert parallel.clip_norm(iter(parameters), 1.0) == pytest.approx(5)
    assert parameters[1].grad.tolist() == pytest.approx([0, 0.8, 0], rel=1e-5)
    assert parallel.clip_norm(parameters, 1.0) == pytest.approx(1)
    parameters[0].grad[0] = float("nan")
    assert parallel.clip_norm(parameters, 1.0) != parallel.clip_norm(parameters, 1.0)


def test_without_torchrun_it_is_a_world_of_one(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    world = parallel.start("cpu")
    assert (world.rank, world.ranks, str(world.device)) == (0, 1, "cpu") and not dist.is_initialized()
    assert parallel.grid(world).data is None and parallel.grid(world).replicas == 1
    assert parallel.sum_over_ranks(3) == 3 and not parallel.any_rank(False)
    parallel.check_same(world, "x")
    parallel.raise_together(None)
    parallel.shard(objective(), None)
    assert parallel.reported(lambda: 3) == 3
    parallel.stop()
    with pytest.raises(UserError, match="1 processes are not whole pipelines of 4"):
        parallel.grid(world, 4)


def _together(world):
    assert parallel.start("cpu") == world
    big = 2**53 + 1
    exact = parallel.sum_over_ranks(big if world.rank else 1)
    half = parallel.sum_over_ranks(0.25)
    flags = parallel.any_rank(world.rank == 1), parallel.any_rank(False)
    said = []
    for value in (json.dumps({"lr": 1, "name": "x"}), json.dumps({"lr": 1 + world.rank, "name": "x"})):
        try:
            parallel.check_same(world, value)
        except UserError as error:
            said.append(str(error))
    try:
        parallel.raise_together(RunFailed("disk full") if world.rank == 1 else None)
    except RunFailed as error:
        said.append(str(error))
    return exact, half, flags, said


def test_ranks_agree():
    first, second = ranks(2, _together)
    assert first[:3] == (2**53 + 2, 0.5, (True, False)) == second[:3]
    assert len(first[3]) == 2 and "rank 1 of 2" in first[3][0] and "\n" not in first[3][0]
    assert first[3][0] == second[3][0] and '"lr": 2' in first[3][0] and '"lr": 1' in first[3][0]
    assert (first[3][1], second[3][1]) == ("rank 1: disk full", "disk full")


def _dies(world):
    if world.rank == 1:
        os._exit(9)
    dist.all_reduce(torch.zeros(1))


def test_a_rank_that_is_gone_is_noticed():
    first, second = outcomes(2, _dies)
    assert second == ("dead", 9)
    assert first[0] not in ("ok", "dead")


_SCRIPT = """
import torch, torch.distributed as dist
from kangaroo_eval.errors import RunFailed
from kangaroo_eval.train import parallel
from kangaroo_eval.train.batch import IGNORED

def work():
    world = parallel.start("cpu", minutes=5)
    if world.rank == 1:
        raise RunFailed("rank 1: the disk is full, make room")
    dist.all_reduce(torch.zeros(1))

parallel.reported(work)
"""


@pytest.mark.slow
def test_torchrun_ends_all_ranks_and_names_the_cause(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    started = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode != 0
    assert "RunFailed: rank 1: the disk is full, make room" in done.stderr
    assert time.monotonic() - started < 100
