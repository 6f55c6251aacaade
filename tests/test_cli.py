"""The command line: flags, one clear line for every mistake, and the documented exit codes."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import VIDEOMME_ROW, videomme_rows, write_videomme

from kangaroo_eval import evaluate
from kangaroo_eval.cli import main
from kangaroo_eval.cli.parser import make_parser
from kangaroo_eval.data import read_samples
from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.miniworld import exam
from kangaroo_eval.plan import RunConfig
from kangaroo_eval.registry import get_task
from kangaroo_eval.runner import default_output
from kangaroo_eval.types import Sample, Video

pytestmark = pytest.mark.usefixtures("away")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(3))


def run(*words):
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code


def refused(capsys, code, *words):
    """The one line on stderr of a command that must end with this exit code."""
    assert run(*words) == code
    error = capsys.readouterr().err.strip()
    assert error.startswith("kangaroo-eval: ") and "\n" not in error, error
    return error


def constant(data, *words):
    return (
        "--tasks",
        "videomme",
        "--model",
        "constant:B",
        "--data-root",
        data,
        "--data",
        "real",
        "--frames",
        "2",
        *words,
    )


def test_the_run_flags_are_the_documented_ones_and_few():
    parser = make_parser("x")._subparsers._group_actions[0].choices["run"]
    flags = sorted(
        option for action in parser._actions for option in action.option_strings if option.startswith("--")
    )
    assert flags == sorted(
        [
            "--full-hash",
            "--help",
            "--tasks",
            "--model",
            "--model-args",
            "--frames",
            "--nframes",
            "--max-frames-num",
            "--fps",
            "--max-frames",
            "--sampler",
            "--decoder",
            "--data",
            "--data-root",
            "--limit",
            "--samples",
            "--subset",
            "--batch-size",
            "--device",
            "--dtype",
            "--workers",
            "--output",
            "--output-path",
            "--fresh",
            "--on-missing",
            "--min-coverage",
            "--decode-timeout",
            "--judge",
            "--judge-base-url",
            "--judge-price",
            "--dry-run",
            "--seed",
            "--json",
            "--verbose",
            "--quiet",
            "--trust-remote-code",
            "--checkpoints",
            "--controls",
            "--frame-store",
            "--frame-store-size",
            "--ray",
            "--gpus",
            "--gpus-per-model",
        ]
    )


def test_a_run_prints_the_tables_and_one_json_line_last(data, capsys):
    assert run(*constant(data, "--json")) == 0
    out = capsys.readouterr().out
    assert "Table IV" in out and "Kangaroo" in out and "videomme" in out
    last = json.loads(out.splitlines()[-1])
    assert last["exit"] == 0 and last["run"].endswith("results/runs/constant-B-2f")
    assert last["tasks"]["videomme"]["n"] == 9 and last["tasks"]["videomme"]["coverage"] == 1.0


def test_the_stages_of_two_trainings_have_different_folders(data):
    """Their last two parts are the same: runs/a/long/model, runs/b/long/model."""
    task = get_task("videomme")
    names = set()
    for model in ("runs/a/long/model", "runs/b/long/model", "/x/step_1", "/x/step_2", "fox/kangaroo", "/"):
        config = RunConfig(tasks=("videomme",), model=f"kangaroo:{model}", frames=2, data_root=data)
        names.add(default_output(config, [SimpleNamespace(task=task, kind="real")]).name)
    assert len(names) == 6 and "kangaroo-a-long-model-2f" in names and "kangaroo-fox-kangaroo-2f" in names


def test_underscores_and_other_harnesses_names_are_taken(data):
    words = (
        "run",
        "-t",
        "Video-MME",
        "-M",
        "constant",
        "--max_frames_num",
        "2",
        "--data_root",
        data,
        "-L",
        "1",
        "-q",
    )
    assert run(*words) == 0


MISTAKES = {
    "a near miss gets a suggestion": (1, ("--tasks", "vidomme"), "Did you mean videomme?"),
    "no tasks": (1, ("--frames", "8"), "no tasks given"),
    "no words": (1, (), "no tasks given"),
    "zero frames": (
        1,
        ("--tasks", "videomme", "--frames", "0"),
        "--frames 0: give a whole number of at least 1",
    ),
    "frames and fps": (1, ("--tasks", "videomme", "--frames", "2", "--fps", "1"), "exclude each other"),
    "a cap without a rate": (1, ("--tasks", "videomme", "--max-frames", "2"), "--max-frames goes with --fps"),
    "a word for a number": (1, ("--tasks", "videomme", "--frames", "many"), "'many': give a whole number"),
    "unknown sampler": (
        1,
        ("--tasks", "videomme", "--sampler", "x"),
        "choose one of uniform, endpoints, official",
    ),
    "unknown flag": (
        1,
        ("--tasks", "videomme", "--framse", "8"),
        "unknown flag or word '--framse'. Did you mean --frames?",
    ),
    "unknown model": (
        1,
        ("--tasks", "videomme", "--data", "real", "--data-root", "D", "--model", "kangaro"),
        "unknown model",
    ),
    "bad model args": (1, ("--tasks", "videomme", "--model-args", "x"), "give name=value"),
    "bad limit": (1, ("--tasks", "videomme", "--limit", "2.5"), "--limit 2.5"),
    "limit nan": (1, ("--tasks", "videomme", "--limit", "nan"), "--limit nan"),
    "limit inf": (1, ("--tasks", "videomme", "--limit", "inf"), "--limit inf"),
    "odd digits": (1, ("--tasks", "videomme", "--batch-size", "²"), "--batch-size '²'"),
    "endless time-out": (1, ("--tasks", "videomme", "--decode-timeout", "inf"), "--decode-timeout inf"),
    "nobody's home": (1, ("--tasks", "videomme", "--data-root", "~nosuchuser"), "~nosuchuser"),
    "a model argument with a flag": (1, ("--tasks", "videomme", "--model-args", "device=cpu"), "--device"),
    "no samples": (1, ("--tasks", "videomme", "--samples", ""), "--samples names no sample"),
    "unknown model before any data": (1, ("--tasks", "videomme", "--model", "gpt"), "unknown model 'gpt'"),
    "a model show without a name": (1, ("models", "show"), "models show NAME"),
    "bad subset": (1, ("--tasks", "videomme", "--subset", "3"), "give SEED:N"),
    "bad coverage": (1, ("--tasks", "videomme", "--min-coverage", "99"), "between 0 and 1"),
    "bad on-missing": (1, ("--tasks", "videomme", "--on-missing", "x"), "choose one of fail, skip"),
    "bad data": (1, ("--tasks", "videomme", "--data", "x"), "choose one of auto, real, mini"),
    "no real data": (6, ("--tasks", "videomme", "--data", "real"), "real data asked for, but not found"),
    "unreadable data root": (6, ("--tasks", "videomme", "--data-root", "/nowhere"), "not a readable folder"),
    "unknown sample": (
        1,
        ("--tasks", "videomme", "--data-root", "D", "--samples", "zzz"),
        "no such sample: zzz",
    ),
    "arguments that the model has not": (
        1,
        ("--tasks", "videomme", "--data-root", "D", "--model", "constant", "--model-args", "heat=1"),
        "--model-args heat",
    ),
    "an output that is a file": (
        1,
        ("--tasks", "videomme", "--data-root", "D", "--model", "constant", "--output", "/dev/null/x"),
        "give another folder with --output",
    ),
    "score with a bad share": (
        1,
        (
            "score",
            "--task",
            "videomme",
            "--answers",
            "x",
            "--output",
            "o",
            "--data-root",
            "D",
            "--min-coverage",
            "7",
        ),
        "--min-coverage 7.0",
    ),
    "report of nothing": (1, ("report", "nowhere"), "no results.json"),
    "report in an unknown format": (1, ("report", "x", "--format", "x"), "choose one of terminal, markdown"),
    "score of nothing": (1, ("score",), "score needs a RUN directory"),
    "score of no run": (1, ("score", "nowhere"), "no run.json"),
    "answers without a task": (1, ("score", "--answers", "x"), "goes with --task"),
    "show without a name": (1, ("tasks", "show"), "tasks show NAME"),
    "unknown data action": (1, ("data", "burn"), "choose one of ls, fetch, verify, mini, exam"),
    "exam without a folder": (1, ("data", "exam"), "data exam --data-root DIR"),
    "a command that there is not": (
        1,
        ("reprot", "x"),
        "unknown flag or word 'reprot'. Did you mean report?",
    ),
    "a pattern that the shell wrote out": (
        1,
        ("--checkpoints", "out/step_1", "out/step_2", "--tasks", "videomme"),
        "quote a pattern, such as --checkpoints 'out/step_*'",
    ),
    "a file of samples that is not there": (
        1,
        ("--tasks", "videomme", "--data-root", "D", "--samples", "ids.txt"),
        "no such sample, and no such file: ids.txt",
    ),
    "more samples than a file's name may be long": (
        1,
        (
            "--tasks",
            "videomme",
            "--data-root",
            "D",
            "--samples",
            ",".join(f"{n:03}-1" for n in range(500, 600)),
        ),
        "(100 unknown in all)",
    ),
    "a decoder that is not installed": (
        1,
        ("--tasks", "videomme", "--data-root", "D", "--model", "constant", "--decoder", "torchcodec"),
        "--decoder torchcodec needs a package that is not here",
    ),
    "a model of the hub without its kind": (
        1,
        ("--tasks", "videomme", "--model", "Qwen/Qwen2.5-VL-7B"),
        "A checkpoint of the hub is hf:Qwen/Qwen2.5-VL-7B",
    ),
    "a server's model without its kind": (
        1,
        ("--tasks", "videomme", "--model", "gpt-4o"),
        "A server's model is openai:gpt-4o",
    ),
    "a list of what is nowhere": (6, ("data", "ls", "--data-root", "/nowhere"), "not a readable folder"),
    "a port that there is not": (
        1,
        ("chat", "x.mp4", "--web", "--port", "99999"),
        "a port from 0 (any) to 65535",
    ),
    "measuring a sweep": (
        1,
        ("--tasks", "videomme", "--data-root", "D", "--frames", "2,4", "--dry-run", "measure"),
        "measures one number of frames",
    ),
    "a dry run of another name": (
        1,
        ("--tasks", "videomme", "--data-root", "D", "--frames", "2,4", "--dry-run", "guess"),
        "--dry-run 'guess': give nothing, or measure",
    ),
}
if importlib.util.find_spec("torchcodec"):
    del MISTAKES["a decoder that is not installed"]


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_is_one_line_with_its_exit_code(name, data, capsys):
    code, words, said = MISTAKES[name]
    assert said in refused(capsys, code, *(data if word == "D" else word for word in words))


def test_dry_run_lists_tasks_videos_frames_and_what_is_missing(data, capsys):
    assert run("--tasks", "videomme", "--data-root", data, "--dry-run", "--frames", "8") == 0
    assert "videomme: 9 samples, 3 videos, 8 frames a video, 24 in all" in capsys.readouterr().out


def test_duplicates_missing_fields_and_missing_videos_are_exit_6(tmp_path, capsys):
    twice = write_videomme(tmp_path / "twice", [VIDEOMME_ROW, VIDEOMME_ROW], videos=False)
    assert "given twice, by rows 0 and 1" in refused(capsys, 6, *constant(twice))
    row = {key: value for key, value in VIDEOMME_ROW.items() if key != "answer"}
    lacking = write_videomme(tmp_path / "lacking", [row], videos=False)
    assert "field 'answer' is missing" in refused(capsys, 6, *constant(lacking))
    gone = write_videomme(tmp_path / "gone", [VIDEOMME_ROW], videos=False)
    assert "1 video is missing" in refused(capsys, 6, *constant(gone))
    assert run("data", "verify", "videomme", "--data-root", gone) == 6
    assert run(*constant(gone, "--on-missing", "skip", "-q")) == 2, "no answer at all"


def test_the_exam_is_made_where_a_data_root_is_looked_for(tmp_path, monkeypatch, capsys):
    small = functools.partial(exam.make_exam, each=1, workers=1)
    monkeypatch.setattr(exam, "make_exam", small)
    assert run("data", "exam", "--data-root", str(tmp_path)) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "videomme")
    assert run("data", "verify", "videomme", "--data-root", str(tmp_path)) == 0
    assert "9 samples, 3 videos, 0 missing, 0 unreadable" in capsys.readouterr().out


def test_score_report_and_the_listings_work_on_a_finished_run(data, capsys):
    assert run(*constant(data, "--output", "out", "-q")) == 0
    before = Path("out/videomme.scores.jsonl").read_bytes()
    os.unlink("out/videomme.scores.jsonl")
    assert run("score", "out", "--show-differences") == 0
    assert Path("out/videomme.scores.jsonl").read_bytes() == before
    capsys.readouterr()
    assert run("report", "out", "--format", "markdown", "--output", "r.md") == 0
    assert "| Kangaroo" in Path("r.md").read_text()
    assert run("report", "out") == 0 and "constant:B (looks at nothing), 2 frames" in capsys.readouterr().out
    assert run("tasks") == 0 and run("tasks", "show", "mlvu") == 0 and run("models") == 0
    assert (
        run("data", "ls", "--data-root", data) == 0
        and run("data", "verify", "videomme", "--data-root", data) == 0
    )
    out = capsys.readouterr().out
    assert "arXiv:2406.04264" in out and "kangaroo-tiny" in out and "9 samples, 3 videos, 0 missing" in out


def write_answers(answers):
    with open("answers.jsonl", "w") as file:
        file.writelines(json.dumps({"id": key, "text": text}) + "\n" for key, text in answers)
    return "answers.jsonl"


def score(data, answers, *words):
    return (
        "score",
        "--task",
        "videomme",
        "--answers",
        write_answers(answers),
        "--output",
        "scored",
        "--data-root",
        data,
        *words,
    )


def test_answers_made_elsewhere_are_scored_against_the_annotations(data, capsys):
    answers = [(row["question_id"], f"The answer is {row['answer']}") for row in videomme_rows(3)]
    assert run(*score(data, [*answers, answers[0]], "--json")) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    task = {"label": "videomme", "data": "real", "careful": 1.0, "official": 1.0, "n": 9, "coverage": 1.0}
    assert last["tasks"]["videomme"] == task


def test_unknown_double_and_missing_answers(data, capsys):
    good = [(row["question_id"], row["answer"]) for row in videomme_rows(3)]
    assert "1 unknown ids (xx)" in refused(capsys, 1, *score(data, [*good, ("xx", "A")]))
    assert "answered twice, differently" in refused(
        capsys, 1, *score(data, [*good, (good[0][0], "nonsense")])
    )
    assert run(*score(data, [*good, ("xx", "A")], "--ignore-unknown", "-q")) == 0
    assert "already holds a run" in refused(capsys, 1, *score(data, good))


@pytest.mark.parametrize("ending", ["", "\n", "\n\n"])
def test_the_last_answer_counts_with_or_without_a_final_newline(data, capsys, ending):
    answers = [(row["question_id"], row["answer"]) for row in videomme_rows(3)]
    words = score(data, answers, "-q", "--json")
    text = Path("answers.jsonl").read_text().rstrip("\n") + ending
    Path("answers.jsonl").write_text("\ufeff" + text)
    assert run(*words) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["tasks"]["videomme"]["n"] == 9


@pytest.mark.parametrize("content", [b'["A"]', b"A\n", "{}".encode("utf-16"), b"[" * 100_000])
def test_answers_that_are_no_json_lines_are_refused(data, capsys, content):
    words = score(data, [])
    Path("answers.jsonl").write_bytes(content)
    assert "answers.jsonl" in refused(capsys, 1, *words)


@pytest.mark.parametrize(
    "damage", ["{}", "[]", '{"schema": 1}', '{"schema": 1, "run": {}, "tasks": {"x": {}}}', "x"]
)
def test_damaged_results_and_records_are_one_line(data, capsys, damage):
    assert run(*constant(data, "--output", "out", "-q")) == 0
    Path("out/results.json").write_text(damage)
    refused(capsys, 1, "report", "out")
    assert run("score", "out", "-q") == 0 and run("report", "out") == 0
    capsys.readouterr()
    Path("out/run.json").write_text(damage)
    refused(capsys, 1, "score", "out")


@pytest.mark.parametrize("line", ["[]", "{}", "null", '{"id": "001-1"}', '{"id": "001-1", "status": "ok"}'])
def test_odd_journal_lines_are_named(data, capsys, line):
    assert run(*constant(data, "--output", "out", "-q")) == 0
    with open("out/videomme.answers.jsonl", "a") as file:
        file.write(line + "\n")
    assert "videomme.answers.jsonl" in refused(capsys, 1, *constant(data, "--output", "out"))
    assert "videomme.answers.jsonl" in refused(capsys, 1, "score", "out")


def test_mini_data_is_said_even_when_quiet_and_in_the_json_line(capsys):
    assert (
        run("--tasks", "videomme", "--model", "constant", "--frames", "1", "--limit", "1", "-q", "--json")
        == 0
    )
    out, err = capsys.readouterr()
    assert "MINI copy" in err
    last = json.loads(out.splitlines()[-1])
    assert last["tasks"]["videomme"]["label"] == "videomme[mini]" and last["notes"] == ["looks at nothing"]


def test_a_reader_that_leaves_or_a_full_output_never_changes_what_the_run_found(data, tmp_path):
    words = " ".join(map(str, constant(data, "--output", "out", "-q")))
    code = f"{sys.executable} -c 'from kangaroo_eval.cli import console; console()'"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}

    def shell(line):
        return subprocess.run(["bash", "-o", "pipefail", "-c", line], env=env, capture_output=True, text=True)

    assert shell(f"{code} {words}").returncode == 0
    assert shell(f"{code} report out").returncode == 0, "signs that the terminal has not are replaced"
    full = shell(f"{code} report out > /dev/full")
    assert full.returncode == 2 and full.stderr.count("\n") == 1 and "cannot write the output" in full.stderr


def test_nobody_reading_the_progress_does_not_end_the_run(data):
    """A closed pipe is no failure of the model, and a run that was cut short no success."""
    words = constant(data, "--output", "out")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", "from kangaroo_eval.cli import console; console()", *map(str, words)]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=writing, check=False)
    finally:
        os.close(writing)
    assert done.returncode == 0
    assert Path("out/videomme.answers.jsonl").read_bytes().count(b"\n") == 9
    assert Path("out/results.json").exists()


def test_a_label_beyond_the_options_is_refused(tmp_path):
    sample = Sample(id="7", video=Video("v"), question="?", choices=("one", "two"), target="D")
    task = dataclasses.replace(get_task("videomme"), read=lambda root: iter([sample]))
    with pytest.raises(DataError, match=r"the label of '7' is D, and it has 2 options"):
        read_samples(task, tmp_path)
    fine = dataclasses.replace(task, read=lambda root: iter([dataclasses.replace(sample, target="B")]))
    assert len(read_samples(fine, tmp_path)) == 1


def test_a_baseline_of_few_videos_is_told_when_it_is_made(data, capsys):
    assert run(*constant(data, "--output", "out", "-q")) == 0
    assert run("gate", "out", "--baseline", "b.json", "--accept") == 0
    assert "3 videos: a gate on fewer than 30 decides nothing" in capsys.readouterr().err


def test_tasks_are_named():
    with pytest.raises(UserError, match="tasks are given by name"):
        evaluate([get_task("videomme")], model="constant")


def test_missing_answers_lower_the_coverage(data, capsys):
    assert run(*score(data, [("001-1", "A")], "--json", "-q")) == 3
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["tasks"]["videomme"]["careful"] is None and last["exit"] == 3


def test_scoring_never_falls_back_to_mini_data(capsys):
    words = (
        "score",
        "--task",
        "videomme",
        "--answers",
        write_answers([("001-1", "A")]),
        "--output",
        "scored",
    )
    assert "not found" in refused(capsys, 6, *words)


SLOW = """
import time
from kangaroo_eval.backends.baselines import Constant
from kangaroo_eval.cli import console

respond = Constant.respond
Constant.respond = lambda self, requests: (time.sleep(0.02) or answer for answer in respond(self, requests))
console()
"""


def start(data, *words):
    command = [sys.executable, "-c", SLOW]
    return subprocess.Popen(
        [*command, *map(str, constant(data, "--output", "out", *words))],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_with_130_and_the_same_command_resumes(tmp_path, number):
    """The interruption comes while videos are being decoded: so many, and so slowly answered, that the run cannot be
    over before."""
    big = write_videomme(tmp_path / "big", videomme_rows(150, questions=1))
    process = start(big)
    answers = tmp_path / "out/videomme.answers.jsonl"
    deadline = time.time() + 60
    while time.time() < deadline and not (answers.exists() and answers.read_bytes().count(b"\n") >= 3):
        time.sleep(0.005)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130, error
    assert "the same command resumes" in error and "Traceback" not in error
    kept = answers.read_bytes().count(b"\n")
    assert 3 <= kept < 150
    assert run(*constant(big, "--output", "out", "-q")) == 0
    assert answers.read_bytes().count(b"\n") == 150
