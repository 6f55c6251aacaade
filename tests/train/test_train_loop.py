"""The loop by itself, on a network of one weight: what a step is, when it logs, saves and scores, and how it stops."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from torch import nn

from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.train.checkpoint import Checkpoints
from kangaroo_eval.train.loop import Loop, Plan, Tally
from kangaroo_eval.train.optim import Schedule
from kangaroo_eval.train.parallel import World


@dataclass(frozen=True)
class Batch:
    """So many targets at one value."""

    number: int
    value: float
    labelled: int = 2
    tokens: int = 5

    @property
    def names(self):
        return (f"batch/{self.number}",)

    def to(self, device):
        return self


class Square(nn.Module):
    """The summed squared distance of a weight from the batch's value."""

    def __init__(self, weight=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight]))

    def forward(self, batch):
        return (self.weight - batch.value).square().sum() * batch.labelled


class Lines:
    """A writer that keeps what it is told."""

    def __init__(self):
        self.told = []

    def write(self, step, values):
        self.told.append((step, dict(values)))

    def close(self):
        pass


def loop(folder, steps=6, values=(3.0,), **changes):
    objective = changes.pop("objective", None) or Square()
    batches = changes.pop(
        "batches",
        lambda start: (Batch(number, values[number % len(values)]) for number in itertools.count(start)),
    )
    plan = {
        "steps": steps,
        "schedule": Schedule(peak=0.1, steps=steps, minimum=0.01),
        "clip": 100.0,
        "log_every": 2,
    }
    plan |= {key: changes.pop(key) for key in list(changes) if key in Plan.__slots__}
    optimizer = torch.optim.SGD([{"params": list(objective.parameters()), "scale": 0.5}], lr=0.0)
    return Loop(
        objective=objective,
        optimizer=optimizer,
        batches=batches,
        plan=Plan(**plan),
        world=World(),
        checkpoints=Checkpoints(folder, keep=changes.pop("keep", 2)),
        recipe={"seed": 1},
        writers=changes.pop("writers", ()),
        **changes,
    )


def test_a_step_is_the_mean_over_all_targets_of_all_its_batches(tmp_path):
    """Two batches with 1 and 3 targets: the gradient at 0 is -2 (1 x 4 + 3 x 8) / 4."""
    made = [Batch(0, 4.0, labelled=1), Batch(1, 8.0, labelled=3)]
    lines = Lines()
    run = loop(tmp_path, 1, batches=lambda start: iter(made), accumulate=2, log_every=1, writers=[lines])
    run.run()
    assert run.objective.weight.item() == pytest.approx(0.05 * 2 * (4 + 24) / 4)
    (step, told), *_ = lines.told
    assert step == 1 and told["loss"] == pytest.approx((16 + 3 * 64) / 4)
    assert told["grad_norm"] == pytest.approx(14.0)
    assert (run.tally.documents, run.tally.tokens, run.tally.labelled) == (2, 10, 4)


def test_a_long_gradient_is_clipped_and_told_as_it_was(tmp_path):
    lines = Lines()
    run = loop(tmp_path, 1, values=(8.0,), clip=1.0, log_every=1, writers=[lines])
    run.run()
    assert run.objective.weight.item() == pytest.approx(0.05 * 1.0, rel=1e-5)
    assert lines.told[0][1]["grad_norm"] == pytest.approx(16.0)


def test_the_rate_follows_the_schedule_by_the_groups_own_scale(tmp_path):
    rates, run = [], loop(tmp_path, 4)
    step = run.optimizer.step
    run.optimizer.step = lambda: (rates.append(run.optimizer.param_groups[0]["lr"]), step())
    run.run()
    assert rates == pytest.approx([0.5 * run.plan.schedule.rate(number) for number in range(4)])


def test_a_line_is_the_mean_since_the_last_and_the_end_has_one(tmp_path):
    lines = Lines()
    run = loop(tmp_path, 5, writers=[lines], flops=lambda packs: 3e9 * len(packs), peak=1e12)
    run.run()
    assert [step for step, _ in lines.told] == [2, 4, 5]
    weight, losses = 0.0, []
    for number in range(5):
        losses.append((weight - 3) ** 2)
        weight -= 0.5 * run.plan.schedule.rate(number) * 2 * (weight - 3)
    told = [values["loss"] for _, values in lines.told]
    assert told == pytest.approx([sum(losses[:2]) / 2, sum(losses[2:4]) / 2, losses[4]], rel=1e-5)
    for _, values in lines.told:
        assert values["mfu"] == pytest.approx(values["tflops"])
        assert values["tokens_per_second"] == pytest.approx(5 * values["documents_per_second"], rel=1e-2)
        assert values["memory_gb"] > 0.01


def test_batches_are_asked_for_from_where_the_run_stands(tmp_path):
    asked = []

    def batches(start):
        asked.append(start)
        return (Batch(number, 3.0) for number in itertools.count(start))

    loop(tmp_path, 4, batches=batches, accumulate=3).run()
    again = loop(tmp_path, 6, batches=batches, accumulate=3)
    assert again.resume() == 4
    again.run()
    assert asked == [0, 12] and again.tally.documents == 18


def test_nothing_is_run_that_is_done(tmp_path):
    loop(tmp_path, 3).run()
    again = loop(tmp_path, 3, batches=lambda start: pytest.fail("asked for batches"))
    assert again.resume() == 3 and again.run().step == 3


def test_without_a_checkpoint_it_starts_at_the_beginning(tmp_path):
    assert loop(tmp_path).resume() == 0


def saved(folder):
    return sorted(int(path.name.removeprefix("step-")) for path in folder.glob("step-*"))


@pytest.mark.parametrize(
    ("seconds", "keep", "found"), [(0.0, 9, [1, 2, 3, 4, 5, 6]), (0.0, 2, [5, 6]), (1e9, 9, [6])]
)
def test_a_checkpoint_is_made_when_it_is_due_and_at_the_end(tmp_path, seconds, keep, found):
    loop(tmp_path, save_seconds=seconds, keep=keep).run()
    assert saved(tmp_path) == found


def test_the_score_is_asked_for_in_time_logged_and_kept(tmp_path):
    lines, modes = Lines(), []
    scores = {2: 5.0, 4: 9.0, 5: 7.0}
    run = loop(tmp_path, 5, writers=[lines], evaluate_every=2, keep=1, evaluate=lambda step: scores[step])
    evaluate = run.evaluate
    run.evaluate = lambda step: (modes.append(run.objective.training), evaluate(step))[1]
    run.objective.train()
    run.run()
    assert [(step, told["score"]) for step, told in lines.told if "score" in told] == list(scores.items())
    assert modes == [False] * 3 and run.objective.training
    assert (run.checkpoints.best(), run.checkpoints.latest()) == (4, 5) and saved(tmp_path) == [4, 5]


def test_an_evaluation_that_fails_leaves_training_mode(tmp_path):
    def fails(step):
        raise RunFailed("no score")

    run = loop(tmp_path, evaluate_every=1, evaluate=fails)
    run.objective.train()
    with pytest.raises(RunFailed, match="no score"):
        run.run()
    assert run.objective.training


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_never_reaches_the_weights(tmp_path, bad):
    """Also in the first step, when there is no checkpoint yet."""
    for step in (1, 4):
        folder = tmp_path / str(step)
        values = [3.0] * (step - 1) + [bad] + [3.0] * 6
        run = loop(folder, values=values, save_seconds=0.0)
        with pytest.raises(
            RunFailed, match=rf"step {step}: loss (nan|inf), .*\(batch/{step - 1}\) is in .*\.pt"
        ):
            run.run()
        assert math.isfinite(run.objective.weight.item()) and run.tally.step == step - 1
        left = torch.load(folder / f"bad-batch-step{step}-rank0.pt", weights_only=False)
        assert left["packs"] == [Batch(step - 1, bad)] or left["packs"][0].number == step - 1
        assert run.checkpoints.latest() == (step - 1 or None)


def test_a_gradient_that_is_no_number_stops_too(tmp_path):
    run = loop(tmp_path)
    run.objective.weight.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(RunFailed, match=r"step 1: loss 9\.0, gradient norm nan"):
        run.run()
    assert run.objective.weight.item() == 0


def test_it_stops_also_where_the_batch_cannot_be_kept(tmp_path, monkeypatch):
    def full(*given):
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunFailed, match=r"loss nan, .* cannot be kept: PytorchStreamWriter failed"):
        loop(tmp_path, values=(math.nan,)).run()


def test_a_batch_without_targets_is_named(tmp_path):
    made = [Batch(number, 1.0, labelled=0) for number in range(7)]
    run = loop(tmp_path, batches=lambda start: iter(made), accumulate=7)
    with pytest.raises(
        RunFailed, match=r"step 1: no target in batch/0, .*, batch/4 and 2 more; nothing to learn"
    ):
        run.run()


def test_one_batch_without_targets_beside_others_counts_nothing(tmp_path):
    made = [Batch(0, 100.0, labelled=0), Batch(1, 2.0)]
    run = loop(tmp_path, 1, batches=lambda start: iter(made), accumulate=2)
    run.run()
    assert run.objective.weight.item() == pytest.approx(0.05 * 2 * 2)


def test_the_last_state_and_the_tally_come_back(tmp_path):
    whole = loop(tmp_path / "whole", 6, values=(1.0, 5.0))
    whole.run()
    half = loop(tmp_path / "half", 3, values=(1.0, 5.0))
    half.plan = replace(half.plan, schedule=whole.plan.schedule)
    half.run()
    again = loop(tmp_path / "half", 6, values=(1.0, 5.0), objective=Square(17.0))
    assert again.resume() == 3
    again.run()
    assert again.objective.weight.item() == whole.objective.weight.item()
    counted = ("step", "documents", "tokens", "labelled")
    assert all(getattr(again.tally, name) == getattr(whole.tally, name) for name in counted)
    assert again.tally.seconds > half.tally.seconds


def test_a_plan_of_nothing_is_refused():
    schedule = Schedule(peak=1.0, steps=1)
    for name in ("steps", "accumulate", "log_every"):
        with pytest.raises(UserError, match=f"{name} 0: give 1 or more"):
            Plan(**{"steps": 1, "schedule": schedule, name: 0})


def test_the_tally_is_plain_values():
    assert Tally(**Tally(step=3, seconds=0.5).as_json()) == Tally(step=3, seconds=0.5)
