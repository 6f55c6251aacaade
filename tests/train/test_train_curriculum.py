"""The whole curriculum on a handful of lessons: what moves, what stays, what a second call does, and what a kill costs."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from safetensors.torch import load_file

from kangaroo_eval import doctor
from kangaroo_eval.cli.train import main
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.model.modeling import part_of
from kangaroo_eval.registry import load_model
from kangaroo_eval.train import curriculum, grow, logs, parallel
from kangaroo_eval.train.checkpoint import Checkpoints
from kangaroo_eval.train.curriculum import run_stage
from kangaroo_eval.train.recipes import SMOKE
from kangaroo_eval.train.settings import Settings
from kangaroo_eval.train.stages import NAMES

ORDER = ("words", "sight", *NAMES)
QUICK = Settings(workers=0, log_every=1, steps=4, any_order=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """`kangaroo-train all --recipe smoke`: its folder and how long it took."""
    out = tmp_path_factory.mktemp("whole")
    started = time.monotonic()
    command = ["all", "--recipe", "smoke", "--out", str(out), "--workers", "0", "--log-every", "1"]
    assert main(command) == 0
    return out, time.monotonic() - started


def weights(folder):
    return load_file(folder / "model.safetensors")


def config(out, stage):
    return json.loads((out / stage / "model" / "config.json").read_text())


def record(out):
    return json.loads((out / "stage.json").read_text())


def same(left, right):
    left, right = weights(left), weights(right)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


@pytest.mark.slow
def test_all_stages_run_in_three_minutes(whole):
    assert whole[1] < 180


@pytest.mark.slow
@pytest.mark.parametrize("stage", ORDER)
def test_the_loss_falls_in_every_stage(whole, stage):
    lines = logs.read(whole[0] / stage / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.05
    assert lines[-1]["loss"] == min(line["loss"] for line in lines[: len(lines) // 2] + lines[-1:])


@pytest.mark.slow
def test_frozen_parts_stay_to_the_bit_and_all_others_move(whole):
    out, _ = whole
    trains = {"words": {"llm", "visual_tokens"}, "sight": {"vision"}}
    trains |= {plan.name: set(plan.stage.trains) for plan in SMOKE.stages}
    for before, stage in itertools.pairwise(ORDER):
        start, end = weights(out / before / "model"), weights(out / stage / "model")
        moved = {part_of(name) for name in start if not torch.equal(start[name], end.get(name, start[name]))}
        resampled = {"vision"} if stage == "refinement" else set()
        new = {part_of(name) for name in end.keys() - start.keys()}
        assert moved | new == trains[stage] | resampled, stage
        frozen = [name for name in start if part_of(name) not in trains[stage]]
        assert all(torch.equal(start[name], end[name]) for name in frozen)
        assert new == ({"patchify"} if stage == "refinement" else set())


@pytest.mark.slow
def test_the_network_grows_at_refinement(whole):
    out, _ = whole
    shapes = {}
    for stage in NAMES:
        told, tensors = config(out, stage), weights(out / stage / "model")
        table = next(value for name, value in tensors.items() if "position_embedding" in name)
        shapes[stage] = (told["frame_size"], told["patchify"], table.shape[-2])
    assert shapes["image"] == shapes["video"] == (32, False, 17)
    assert shapes["refinement"] == shapes["instruction"] == shapes["long"] == (64, True, 65)


@pytest.mark.slow
def test_the_result_is_a_kangaroo_that_tells_its_stages(whole):
    out, _ = whole
    model = load_model(f"kangaroo:{out / 'long' / 'model'}")
    stages = model.network.config.provenance["stages"]
    assert [each["stage"] for each in stages] == list(ORDER)
    steps = [each.steps for each in (*SMOKE.warmups, *SMOKE.stages)]
    assert [each["steps"] for each in stages] == steps
    assert all(each["data"] and each["date"] for each in stages)


@pytest.mark.slow
def test_each_stage_says_which_weights_it_went_on_from(whole):
    told = [record(whole[0] / stage) for stage in ORDER]
    assert [each["from"] for each in told[1:]] == [each["weights"] for each in told[:-1]]
    assert len({each["weights"] for each in told}) == len(ORDER)


@pytest.mark.slow
def test_the_same_command_again_does_nothing(whole, monkeypatch, capsys):
    out, _ = whole
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    monkeypatch.setattr(grow, "read", None)
    monkeypatch.setattr(grow, "begin", None)
    command = ["all", "--recipe", "smoke", "--out", str(out), "--workers", "0", "--log-every", "1"]
    assert main(command) == 0
    assert capsys.readouterr().out == f"{out / 'long' / 'model'}\n"
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Stage image, done, and another network that could stand before it."""
    out = tmp_path_factory.mktemp("done")
    run_stage(SMOKE, "words", out / "words", replace(QUICK, steps=1))
    run_stage(SMOKE, "words", out / "other", replace(QUICK, steps=2))
    run_stage(SMOKE, "image", out / "image", QUICK, out / "words" / "model")
    return out


def _another(**changes):
    plans = [
        replace(plan, stage=replace(plan.stage, **changes)) if plan.name == "image" else plan
        for plan in SMOKE.stages
    ]
    return replace(SMOKE, stages=tuple(plans))


@pytest.mark.parametrize(
    ("recipe", "changes", "said"),
    [
        (SMOKE, {"steps": 5}, "steps: 4 there, 5 now"),
        (SMOKE, {"steps": None}, "steps: 4 there, the recipe's now"),
        (SMOKE, {"seed": 1}, "seed: 0 there, 1 now"),
        (_another(lr=1e-3), {}, "settings.stage.lr: 0.005 there, 0.001 now"),
        (replace(SMOKE, name="mine"), {}, "recipe: smoke there, mine now"),
        (replace(SMOKE, dtype="bfloat16"), {}, "dtype: float32 there, bfloat16 now"),
    ],
)
def test_a_stage_that_is_done_is_not_taken_for_another(done, recipe, changes, said):
    with pytest.raises(UserError, match=r"is done, but was asked something else") as found:
        run_stage(recipe, "image", done / "image", replace(QUICK, **changes), done / "words" / "model")
    assert said in str(found.value)


def test_nor_one_with_other_data_or_from_other_weights(done, tmp_path):
    manifest = tmp_path / "mine.jsonl"
    manifest.write_text("{}\n")
    source = done / "words" / "model"
    with pytest.raises(UserError, match=r"data: made lessons there, .*mine\.jsonl.* now"):
        run_stage(SMOKE, "image", done / "image", replace(QUICK, data=((manifest, 1.0),)), source)
    with pytest.raises(UserError, match="from: other weights there than those in"):
        run_stage(SMOKE, "image", done / "image", QUICK, done / "other" / "model")
    with pytest.raises(UserError, match="stage: image there, video now"):
        run_stage(SMOKE, "video", done / "image", QUICK, source)


def test_a_stage_that_is_done_is_of_the_weights_that_it_began_with(done, tmp_path):
    """Also where these are no stage's result, and where components are named."""
    for name in ("one", "two"):
        shutil.copytree(done / ("words" if name == "one" else "other") / "model", tmp_path / name)
    settings = replace(QUICK, any_order=True)
    made = run_stage(SMOKE, "image", tmp_path / "image", settings, tmp_path / "one")
    assert run_stage(SMOKE, "image", tmp_path / "image", settings, tmp_path / "one") == made
    with pytest.raises(UserError, match=r"is done, but was asked something else .*weights: "):
        run_stage(SMOKE, "image", tmp_path / "image", settings, tmp_path / "two")
    # A folder of an earlier version does not tell, and stays what it is.
    found = run_stage(SMOKE, "words", done / "words", replace(QUICK, steps=1, components={"llm": "x"}))
    assert found == done / "words" / "model"


def test_what_does_not_change_the_result_may_change(done):
    changes = {"keep": 1, "log_every": 2, "save_seconds": 0.0, "workers": 1, "checkpoint_activations": True}
    found = run_stage(SMOKE, "image", done / "image", replace(QUICK, **changes), done / "words" / "model")
    assert found == done / "image" / "model"


def test_a_result_that_was_removed_is_made_again(done, tmp_path):
    source = done / "words" / "model"
    model = run_stage(SMOKE, "image", tmp_path, QUICK, source)
    shutil.rmtree(model)
    same(run_stage(SMOKE, "image", tmp_path, QUICK, source), done / "image" / "model")
    assert [line["step"] for line in logs.read(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4]


@pytest.mark.parametrize("text", ["", "[]", '{"asked": {}}', "null"])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / "stage.json").write_text(text)
    with pytest.raises(UserError, match=r"stage\.json is damaged"):
        run_stage(SMOKE, "image", tmp_path, QUICK)


class Struck(Exception):
    """What ends a run in the middle."""


def _struck_at(monkeypatch, step):
    """The run ends before its step `step` + 1."""
    original = curriculum.Loop._step

    def step_(self, packs):
        if self.tally.step == step:
            raise Struck
        return original(self, packs)

    monkeypatch.setattr(curriculum.Loop, "_step", step_)


def _counted(monkeypatch, steps):
    """Note each step that is run."""
    original = curriculum.Loop._step

    def step_(self, packs):
        steps.append(self.tally.step)
        return original(self, packs)

    monkeypatch.setattr(curriculum.Loop, "_step", step_)


# Two warm-ups, a stage without packs, and one with: each stops before its first checkpoint, and after it.
@pytest.mark.parametrize("stopped", [0, 2])
@pytest.mark.parametrize("name", ["words", "sight", "video", "instruction"])
def test_a_stage_that_was_stopped_ends_with_the_same_weights(done, tmp_path, monkeypatch, name, stopped):
    settings, source = replace(QUICK, save_seconds=0.0), done / "words" / "model"
    expected = run_stage(SMOKE, name, tmp_path / "straight", settings, source)
    with monkeypatch.context() as patch, pytest.raises(Struck):
        _struck_at(patch, stopped)
        run_stage(SMOKE, name, tmp_path / "stopped", settings, source)
    # Whatever random numbers the next process begins with.
    torch.manual_seed(12345)
    log = tmp_path / "stopped" / "metrics.jsonl"
    assert [line["step"] for line in logs.read(log)] == list(range(1, stopped + 1))
    # A half line, as a kill leaves it, and a step that was logged and not saved.
    with log.open("a") as file:
        file.write(json.dumps({"step": stopped + 1, "loss": -1.0}) + '\n{"step": 9')
    steps = []
    with monkeypatch.context() as patch:
        _counted(patch, steps)
        found = run_stage(SMOKE, name, tmp_path / "stopped", settings, source)
    # It went on, and did not begin anew.
    assert steps == list(range(stopped, 4))
    same(found, expected)
    ours, theirs = (logs.read(tmp_path / each / "metrics.jsonl") for each in ("stopped", "straight"))
    assert [line["step"] for line in ours] == [1, 2, 3, 4]
    assert [line["loss"] for line in ours] == [line["loss"] for line in theirs]
    first, second = (record(tmp_path / each) for each in ("stopped", "straight"))
    assert first["weights"] == second["weights"] and first["tokens"] == second["tokens"]


def test_a_kill_between_the_last_step_and_the_result_costs_nothing(done, tmp_path, monkeypatch):
    source = done / "words" / "model"

    def full(self, folder):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(RunFailed, match="No space"):
        patch.setattr(grow.Learner, "save", full)
        run_stage(SMOKE, "image", tmp_path, QUICK, source)
    assert not (tmp_path / "stage.json").exists()
    same(run_stage(SMOKE, "image", tmp_path, QUICK, source), done / "image" / "model")
    assert len(logs.read(tmp_path / "metrics.jsonl")) == QUICK.steps


@pytest.mark.parametrize(
    ("recipe", "changes", "said"),
    [
        (SMOKE, {"steps": 6}, "steps: 4 there, 6 now"),
        (SMOKE, {"seed": 1}, "seed: 0 there, 1 now"),
        (_another(lr=1e-3), {}, "settings.stage.lr: 0.005 there, 0.001 now"),
        (replace(SMOKE, lessons=5), {}, "data: "),
        (replace(SMOKE, name="mine"), {}, 'recipe: "smoke" there, "mine" now'),
    ],
)
def test_a_resume_with_something_else_is_refused(stopped, recipe, changes, said):
    out, source = stopped
    with pytest.raises(UserError, match="made by another recipe") as found:
        run_stage(recipe, "image", out, replace(QUICK, **changes), source)
    assert said in str(found.value)


def test_a_resume_from_other_weights_is_refused(stopped, done):
    with pytest.raises(UserError, match=r"made by another recipe .*from: "):
        run_stage(SMOKE, "image", stopped[0], QUICK, done / "other" / "model")


@pytest.fixture(scope="module")
def stopped(done, tmp_path_factory):
    """A stage with a checkpoint of step 2 of 4, and what it started from."""
    out, source = tmp_path_factory.mktemp("stopped"), done / "words" / "model"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Struck):
        _struck_at(patch, 2)
        run_stage(SMOKE, "image", out, replace(QUICK, save_seconds=0.0), source)
    assert Checkpoints(out / "checkpoints").latest() == 2
    return out, source


def test_a_warm_up_goes_before_all_stages_and_fits_the_recipe(done, tmp_path):
    strict = replace(QUICK, any_order=False)
    with pytest.raises(UserError, match="its last stage is image, and a warm-up starts from weights before"):
        run_stage(SMOKE, "sight", tmp_path, strict, done / "image" / "model")
    wider = replace(SMOKE, model="kangaroo_tiny")
    with pytest.raises(UserError, match="not a model of recipe smoke: "):
        run_stage(SMOKE, "words", tmp_path / "b", QUICK, run_stage(wider, "words", tmp_path / "a", ONE))


ONE = replace(QUICK, steps=1)


def test_one_pass_over_the_data_is_the_default_of_the_paper(done, tmp_path):
    rows = [
        {
            "id": str(number),
            "messages": [
                {"role": "user", "content": f"What is {number}?"},
                {"role": "assistant", "content": "a number"},
            ],
        }
        for number in range(10)
    ]
    manifest = tmp_path / "mine.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    endless = [replace(plan, steps=None) for plan in SMOKE.stages]
    recipe = replace(SMOKE, stages=tuple(endless))
    settings = replace(QUICK, steps=None, data=((manifest, 1.0),))
    run_stage(recipe, "image", tmp_path / "image", settings, done / "words" / "model")
    # 10 rows in batches of 4.
    assert record(tmp_path / "image")["step"] == 3
    run_stage(recipe, "instruction", tmp_path / "instruction", settings, done / "words" / "model")
    told = record(tmp_path / "instruction")
    assert told["step"] == 1 and told["documents"] >= 10


def test_one_pass_sees_every_row_of_every_manifest():
    from kangaroo_eval.train.curriculum import _one_pass
    from kangaroo_eval.train.mixture import Mixture, Weighted

    class Rows:
        identity = "x"

        def __init__(self, name, count):
            self.name, self.count = name, count

        def __len__(self):
            return self.count

    class Data:
        mixture = Mixture(sources=(Weighted(Rows("big", 5000)), Weighted(Rows("small", 200))))

    stage = next(plan.stage for plan in SMOKE.stages if not plan.stage.packing)
    draws = _one_pass(Data(), stage) * stage.batch
    mixture = Data.mixture
    seen = {draw.row for draw in (mixture.draw(0, i) for i in range(draws)) if draw.source == 0}
    assert len(seen) == 5000


def test_settings_that_make_no_sense_are_refused():
    for name, value in {
        "steps": 0,
        "workers": -1,
        "pipeline": 0,
        "log_every": 0,
        "save_seconds": -1.0,
        "keep": 0,
        "evaluate_every": -1,
        "device": "tpu",
    }.items():
        with pytest.raises(UserError, match=f"{name} {value!r}: "):
            Settings(**{name: value})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="device 'cuda': torch sees no GPU"):
        run_stage(SMOKE, "image", tmp_path, replace(QUICK, device="cuda"))


def test_a_pipeline_needs_packs(tmp_path):
    with pytest.raises(UserError, match="a pipeline needs packs"):
        run_stage(SMOKE, "video", tmp_path, replace(QUICK, pipeline=2))


def test_an_evaluation_needs_the_whole_network_in_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "start", lambda device: parallel.World(ranks=2))
    with pytest.raises(UserError, match="2 processes share the network, and an evaluation needs all of it"):
        run_stage(SMOKE, "video", tmp_path, replace(QUICK, score=lambda *_: 0.0, evaluate_every=1))


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_weights(done, tmp_path):
    """kill -9 in the middle of a stage, at whatever it is doing."""
    source = done / "words" / "model"
    flags = f"video --recipe smoke --from {source} --any-order --steps 40 --workers 0 --log-every 1".split()
    command = [sys.executable, "-m", "kangaroo_eval.cli.train", *flags, "--save-minutes", "0", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, str(tmp_path / "killed")], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    log = tmp_path / "killed" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while len(logs.read(log)) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "killed" / "stage.json").exists()
    assert Checkpoints(tmp_path / "killed" / "checkpoints").latest() in range(4, 40)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for out in ("killed", "straight"):
            minutes = ["--save-minutes", "0" if out == "killed" else "5"]
            assert main([*flags, *minutes, "--out", str(tmp_path / out)]) == 0
    finally:
        torch.set_num_threads(threads)
    same(tmp_path / "killed" / "model", tmp_path / "straight" / "model")
    ours, theirs = (logs.read(tmp_path / out / "metrics.jsonl") for out in ("killed", "straight"))
    assert [line["step"] for line in ours] == list(range(1, 41))
    assert [line["loss"] for line in ours] == [line["loss"] for line in theirs]


@pytest.mark.slow
def test_a_finished_training_is_bundled(whole, tmp_path, capsys):
    """bf16 weights that the harness reads, with the card, the recipe and the log of every stage."""
    out, _ = whole
    scores = {"careful": {"value": 0.5, "n": 36}, "data": "mini"}
    told = {"run": {"frames": 8}, "tasks": {"videomme": scores}}
    (tmp_path / "results.json").write_text(json.dumps(told))
    command = ["bundle", "--recipe", "smoke", "--from", str(out), "--out", str(tmp_path / "b")]
    assert main([*command, "--results", str(tmp_path / "results.json")]) == 0
    small, large = (
        load_file(folder / "model.safetensors") for folder in (tmp_path / "b", out / "long/model")
    )
    assert all(
        each.dtype == torch.bfloat16 and torch.equal(each, large[name].to(torch.bfloat16))
        for name, each in small.items()
    )
    assert json.loads((tmp_path / "b/recipe.json").read_text()) == SMOKE.as_json()
    lines = [json.loads(line) for line in (tmp_path / "b/training_log.jsonl").read_text().splitlines()]
    stages = ["words", "sight", "image", "video", "refinement", "instruction", "long"]
    assert list(dict.fromkeys(line["stage"] for line in lines)) == stages
    assert lines[-1]["step"] == 12 and lines[-1]["loss"] > 0
    card = (tmp_path / "b/README.md").read_text()
    assert "| videomme | 0.5 | 36 | 8 | mini |" in card
    assert doctor.weights(tmp_path / "b").state == "ok", "with sums that the doctor finds right"
    capsys.readouterr()
    assert main(["bundle", "--recipe", "smoke", "--from", str(tmp_path), "--out", str(tmp_path / "c")]) == 1
    assert "words, sight, image" in capsys.readouterr().err
    # The card would tell of a recipe that was not run.
    assert (
        main(["bundle", "--recipe", "kangaroo-tiny", "--from", str(out), "--out", str(tmp_path / "c")]) == 1
    )
    assert "is not what the recipe asks for (" in capsys.readouterr().err
