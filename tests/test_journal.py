"""The run directory: nothing that was answered is lost, and nothing half-written is read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from kangaroo_eval import journal
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.journal import AppendOnly, RunDir


def test_what_was_appended_reads_back(tmp_path):
    file = AppendOnly(tmp_path / "a.jsonl")
    records = [{"id": "1", "text": "Grüße 你好\n\u2028"}, {"id": "2", "text": "\ud800 lone surrogate"}]
    file.append(records[:1])
    file.append(records[1:])
    assert next(iter(file.read())) == records[0]
    assert [line["id"] for line in journal.read_lines(tmp_path / "a.jsonl")] == ["1", "2"]


@pytest.mark.parametrize("torn", [b'{"id": "2", "te', b"{", b'{"id": "2"}', b"\x00" * 50])
def test_a_torn_last_line_is_cut_off_and_the_file_goes_on(tmp_path, torn):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": "1"}\n' + torn)
    file = AppendOnly(path)
    file.append([{"id": "3"}])
    assert [line["id"] for line in file.read()] == ["1", "3"]


def test_a_torn_line_longer_than_a_megabyte_is_cut_off(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": "1"}\n' + b'"' + b"x" * (3 << 20))
    AppendOnly(path)
    assert path.read_bytes() == b'{"id": "1"}\n'


def test_damage_in_the_middle_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "1"}\nnot json\n{"id": "2"}\n')
    with pytest.raises(UserError, match="line 2"):
        list(journal.read_lines(tmp_path / "a.jsonl"))


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    os.symlink("/dev/full", tmp_path / "t.answers.jsonl")
    file = AppendOnly(tmp_path / "t.answers.jsonl")
    with pytest.raises(RunFailed, match="No space left") as caught:
        file.append([{"id": "1"}])
    assert caught.value.exit_code == 2


def test_replacing_a_file_on_a_full_disk_keeps_the_old_one(tmp_path, monkeypatch):
    journal.write_json(tmp_path / "run.json", {"old": True})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFailed, match="No space left"):
        journal.write_json(tmp_path / "run.json", {"old": False})
    assert json.loads((tmp_path / "run.json").read_text()) == {"old": True}
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


HOLD = """
import sys, time
from pathlib import Path
from kangaroo_eval.journal import RunDir
with RunDir(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_and_told_who_holds_the_run(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {holder.pid}"), RunDir(tmp_path / "run"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with RunDir(tmp_path / "run"):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


WRITE = """
import sys
from pathlib import Path
from kangaroo_eval.journal import AppendOnly
file = AppendOnly(Path(sys.argv[1]))
for number in range(10**9):
    file.append([{"id": str(number), "text": "x" * 5000}])
    if number == 50:
        print("going", flush=True)
"""


def test_kill_9_in_the_middle_of_writing_leaves_whole_lines_in_order(tmp_path):
    path = tmp_path / "a.jsonl"
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout.readline() == "going\n"
        time.sleep(0.05)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        ids = [line["id"] for line in AppendOnly(path).read()]
        restarts = ids.count("0")
        assert restarts >= 1 and len(ids) > 50
        expected = iter(ids)
        last = -1
        for each in expected:
            assert int(each) in (last + 1, 0)
            last = int(each)


def test_a_difference_is_told_in_a_line_however_long_its_values():
    (told,) = journal.difference({"tasks": {"data": "a" * 5000}}, {"tasks": {"data": "real"}})
    assert told.startswith("tasks.data: aaa") and told.endswith("... -> real") and 200 < len(told) < 240


def test_differences_are_named_and_new_tasks_are_none():
    old = {"seed": 0, "tasks": {"videomme": {"frames": 8}}}
    assert journal.difference(old, {"seed": 0, "tasks": {"mlvu": {"frames": 64}}}) == []
    assert journal.difference(old, {"seed": 1, "tasks": {"videomme": {"frames": 64}}}) == [
        "seed: 0 -> 1",
        "tasks.videomme.frames: 8 -> 64",
    ]


def test_fresh_keeps_the_old_run_aside(tmp_path):
    with RunDir(tmp_path / "run") as directory:
        directory.write_record({"schema": 1})
        aside = directory.set_aside()
        assert directory.record() is None
        directory.write_record({"schema": 1})
        second = directory.set_aside()
    assert aside != second and (aside / "run.json").exists() and (second / "run.json").exists()


def test_fresh_keeps_no_controls_of_another_run(tmp_path):
    """Else a new model's score would be held against the old one's without a video."""
    with RunDir(tmp_path / "run") as directory:
        directory.write_record({"schema": 1})
        (tmp_path / "run/controls/blind").mkdir(parents=True)
        (tmp_path / "run/controls/blind/results.json").write_text("{}")
        aside = directory.set_aside()
    assert not (tmp_path / "run/controls").exists() and (aside / "controls/blind/results.json").exists()


def test_a_record_of_another_schema_is_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"schema": 99}')
    with pytest.raises(UserError, match="schema"):
        journal.read_record(tmp_path)


RECORD = {
    "schema": journal.SCHEMA,
    "id": "a",
    "model": {"name": "m", "hash": None, "notes": []},
    "frames": None,
    "data": "mini",
    "protocol": {"sampler": None, "tasks": {}},
    "tasks": {},
    "started": "now",
    "finished": None,
}


@pytest.mark.parametrize(
    "change",
    [
        {"model": {**RECORD["model"], "notes": [1]}},
        {"model": {"name": "m", "notes": []}},
        {"protocol": {"sampler": None, "tasks": 1e308}},
        {"protocol": {"sampler": None, "tasks": {"videomme": []}}},
        {"protocol": {"tasks": {}}},
        {"min_coverage": []},
        {"min_coverage": 7},
        {"calls": 3},
        {"finished": 5},
    ],
    ids=str,
)
def test_a_record_with_a_part_that_is_none_is_refused(change, tmp_path):
    journal.write_json(tmp_path / "run.json", RECORD)
    assert journal.read_record(tmp_path) == RECORD
    journal.write_json(tmp_path / "run.json", {**RECORD, **change})
    with pytest.raises(UserError, match=r"run\.json is no whole run record"):
        journal.read_record(tmp_path)


@pytest.mark.parametrize("seconds", ["1e308", "NaN", "-Infinity", '"1"'])
@pytest.mark.parametrize("field", ['"seconds": {}', '"wait_seconds": {}', '"phases": {{"vision": {}}}'])
def test_a_time_that_nothing_takes_is_damage(field, seconds, tmp_path):
    """Sums of it are not finite, and a report cannot be made of them."""
    file = tmp_path / "t.answers.jsonl"
    file.write_text(f'{{"id": "1", "status": "ok", "text": "A", {field.format(seconds)}}}\n')
    with pytest.raises(UserError, match="damaged"):
        list(journal.answer_lines(file))
    file.write_text(f'{{"id": "1", "status": "ok", "text": "A", {field.format("2.5")}}}\n')
    assert len(list(journal.answer_lines(file))) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "cannot be read"),
        ('{"schema": 2}', "schema 1 expected"),
        ('{"schema": 1, "run": {}}', "not whole"),
        ('{"schema": 1, "run": {}, "tasks": {"t": {"n": 1' + 40 * "0" + "}}}", "a number of 41 digits"),
    ],
)
def test_results_that_are_damaged_are_refused_with_the_mend(text, why, tmp_path):
    with pytest.raises(UserError, match=r"has no results\.json: give a run directory"):
        journal.read_results(tmp_path)
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(UserError, match=f"{why}.*kangaroo-eval score .* makes it anew"):
        journal.read_results(tmp_path)
