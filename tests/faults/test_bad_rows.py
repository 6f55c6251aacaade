"""Rows of annotation files that hold what no row should: a line that names file and row, in a process of any size."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kangaroo_eval.errors import DataError
from kangaroo_eval.rows import read_keyed, read_nested, read_rows


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


def test_a_name_as_long_as_a_book_is_not_repeated_in_full(tmp_path):
    file = tmp_path / "a.json"
    long = "x" * 100_000
    for content, read in (
        (f'[{{"{long}": 1}}]', lambda: next(read_rows(file)).text("a")),
        (f'{{"{long}": 1}}', lambda: list(read_keyed(file))),
        (f'{{"{long}": 1}}', lambda: list(read_nested(file))),
        (f'{{"{long}": {{"{long}": [1]}}}}', lambda: list(read_nested(file))),
    ):
        file.write_text(content)
        with pytest.raises(DataError) as caught:
            read()
        assert len(str(caught.value)) < 1000
