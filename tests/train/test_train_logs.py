"""What a stage logs: whole lines only, none twice, and other packages where they are asked for."""

from __future__ import annotations

import json
import logging
import sys
import types

import pytest

from kangaroo_eval.errors import UserError
from kangaroo_eval.train import logs
from kangaroo_eval.train.logs import JsonLines, read, writers


def write(path, *steps):
    writer = JsonLines(path)
    for step in steps:
        writer.write(step, {"loss": float(step)})
    writer.close()


def test_a_line_is_on_disk_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "new" / "metrics.jsonl"
    writer = JsonLines(path)
    writer.write(1, {"loss": 2.5, "mfu": None})
    assert read(path) == [{"step": 1, "loss": 2.5, "mfu": None}]
    assert path.read_text().endswith("\n")
    writer.close()


def test_a_resumed_run_drops_the_steps_that_come_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, 10, 20, 30)
    writer = JsonLines(path, resumed_at=20)
    writer.write(30, {"loss": 0.5})
    writer.close()
    assert [(line["step"], line["loss"]) for line in read(path)] == [(10, 10.0), (20, 20.0), (30, 0.5)]


def test_a_run_that_starts_anew_starts_an_empty_log(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, 10, 20)
    write(path, 1)
    assert [line["step"] for line in read(path)] == [1]


@pytest.mark.parametrize(
    "rest", ['{"step": 3', "3", "null", "[]", '{"loss": 1.0}', "\x00\x00", '{"step": "4"}']
)
def test_what_a_kill_leaves_is_no_line(tmp_path, caplog, rest):
    path = tmp_path / "metrics.jsonl"
    write(path, 1, 2)
    with path.open("a") as file:
        file.write(rest)
    with caplog.at_level(logging.WARNING):
        assert [line["step"] for line in read(path)] == [1, 2]
    assert "a broken line is left out" in caplog.text
    writer = JsonLines(path, resumed_at=2)
    writer.write(3, {"loss": 3.0})
    writer.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_no_file_has_no_lines(tmp_path):
    assert read(tmp_path / "none.jsonl") == []


def test_an_unknown_kind_is_named(tmp_path):
    with pytest.raises(UserError, match="--log paper: choose among tensorboard, wandb"):
        writers(tmp_path, "smoke-image", ("tensorboard", "paper"))
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("kind", "module"), [("tensorboard", "torch.utils.tensorboard.writer"), ("wandb", "wandb")]
)
def test_a_package_that_is_not_there_is_named(tmp_path, monkeypatch, kind, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=f"--log {kind} .*pip install {kind}"):
        writers(tmp_path, "smoke-image", (kind,))


def test_tensorboard_gets_numbers_and_drops_steps_that_come_again(tmp_path, monkeypatch):
    made = []

    class SummaryWriter:
        def __init__(self, folder, purge_step=None):
            self.told, self.folder, self.purge, self.closed = [], folder, purge_step, False
            made.append(self)

        def add_scalar(self, *given):
            self.told.append(given)

        def close(self):
            self.closed = True

    module = types.ModuleType("torch.utils.tensorboard.writer")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", module)
    for resumed in (0, 20):
        lines, board = writers(tmp_path, "smoke-image", ("tensorboard",), resumed)
        board.write(21, {"loss": 2.5, "mfu": None, "note": "x"})
        for writer in (lines, board):
            writer.close()
    assert [each.purge for each in made] == [None, 21]
    assert made[0].told == [("loss", 2.5, 21)] and made[0].closed
    assert made[0].folder == str(tmp_path / "tensorboard")


def test_a_resumed_stage_goes_on_with_its_own_curve_in_wandb(tmp_path, monkeypatch):
    begun, told = [], []

    class Run:
        def log(self, values, step):
            told.append((step, values))

        def finish(self):
            told.append("finished")

    def init(**options):
        begun.append(options)
        return Run()

    module = types.ModuleType("wandb")
    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    for folder in ("a", "a", "b"):
        _, run = writers(tmp_path / folder, "smoke-image", ("wandb",))
        run.write(3, {"loss": 1.0})
        run.close()
    assert told[:2] == [(3, {"loss": 1.0}), "finished"]
    assert begun[0]["id"] == begun[1]["id"] != begun[2]["id"]
    assert begun[0]["name"] == "smoke-image" and begun[0]["resume"] == "allow"


def test_the_kinds_are_those_that_the_command_line_names():
    assert logs.KINDS == ("tensorboard", "wandb")
