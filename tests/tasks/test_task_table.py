"""What holds of every bundled task: its size, its figures, its sources, its published column, and `tasks show`."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import kangaroo_eval.tasks as bundled
from kangaroo_eval.cli import main
from kangaroo_eval.media.sampling import SAMPLERS
from kangaroo_eval.registry import get_task, task_names
from kangaroo_eval.report.published import load

NAMES = task_names()
FOLDERS = {
    "egoschema": "egoschema",
    "egoschema_full": "egoschema",
    "longvideobench": "longvideobench",
    "longvideobench_subtitles": "longvideobench",
    "longvideobench_test": "longvideobench",
    "lvbench": "lvbench",
    "mlvu": "mlvu",
    "mlvu_generation": "mlvu",
    "mlvu_test": "mlvu_test",
    "mmbench_video": "mmbench_video",
    "mvbench": "mvbench",
    "seedbench_v1_video": "seedbench_v1",
    "seedbench_video": "seedbench",
    "tempcompass": "tempcompass",
    "videomme": "videomme",
    "videomme_subtitles": "videomme",
    "videovista": "videovista",
    "videovista_relation": "videovista",
}
# Task -> the paper's column, and how many samples the number covers; the specification's sections 0 and 6.
COLUMNS = {
    "egoschema": ("III", "egoschema", 500),
    "longvideobench": ("III", "longvideobench", 1337),
    "longvideobench_subtitles": ("III", "longvideobench", 1337),
    "lvbench": ("III", "lvbench", 1549),
    "mlvu": ("III", "mlvu", 2175),
    "mmbench_video": ("III", "mmbench_video", 1998),
    "mvbench": ("III", "mvbench", 4000),
    "seedbench_video": ("V", "avg", 5351),
    "tempcompass": ("III", "tempcompass", 7540),
    "videomme": ("IV", "overall_wo", 2700),
    "videomme_subtitles": ("IV", "overall_w", 2700),
    "videovista": ("III", "videovista", 24000),
    "videovista_relation": ("III", "videovista", 25000),
}
# The paper's number is of another split or another set of questions.
OTHER = {"egoschema", "longvideobench", "longvideobench_subtitles", "videovista_relation"}


def test_the_bundled_tasks_are_all_there():
    assert set(FOLDERS) <= set(NAMES)
    assert {name: get_task(name).name for name in NAMES} == {name: name for name in NAMES}


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("seedbench", "seedbench_video"),
        ("SEED-Bench", "seedbench_video"),
        ("seedbench2", "seedbench_video"),
        ("SEED-Bench-2", "seedbench_video"),
        ("EgoSchema subset", "egoschema"),
        ("MVBench", "mvbench"),
        ("Video-MME", "videomme"),
    ],
)
def test_other_names_of_a_task(alias, name):
    assert get_task(alias).name == name


@pytest.mark.parametrize("reference", sorted({each.partition(":")[0] for each in bundled.TASKS.values()}))
def test_a_tasks_file_holds_only_what_is_the_benchmarks_own(reference):
    file = importlib.import_module(reference).__file__
    assert len(Path(file).read_text(encoding="utf-8").splitlines()) <= 330


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_sane_and_texts_are_there(name):
    task = get_task(name)
    assert 16 <= task.max_new_tokens <= 1024 and 8 <= task.frames <= 64
    assert task.frames == {"mvbench": 16, "seedbench_video": 8, "seedbench_v1_video": 8}.get(name, 64)
    assert task.repeat_frames == (2 if name.startswith("seedbench") else 1)
    assert task.sampler in {"uniform", "mvbench", *SAMPLERS}
    source = task.source
    for text in (task.title, task.official_rule, source.citation, source.homepage, source.licence):
        assert text.strip() == text != ""
    assert source.homepage.startswith("https://") and "arXiv:" in source.citation
    assert source.folder == FOLDERS[name] and source.annotations


@pytest.mark.parametrize("name", NAMES)
def test_the_published_column_is_in_the_table(name):
    published = get_task(name).published
    found = published and (published.table, published.column, published.samples)
    assert found == COLUMNS.get(name)
    if published is None:
        return
    columns = load(published.table).columns
    assert published.column in columns and set(published.breakdown) <= set(columns)
    assert (published.other is not None) == (name in OTHER)
    for tag, _ in published.breakdown.values():
        assert tag in get_task(name).breakdown


def test_each_column_of_a_table_is_one_tasks():
    taken = []
    for name in NAMES:
        published = get_task(name).published
        if published is not None and published.other is None:
            taken += [(published.table, each) for each in (published.column, *published.breakdown)]
    assert len(taken) == len(set(taken))


@pytest.mark.parametrize("name", NAMES)
def test_tasks_show(name, capsys):
    task = get_task(name)
    assert main(["tasks", "show", name]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{name}\n")
    for text in (
        task.title,
        task.source.citation,
        task.source.homepage,
        task.source.licence,
        task.official_rule,
    ):
        assert text in told
    assert "prefill" not in told if task.prefill is None else task.prefill in told


def test_tasks_ls_lists_every_task(capsys):
    assert main(["tasks", "ls"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(NAMES)
