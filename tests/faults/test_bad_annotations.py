"""Bad annotation files: a line and exit code 6, or samples; nothing else, and nothing outside the benchmark's folder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import corpus
import pytest
from how_long import COUNT

from kangaroo_eval.data import read_samples
from kangaroo_eval.errors import DataError
from kangaroo_eval.registry import get_task, task_names
from kangaroo_eval.task import Folder

CHILD = Path(__file__).parent / "reader_child.py"
TASKS = task_names()


@pytest.mark.slow
def test_every_bad_file_is_refused_in_a_line_or_read_and_nothing_outside_is_touched(tmp_path):
    """In a process of 3 GiB, with 20 seconds for each file, through the real command."""
    each = 2 * (COUNT or 6)
    done = subprocess.run(
        [sys.executable, str(CHILD), str(tmp_path), str(COUNT or 1), str(each)],
        capture_output=True,
        text=True,
        timeout=60 + 20 * each,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == each * len(TASKS) >= 100
    for row in rows:
        said = row["err"].strip().splitlines()
        assert row["code"] in (0, 6), row
        assert row["code"] == 0 or (len(said) == 1 and said[0].startswith("kangaroo-eval: ")), row
        assert len(row["err"]) < 2000 and row["outside"] == [] and row["seconds"] < 10, row
    ends = Counter(row["code"] for row in rows)
    assert ends[6] > ends[0] > 0, "the corpus has both"


def renamed(data: bytes, suffix: str, old: str, new: str) -> bytes:
    """The annotation file with a video's name replaced."""
    if suffix != ".parquet":
        written = json.dumps(new)[1:-1] if suffix in (".json", ".jsonl") else new
        return data.replace(old.encode(), written.encode())
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(io.BytesIO(data)).to_pylist()
    changed = [{key: new if each == old else each for key, each in row.items()} for row in rows]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(changed), out)
    return out.getvalue()


@pytest.fixture(scope="module")
def whole():
    """The annotation files of each mini benchmark, by its folder."""
    return {folder: corpus.whole(folder) for folder in {get_task(name).source.folder for name in TASKS}}


@pytest.mark.parametrize("name", TASKS)
def test_a_video_name_that_leads_out_of_the_folder_is_refused_by_every_task(name, tmp_path, whole):
    task = get_task(name)
    root = tmp_path / "data" / task.source.folder

    def write(new, old=None):
        for file, data in whole[task.source.folder].items():
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if old is None else renamed(data, path.suffix, old, new))

    write(None)
    path = Path(read_samples(task, root)[0].video.path)
    assert path.is_relative_to(root)
    video = path.stem if path.suffix in (".mp4", ".mkv", ".webm", ".avi") else path.name
    for ending in ("", path.suffix):
        (tmp_path / f"secret{ending}").write_bytes(b"not yours")
    outside = "/".join([".."] * 12) + str(tmp_path / "secret")
    for escape in (outside, f"x/../{outside}", "a\0b", f"{video}\0"):
        write(escape, video)
        with pytest.raises(DataError, match="which is not in that folder") as caught:
            read_samples(task, root)
        assert caught.value.exit_code == 6 and len(str(caught.value)) < 600
    # Where a folder is put before the name, an absolute one lies below it, where nothing is.
    write(str(tmp_path / "secret"), video)
    try:
        samples = read_samples(task, root)
    except DataError as error:
        assert "which is not in that folder" in str(error)
        return
    places = {os.path.normpath(each.video.path) for each in samples}
    assert all(Path(place).is_relative_to(root) for place in places)
    assert any("secret" in place and not os.path.exists(place) for place in places)


@pytest.mark.parametrize("name", ["a\0b", "half a pair \ud800", "videos/\udfff/a.mp4"])
def test_a_name_that_no_file_can_have_is_refused(name, tmp_path):
    for look in (Folder(tmp_path).find, Folder(tmp_path).first):
        with pytest.raises(DataError, match="which is not in that folder"):
            look(name)


def test_subtitles_and_pictures_are_held_to_the_same_rule(tmp_path, whole):
    root = tmp_path / "longvideobench"
    files = whole["longvideobench"]
    rows = json.loads(files["lvb_val.json"])
    rows[0]["subtitle_path"] = "../../../etc/hostname"
    root.mkdir()
    (root / "lvb_val.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match=r"'subtitles/\.\./\.\./\.\./etc/hostname'"):
        read_samples(get_task("longvideobench_subtitles"), root)
    rows = json.loads(whole["videovista"]["VideoVista.json"])
    for row in rows:
        if "image_name" in row:
            row["image_name"] = "../../../etc/hostname"
    root = tmp_path / "videovista"
    root.mkdir()
    (root / "VideoVista.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match="which is not in that folder"):
        read_samples(get_task("videovista_relation"), root)


def test_links_within_the_folder_are_the_users_own_and_are_followed(tmp_path, whole):
    root = tmp_path / "data/egoschema"
    (tmp_path / "disk").mkdir()
    for file, data in whole["egoschema"].items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(data)
    (root / "videos").symlink_to(tmp_path / "disk")
    first = read_samples(get_task("egoschema"), root)[0]
    (tmp_path / "disk" / f"{first.id}.MP4").write_bytes(b"x")
    assert read_samples(get_task("egoschema"), root)[0].video.path == str(root / f"videos/{first.id}.MP4")
