"""Disks that are full or may only be read, and input that changes: nothing is lost, nothing half, and the same command goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest
from conftest import write_video

from kangaroo_eval.cli.curate import main
from kangaroo_eval.errors import RunFailed
from kangaroo_eval.media import probe
from kangaroo_eval.train.curation import engine
from kangaroo_eval.types import Video

pytest.importorskip("cv2")
BARE = ["--text", "none", "--faces", "none", "-q"]


def videos(tmp_path, count=6):
    return [write_video(tmp_path / f"v/v{n}.mp4", frames=12 + n) for n in range(count)]


def test_a_list_that_is_edited_half_way_is_done_anew_where_it_was_edited(tmp_path, monkeypatch, capsys):
    paths = videos(tmp_path)
    source, out = tmp_path / "list.jsonl", tmp_path / "out"
    lines = [{"video": str(path), "note": "old"} for path in paths]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["annotate", str(source), "--out", str(out), "--shard", "2", "--no-cut", *BARE]
    write = engine.write

    def full(path, rows, metadata):
        if path.name == "00002.parquet":
            raise RunFailed("no space")
        write(path, rows, metadata)

    monkeypatch.setattr(engine, "write", full)
    assert main(words) == 2 and "no space" in capsys.readouterr().err
    monkeypatch.undo()
    stamps = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert sorted(stamps) == ["00000.parquet", "00001.parquet"]
    lines[2]["note"] = "new"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_video(paths[5], frames=7)
    assert main(words) == 0
    now = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert now["00000.parquet"] == stamps["00000.parquet"] and now["00001.parquet"] != stamps["00001.parquet"]
    rows = list(engine.read_all(out))
    assert [row["note"] for row in rows] == ["old", "old", "new", "old", "old", "old"]
    assert [row["frames"] for row in rows] == [12, 13, 14, 15, 16, 7]


def test_a_file_that_is_exchanged_while_it_is_read_is_read_again(tmp_path):
    """What was read is the old one, so the result must not be taken for that of the new one."""
    path = tmp_path / "v.mp4"

    class Exchanged:
        name, version = "exchanged", 1
        done = 0

        def setup(self):
            pass

        def one(self, row):
            text = path.read_text()
            if not Exchanged.done:
                path.write_text("new, and longer")
            Exchanged.done += 1
            return [{**row, "text": text}]

    path.write_text("old")
    stage = dataclass(frozen=True)(Exchanged)()
    for expected in ("old", "new, and longer", "new, and longer"):
        engine.run([stage], [{"id": "v", "path": str(path)}], tmp_path / "out", engine.InProcess())
        assert [row["text"] for row in engine.read_all(tmp_path / "out")] == [expected]
    assert Exchanged.done == 2


LIMITED = """
import json, resource, sys
from pathlib import Path
from kangaroo_eval.cli.curate import main
out, limits = Path(sys.argv[1]), json.loads(sys.argv[2])
for limit in [*limits, -1]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
    code = main(sys.argv[3:])
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    left = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) if out.exists() else []
    print(json.dumps([limit, code, left]), flush=True)
    print("---", file=sys.stderr, flush=True)
"""


def limited(out, limits, *words):
    """The command on a disk that takes so many bytes of a file, for each limit, and then all; code, files and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(out), json.dumps(limits), *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return [
        (*line, said.strip().splitlines())
        for line, said in zip(lines, done.stderr.split("---\n"), strict=False)
    ]


def test_a_disk_that_is_full_at_any_byte_loses_nothing_and_the_same_command_goes_on(tmp_path):
    videos(tmp_path, 4)
    out = tmp_path / "out"
    words = ["annotate", str(tmp_path / "v"), "--out", str(out), "--shard", "2", "--no-cut", *BARE]
    *failed, last = limited(out, [0, 1, 100, 1000, 2000], *words)
    for _, code, left, said in failed:
        assert code == 2 and len(said) == 1 and "00000.parquet cannot be written: File too large" in said[0]
        assert left == [], "nothing half written"
    assert last[1:3] == (0, ["00000.parquet", "00001.parquet"])
    assert [row["frames"] for row in engine.read_all(out)] == [12, 13, 14, 15]
    # The lists of what stays: the old ones are whole until the new ones are.
    words = ["select", str(out), "--preset", "none", "--keep-alike", "-q"]
    *failed, last = limited(out, [0, 1, 1000], *words)
    for _, code, left, said in failed:
        assert code == 2 and len(said) == 1 and "kept.jsonl" in said[0]
        assert left == ["00000.parquet", "00001.parquet"]
    assert last[1] == 0 and len((out / "kept.jsonl").read_text().splitlines()) == 4
    # Clips that are written anew: no video is to blame, so none has an error, and none is half.
    words = ["resample", str(out), "--shard", "2", "-q"]
    *failed, last = limited(out, [0, 20, 700, 1200], *words)
    for _, code, left, said in failed:
        assert code == 2 and len(said) == 1 and "cannot be written: File too large" in said[0]
        assert not [name for name in left if "part" in name or name.startswith("resampled/0")]
    assert last[1] == 0
    rows = list(engine.read_all(out / "resampled"))
    assert len(rows) == 4 and not [row for row in rows if row.get("error")]
    assert [probe(Video(row["path"])).total for row in rows] == [6, 7, 7, 8]


def test_a_worker_whose_disk_is_full_ends_the_run_too(tmp_path):
    videos(tmp_path, 4)
    out = tmp_path / "out"
    words = ["annotate", str(tmp_path / "v"), "--out", str(out), "--shard", "1", "--no-cut", "--workers", "2"]
    script = "import sys\nif __name__ == '__main__':\n" + "".join(
        f"    {line}\n" for line in LIMITED.strip().splitlines()
    )
    file = tmp_path / "go.py"
    file.write_text(script)
    done = subprocess.run(
        [sys.executable, str(file), str(out), "[1000]", *words, *BARE],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    first, last = map(json.loads, done.stdout.splitlines())
    assert first == [1000, 2, []] and "cannot be written: File too large" in done.stderr
    assert last[1] == 0 and len(last[2]) == 4


# Root may write everywhere, unless it gives up that right.
MODEST = """
import ctypes, os, sys
if os.geteuid() == 0:
    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]
    data, header, libc = (ctypes.c_uint32 * 6)(), Header(0x20080522, 0), ctypes.CDLL(None)
    assert libc.capget(ctypes.byref(header), data) == 0
    data[0] &= ~0b10
    assert libc.capset(ctypes.byref(header), data) == 0
from kangaroo_eval.cli.curate import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="how root gives up its rights is Linux's")
def test_a_folder_that_may_only_be_read_is_told_in_a_line(tmp_path):
    videos(tmp_path, 1)
    out = tmp_path / "out"
    out.mkdir()
    annotate = ["annotate", str(tmp_path / "v"), *BARE, "--no-cut", "--out"]

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-c", MODEST, *words], capture_output=True, text=True, timeout=120, check=False
        )
        lines = done.stderr.splitlines()
        assert len(lines) == 1, done.stderr
        return done.returncode, lines[0]

    assert main([*annotate, str(tmp_path / "fine")]) == 0
    shutil.copy(tmp_path / "fine/00000.parquet", tmp_path / "out/00000.parquet")
    try:
        out.chmod(0o555)
        code, said = run(*annotate, str(out / "deeper"))
        assert code == 2 and "deeper cannot be written to: Permission denied" in said
        code, said = run("select", str(out), "--preset", "none", "-q")
        assert code == 2 and "Permission denied" in said
        (out / "00000.parquet").chmod(0o444)
        code, said = run(*annotate, str(out), "--longest", "100")
        assert code == 2 and "00000.parquet cannot be written: Permission denied" in said
    finally:
        out.chmod(0o755)
