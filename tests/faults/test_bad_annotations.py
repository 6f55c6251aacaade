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
from kangaroo_eval.rows import read_rows

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


def test_subtitles_and_pictures_are_held_to_the_same_rule(tmp_path, whole):
    root = tmp_path / "longvideobench"
    files = whole["longvideobench"]
    rows = json.loads(files["lvb_val.json"])
    rows[0]["subtitle_path"] = "../../../etc/hostname"
    root.mkdir()
    (root / "lvb_val.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match="'subtitles/../../../etc/hostname'"):
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


@pytest.mark.parametrize(
    "value", ["1" + "0" * 400, "NaN", "Infinity", "-Infinity", "-1", "true", '"1"', "null"]
)
def test_a_number_that_is_none_is_named(tmp_path, value):
    file = tmp_path / "a.json"
    file.write_text(f'[{{"seconds": {value}}}]')
    row = next(read_rows(file))
    with pytest.raises(DataError, match=r"row 0, field 'seconds': expected a number"):
        row.seconds("seconds")


def test_text_columns_that_hold_no_text_are_a_line(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole_file = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"a": ["xxexx"] * 3}), whole_file, compression="none", use_dictionary=False)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(whole_file.read_bytes().replace(b"xxexx", b"xx\xe9xx"))
    with pytest.raises(DataError, match="cannot be read as parquet: 'utf-8' codec can't decode"):
        list(read_rows(broken))


def test_a_name_of_half_a_sign_is_sampled_like_any_other(tmp_path, whole, capsys):
    from kangaroo_eval.cli import main

    rows = json.loads(whole["longvideobench"]["lvb_val.json"])
    rows[0]["id"] = "\ud800"
    (tmp_path / "longvideobench").mkdir()
    (tmp_path / "longvideobench/lvb_val.json").write_text(json.dumps(rows))
    words = ["run", "--tasks", "longvideobench", "--data-root", str(tmp_path), "--model", "constant"]
    assert main([*words, "--dry-run", "--on-missing", "skip", "--subset", "0:2"]) == 0
    assert "2 samples" in capsys.readouterr().out


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]) << 20, -1))
from kangaroo_eval.cli import main
sys.exit(main(sys.argv[2:]))
"""


def limited(megabytes: int, *words: str) -> subprocess.CompletedProcess[str]:
    """The real command in a process that may have so much memory."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(megabytes), "run", "--model", "constant", "--dry-run", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_table_that_repeats_one_row_for_ever_is_refused_at_its_second(tmp_path):
    """A few kilobytes of parquet may stand for a billion rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from conftest import VIDEOMME_ROW

    folder = tmp_path / "videomme/videomme"
    folder.mkdir(parents=True)
    file = folder / "test-00000-of-00001.parquet"
    table = pa.Table.from_pylist([VIDEOMME_ROW])
    many = pa.concat_tables([table] * 1000)
    with pq.ParquetWriter(file, table.schema, compression="zstd") as writer:
        for _ in range(500):
            writer.write_table(many)
    done = limited(2000, "--tasks", "videomme", "--data-root", str(tmp_path), "--on-missing", "skip")
    assert done.returncode == 6, done.stderr
    assert "is given twice, by rows 0 and 1" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("ending", ["json", "jsonl", "tsv"])
def test_a_file_that_does_not_fit_into_memory_is_a_line(ending, tmp_path):
    place = {
        "json": ("egoschema", "egoschema/questions.json"),
        "jsonl": ("lvbench", "lvbench/video_info.meta.jsonl"),
        "tsv": ("mmbench_video", "mmbench_video/MMBench-Video.tsv"),
    }
    task, name = place[ending]
    file = tmp_path / name
    file.parent.mkdir()
    with file.open("wb") as out:
        if ending == "tsv":
            out.write(b"index\n")
        else:
            out.write(b"[")
        out.truncate(4 << 30)  # it takes no room on the disk
    if task == "egoschema":
        (tmp_path / "egoschema/subset_answers.json").write_text("{}")
    done = limited(1000, "--tasks", task, "--data-root", str(tmp_path))
    assert done.returncode == 6, done.stderr
    assert "does not fit into the memory" in done.stderr and len(done.stderr.splitlines()) == 1
