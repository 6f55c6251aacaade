"""Ids of samples that no benchmark should have."""

from __future__ import annotations

import dataclasses
import itertools
import json

import corpus
import pytest

from kangaroo_eval.cli import main
from kangaroo_eval.data import read_samples
from kangaroo_eval.errors import DataError
from kangaroo_eval.registry import get_task
from kangaroo_eval.types import Sample, Video


def test_a_name_of_half_a_sign_is_sampled_like_any_other(tmp_path, capsys):
    rows = json.loads(corpus.whole("longvideobench")["lvb_val.json"])
    rows[0]["id"] = "\ud800"
    (tmp_path / "longvideobench").mkdir()
    (tmp_path / "longvideobench/lvb_val.json").write_text(json.dumps(rows))
    words = ["run", "--tasks", "longvideobench", "--data-root", str(tmp_path), "--model", "constant"]
    assert main([*words, "--dry-run", "--on-missing", "skip", "--subset", "0:2"]) == 0
    assert "2 samples" in capsys.readouterr().out


def test_a_row_that_is_repeated_for_ever_is_refused_at_its_second(tmp_path):
    """A few kilobytes of parquet may stand for a billion rows: they are not all read before one is looked at."""
    task = dataclasses.replace(
        get_task("videomme"), read=lambda root: itertools.repeat(Sample("x" * 5000, Video("v.mp4"), "What?"))
    )
    with pytest.raises(DataError, match=r"x\.\.\.' is given twice, by rows 0 and 1") as caught:
        read_samples(task, tmp_path)
    assert len(str(caught.value)) < 400
