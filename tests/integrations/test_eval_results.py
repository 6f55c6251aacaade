"""`export --format eval-results`: the hub's own reader takes the files, and only a whole real benchmark has one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from conftest import videomme_rows, write_videomme
from huggingface_hub import parse_eval_result_entries
from test_predictions import refused, result, run, score

from kangaroo_eval.eval_results import _variant_of
from kangaroo_eval.registry import get_task

pytestmark = pytest.mark.usefixtures("away")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Video-MME with as many questions as the real one."""
    return write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(900), videos=False)


def answers(count, right):
    rows = videomme_rows(900)[:count]
    lines = [
        {"id": row["question_id"], "text": row["answer"] if n % 2 < right else "E"}
        for n, row in enumerate(rows)
    ]
    Path("a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return "a.jsonl"


def export(*words):
    return ("export", "out", "--format", "eval-results", *words)


def entry(name="videomme", folder="out/export"):
    (found,) = parse_eval_result_entries(
        yaml.safe_load(Path(folder, f".eval_results/{name}.yaml").read_text())
    )
    return found


def test_the_hub_reads_what_is_written(whole, capsys):
    assert run(*score("videomme", answers(2700, 1), whole)) == 0
    capsys.readouterr()
    assert run(*export("--source-url", "https://example.org/run")) == 0
    assert capsys.readouterr().out == "out/export/.eval_results/videomme.yaml\n"
    found = entry()
    assert (found.dataset_id, found.task_id) == ("lmms-lab/Video-MME", "default")
    # The official rule leaves unreadable answers out: half are E, which is no option.
    assert found.value == round(100 * result("videomme")["official"]["value"], 2) == 100.0
    assert (found.source_url, found.source_name) == ("https://example.org/run", "kangaroo-eval")
    assert found.date == json.loads(Path("out/run.json").read_text())["finished"]
    assert "official reader" in found.notes and "careful reader 50.00" in found.notes
    assert "coverage 100.0 %" in found.notes
    assert run(*export("--reader", "careful", "--output", "other", "--task", "Video-MME")) == 0
    assert entry(folder="other").value == 50.0 and entry(folder="other").source_url is None


def test_a_part_of_the_benchmark_has_no_number_for_the_hub(tmp_path, capsys):
    small = write_videomme(tmp_path / "data", videomme_rows(3), videos=False)
    assert run(*score("videomme", answers(9, 2), small)) == 0
    assert "videomme: 9 of the benchmark's 2700 samples" in refused(capsys, 1, *export())
    assert not Path("out/export").exists()


def test_a_run_without_a_score_has_none(whole, capsys):
    assert run(*score("videomme", answers(2000, 2), whole)) == 3
    assert "it has no official score (status low_coverage, coverage 74.1 %)" in refused(capsys, 1, *export())


def test_mini_data_has_none(capsys):
    words = (
        "--tasks",
        "videomme",
        "--model",
        "constant:B",
        "--frames",
        "1",
        "--limit",
        "1",
        "--data",
        "mini",
    )
    assert run(*words, "--output", "out", "-q", "--workers", "0") == 0
    assert "videomme: mini data" in refused(capsys, 1, *export())


def test_wrong_use_is_one_line(whole, capsys):
    assert run(*score("videomme", answers(2700, 2), whole)) == 0
    assert "--reader 'mine'" in refused(capsys, 1, *export("--reader", "mine"))
    assert "begins with https://" in refused(capsys, 1, *export("--source-url", "here"))
    assert "the run holds videomme" in refused(capsys, 1, *export("--task", "mlvu"))
    told = refused(capsys, 1, "export", "out", "--format", "jsonl", "--source-url", "https://x.org")
    assert "--source-url goes with --format eval-results" in told
    assert "give a run directory" in refused(capsys, 1, "export", ".", "--format", "eval-results")
    Path("out/results.json").unlink()
    assert "kangaroo-eval score out` makes it" in refused(capsys, 1, *export())


def test_three_quarters_of_the_answers_are_no_number_whatever_coverage_was_asked_for(whole, capsys):
    assert run(*score("videomme", answers(2000, 2), whole), "--min-coverage", "0.1") == 0
    assert "74.1 % coverage" in refused(capsys, 1, *export())


def test_options_in_another_order_are_not_the_benchmarks(whole, capsys):
    assert run(*score("videomme", answers(2700, 2), whole)) == 0
    file = Path("out/results.json")
    found = json.loads(file.read_text())
    found["tasks"]["videomme"]["options"] = "shuffled"
    file.write_text(json.dumps(found))
    assert "its options were shuffled" in refused(capsys, 1, *export())


def test_the_same_questions_asked_in_another_way_have_no_number_of_the_datasets(whole, capsys):
    assert run(*score("videomme_subtitles", answers(2700, 2), whole)) == 0
    assert "its dataset's own task is videomme" in refused(capsys, 1, *export())
    # The whole of EgoSchema is not the part of it that has labels.
    assert _variant_of(get_task("egoschema_full")) is None and _variant_of(get_task("videomme")) is None
