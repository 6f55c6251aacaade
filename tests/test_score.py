"""`score`: answers made elsewhere, against annotations or the labels that the answers' own file carries."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from conftest import videomme_rows, write_videomme
from test_predictions import (
    SEED_ROWS,
    VIDEOMME_OFFICIAL,
    made,
    refused,
    result,
    run,
    samples_of,
    score,
    scores,
    tempcompass_predictions,
    videomme_template,
    write,
)

__all__ = ["made"]

pytestmark = pytest.mark.usefixtures("away")


def jsonl(answers, name="a.jsonl"):
    Path(name).write_text("".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in answers))
    return name


def right(task, made):
    return [(each.id, each.target) for each in samples_of(task, made)]


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


# --- labels that come with the answers -----------------------------------------------------------------------

NEW_KEYS = ("duration", "domain", "sub_category", "options", "options")


def videomme_file():
    return write(Path(), "own/a.json", VIDEOMME_OFFICIAL % NEW_KEYS)


def seedbench_file():
    labelled = [{**row, "gt_answer": "A " if n % 3 else "B"} for n, row in enumerate(SEED_ROWS)]
    return write(Path(), "own/a.json", labelled)


def tempcompass_folder():
    for name, content in tempcompass_predictions().items():
        write(Path(), f"own/{name}", content)
    return Path("own")


OWN = {"videomme": videomme_file, "seedbench_video": seedbench_file, "tempcompass": tempcompass_folder}


def run_files(output="out"):
    """What scoring makes of answers; not when."""
    return {name.name: name.read_bytes() for name in sorted(Path(output).iterdir()) if name.name != ".lock"}


@pytest.mark.parametrize("task", OWN)
def test_files_with_their_own_labels_need_no_annotations_and_score_again_the_same(task, capsys):
    file = OWN[task]()
    assert run(*score(task, file)) == 0
    assert "the labels are those that own" in capsys.readouterr().err
    found = result(task)
    assert found["coverage"] == 1.0 and found["data"] == "real" and found["published"]["comparable"] is False
    before = run_files()
    assert {"run.json", "results.json", "report.md", f"{task}.scores.jsonl"} < before.keys()
    Path(f"out/{task}.scores.jsonl").unlink()
    assert run("score", "out", "-q") == 0
    assert run_files() == before


@pytest.mark.parametrize("task", OWN)
def test_scoring_again_needs_the_labels_that_were_there(task, capsys):
    file = OWN[task]()
    assert run(*score(task, file)) == 0
    changed = file / "yes_no.json" if file.is_dir() else file
    changed.write_text(changed.read_text().replace("A", "C").replace("yes", "no"))
    told = refused(capsys, 6, "score", "out", "-q")
    assert "has changed since it was scored" in told and "own" in told
    shutil.rmtree("own")
    assert "which is gone" in refused(capsys, 6, "score", "out", "-q")


@pytest.mark.parametrize("content", ["", "[]", '[{"video_id": "1"}]', b"\xff\xfe"])
def test_labels_whose_file_became_another_are_bad_data(content, capsys):
    file = videomme_file()
    assert run(*score("videomme", file)) == 0
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "has changed since it was scored" in refused(capsys, 6, "score", "out", "-q")


@pytest.mark.parametrize("task", ["videomme", "lvbench", "egoschema", "tempcompass", "mmbench_video"])
def test_without_labels_anywhere_the_folder_looked_for_is_named(task, tmp_path, capsys):
    file = jsonl([("x", "A")])
    (tmp_path / "data").mkdir()
    told = refused(capsys, 6, *score(task, file, tmp_path / "data"))
    assert f"real data asked for, but not found: {tmp_path / 'data' / task}" in told
    assert "no data root (--data-root, KANGAROO_EVAL_DATA)" in refused(capsys, 6, *score(task, file))
    assert "not a readable folder" in refused(capsys, 6, *score(task, file, "nowhere"))
    assert not Path("out").exists()


def test_a_file_that_labels_only_some_of_its_answers_needs_annotations(capsys):
    rows = [{**SEED_ROWS[2], "gt_answer": "A"}, SEED_ROWS[3]]
    assert "not found" in refused(capsys, 6, *score("seedbench", write(Path(), "a.json", rows)))


@pytest.mark.parametrize(("task", "name"), [("seedbench_video", "v17"), ("seedbench_v1_video", "19_0")])
def test_labels_of_another_benchmark_are_no_score_of_this_one(task, name, capsys):
    file = write(Path(), "a.json", [{"question_id": name, "prediction": "A", "gt_answer": "A"}])
    assert "not found" in refused(capsys, 6, *score(task, file))


def test_ids_of_seedbench_1_videos_are_its_own():
    rows = [{"question_id": name, "prediction": "A", "gt_answer": "A"} for name in ("v17", "v18", "123")]
    assert run(*score("seedbench_v1_video", write(Path(), "a.json", rows))) == 0
    assert result("seedbench_v1_video")["answered"] == 2


def test_one_question_under_two_labels_is_refused(capsys):
    twice = [{**SEED_ROWS[2], "gt_answer": letter} for letter in "AB"]
    told = refused(capsys, 1, *score("seedbench", write(Path(), "a.json", twice)))
    assert "id '19_0' is labelled twice, differently" in told


def test_annotations_come_before_a_files_own_labels(made):
    rows = videomme_rows(3)
    file = write(Path(), "a.json", videomme_template(rows, lambda row: row["answer"]))
    assert run(*score("videomme", file, made)) == 0
    assert result("videomme")["careful"]["value"] == 1.0
    entry = json.loads(Path("out/run.json").read_text())["tasks"]["videomme"]
    assert "gold" not in entry and entry["data_root"] == str(made / "videomme")


@pytest.mark.parametrize(
    "other",
    [{"question": "Another?"}, {"answer": "D"}, {"options": ["A. Four.", "B. Three.", "C. Two.", "D. One."]}],
    ids=["question", "label", "order"],
)
def test_answers_to_other_questions_under_the_same_ids_are_refused(made, capsys, other):
    """Video-MME was annotated anew in June 2024: 001-1 is another question in older result files."""
    rows = [{**row, **other} for row in videomme_rows(3)]
    file = write(Path(), "a.json", videomme_template(rows, lambda row: "D"))
    assert "001-1" in refused(capsys, 1, *score("videomme", file, made))


def test_questions_without_a_response_lower_the_coverage_of_own_labels_too():
    rows = videomme_rows(3)
    template = videomme_template(rows, lambda row: None if row["video_id"] == "002" else row["answer"])
    assert run(*score("videomme", write(Path(), "a.json", template))) == 3
    found = result("videomme")
    assert (found["asked"], found["answered"], found["careful"]["value"]) == (9, 6, None)


def test_damaged_annotations_are_not_passed_over_for_a_files_own_labels(tmp_path, capsys):
    write(tmp_path, "data/seedbench/SEED-Bench_v2_level1_2_3.json", "{")
    assert "cannot be read as JSON" in refused(
        capsys, 6, *score("seedbench", seedbench_file(), tmp_path / "data")
    )


def test_mini_data_is_used_when_it_is_asked_for_and_never_else(made, capsys):
    file = jsonl([("x", "A")])
    assert "not found" in refused(capsys, 6, *score("tempcompass", file))
    assert not Path("cache").exists()
    assert run(*score("tempcompass", file, None, "--data", "mini")) == 1
    out, told = capsys.readouterr()
    assert "MINI copy" in told and "1 unknown ids (x)" in told and not out
    known = [each.id for each in samples_of("tempcompass", Path("cache"))]
    file = jsonl([(each, "A") for each in known])
    assert run(*score("tempcompass", file, None, "--data", "mini")) == 0
    assert result("tempcompass")["label"] == "tempcompass[mini]"


# --- ids -----------------------------------------------------------------------------------------------------


def test_unknown_ids_are_listed_or_left_out(made, capsys):
    file = jsonl([*right("lvbench", made), *((f"x{n}", "A") for n in range(7))])
    told = refused(capsys, 1, *score("lvbench", file, made))
    assert "7 unknown ids (x0, x1, x2, x3, x4, x5, x6); leave them out with --ignore-unknown" in told
    assert not Path("out").exists()
    assert run(*score("lvbench", file, made, "--ignore-unknown")) == 0
    assert result("lvbench")["answered"] == 6


def test_missing_ids_lower_the_coverage_and_hide_the_score(made, capsys):
    file = jsonl(right("lvbench", made)[:4])
    assert run(*score("lvbench", file, made, "--json")) == 3
    line = last_line(capsys)
    assert line["exit"] == 3
    assert line["tasks"]["lvbench"]["careful"] is None and line["tasks"]["lvbench"]["official"] is None
    found = result("lvbench")
    assert (found["status"], found["statuses"]) == ("low_coverage", {"ok": 4, "unanswered": 2})
    assert found["coverage"] == pytest.approx(4 / 6)
    assert all(each["careful"]["value"] is None for each in found["breakdown"]["category"].values())
    assert run(*score("lvbench", file, made, "--min-coverage", "0.5", output="lower")) == 0
    assert result("lvbench", "lower")["careful"]["value"] == 1.0
    assert result("lvbench", "lower")["published"]["comparable"] is False


def test_the_same_answer_twice_is_one_and_two_are_refused(made, capsys):
    good = right("lvbench", made)
    assert run(*score("lvbench", jsonl([*good, good[0]]), made)) == 0
    assert result("lvbench")["answered"] == 6
    told = refused(capsys, 1, *score("lvbench", jsonl([*good, (good[0][0], "(A) ")]), made, output="again"))
    assert "id '0' is answered twice, differently" in told
    assert not Path("again").exists()


def test_a_run_directory_is_never_scored_over(made, capsys):
    file = jsonl(right("lvbench", made))
    assert run(*score("lvbench", file, made)) == 0
    before = run_files()
    other = jsonl(right("lvbench", made)[1:], "b.jsonl")
    assert "already holds a run" in refused(capsys, 1, *score("lvbench", other, made))
    assert run_files() == before


def test_a_test_split_without_labels_is_no_failure(made, capsys):
    file = jsonl([(each.id, "A") for each in samples_of("longvideobench_test", made)])
    assert run(*score("longvideobench_test", file, made, "--json")) == 0
    assert last_line(capsys)["tasks"]["longvideobench_test"]["careful"] is None
    found = result("longvideobench_test")
    assert (found["status"], found["careful"]["value"], found["answered"]) == ("no_labels", None, 6)


# --- what is printed -----------------------------------------------------------------------------------------


def test_the_last_line_of_json_is_the_documented_object(made, capsys):
    assert run(*score("lvbench", jsonl(right("lvbench", made)), made, "--json", "--show-differences")) == 0
    line = last_line(capsys)
    assert {"exit", "run", "tasks"} <= line.keys()
    assert line["exit"] == 0 and line["run"] == "out"
    wanted = {"careful": 1.0, "official": 1.0, "n": 6, "coverage": 1.0, "label": "lvbench", "data": "real"}
    assert line["tasks"] == {"lvbench": wanted}


def test_differences_show_the_id_both_readings_and_the_text(made, capsys):
    answers = {**dict(right("lvbench", made)), "1": "The answer is (C)."}
    answers["2"] = "Best option: C"
    assert run(*score("lvbench", jsonl(answers.items()), made, "--show-differences")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 == result("lvbench")["read_differently"]
    assert lines[0].startswith("lvbench 2: careful C (")
    assert lines[0].endswith("), official B, target C: 'Best option: C'")
    assert run("score", "out", "-q", "--show-differences") == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_every_line_of_scores_is_the_documented_object(made):
    assert run(*score("lvbench", jsonl(right("lvbench", made)), made)) == 0
    line = scores("lvbench")["1"]
    assert {"id", "video", "target", "careful", "official", "tags"} <= line.keys()
    assert (line["video"], line["target"], line["official"]) == (
        "videos/k.mp4",
        "B",
        {"answer": "B", "score": 1.0},
    )
    assert line["careful"].keys() == {"answer", "score", "rule", "span"}


def test_published_reka_predictions_give_the_rules_own_counts(shared):
    """The counts that the authors' scripts decide without their judge (4,363 of 7,540), and how many are right in
    the ratings they published. The file answers captions too, which are for the judge alone."""
    folder = shared / "data/tempcompass"
    name = "reka-core-20240501"
    assert run(*score("tempcompass", folder / "predictions" / name, shared / "data")) == 0
    found = result("tempcompass")
    assert (found["status"], found["answered"], found["careful"]["value"]) == ("not_judged", 7540, None)
    assert found["official"]["value"] is None and found["official"]["undecided"] == 7540 - 4363
    types = {kind: each["official"]["n"] for kind, each in found["breakdown"]["type"].items()}
    assert types == {"multi-choice": 1058, "yes_no": 2453, "caption_matching": 852, "captioning": 0}
    lines = scores("tempcompass")
    correct = 0
    for kind in ("multi-choice", "yes_no", "caption_matching"):
        rated = json.loads((folder / "auto_eval_results" / name / f"{kind}.json").read_text())
        for video, aspects in rated.items():
            for aspect, rows in aspects.items():
                for number, row in enumerate(rows):
                    official = lines[f"{kind}/{video}/{aspect}/{number}"]["official"]
                    if official is not None:
                        assert official["score"] == row["rating"]
                        correct += row["rating"]
    assert found["decided"]["official"]["n"] == 4363
    assert found["decided"]["official"]["value"] == pytest.approx(correct / 4363)
    # What the rule decides in full has a value of its own; what waits for the judge has none.
    assert found["breakdown"]["type"]["yes_no"]["official"]["value"] == pytest.approx(1598 / 2453)
    assert found["breakdown"]["type"]["multi-choice"]["official"]["value"] is None


# --- speed ---------------------------------------------------------------------------------------------------

REPLIES = (
    "A",
    "(B)",
    "C. Three.",
    "The best answer is: D",
    "The answer is B, because the man in the video picks up two cups and puts them on the table.",
    "I cannot tell from the video.",
)


@pytest.mark.parametrize(
    ("replies", "seconds"), [(REPLIES[:3], 5.0), (REPLIES, 9.0)], ids=["letters", "prose"]
)
def test_ten_thousand_answers_are_scored_in_seconds_of_cpu(replies, seconds, tmp_path):
    """CPU seconds, so that a busy machine costs nothing. Letters measure everything but the careful reader, which
    knows them at once: reading parquet and JSON lines, writing the journal and the results (1.4 to 2.8 s on one
    machine from day to day). Prose adds the reader's work, 0.1 to 0.3 ms a reply: the bounds are
    generous, so that only what has become several times slower fails."""
    rows = videomme_rows(3334)[:10_000]
    root = write_videomme(tmp_path / "data", rows, videos=False)
    warm = jsonl([(rows[0]["question_id"], "A")])
    assert run(*score("videomme", warm, root, output="warm")) == 3, "what is imported once is not timed"
    file = jsonl((row["question_id"], replies[n % len(replies)]) for n, row in enumerate(rows))
    start = time.process_time()
    assert run(*score("videomme", file, root)) == 0
    assert time.process_time() - start < seconds
    assert result("videomme")["answered"] == 10_000
