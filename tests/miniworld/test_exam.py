"""The exam: its layout, its balance, its distance from all other made data, and a run over it."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from kangaroo_eval import evaluate, miniworld
from kangaroo_eval.errors import UserError
from kangaroo_eval.miniworld import build, exam, kinds
from kangaroo_eval.registry import get_task

FROZEN = "a1f498d1607cb3c68bf7def4f82260d08aba8292f157dfa296c30a416f9adb77"
"""Of every question and every world of the exam. It was fixed before anything was trained: if it changes, results
from before say nothing about the exam from then on, and it must get another seed."""
ROWS = "videomme/test-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def whole():
    return exam.plan()


@pytest.fixture(scope="module")
def rows(whole):
    return pd.read_parquet(io.BytesIO(whole.texts[ROWS]))


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_exam_is_frozen(whole, rows):
    digest = hashlib.sha256()
    for row in rows.to_dict("records"):
        digest.update(json.dumps({**row, "options": list(row["options"])}, sort_keys=True).encode())
    for path, world in whole.videos.items():
        digest.update(repr((path, world)).encode())
    assert digest.hexdigest() == FROZEN
    assert whole.seed == "exam/1 of 300"


def test_there_are_300_questions_of_each_kind_in_every_difficulty_and_both_lengths(whole, rows):
    assert len(whole.videos) == 900 == rows.video_id.nunique() == rows.videoID.nunique()
    assert Counter(rows.task_type) == {kind: 300 for kind in kinds.KINDS}
    assert set(rows.domain) == set(kinds.DIFFICULTIES) and set(rows.duration) == set(kinds.LENGTHS)
    cells = Counter(zip(rows.task_type, rows.domain, rows.duration, strict=True))
    assert len(cells) == 9 * 3 * 2 and min(cells.values()) >= 25
    assert Counter(rows.domain) == {level: 900 for level in kinds.DIFFICULTIES}
    assert all(
        kind in kinds.GROUPS[group] for kind, group in zip(rows.task_type, rows.sub_category, strict=True)
    )
    assert rows.question_id.is_unique
    assert all(len(set(options)) == 4 for options in rows.options)


def test_subtitles_are_there_where_they_are_asked_for(whole, rows):
    told = {path for path in whole.texts if path.startswith("subtitle/")}
    asked = {f"subtitle/{name}.srt" for name in rows.videoID[rows.task_type == "subtitles"]}
    assert told == asked and len(told) == 300


def test_every_letter_is_right_as_often(rows):
    for _, found in rows.groupby("task_type"):
        assert Counter(found.answer) == dict.fromkeys("ABCD", 75)
    for _, found in rows.groupby(["task_type", "domain", "duration"]):
        counts = Counter(found.answer)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_columns_are_the_official_ones(rows):
    from kangaroo_eval.miniworld import videomme

    mini = pd.read_parquet(io.BytesIO(videomme.plan().texts[ROWS]))
    assert list(rows.columns) == list(mini.columns)
    assert [type(value) for value in rows.iloc[0]] == [type(value) for value in mini.iloc[0]]


def test_nothing_is_shared_with_the_mini_benchmarks_or_with_what_is_trained_on(whole):
    """By the seed's first part, which all choices of a world follow from; and in fact."""
    worlds = list(whole.videos.values())
    assert all(world.seed.startswith("exam/1/") for world in worlds)
    mine = {world.scenes for world in worlds}
    assert len(mine) == 900
    for reference in miniworld.MINI.values():
        module, _, function = reference.partition(":")
        plan = getattr(importlib.import_module(module), function)()
        others = [*plan.videos.values(), *(still.world for still in plan.pictures.values())]
        assert plan.seed.startswith("mini/") and all(world.seed.startswith("mini/") for world in others)
        assert not mine & {world.scenes for world in others}
        assert not set(plan.videos) & set(whole.videos)
    trained = {
        kinds.video(f"train/{i}", group, level, length)[0].scenes
        for group in kinds.GROUPS
        for level in kinds.DIFFICULTIES
        for length in kinds.LENGTHS
        for i in range(50)
    }
    assert len(trained) == 900 and not mine & trained


def test_other_seeds_are_refused():
    for seed in ("mini/videomme/1", "train/1", "1", ""):
        with pytest.raises(UserError, match="the exam's seeds start with 'exam/'"):
            exam.plan(seed)
    with pytest.raises(UserError, match="1 or more questions"):
        exam.plan(each=0)


def test_another_seed_is_another_exam():
    one, other = exam.plan("exam/1", each=6), exam.plan("exam/2", each=6)
    assert not {world.scenes for world in one.videos.values()} & {
        world.scenes for world in other.videos.values()
    }
    assert not set(one.videos) & set(other.videos)


# On disk


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A small exam: four of each kind, one of them about a long video where signs are looked for."""
    folder = tmp_path_factory.mktemp("exam")
    assert exam.make_exam(folder, each=4) == folder / "videomme"
    return folder


def test_the_same_bytes_each_time(root, tmp_path):
    seen = []
    exam.make_exam(tmp_path, each=4, workers=1, progress=lambda done, n: seen.append((done, n)))
    assert files(tmp_path / "videomme") == files(root / "videomme")
    assert seen == [(i, 12) for i in range(1, 13)]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    exam.make_exam(tmp_path, each=4)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_a_lost_file_is_made_again(tmp_path):
    folder = exam.make_exam(tmp_path, each=1)
    made = files(folder)
    next((folder / "data").iterdir()).unlink()
    assert files(exam.make_exam(tmp_path, each=1)) == made


def test_other_data_is_never_touched(root, tmp_path):
    for other in ({"each": 5}, {"each": 4, "seed": "exam/2"}):
        with pytest.raises(UserError, match="holds other made data"):
            exam.make_exam(root, **other)
    (tmp_path / "videomme").mkdir()
    (tmp_path / "videomme/real.mp4").write_bytes(b"real")
    with pytest.raises(UserError, match="not made by the mini world"):
        exam.make_exam(tmp_path, each=4)


def test_other_texts_under_the_same_seed_are_not_taken_for_these(tmp_path):
    build.write(build.Plan("s", {"a.txt": b"one"}, {}), tmp_path / "x")
    assert build.write(build.Plan("s", {"a.txt": b"one"}, {}), tmp_path / "x") == tmp_path / "x"
    with pytest.raises(UserError, match="holds other made data"):
        build.write(build.Plan("s", {"a.txt": b"two"}, {}), tmp_path / "x")
    assert (tmp_path / "x/a.txt").read_bytes() == b"one"


def test_a_run_over_it_says_that_it_is_made_data(root, tmp_path):
    results = evaluate(
        ["videomme", "videomme_subtitles"], "constant:B", frames=4, data_root=root, output=tmp_path
    )
    for name in ("videomme", "videomme_subtitles"):
        samples = list(get_task(name).read(root / "videomme"))
        assert len(samples) == 36
        right = sum(sample.target == "B" for sample in samples) / len(samples)
        assert right == 0.25
        assert results[name]["label"] == f"{name}[mini]" and results[name]["data"] == "mini"
        assert results[name]["careful"]["value"] == pytest.approx(right)
        assert set(results[name]["breakdown"]["task_type"]) == set(kinds.KINDS)
