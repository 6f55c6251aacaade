"""`export`: a run's answers as the files that benchmarks take, which `score` reads back to the same scores."""

from __future__ import annotations

import csv
import io
import json
import socket
from pathlib import Path

import pytest
from test_predictions import (
    made,
    refused,
    result,
    run,
    samples_of,
    score,
    scores,
    write,
)

from kangaroo_eval.predictions import no_formula
from kangaroo_eval.registry import get_task, task_names

__all__ = ["made"]

pytestmark = pytest.mark.usefixtures("away")

LETTERS = {
    "lvbench": "lvbench_answers.json",
    "mlvu_test": "mlvu_test_submission.json",
    "egoschema": "egoschema_submission.json",
    "egoschema_csv": "egoschema_submission.csv",
    "seedbench": "seedbench_results.json",
}
"""Form of letters -> the file it writes."""
TEXTS = {
    "videomme": "videomme_results.json",
    "longvideobench": "longvideobench_replies.json",
    "videovista": "videovista_predictions.json",
    "jsonl": "answers.jsonl",
}
TASKS = {
    "egoschema": "egoschema_full",
    "egoschema_csv": "egoschema_full",
    "seedbench": "seedbench_video",
    "jsonl": "mlvu_test",
}
"""Form -> task, where they are not called alike."""


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Nothing here may open a connection."""

    def connect(*_):
        raise AssertionError("a connection was opened")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)


def replies(task, root):
    """A reply to every question: right and wrong ones in prose, and some that nobody could read."""
    said = (
        lambda letter: f"The answer is ({letter}).",
        lambda letter: "I cannot tell from the video.",
        lambda letter: "B",
        lambda letter: f"Best option: {letter}) of course,\nthe \U0001f998 says so",
        lambda letter: "",
        lambda letter: letter,
    )
    return {each.id: said[n % 6](each.target or "A") for n, each in enumerate(samples_of(task, root))}


def made_run(task, root, given=None, output="run"):
    """A run directory with these replies, made by `score`."""
    given = replies(task, root) if given is None else given
    lines = "".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in given.items())
    assert (
        run(*score(task, write(Path(), "given.jsonl", lines), root, "--min-coverage", "0", output=output))
        == 0
    )
    return output


def by_reader(task, output, reader):
    """Id -> answer and score; the span and the rule are those of the text that was there."""
    return {
        name: line[reader] and (line[reader]["answer"], line[reader]["score"])
        for name, line in scores(task, output).items()
    }


def export(form, *words, output="run"):
    return ("export", output, "--format", form, *words)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The made EgoSchema has seven questions; a submission of the real one has 5,031."""
    monkeypatch.setattr("kangaroo_eval.export._check_size", lambda *_: None)


def test_a_submission_from_annotations_cut_short_is_refused(made, capsys, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(made.parent)
    made_run("egoschema_full", made)
    told = refused(capsys, 1, *export("egoschema"))
    assert "5031 answers, and these annotations have 7 questions" in told


def test_of_the_500_no_submission_is_written(made, capsys):
    made_run("egoschema", made)
    assert "read by score, not written" in refused(capsys, 1, *export("egoschema"))
    assert run(*export("jsonl")) == 0


@pytest.mark.parametrize("form", [*LETTERS, *TEXTS])
def test_an_exported_file_scores_as_the_run_did(form, made, capsys):
    task = TASKS.get(form, form)
    made_run(task, made)
    capsys.readouterr()
    assert run(*export(form)) == 0
    file = Path("run/export") / {**LETTERS, **TEXTS}[form]
    assert capsys.readouterr() == (f"{file}\n", "")
    assert run(*score(task, file, made, "--format", form, "--min-coverage", "0", output="again")) == 0
    assert by_reader(task, "again", "careful") == by_reader(task, "run", "careful")
    if form in TEXTS:
        assert by_reader(task, "again", "official") == by_reader(task, "run", "official")
    before, after = result(task, "run"), result(task, "again")
    assert before["careful"] == after["careful"]
    assert after["careful"]["unreadable"] >= 2, "unreadable answers stay so"


OFFICIAL = {
    "lvbench": ("Best option: C", "C", "B"),
    "mlvu_test": ("Surely it is C", "C", ""),
    "seedbench": ("Best option: C", "C", "B"),
    "egoschema": ("It is C, and not A.", 2, 0),
    "egoschema_csv": ("It is C, and not A.", "2", "0"),
}
"""Form -> a reply, and what stands in the file by the careful and by the official reader."""


def values_of(file):
    """What stands in a file of letters, in its order."""
    text = file.read_text()
    if file.suffix == ".csv":
        return [line.partition(",")[2] for line in text.splitlines()[1:]]
    found = json.loads(text)
    return list(found.values()) if isinstance(found, dict) else [list(each.values())[-1] for each in found]


@pytest.mark.parametrize("form", LETTERS)
def test_the_official_readers_letters_are_exported_when_asked_for(form, made):
    reply, careful, official = OFFICIAL[form]
    task = TASKS.get(form, form)
    names = [each.id for each in samples_of(task, made)]
    made_run(task, made, {**dict.fromkeys(names, "B"), names[3]: reply})
    assert run(*export(form)) == run(*export(form, "--reader", "careful", "-o", "careful")) == 0
    assert run(*export(form, "--reader", "official", "-o", "official")) == 0
    assert Path("careful", LETTERS[form]).read_bytes() == Path("run/export", LETTERS[form]).read_bytes()
    assert values_of(Path("careful", LETTERS[form]))[3] == careful
    assert values_of(Path("official", LETTERS[form]))[3] == official
    assert run(*score(task, Path("official", LETTERS[form]), made, output="again")) == 0
    if official:
        assert by_reader(task, "again", "official") == by_reader(task, "run", "official")


def test_unreadable_answers_are_nobodys_guess(made):
    for task in ("lvbench", "egoschema_full", "mlvu_test", "seedbench_video"):
        made_run(task, made, {each.id: "I cannot tell." for each in samples_of(task, made)}, task)
    assert run(*export("egoschema", output="egoschema_full")) == 0
    assert run(*export("egoschema_csv", output="egoschema_full")) == 0
    assert set(json.loads(Path("egoschema_full/export/egoschema_submission.json").read_text()).values()) == {
        -1
    }
    table = Path("egoschema_full/export/egoschema_submission.csv").read_text().splitlines()
    assert table[0] == "q_uid,answer" and all(line.endswith(",-1") for line in table[1:])
    assert run(*export("lvbench", output="lvbench")) == 0
    assert set(json.loads(Path("lvbench/export/lvbench_answers.json").read_text()).values()) == {""}
    assert run(*export("mlvu_test", output="mlvu_test")) == 0
    rows = json.loads(Path("mlvu_test/export/mlvu_test_submission.json").read_text())
    assert rows[0] == {"question_id": "TR_0", "question_type": "TR", "option": ""}
    assert run(*export("seedbench", output="seedbench_video")) == 0
    rows = json.loads(Path("seedbench_video/export/seedbench_results.json").read_text())
    assert rows[0] == {"question_id": "19_0", "prediction": ""}


def test_tempcompass_files_come_back_as_they_were(made, capsys):
    given = {each.id: "yes, (A)" if n % 2 else "" for n, each in enumerate(samples_of("tempcompass", made))}
    made_run("tempcompass", made, given)
    capsys.readouterr()
    assert run(*export("tempcompass")) == 0
    names = ["multi-choice.json", "yes_no.json", "caption_matching.json", "captioning.json"]
    assert capsys.readouterr().out.splitlines() == [f"run/export/{name}" for name in names]
    for root in (made, None):
        output = f"again-{root is None}"
        assert run(*score("tempcompass", "run/export", root, output=output)) == 0
        for reader in ("careful", "official"):
            assert by_reader("tempcompass", output, reader) == by_reader("tempcompass", "run", reader)


def test_tempcompass_questions_are_known_by_their_places(made, capsys):
    """Without the first of two, the second would stand in its place."""
    names = [each.id for each in samples_of("tempcompass", made)]
    made_run("tempcompass", made, {name: "A" for name in names if name != "yes_no/7/action/0"})
    told = refused(capsys, 1, *export("tempcompass"))
    assert "yes_no/7/action/0 has no answer" in told and "export jsonl" in told
    made_run("tempcompass", made, {name: "A" for name in names if name != "yes_no/7/action/1"}, "front")
    assert run(*export("tempcompass", output="front")) == 0


def test_video_names_of_own_labels_may_have_slashes(made):
    content = {"a/b/c": {"action": [{"question": "Does it?", "answer": "yes", "prediction": "No."}]}}
    assert run(*score("tempcompass", write(Path(), "yes_no.json", content), output="run")) == 0
    assert run(*export("tempcompass")) == 0
    assert json.loads(Path("run/export/yes_no.json").read_text()) == content


def test_a_template_scored_by_its_own_labels_is_exported_whole(made):
    made_run("videomme", made)
    assert run(*export("videomme")) == 0
    file = Path("run/export/videomme_results.json")
    assert run(*score("videomme", file, output="own")) == 0
    assert run(*export("videomme", output="own")) == 0
    assert Path("own/export/videomme_results.json").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("form", ["jsonl", "longvideobench"])
def test_half_a_sign_at_the_end_of_a_reply_comes_back(form, made):
    given = {each.id: "B \ud83e" for each in samples_of("longvideobench", made)}
    made_run("longvideobench", made, given)
    assert run(*export(form)) == 0
    file = Path("run/export") / TEXTS[form]
    file.read_text(encoding="utf-8")
    assert run(*score("longvideobench", file, made, output="again")) == 0
    assert by_reader("longvideobench", "again", "careful") == by_reader("longvideobench", "run", "careful")


def test_the_table_has_ids_targets_answers_and_texts(made, capsys):
    given = replies("lvbench", made)
    made_run("lvbench", made, given)
    assert run(*export("csv")) == 0
    rows = list(
        csv.reader(io.StringIO(Path("run/export/answers.csv").read_text(encoding="utf-8"), newline=""))
    )
    assert rows[0] == ["id", "target", "answer", "text"]
    read = by_reader("lvbench", "run", "careful")
    assert rows[1:] == [
        [each.id, each.target, read[each.id][0] or "", given[each.id]] for each in samples_of("lvbench", made)
    ]


def test_an_answer_is_no_formula_of_a_spreadsheet(made):
    given = replies("lvbench", made)
    first = samples_of("lvbench", made)[0].id
    made_run("lvbench", made, {**given, first: "=HYPERLINK(1)"})
    assert run(*export("csv")) == 0
    text = Path("run/export/answers.csv").read_text(encoding="utf-8")
    assert "'=HYPERLINK(1)" in text and ",=HYPERLINK" not in text
    for each in ("+1", "-2", "@SUM(1)", "\t=1"):
        assert no_formula(each) == f"'{each}"
    assert no_formula("A = 2") == "A = 2" and no_formula("") == ""


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "form"),
    [
        ("egoschema_full", "egoschema"),
        ("egoschema_full", "egoschema_csv"),
        ("mlvu_test", "mlvu_test"),
        ("longvideobench_test", "longvideobench"),
    ],
)
def test_a_submission_must_be_complete(task, form, made, capsys):
    names = [each.id for each in samples_of(task, made)]
    made_run(task, made, {name: "B" for name in names[2:]})
    told = refused(capsys, 1, *export(form))
    assert f"{form}: 2 of {len(names)} samples have no answer ({names[0]}, {names[1]});" in told
    assert not Path("run/export").exists()
    made_run(task, made, {name: "B" for name in names}, "whole")
    assert run(*export(form, output="whole")) == 0


def test_of_many_that_lack_the_first_are_named(made, capsys):
    names = [each.id for each in samples_of("egoschema_full", made)]
    made_run("egoschema_full", made, {names[6]: "B"})
    assert "6 of 7 samples have no answer (u0, u1, u2, ...)" in refused(capsys, 1, *export("egoschema"))


def test_an_incomplete_run_may_still_be_exported_as_lines(made):
    names = [each.id for each in samples_of("egoschema_full", made)]
    made_run("egoschema_full", made, {names[0]: "B"})
    assert run(*export("jsonl")) == 0
    assert Path("run/export/answers.jsonl").read_text() == '{"id": "u0", "text": "B"}\n'


def test_an_unknown_format_lists_what_the_run_could_be(made, capsys):
    made_run("egoschema", made)
    told = refused(capsys, 1, *export("xml"))
    assert (
        "'xml' is none of this run's tasks'" in told
        and "egoschema: egoschema, egoschema_csv, jsonl, csv" in told
    )
    assert "'xml': egoschema knows" in refused(capsys, 1, *export("xml", "--task", "egoschema"))
    assert "read by score, not written" in refused(capsys, 1, *export_of_packs(made))
    assert "choose one of careful, official" in refused(capsys, 1, *export("csv", "--reader", "mine"))


def export_of_packs(made):
    made_run("mmbench_video", made, {"0": "A cup."}, "packs")
    return export("mmbench_video_pack", output="packs")


def both_tasks(made):
    """A run that holds two tasks: two scorings of the same model, in one directory."""
    made_run("lvbench", made)
    made_run("videovista", made, output="more")
    for file in Path("more").glob("videovista.*"):
        file.rename(Path("run", file.name))
    record, more = (json.loads(Path(name, "run.json").read_text()) for name in ("run", "more"))
    for place in (record, record["protocol"]):
        place["tasks"]["videovista"] = more["tasks"]["videovista"]
    Path("run/run.json").write_text(json.dumps(record))
    assert run("score", "run", "-q", "--min-coverage", "0") == 0


def test_a_form_of_several_tasks_needs_the_tasks_name(made, capsys):
    both_tasks(made)
    told = refused(capsys, 1, *export("jsonl"))
    assert "lvbench, videovista all take 'jsonl': name one with --task" in told
    assert run(*export("jsonl", "--task", "Video-Vista")) == 0
    assert len(Path("run/export/answers.jsonl").read_text().splitlines()) == 6
    assert run(*export("lvbench")) == 0, "one task alone has this form"
    assert "the run holds lvbench, videovista" in refused(capsys, 1, *export("jsonl", "--task", "mlvu"))
    assert "unknown task 'mvlu'. Did you mean mlvu?" in refused(capsys, 1, *export("jsonl", "--task", "mvlu"))


def test_what_is_no_run_or_has_no_answer_or_no_annotations_is_one_line(made, tmp_path, capsys):
    assert "has no run.json" in refused(capsys, 1, *export("jsonl", output="nowhere"))
    write(Path(), "other.jsonl", '{"id": "x", "text": "A"}\n')
    assert run(*score("lvbench", "other.jsonl", made, "--ignore-unknown", output="empty")) == 2
    assert "there is nothing to export" in refused(capsys, 1, *export("jsonl", output="empty"))
    made_run("lvbench", made)
    told = refused(capsys, 6, *export("jsonl", "--data-root", tmp_path))
    assert f"annotations not found under {tmp_path / 'lvbench'}" in told
    Path("taken").write_text("")
    assert "cannot make taken/export" in refused(capsys, 2, *export("jsonl", "--output", "taken/export"))
    record = json.loads(Path("run/run.json").read_text())
    del record["tasks"]["lvbench"]["data_root"]
    Path("run/run.json").write_text(json.dumps(record))
    told = refused(capsys, 6, *export("jsonl"))
    assert "lvbench: annotations not found under any folder that is known: give --data-root" in told


def test_answers_that_are_not_scored_yet_are_no_export(made, capsys):
    """A run that was killed between its last answer and its scores: the file would lack what came last."""
    made_run("lvbench", made)
    lines = Path("run/lvbench.scores.jsonl").read_text().splitlines(keepends=True)
    Path("run/lvbench.scores.jsonl").write_text("".join(lines[:-2]))
    assert "kangaroo-eval score run makes them anew" in refused(capsys, 2, *export("lvbench"))
    assert run("score", "run", "-q", "--min-coverage", "0") == 0
    assert run(*export("lvbench")) == 0


def test_the_folder_is_the_runs_own_unless_another_is_named(made):
    made_run("lvbench", made)
    assert run(*export("lvbench")) == 0
    assert run(*export("lvbench", "-o", "deep/er")) == 0
    assert (
        Path("deep/er/lvbench_answers.json").read_bytes()
        == Path("run/export/lvbench_answers.json").read_bytes()
    )


def test_every_form_of_every_task_is_listed_here():
    """A new form needs its round trip above."""
    known = {form.name for name in task_names() for form in get_task(name).predictions}
    assert known == {*LETTERS, *TEXTS, "tempcompass", "mmbench_video_pack"} - {"jsonl"}
