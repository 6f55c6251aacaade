"""Resuming gives the same bits, and no failure while saving costs what was saved before."""

from __future__ import annotations

import errno
import json
import logging
import os
import random
from contextlib import contextmanager

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import numpy as np
import torch
from torch.distributed.checkpoint import filesystem
from train_ranks import adamw, objective, outcomes, packs, ranks, step, values

from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.train import checkpoint, parallel
from kangaroo_eval.train.checkpoint import Checkpoints

RECIPE = {"seed": 3, "lr": 0.01, "stage": {"name": "image", "frames": [1, 8]}}
FROZEN = ("patchify",)


class Run:
    """A loop that draws its batches from all three sources of random numbers."""

    def __init__(self, folder, frozen=FROZEN, seed=0, **options):
        self.objective = objective(frozen, seed)
        self.optimizer = adamw(self.objective)
        self.checkpoints = Checkpoints(folder, **options)
        self.step = 0

    def train(self, steps, frames=(0, 1, 4)):
        for _ in range(steps):
            seed = int(torch.randint(1000, ())) + random.randrange(1000) + int(np.random.randint(1000))
            batch = packs(seed, frames[seed % len(frames)], frames[0])
            step(self.objective, self.optimizer, batch, sum(pack.labelled for pack in batch))
            self.step += 1
            for group in self.optimizer.param_groups:
                group["lr"] *= 0.9
        return self

    def save(self, score=None, recipe=RECIPE):
        progress = {"step": self.step, "seconds": 0.1 + 0.2}
        return self.checkpoints.save(
            self.step, self.objective, self.optimizer, progress, recipe=recipe, score=score
        )

    def load(self, recipe=RECIPE, step=None):
        progress = self.checkpoints.load(self.objective, self.optimizer, recipe=recipe, step=step)
        self.step = progress["step"]
        return progress

    def state(self):
        """All there is: weights, the optimizer's tensors and options."""
        state = self.optimizer.state_dict()
        tensors = {
            f"{number}.{key}": value for number, each in state["state"].items() for key, value in each.items()
        }
        return {**values(self.objective), **tensors}, state["param_groups"]


def same(left, right):
    (tensors, groups), (others, other_groups) = left.state(), right.state()
    assert tensors.keys() == others.keys() and groups == other_groups
    for name, value in tensors.items():
        assert torch.equal(value, others[name]), name


def seeded(seed=11):
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


@pytest.fixture
def run(tmp_path):
    """A run of one step with a checkpoint of it."""
    run = Run(tmp_path / "run").train(1)
    run.save()
    return run


def test_resuming_is_bit_exact(tmp_path):
    whole = Run(tmp_path / "whole")
    seeded()
    whole.train(6)
    half = Run(tmp_path / "half")
    seeded()
    half.train(3).save()
    seeded(99)
    again = Run(tmp_path / "half", seed=5)
    again.train(1)
    # Gradients that still lie there, as after an evaluation, must not matter.
    again.objective(packs(0, 2)[0]).backward()
    assert again.load() == {"step": 3, "seconds": 0.1 + 0.2}
    same(again, half)
    again.train(3)
    same(again, whole)


def _resumed(world, folder):
    run = Run(folder, seed=7)
    run.load()
    return run.train(3).state()


def test_another_process_goes_on_the_same(tmp_path):
    run = Run(tmp_path / "run")
    seeded()
    run.train(2).save()
    run.train(3)
    [(tensors, groups)] = ranks(1, _resumed, tmp_path / "run")
    expected, expected_groups = run.state()
    assert groups == expected_groups
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


@pytest.mark.parametrize("steps", [0, 2])
def test_parameters_without_a_gradient_yet_have_no_state_after_it_either(tmp_path, steps):
    """Before the first video, and before the first step at all."""
    whole, half = Run(tmp_path / "whole"), Run(tmp_path / "half")
    seeded()
    whole.train(steps, frames=(0,)).train(2)
    seeded()
    half.train(steps, frames=(0,)).save()
    assert len(half.optimizer.state) < len([p for g in half.optimizer.param_groups for p in g["params"]])
    again = Run(tmp_path / "half", seed=5).train(1)
    again.load()
    same(again, half)
    same(again.train(2), whole)


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    run = Run(tmp_path / "run", keep=2)
    assert run.checkpoints.latest() is None and run.checkpoints.best() is None
    for score in (0.2, 0.5, float("nan"), 0.5, None):
        run.step += 1
        run.save(score)
    assert sorted(os.listdir(tmp_path / "run")) == [
        "best",
        "latest",
        "step-00000002",
        "step-00000004",
        "step-00000005",
    ]
    assert (tmp_path / "run/latest").read_text() == "step-00000005\n"
    assert (run.checkpoints.latest(), run.checkpoints.best()) == (5, 2)


def test_going_back_keeps_the_new_branch(tmp_path):
    run = Run(tmp_path / "run", keep=2)
    for _ in range(2):
        run.train(2).save()
    run.load(step=2)
    assert run.step == 2
    run.train(1).save()
    run.train(1).save()
    assert run.checkpoints.latest() == 4
    same(run, loaded(run))
    assert sorted(path.name for path in run.checkpoints.folder.glob("step-*")) == [
        "step-00000003",
        "step-00000004",
    ]


def loaded(run, **options):
    other = Run(run.checkpoints.folder, seed=9)
    other.load(**options)
    return other


def test_another_recipe_is_refused_by_the_names_of_what_differs(run):
    other = {"seed": 3, "lr": 0.02, "stage": {"name": "image", "frames": [1, 16]}, "clip": 1.0}
    with pytest.raises(UserError) as error:
        run.load(recipe=other)
    text = str(error.value)
    assert "lr: 0.01 there, 0.02 now" in text and "clip: absent there, 1.0 now" in text
    assert "stage.frames: [1, 8] there, [1, 16] now" in text and "\n" not in text
    assert "seed" not in text and "stage.name" not in text
    run.load(recipe={**RECIPE, "stage": {"name": "image", "frames": (1, 8)}})


@pytest.mark.parametrize("damage", ["pointer", "absent", "torn", "manifest"])
def test_a_damaged_latest_falls_back_to_the_newest_whole_one(run, damage, caplog):
    before = loaded(run)
    run.train(1).save()
    folder = run.checkpoints.folder
    newest = folder / "step-00000002"
    if damage == "pointer":
        (folder / "latest").write_bytes(b"step-0000\xff")
    elif damage == "absent":
        newest.rename(folder / "elsewhere")
    elif damage == "torn":
        data = max(newest.glob("state/*.distcp"))
        os.truncate(data, data.stat().st_size // 2)
    else:
        (newest / "manifest.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert run.checkpoints.latest() == (2 if damage == "pointer" else 1)
    assert "absent or damaged" in caplog.text
    if damage != "pointer":
        same(loaded(run), before)
        run.train(0).save()
        assert run.checkpoints.latest() == 2


def test_an_empty_or_unknown_one_is_a_users_error(tmp_path, run):
    with pytest.raises(UserError, match="holds no whole checkpoint; there are: none"):
        Run(tmp_path / "other").load()
    with pytest.raises(UserError, match="no whole checkpoint of step 7; there are: 1"):
        run.load(step=7)
    with pytest.raises(UserError, match="keep 0"):
        Checkpoints(tmp_path, keep=0)


def _killed(world, folder, where):
    run = Run(folder).train(2)

    def die(*_):
        os._exit(9)

    if where == "tensors":
        checkpoint.write_tensors = lambda path, state: (path.mkdir(), (path / "x").write_text("half"), die())
    elif where == "rename":
        checkpoint.os.rename = die
    else:
        Checkpoints._point = die
    run.save()


@pytest.mark.parametrize("where", ["tensors", "rename", "pointer"])
def test_a_kill_while_saving_leaves_the_one_before(run, where):
    assert outcomes(1, _killed, run.checkpoints.folder, where) == [("dead", 9)]
    folder = run.checkpoints.folder
    assert (folder / "step-00000002.part").exists() == (where != "pointer")
    assert run.checkpoints.latest() == 1
    same(loaded(run), run)
    run.train(1).save()
    assert run.checkpoints.latest() == 2 and not list(folder.glob("*.part"))
    same(loaded(run), run)


@contextmanager
def full_disk(after):
    """Tensor files take so many bytes and then no more."""
    original = filesystem.FileSystem.create_stream

    class Full:
        def __init__(self, file):
            self.file, self.left = file, after

        def write(self, data):
            self.left -= len(data)
            if self.left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data)

        def __getattr__(self, name):
            return getattr(self.file, name)

    @contextmanager
    def create_stream(self, path, mode):
        with original(self, path, mode) as file:
            yield Full(file) if "w" in mode else file

    filesystem.FileSystem.create_stream = create_stream
    try:
        yield
    finally:
        filesystem.FileSystem.create_stream = original


def _refusal(run):
    with pytest.raises(RunFailed) as error:
        run.save()
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    return str(error.value)


def test_a_full_disk_leaves_the_one_before(run):
    folder = run.checkpoints.folder
    listed = sorted(os.listdir(folder))
    before = loaded(run)
    run.train(1)
    with full_disk(20_000):
        assert "No space left on device" in _refusal(run)
    assert sorted(os.listdir(folder)) == listed and run.checkpoints.latest() == 1
    same(loaded(run), before)
    run.save()
    assert run.checkpoints.latest() == 2


@pytest.mark.parametrize(
    "name", ["rng-0.json", "optimizer.json", "manifest.json", "latest.part", "best.part"]
)
def test_a_full_disk_at_any_later_file(run, name, monkeypatch):
    write = checkpoint._write

    def writes(path, text):
        if path.name == name:
            path.write_text(text[:5])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, text)

    before = loaded(run)
    run.step += 1
    monkeypatch.setattr(checkpoint, "_write", writes)
    with pytest.raises(RunFailed, match="No space left on device"):
        run.save(score=1.0)
    monkeypatch.undo()
    assert not list(run.checkpoints.folder.glob("*.part"))
    assert run.checkpoints.latest() == (2 if name == "best.part" else 1)
    same(loaded(run, step=1), before)


def test_an_interrupt_while_saving_stays_an_interrupt(run, monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(filesystem, "_write_files_from_queue", interrupted)
    run.step += 1
    with pytest.raises(KeyboardInterrupt):
        run.save()
    assert run.checkpoints.latest() == 1 and not list(run.checkpoints.folder.glob("*.part"))


def _full_on_one(world, folder):
    run = Run(folder)
    parallel.shard(run.objective, parallel.grid(world).data)
    run.optimizer = adamw(run.objective)
    run.step = 1
    run.save()
    run.step = 2
    if world.rank == 1:
        with full_disk(5_000):
            first = _refusal(run)
        checkpoint._write = lambda path, text: (_ for _ in ()).throw(OSError(errno.EDQUOT, "Quota exceeded"))
    else:
        first = _refusal(run)
    second = _refusal(run)
    return first, second, run.checkpoints.latest(), sorted(os.listdir(folder))


def test_a_full_disk_on_one_rank_is_told_by_all(tmp_path):
    for first, second, latest, listed in ranks(2, _full_on_one, tmp_path / "run"):
        assert "No space left on device" in first and "Quota exceeded" in second
        assert latest == 1 and listed == ["latest", "step-00000001"]


def _two(world, folder, seed):
    """One step on two ranks from a checkpoint, or from nothing, and a checkpoint of it."""
    run = Run(folder, frozen=("vision",), seed=seed)
    parallel.shard(run.objective, parallel.grid(world).data)
    run.optimizer = adamw(run.objective)
    if run.checkpoints.latest() is not None:
        run.load()
    batch = packs(run.step, 4, 2)
    step(run.objective, run.optimizer, [batch[world.rank]], sum(pack.labelled for pack in batch))
    run.step += 1
    run.save()
    return values(run.objective)


def _one(folder, seed):
    run = Run(folder, frozen=("vision",), seed=seed)
    parallel.shard(run.objective, None)
    if run.checkpoints.latest() is not None:
        run.load()
    batch = packs(run.step, 4, 2)
    step(run.objective, run.optimizer, batch, sum(pack.labelled for pack in batch))
    run.step += 1
    run.save()
    return values(run.objective)


def test_ranks_may_change_from_one_checkpoint_to_the_next(tmp_path, caplog):
    """1, 1, 1, 1 ranks; 2, 1, 2, 2 ranks."""
    for _ in range(4):
        expected = _one(tmp_path / "plain", 0)
    ranks(2, _two, tmp_path / "run", 0)
    with caplog.at_level(logging.WARNING):
        _one(tmp_path / "run", 1)
    assert "was saved by 2 ranks, not 1" in caplog.text
    ranks(2, _two, tmp_path / "run", 2)
    found = ranks(2, _two, tmp_path / "run", 3)[0]
    assert max(float((found[name] - expected[name]).abs().max()) for name in expected) < 1e-5


def test_what_does_not_fit_is_named(run, tmp_path):
    with pytest.raises(RunFailed, match=r"only one of them has network\.patchify"):
        other = Run(run.checkpoints.folder, frozen=())
        other.load()
    with pytest.raises(UserError, match=r"only one of them has network\.patchify"):
        run.checkpoints.load_weights(objective(patchify=False))
    narrow = objective()
    narrow.network.visual_tokens = torch.nn.Parameter(torch.zeros(4, 24))
    with pytest.raises(RunFailed, match=r"checkpoint .*step-00000001: .*visual_tokens"):
        run.checkpoints.load_weights(narrow)
    before = values(run.objective)
    fresh = objective(seed=4)
    assert run.checkpoints.load_weights(fresh) == 1
    assert all(torch.equal(before[name], value) for name, value in values(fresh).items())


def test_the_files_are_json_but_for_the_tensors(run):
    folder = run.checkpoints.folder / "step-00000001"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {
        "optimizer.json",
        "progress.json",
        "recipe.json",
        "rng-0.json",
        "state/.metadata",
        "state/__0_0.distcp",
    }
    assert json.loads((folder / "recipe.json").read_text()) == RECIPE
