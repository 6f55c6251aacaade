"""A series of checkpoints: which folders are ones, in which order, one run each, and one table over all."""

from __future__ import annotations

import json
import os
import shutil
import weakref
from importlib import resources
from pathlib import Path

import pytest
from conftest import videomme_rows, write_videomme

from kangaroo_eval import series
from kangaroo_eval.cli import main
from kangaroo_eval.errors import UserError
from kangaroo_eval.plan import RunConfig
from kangaroo_eval.report.series import table

TINY = Path(str(resources.files("kangaroo_eval.model"))) / "assets/kangaroo-tiny"


def checkpoint(folder: Path, weights: str = "model.safetensors") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / weights).write_bytes(b"")
    return folder


def test_checkpoints_come_in_the_order_of_training(tmp_path):
    for name in ("step_10", "step_9", "step_100", "last"):
        checkpoint(tmp_path / name)
    (tmp_path / "step_11.txt").write_text("")
    assert [path.name for path in series.checkpoints(f"{tmp_path}/step_*")] == [
        "step_9",
        "step_10",
        "step_100",
    ]
    assert series.checkpoints(f"{tmp_path}/*")[0].name == "last"


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such folder; quote the pattern"):
        series.checkpoints(f"{tmp_path}/step_*")
    for parent in ("a", "b"):
        checkpoint(tmp_path / parent / "model")
    with pytest.raises(UserError, match="several are called 'model'"):
        series.checkpoints(f"{tmp_path}/*/model")
    (checkpoint(tmp_path / "step_1") / "model.safetensors").unlink()
    with pytest.raises(UserError, match="step_1 is no whole checkpoint"):
        series.checkpoints(f"{tmp_path}/step_*")
    # Beside a whole one it costs that nothing: its own evaluation tells what it lacks.
    checkpoint(tmp_path / "step_2")
    assert [path.name for path in series.checkpoints(f"{tmp_path}/step_*")] == ["step_1", "step_2"]


def test_a_checkpoint_is_whole_when_all_its_shards_are_there(tmp_path):
    folder = checkpoint(tmp_path / "step_1", "model-00001-of-00002.safetensors")
    index = {"weight_map": {f"w{i}": f"model-0000{i}-of-00002.safetensors" for i in (1, 2)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert not series.is_whole(folder)
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"")
    assert series.is_whole(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"w1"')
    assert not series.is_whole(folder), "an index that is being written"


def test_checkpoints_are_seen_when_they_are_whole_and_once(tmp_path):
    shutil.copytree(TINY, tmp_path / "step_2")
    (tmp_path / "step_1").mkdir()
    known, waited = set(), []

    def pause(seconds):
        waited.append(seconds)
        if len(waited) == 2:
            shutil.rmtree(tmp_path / "step_1")
            shutil.copytree(TINY, tmp_path / "step_1")

    found = series.appearing(tmp_path, "step_*", known, every=5, pause=pause)
    seen = []
    for _ in range(3):
        batch = next(found)
        known.update(batch)
        seen.append([path.name for path in batch])
    assert seen == [["step_2"], [], ["step_1"]] and waited == [5, 5]


def test_what_is_being_written_is_waited_for(tmp_path):
    """`save_pretrained` writes the configuration, then shard by shard, then the index; each grows from nothing."""
    folder = checkpoint(tmp_path / "step_1", "model-00001-of-00002.safetensors")
    whole = (TINY / "model.safetensors").read_bytes()
    (folder / "model-00001-of-00002.safetensors").write_bytes(whole)
    assert series.is_whole(folder) and not series.is_ready(folder), "no index yet"
    (folder / "model-00002-of-00002.safetensors").write_bytes(whole[:-9])
    index = {"weight_map": {f"w{i}": f"model-0000{i}-of-00002.safetensors" for i in (1, 2)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert not series.is_ready(folder), "a shard that is cut short"
    assert next(series.appearing(tmp_path, "step_*", set(), every=5, pause=lambda seconds: None)) == []
    for file in folder.iterdir():
        os.utime(file, (0, 0))
    assert series.is_ready(folder), "its run says what it lacks"
    (folder / "model-00002-of-00002.safetensors").write_bytes(whole)
    assert series.is_ready(folder)


@pytest.fixture
def trained(tmp_path):
    """Two checkpoints of the bundled model, and a broken one between them."""
    for name in ("step_1", "step_20"):
        shutil.copytree(TINY, tmp_path / "out" / name)
    checkpoint(tmp_path / "out/step_3")
    write_videomme(tmp_path / "data", videomme_rows(2, 1))
    return tmp_path


def asked(trained, *more):
    where = ["--data-root", str(trained / "data"), "--output", str(trained / "runs"), "--workers", "0"]
    return ["--tasks", "videomme", "--frames", "4", *where, *more]


def test_a_broken_checkpoint_does_not_cost_the_others(trained, capsys):
    code = main(["run", *asked(trained, "--checkpoints", f"{trained}/out/step_*", "--json")])
    out, err = capsys.readouterr()
    told = json.loads(out.splitlines()[-1])
    assert code == told["exit"] == 1 and "step_3" in err
    assert list(told["checkpoints"]) == ["step_1", "step_20"] and list(told["failed"]) == ["step_3"]
    assert (trained / "runs/step_1/results.json").exists() and (trained / "runs/step_20/report.md").exists()
    lines = (trained / "runs/series.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines if "step_" in line] == ["step_1", "step_20"]
    shutil.rmtree(trained / "out/step_3")
    # What is done is not done again: the answers' files stay as they are.
    before = (trained / "runs/step_1/videomme.answers.jsonl").stat().st_mtime_ns
    assert main(["watch", str(trained / "out"), *asked(trained, "--last", "step_20", "--every", "0.1")]) == 0
    assert (trained / "runs/step_1/videomme.answers.jsonl").stat().st_mtime_ns == before
    out = capsys.readouterr().out
    assert out.count("step_20") >= 2 and "Scores over checkpoints" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--model", "hf:x", "--checkpoints", "{}/out/step_*"],
            "give the kind alone, such as kangaroo or hf",
        ),
        (["--checkpoints", "{}/nothing_*"], "no such folder"),
    ],
)
def test_mistakes_are_one_line(words, message, trained, capsys):
    assert main(["run", *asked(trained), *(word.format(trained) for word in words)]) == 1
    assert message in capsys.readouterr().err


def test_who_watches_for_what_will_never_be_a_checkpoint_is_told(tmp_path, capsys):
    """What `kangaroo-train` keeps to go on from looks like checkpoints and is none."""
    (tmp_path / "out/step-00000010/state").mkdir(parents=True)
    words = ["watch", str(tmp_path / "out"), "--pattern", "step-*", "--once", "--tasks", "videomme"]
    # Nothing evaluated is no success of a job that was to evaluate once.
    assert main([*words, "--output", str(tmp_path / "runs")]) == 1
    assert "nothing to evaluate in" in (said := capsys.readouterr().err)
    assert "no checkpoint step-*; step-00000010 lack a config.json or weights" in said
    own = checkpoint(tmp_path / "one")
    assert main(["watch", str(own), "--once", "--tasks", "videomme", "--output", str(tmp_path / "runs")]) == 1
    assert f"it is a checkpoint itself: give the folder above it, {tmp_path}" in capsys.readouterr().err


def test_what_is_wrong_with_every_checkpoint_is_told_before_the_first(trained, capsys):
    watch = ["watch", str(trained / "out")]
    assert main([*watch, "--tasks", "videome", "--every", "0.1"]) == 1
    assert "unknown task 'videome'" in capsys.readouterr().err
    for flag in (["--dry-run"], ["--checkpoints", "x"]):
        assert main([*watch, *asked(trained, *flag)]) == 1
        assert f"watch takes no {flag[0]}" in capsys.readouterr().err
    assert not (trained / "runs").exists()


def test_the_best_of_each_column_is_marked_and_gaps_are_dashes():
    def run(value):
        estimate = {"value": value, "stderr": 0.01, "n": 10, "unreadable": 0}
        entry = {"label": "mine", "scale": 1, "coverage": 1.0, "official": estimate, "careful": estimate}
        return {"tasks": {"mine": entry}}

    made = table(
        [
            ("step_1", run(0.5)),
            ("step_2", run(0.75)),
            ("step_3", {"tasks": {"other": run(0.1)["tasks"]["mine"]}}),
        ]
    )
    assert [getattr(row[1], "mark", None) for row in made.rows] == [None, "bold", None]
    assert made.rows[2][1] == "-" and made.rows[0][-1] == "100.0 %"


def test_a_checkpoint_that_failed_leaves_no_model_behind(trained, monkeypatch):
    """An error that is kept keeps what its calls held: with each diverged checkpoint, the weights of one more model."""
    kept = []

    class Model:
        pass

    def run(config, progress=None):
        model = Model()
        kept.append(weakref.ref(model))
        raise UserError(f"{model and config.model}: not a number")

    monkeypatch.setattr(series, "run", run)
    given = series.Series(trained / "runs")
    folders = [trained / "out/step_1", trained / "out/step_20"]
    config = RunConfig(tasks=("videomme",), model="x", frames=4)
    assert list(series.evaluate(given, folders, config, "kangaroo")) == folders
    assert [reference() for reference in kept] == [None, None]
    assert all("not a number" in str(error) and error.exit_code == 1 for error in given.failed.values())
