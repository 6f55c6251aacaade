"""Making a benchmark's folder: all of it or nothing, with kills, full disks and rivals."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kangaroo_eval import miniworld
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.miniworld import build
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.recipes import SHORT

# A process that makes a small benchmark of six short videos, or of six endless ones with "slow".
SCRIPT = """
import resource, sys, time
from kangaroo_eval import miniworld
from kangaroo_eval.miniworld import build, render
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.recipes import SHORT
def plan():
    worlds = {f"data/{i}.mp4": make_world(f"build/{i}", SHORT["space"]) for i in range(6)}
    return build.Plan("build", {"notes/a.txt": b"hello"}, worlds)
miniworld.MINI["tiny"] = "__main__:plan"
mode = sys.argv[2]
if mode == "slow":
    fast = render.write_video
    def write_video(world, path):
        fast(world, path)
        print("one", flush=True)
        time.sleep(60)
    render.write_video = write_video
if mode == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    print(miniworld.make("tiny", sys.argv[1]))
except miniworld.build.RunFailed as error:
    print("RunFailed", error.exit_code, error)
"""


def start(root: Path, mode: str) -> subprocess.Popen[str]:
    env = os.environ | {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(root), mode],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def plan() -> build.Plan:
    worlds = {f"data/{i}.mp4": make_world(f"build/{i}", SHORT["space"]) for i in range(6)}
    return build.Plan("build", {"notes/a.txt": b"hello"}, worlds)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(miniworld.MINI, "tiny", "tiny_plan_of_the_test:plan")
    module = type(sys)("tiny_plan_of_the_test")
    module.plan = plan
    monkeypatch.setitem(sys.modules, "tiny_plan_of_the_test", module)
    return "tiny"


def digest(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_make_reports_progress_and_leaves_only_the_folder(tiny, tmp_path):
    seen = []
    folder = miniworld.make(tiny, tmp_path / "deep" / "root", progress=lambda done, n: seen.append((done, n)))
    assert folder == tmp_path / "deep" / "root" / "tiny"
    assert seen == [(i, 6) for i in range(1, 7)]
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]
    mark = json.loads((folder / "mini.json").read_text())
    assert mark["miniworld"] == miniworld.VERSION and len(mark["files"]) == 7
    assert (folder / "notes/a.txt").read_bytes() == b"hello"


def test_one_worker_or_three_or_another_process_make_the_same_bytes(tiny, tmp_path):
    other = start(tmp_path / "c", "plain")
    one = digest(miniworld.make(tiny, tmp_path / "a", workers=1))
    assert one == digest(miniworld.make(tiny, tmp_path / "b", workers=3))
    out, err = other.communicate(timeout=60)
    assert other.returncode == 0, err
    assert one == digest(Path(out.strip()))


def test_a_killed_make_leaves_no_folder_and_the_next_one_cleans_up(tiny, tmp_path):
    process = start(tmp_path, "slow")
    assert process.stdout.readline() == "one\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert not (tmp_path / "tiny").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")]
    folder = miniworld.make(tiny, tmp_path)
    assert build.is_complete(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]


def test_an_interrupted_make_cleans_up_itself(tiny, tmp_path):
    def stop(done, n):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        miniworld.make(tiny, tmp_path, progress=stop)
    assert not list(tmp_path.iterdir())


def test_two_processes_at_once_end_well(tiny, tmp_path):
    processes = [start(tmp_path, "plain") for _ in range(3)]
    results = [process.communicate(timeout=90) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], results
    assert {out.strip() for out, _ in results} == {str(tmp_path / "tiny")}
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]
    assert build.is_complete(tmp_path / "tiny")


def test_without_locks_the_first_one_counts(tiny, tmp_path, monkeypatch):
    import fcntl

    def refuse(handle, how):
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    stranger = tmp_path / ".tiny.other.part"
    stranger.mkdir()
    made = digest(miniworld.make(tiny, tmp_path))
    assert stranger.exists()  # it may be another's work in progress
    part = tmp_path / ".tiny.late.part"
    part.mkdir()
    build._put_in_place(part, tmp_path / "tiny")
    assert digest(tmp_path / "tiny") == made


def test_a_waiting_process_takes_what_the_other_made(tiny, tmp_path):
    import fcntl

    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    process = start(tmp_path, "plain")
    time.sleep(1.5)
    assert process.poll() is None and not (tmp_path / "tiny").exists()
    os.close(handle)
    process.communicate(timeout=60)
    assert build.is_complete(tmp_path / "tiny")


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path):
    process = start(tmp_path, "full")
    out, err = process.communicate(timeout=60)
    assert out.startswith("RunFailed 2 could not make the mini benchmark tiny"), (out, err)
    assert "free space" in out and "\n" not in out.strip()
    assert not list(tmp_path.iterdir())


def test_an_encoder_failure_is_a_clear_error_and_leaves_nothing(tiny, tmp_path, monkeypatch):
    import av

    from kangaroo_eval.miniworld import render

    def fail(world, path, form):
        raise av.error.EncoderNotFoundError(1, "no libx264")

    monkeypatch.setattr(render, "_encode", fail)
    with pytest.raises(RunFailed, match="no libx264"):
        miniworld.make(tiny, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_root_that_cannot_be_made_is_a_clear_error(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFailed, match="could not make"):
        miniworld.make(tiny, tmp_path / "file" / "root")


def test_damaged_or_older_copies_are_made_again(tiny, tmp_path):
    folder = miniworld.make(tiny, tmp_path)
    made = digest(folder)
    (folder / "data/3.mp4").unlink()
    assert not build.is_complete(folder)
    assert digest(miniworld.make(tiny, tmp_path)) == made
    (folder / "data/2.mp4").write_bytes(b"")
    assert digest(miniworld.make(tiny, tmp_path)) == made
    mark = json.loads((folder / "mini.json").read_text())
    (folder / "mini.json").write_text(json.dumps(mark | {"miniworld": "0"}))
    assert digest(miniworld.make(tiny, tmp_path)) == made
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]


def test_real_data_is_never_touched(tiny, tmp_path):
    (tmp_path / "tiny" / "data").mkdir(parents=True)
    (tmp_path / "tiny" / "data" / "real.mp4").write_bytes(b"real")
    with pytest.raises(UserError, match=r"not made by the mini world.*another folder"):
        miniworld.make(tiny, tmp_path)
    assert (tmp_path / "tiny" / "data" / "real.mp4").read_bytes() == b"real"


def test_an_empty_folder_is_filled(tiny, tmp_path):
    (tmp_path / "tiny").mkdir()
    assert build.is_complete(miniworld.make(tiny, tmp_path))


def test_wrong_use_is_named(tmp_path):
    with pytest.raises(
        UserError, match=r"no mini benchmark 'nope'; there are: egoschema, .*, mlvu, .*, videovista$"
    ):
        miniworld.make("nope", tmp_path)
    with pytest.raises(UserError, match="workers"):
        miniworld.make("mlvu", tmp_path, workers=0)
