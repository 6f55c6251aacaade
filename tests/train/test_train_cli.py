"""`kangaroo-train` as a user meets it: tables, one line for each mistake, and evaluations on the way."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from safetensors.torch import load_file
from torch.distributed.checkpoint import filesystem

from kangaroo_eval.cli.train import main, make_parser
from kangaroo_eval.train import logs, loop
from kangaroo_eval.train.checkpoint import Checkpoints
from kangaroo_eval.train.recipes import RECIPES
from kangaroo_eval.train.stages import STAGES


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Weights that stage image starts from."""
    out = tmp_path_factory.mktemp("words")
    assert train("words", "--out", str(out), "--steps", "1") == 0
    return out / "model"


@pytest.fixture(scope="module")
def image(words, tmp_path_factory):
    """The result of stage image."""
    out = tmp_path_factory.mktemp("image")
    assert train("image", "--from", str(words), "--out", str(out), "--steps", "2") == 0
    return out / "model"


def train(*flags):
    """The exit code of `kangaroo-train FLAGS` with the small recipe."""
    given = [*flags, "--workers", "0", "--log-every", "1"]
    if "--recipe" not in flags:
        given += ["--recipe", "smoke"]
    try:
        return main(given)
    except SystemExit as error:
        return error.code


def told(capsys):
    """The one line that says what is wrong."""
    lines = [line for line in capsys.readouterr().err.splitlines() if not re.search(r"step \d+ of", line)]
    assert len(lines) == 1, lines
    return lines[0]


def manifest(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def text(name, answer="yes", question="Is it?"):
    return {
        "id": name,
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
    }


def cells(line):
    """The values of a row, whose name is whatever stands before the first gap of two spaces."""
    return [part for part in line.split("  ") if part.strip()][1:]


def test_show_prints_table_ii(capsys):
    assert train("show", "--recipe", "paper-8b") == 0
    shown = capsys.readouterr().out
    rows = {line[:20].strip(): [each.strip() for each in cells(line)] for line in shown.splitlines()}
    wanted = {
        "ViT init": "EVA02-CLIP-L-14 image video refinement instruction",
        "LLM init": "Llama3-8B-Instruct " * 4 + "instruction",
        "projector init": "random image video refinement instruction",
        "patchify init": "- - uniform refinement instruction",
        "resolution": "224 224 448 448 448",
        "ViT sequence": "256 256 1024 1024 1024",
        "LLM sequence": "512 2560 2560 10K 22K",
        "frames, at most": "1 8 16 64 160",
        "warm-up steps": "1000 1000 0 0 0",
        "global batch": "4096 128 128 128 128",
        "pipeline parallel": "1 1 1 4 4",
        "sequence packing": "no no no yes yes",
        "initial LR": "1e-4 3e-5 3e-5 1e-5 1e-5",
        "minimum LR": "1e-6 " * 5,
        "gradient clip": "1.0 " * 5,
        "weight decay (AdamW)": "0.05 " * 5,
        "layer decay (ViT)": "0.9 " * 5,
        "ViT drop path": "0 " * 5,
        "precision": "bfloat16 " * 5,
    }
    for name, values in wanted.items():
        assert rows[name] == values.split(), name
    assert rows["trains"][2] == "vision, patchify, projector, visual_tokens"
    assert rows["steps"] == ["one pass"] * 5


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_shown(capsys, name):
    assert train("show", "--recipe", name) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{name}: ")
    assert all(stage.name in shown for stage in STAGES)
    assert all(f"stage 0, ours: {each.kind}" in shown for each in RECIPES[name].warmups)


def test_help_names_every_flag_and_imports_no_torch():
    code = "import sys; from kangaroo_eval.cli.train import main\ntry: main(['--help'])\n"
    code += "except SystemExit as e: print('torch' in sys.modules, e.code)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "False 0"
    for action in make_parser()._actions:
        assert all(flag in done.stdout for flag in action.option_strings)
    assert all(word in done.stdout for word in ("show", "all", "words", "sight", "refinement", "torchrun"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["image"], "needs --out DIR"),
        (["images", "--out", "x"], "invalid choice: 'images'"),
        (["image", "--out", "x", "--stpes", "3"], "Did you mean --steps?"),
        (["image", "--out", "x", "--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["image", "--out", "x", "--recipe", "paper-80b"], "no recipe 'paper-80b': choose among paper-8b"),
        (["words", "--out", "x", "--recipe", "kangaroo-135m"], "no stage 'words'"),
        (
            ["image", "--out", "x", "--data", "a.jsonl=lots"],
            "--data 'a.jsonl=lots': give FILE or FILE=WEIGHT",
        ),
        (["words", "--out", "x", "--data", "a.jsonl"], "has lessons of its own"),
        (["all", "--out", "x", "--from", "y"], "`all` starts from the start"),
        (["image", "--out", "x", "--steps", "0"], "steps 0: give 1 or more"),
        (["image", "--out", "x", "--workers", "-1"], "workers -1: give 0 or more"),
        (["image", "--out", "x", "--pipeline", "0"], "pipeline 0: give 1 or more"),
        (["image", "--out", "x", "--pipeline", "2"], "a pipeline needs packs"),
        (["instruction", "--any-order", "--out", "x", "--pipeline", "2"], "not whole pipelines of 2"),
        (["image", "--out", "x", "--device", "tpu"], "device 'tpu': choose cpu or cuda"),
        (["image", "--out", "x", "--log", "paper"], "--log paper: choose among tensorboard, wandb"),
        (["image", "--out", "x", "--attention", "flex", "--device", "cpu"], "no backward pass on cpu"),
        (["video", "--out", "x", "--time-embedding", "clock"], "choose among seconds, index, none"),
        (["video", "--out", "x", "--frames", "7"], "must each be 1 or an even number"),
        (["image", "--out", "x", "--vision", "y"], "starts from nothing: leave --vision out"),
        (
            ["image", "--out", "x", "--recipe", "paper-8b"],
            "give --vision PATH_OR_HUB_ID --llm PATH_OR_HUB_ID",
        ),
        (["image", "--out", "x", "--eval-every", "1", "--eval-tasks", "vidoemme"], "videomme"),
        (["image", "--out", "x", "--eval-every", "1", "--eval-limit", "0"], "give 1 or more"),
        (["video", "--out", "x"], "its last stage is none, and video starts from the result of stage image"),
        (["image", "--out", "x", "--from", "nowhere"], "nowhere"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_1(flags, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = flags if "--workers" in flags else [*flags, "--workers", "0"]
    given = given if "--recipe" in flags else [*given, "--recipe", "smoke"]
    try:
        code = main(given)
    except SystemExit as error:
        code = error.code
    line = told(capsys)
    assert said in line and code == 1
    assert not (tmp_path / "x" / "stage.json").exists()


def test_weights_of_another_stage_are_refused(image, words, tmp_path, capsys):
    assert train("refinement", "--from", str(image), "--out", str(tmp_path)) == 1
    assert "its last stage is image, and refinement starts from the result of stage video" in told(capsys)
    assert train("image", "--from", str(image), "--out", str(tmp_path)) == 1
    assert "and image starts from weights before any stage" in told(capsys)
    assert train("video", "--from", str(words), "--out", str(tmp_path), "--steps", "1", "--any-order") == 0


def test_ablations_are_part_of_what_a_stage_was_asked(image, tmp_path, capsys):
    flags = ["video", "--from", str(image), "--out", str(tmp_path), "--steps", "1"]
    assert train(*flags, "--time-embedding", "index", "--frames", "6") == 0
    assert json.loads((tmp_path / "model" / "config.json").read_text())["time_embedding"] == "index"
    capsys.readouterr()
    assert train(*flags) == 1
    line = told(capsys)
    assert "time_embedding" in line and "budget" in line


def test_weights_of_another_shape_are_refused(image, tmp_path, capsys):
    flags = ["video", "--recipe", "kangaroo-tiny", "--from", str(image), "--out", str(tmp_path)]
    assert train(*flags) == 1
    assert "not a model of recipe kangaroo-tiny: vision_config.hidden_size 32 (recipe:" in told(capsys)


def test_what_is_no_checkpoint_is_refused(image, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert train("video", "--from", str(tmp_path / "empty"), "--out", str(tmp_path / "out")) == 1
    assert str(tmp_path / "empty") in told(capsys)
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in image.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    with (broken / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    assert train("video", "--from", str(broken), "--out", str(tmp_path / "out")) == 1
    assert "model.safetensors" in told(capsys)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**text("b"), "video": "gone.mp4"}, "row 1 (id 'b'): no file"),
        ({"id": "b", "messages": [{"role": "bot", "content": "x"}]}, "'bot'"),
        (text("b", answer=" "), "message 1, from 'assistant', is empty"),
        ({**text("b"), "vidoe": "x.mp4"}, "unknown fields 'vidoe'"),
        (text("a"), "another row has the same id"),
    ],
)
def test_a_bad_row_is_one_line_and_exit_code_6(row, said, words, tmp_path, capsys):
    data = manifest(tmp_path / "mine.jsonl", text("a"), row)
    flags = [
        "image",
        "--from",
        str(words),
        "--out",
        str(tmp_path / "out"),
        "--data",
        str(data),
        "--steps",
        "1",
    ]
    assert train(*flags) == 6
    line = told(capsys)
    assert said in line and "mine.jsonl: 1 of 2 rows" in line
    assert train(*flags, "--on-bad", "skip") == 0
    err = capsys.readouterr().err
    assert said in err and "left out" in err


def test_a_manifest_that_is_not_there_is_exit_code_6(words, tmp_path, capsys):
    flags = ["--from", str(words), "--out", str(tmp_path / "out"), "--data", str(tmp_path / "no.jsonl")]
    assert train("image", *flags) == 6
    assert "no.jsonl" in told(capsys)


def test_a_sample_longer_than_the_sequence(words, tmp_path, capsys):
    data = manifest(tmp_path / "mine.jsonl", text("a"), text("b", question="why? " * 2000))
    flags = ["image", "--from", str(words), "--data", str(data), "--steps", "3"]
    assert train(*flags, "--out", str(tmp_path / "fail")) == 1
    assert "mine:b: " in (line := told(capsys)) and "tokens and 0 frames are more than 512 tokens" in line
    assert train(*flags, "--out", str(tmp_path / "skip"), "--on-bad", "skip") == 0
    err = capsys.readouterr().err
    assert "training goes on without mine:b" in err and "more than 512 tokens" in err
    assert len(logs.read(tmp_path / "skip" / "metrics.jsonl")) == 3


def test_a_video_that_does_not_decode(words, tmp_path, capsys):
    (tmp_path / "noise.mp4").write_bytes(os.urandom(4000))
    bad = {**text("b"), "video": "noise.mp4", "duration": 8.0}
    data = manifest(tmp_path / "mine.jsonl", text("a"), bad)
    flags = ["video", "--any-order", "--from", str(words), "--data", str(data), "--steps", "2"]
    assert train(*flags, "--out", str(tmp_path / "fail")) == 6
    assert "mine:b: " in told(capsys)
    assert train(*flags, "--out", str(tmp_path / "skip"), "--on-bad", "skip") == 0
    assert "training goes on without mine:b" in capsys.readouterr().err


@pytest.fixture
def half(words, tmp_path, monkeypatch):
    """The flags of a stage that has a checkpoint of step 2 of 4, and its checkpoints."""
    out = tmp_path / "half"
    flags = ["image", "--from", str(words), "--out", str(out), "--steps", "4", "--save-minutes", "0"]
    with monkeypatch.context() as patch:
        original = loop.Loop._step

        def step(self, packs):
            if self.tally.step == 2:
                raise OSError(errno.EIO, "the plug was pulled")
            return original(self, packs)

        patch.setattr(loop.Loop, "_step", step)
        assert train(*flags) == 2
    return flags, Checkpoints(out / "checkpoints")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--steps", "5"], "steps: 4 there, 5 now"),
        (["--seed", "7"], "seed: 0 there, 7 now"),
        (["--data", "DATA"], "data: "),
    ],
)
def test_a_resume_with_other_flags_names_them(half, more, said, tmp_path, capsys):
    flags, _ = half
    capsys.readouterr()
    data = manifest(tmp_path / "mine.jsonl", text("a"))
    assert train(*flags, *[str(data) if each == "DATA" else each for each in more]) == 1
    line = told(capsys)
    assert "made by another recipe" in line and said in line


def test_and_so_does_a_stage_that_is_done(half, capsys):
    flags, _ = half
    assert train(*flags) == 0
    capsys.readouterr()
    assert train(*flags, "--steps", "9") == 1
    assert "is done, but was asked something else (steps: 4 there, 9 now)" in told(capsys)


def test_a_full_disk_leaves_the_checkpoint_before(half, words, tmp_path, monkeypatch, capsys):
    flags, checkpoints = half

    def full(self, plan, planner):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(filesystem.FileSystemWriter, "write_data", full)
        assert train(*flags) == 2
    assert "No space left on device" in told(capsys)
    assert checkpoints.latest() == 2 and not list(checkpoints.folder.glob("*.part"))
    assert train(*flags) == 0
    assert [line["step"] for line in logs.read(tmp_path / "half" / "metrics.jsonl")] == [1, 2, 3, 4]
    straight = [*flags[:3], "--out", str(tmp_path / "straight"), *flags[5:]]
    assert train(*straight) == 0
    ours, theirs = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("half", "straight")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_loss_that_is_no_number_stops_and_leaves_the_batch(half, monkeypatch, capsys):
    flags, checkpoints = half
    before = {path: path.stat().st_mtime_ns for path in checkpoints.folder.rglob("*") if path.is_file()}
    original = loop.Loop._backward
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_backward", lambda *given: original(*given) * float("nan"))
        assert train(*flags) == 2
    line = told(capsys)
    assert "step 3: loss nan" in line and "bad-batch-step3-rank0.pt" in line
    left = torch.load(checkpoints.folder / "bad-batch-step3-rank0.pt", weights_only=False)
    assert [name for pack in left["packs"] for name in pack.names] and left["loss"] != left["loss"]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert checkpoints.latest() == 2
    assert train(*flags) == 0


def test_an_interrupt_says_what_is_kept(words, tmp_path, monkeypatch, capsys):
    def interrupted(self, packs):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Loop, "_step", interrupted)
    assert train("image", "--from", str(words), "--out", str(tmp_path), "--steps", "2") == 130
    assert "kangaroo-train: interrupted. The last checkpoint is kept" in told(capsys)


def test_the_harness_scores_a_stage_while_it_trains(words, tmp_path, monkeypatch, capsys):
    """The best checkpoint stays where newer ones push the others out; training ends as without the evaluations."""
    monkeypatch.setenv("KANGAROO_EVAL_CACHE", str(tmp_path / "cache"))
    flags = ["video", "--any-order", "--from", str(words), "--steps", "3", "--keep", "1"]
    scoring = ["--eval-every", "1", "--eval-limit", "2", "--eval-frames", "4"]
    out = tmp_path / "out"
    assert train(*flags, *scoring, "--out", str(out)) == 0
    assert capsys.readouterr().out == f"{out / 'model'}\n"
    scores = {line["step"]: line["score"] for line in logs.read(out / "metrics.jsonl") if "score" in line}
    assert sorted(scores) == [1, 2, 3] and all(0 <= each <= 100 for each in scores.values())
    for step in scores:
        run = json.loads((out / "eval" / f"step-{step:08d}" / "run.json").read_text())
        assert run
    best = max(scores, key=lambda step: (scores[step], -step))
    checkpoints = Checkpoints(out / "checkpoints")
    assert checkpoints.best() == best and checkpoints.latest() == 3
    kept = {path.name for path in checkpoints.folder.glob("step-*")}
    assert kept == {f"step-{step:08d}" for step in {best, 3}}
    assert train(*flags, "--out", str(tmp_path / "plain")) == 0
    ours, theirs = (load_file(each / "model" / "model.safetensors") for each in (out, tmp_path / "plain"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_scores_choose_the_best_checkpoint(words, tmp_path):
    """With scores that are known: the second of four is the best, and stays."""
    from kangaroo_eval.train.curriculum import run_stage
    from kangaroo_eval.train.settings import Settings

    seen = []

    def score(learner, step, folder):
        assert not learner.network.training and folder == tmp_path
        seen.append(step)
        return {1: 10.0, 2: 30.0, 3: 20.0, 4: 25.0}[step]

    settings = Settings(workers=0, log_every=1, steps=4, keep=1, evaluate_every=1, score=score)
    run_stage(RECIPES["smoke"], "image", tmp_path, settings, words)
    assert seen == [1, 2, 3, 4]
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert (checkpoints.best(), checkpoints.latest()) == (2, 4)
    assert {path.name for path in checkpoints.folder.glob("step-*")} == {"step-00000002", "step-00000004"}
