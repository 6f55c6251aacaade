"""A whole stage on two processes ends with the weights of one: sharded, copied, and cut into a pipeline."""

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
from safetensors.torch import load_file
from train_ranks import outcomes, ranks

from kangaroo_eval.registry import load_model
from kangaroo_eval.train import curriculum, grow, logs
from kangaroo_eval.train.checkpoint import Checkpoints
from kangaroo_eval.train.curriculum import run_stage
from kangaroo_eval.train.mixture import Mixture, Weighted
from kangaroo_eval.train.packing import PackStats
from kangaroo_eval.train.recipe import Phase
from kangaroo_eval.train.recipes import SMOKE
from kangaroo_eval.train.settings import Settings

SETTINGS = Settings(workers=0, log_every=1, steps=4, any_order=True, device="cpu")


def _run(world, recipe, name, out, settings, source):
    return run_stage(recipe, name, out, settings, source)


def _struck(world, recipe, name, out, settings, source):
    """Both ranks stop before step 3; what the folder then holds."""
    original = curriculum.Loop._step

    def step(self, packs):
        if self.tally.step == 2:
            raise InterruptedError
        return original(self, packs)

    curriculum.Loop._step = step
    try:
        run_stage(recipe, name, out, settings, source)
    except InterruptedError:
        return Checkpoints(out / "checkpoints").latest()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Weights that all begin with."""
    out = tmp_path_factory.mktemp("source")
    return run_stage(SMOKE, "words", out, replace(SETTINGS, steps=1))


def compare(found, expected, tolerance):
    """Every weight and every logged loss; the log of the first is written once."""
    ours, theirs = (load_file(each / "model.safetensors") for each in (found, expected))
    assert ours.keys() == theirs.keys()
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < tolerance
    lines, wanted = (logs.read(each.parent / "metrics.jsonl") for each in (found, expected))
    assert [line["step"] for line in lines] == [line["step"] for line in wanted]
    for line, other in zip(lines, wanted, strict=True):
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert line["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
    assert load_model(f"kangaroo:{found}").network.config.provenance["stages"][-1]["steps"] == 4


# In one, the LLM is frozen and documents stand side by side; in the other, everything trains on packs.
@pytest.mark.parametrize("name", ["video", "instruction"])
def test_two_ranks_end_with_the_weights_of_one(tmp_path, source, name):
    expected = run_stage(SMOKE, name, tmp_path / "one", SETTINGS, source)
    found = ranks(2, _run, SMOKE, name, tmp_path / "two", SETTINGS, source, timeout=120)
    assert found == [tmp_path / "two" / "model"] * 2
    compare(found[0], expected, 1e-4)


@pytest.mark.parametrize("name", ["words", "sight"])
def test_a_warm_up_has_the_same_batches_on_any_number_of_ranks(tmp_path, source, name):
    # A change of lessons in the middle of what would be a step of two ranks.
    phases = (Phase(0.3, {"pictures": 1}), Phase(1.0, {"clips": 1}))
    warmups = tuple(replace(each, phases=phases) if each.kind == "words" else each for each in SMOKE.warmups)
    recipe = replace(SMOKE, warmups=warmups)
    expected = run_stage(recipe, name, tmp_path / "one", SETTINGS, source)
    found = ranks(2, _run, recipe, name, tmp_path / "two", SETTINGS, source, timeout=120)
    # Muon makes its updates in bf16, which turns the last bits of a sum over ranks into some of the fourth digit.
    compare(found[0], expected, 1e-3 if name == "words" else 1e-4)


def test_a_pipeline_ends_with_the_weights_of_one_process(tmp_path, source):
    """Stopped in the middle, too: a section reads its part of the checkpoint."""
    expected = run_stage(SMOKE, "instruction", tmp_path / "one", SETTINGS, source)
    settings = replace(SETTINGS, pipeline=2, save_seconds=0.0)
    out = tmp_path / "two"
    assert ranks(2, _struck, SMOKE, "instruction", out, settings, source, timeout=120) == [2, 2]
    found = ranks(2, _run, SMOKE, "instruction", out, settings, source, timeout=120)
    compare(found[0], expected, 1e-5)
    told, other = (json.loads((each.parent / "stage.json").read_text()) for each in (found[0], expected))
    assert told["asked"] == other["asked"] and told["from"] == other["from"]
    assert grow.stages_of(grow.read(found[0]).network.config) == ["words", "instruction"]


class _Rows:
    name = identity = "rows"

    def __len__(self):
        return 60


class _Planned:
    """Data of 60 rows, of which rank 0 has packs of 2 documents and rank 1 of 4."""

    def __init__(self, rank):
        self.mixture = Mixture(sources=(Weighted(_Rows()),))
        documents = 20 + 20 * rank
        self.stats = lambda: PackStats(packs=10, documents=documents, ratio=documents / 10, wasted=0.0)


def _one_pass(world):
    return curriculum._one_pass(_Planned(world.rank), SMOKE.plan("instruction").stage)


def test_one_pass_has_as_many_steps_on_all_ranks():
    """Each rank plans packs of its own: 3 documents in the mean, and 2 packs a step."""
    assert ranks(2, _one_pass) == [10, 10]


def _three(world, out, source):
    return run_stage(SMOKE, "video", out, SETTINGS, source)


def test_a_batch_that_does_not_divide_is_refused(tmp_path, source):
    found = outcomes(3, _three, tmp_path, source)
    assert all(kind == "UserError" for kind, *_ in found)
    assert all(
        "a batch of 4 is not a whole number of micro-batches of 2 on each of 3 ranks" in each[1]
        for each in found
    )


def test_nor_one_of_a_warm_up(tmp_path, source):
    found = outcomes(3, _run, SMOKE, "words", tmp_path, SETTINGS, source)
    assert all("a batch of 4 lessons does not divide by 3 ranks" in each[1] for each in found)


def _not_finite(world, out, source):
    """On rank 1 only, in step 3."""
    original = curriculum.Loop._backward

    def backward(self, packs, count):
        total = original(self, packs, count)
        return float("nan") if world.rank == 1 and self.tally.step == 2 else total

    curriculum.Loop._backward = backward
    return run_stage(SMOKE, "video", out, replace(SETTINGS, save_seconds=0.0), source)


def test_a_loss_that_is_no_number_on_one_rank_stops_all(tmp_path, source):
    found = outcomes(2, _not_finite, tmp_path, source)
    assert [kind for kind, *_ in found] == ["RunFailed"] * 2
    assert "step 3: loss nan" in found[1][1]
    folder = tmp_path / "checkpoints"
    assert {path.name for path in folder.glob("bad-batch*")} == {
        "bad-batch-step3-rank0.pt",
        "bad-batch-step3-rank1.pt",
    }
    assert Checkpoints(folder).latest() == 2


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_others_and_the_run_goes_on(tmp_path, source):
    """torchrun over the command line; rank 1 is killed after two steps."""
    script = tmp_path / "dies.py"
    script.write_text(
        "import os, signal, sys\n"
        "from kangaroo_eval.cli.train import main\n"
        "from kangaroo_eval.train import loop\n"
        "step = loop.Loop._step\n"
        "def dies(self, packs):\n"
        "    if self.tally.step == 2 and os.environ['RANK'] == '1' and not os.path.exists('died'):\n"
        "        open('died', 'w').close()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return step(self, packs)\n"
        "loop.Loop._step = dies\n"
        "sys.exit(main())\n"
    )
    flags = (
        f"video --recipe smoke --from {source} --any-order --steps 4 --workers 0 --log-every 1 --device cpu"
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
    ]
    command += [*flags.split(), "--save-minutes", "0", "--out", str(tmp_path / "two")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = time.monotonic()

    def start():
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False
        )

    assert start().returncode != 0
    assert time.monotonic() - started < 100
    assert not (tmp_path / "two" / "stage.json").exists()
    again = start()
    assert again.returncode == 0, again.stderr
    assert again.stdout == f"{tmp_path / 'two' / 'model'}\n"
    expected = run_stage(SMOKE, "video", tmp_path / "one", SETTINGS, source)
    compare(tmp_path / "two" / "model", expected, 1e-4)
    assert torch.isfinite(load_file(expected / "model.safetensors")["visual_tokens"]).all()
