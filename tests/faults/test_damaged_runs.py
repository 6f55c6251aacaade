"""Files of a run that were damaged, edited or brought from elsewhere: each command goes on, or says in a line what to do."""

from __future__ import annotations

import json
import random
import shutil
import traceback

import corpus
import pytest
from conftest import videomme_rows, write_videomme
from how_long import COUNT

from kangaroo_eval.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("away")]

EACH = COUNT or 8
FILES = (
    "run.json",
    "results.json",
    "videomme.answers.jsonl",
    "videomme.asked.jsonl",
    "videomme.scores.jsonl",
    "b.json",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(3, 2))


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory):
    """A folder with two finished runs, a and b, and a baseline b.json."""
    folder = tmp_path_factory.mktemp("runs")
    for name, letter in (("a", "B"), ("b", "C")):
        assert main(run(made, folder / name, letter)) == 0
    gate = ["gate", str(folder / "b"), "--baseline", str(folder / "b.json"), "--accept"]
    assert main(gate) == 0
    return folder


def run(made, output, letter="B"):
    words = ["--tasks", "videomme", "--model", f"constant:{letter}", "--data-root", str(made)]
    return [*words, "--frames", "2", "--workers", "0", "--output", str(output), "-q"]


def commands(made, folder):
    """Every command that reads a run, with the codes it may end with."""
    a, b = str(folder / "a"), str(folder / "b")
    fine = (0, 1, 2, 3, 6)
    unlike = (*fine, 4, 5)
    return (
        (["report", a, b], fine),
        (["report", a, "--format", "html"], fine),
        (["compare", a, b], unlike),
        (["compare", b, a, "--force"], unlike),
        (["gate", a, "--baseline", b], unlike),
        (["gate", b, "--baseline", str(folder / "b.json")], unlike),
        (["export", a, "--format", "jsonl", "--output", str(folder / "out")], fine),
        (["view", a, "--compare", b, "--side", "0", "-q", "--output", str(folder / "pages")], fine),
        (["score", a], fine),
        (run(made, folder / "a"), fine),
    )


def spoiled(data, name, dice, number):
    """The file with one thing wrong: as a whole, or in one of its values."""
    if number % 2:
        kind = dice.choice(sorted(corpus.BYTES))
        return corpus.BYTES[kind](data, dice), kind
    return corpus.SPOILERS["." + name.rpartition(".")[2]](data, dice, "/outside")


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_a_run_is_a_line_or_no_matter(name, made, whole, tmp_path, capsys):
    dice, found = random.Random(f"{name} {EACH}"), []
    for number in range(EACH):
        folder = tmp_path / "runs"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        file = folder / name if name == "b.json" else folder / "a" / name
        data, what = spoiled(file.read_bytes(), name, dice, number)
        file.write_bytes(data)
        for words, codes in commands(made, folder):
            told = f"{name}: {what[:100]!r}: {words[:2]}"
            capsys.readouterr()
            try:
                code = main(words)
            except Exception as error:  # noqa: BLE001 - this is what the test looks for
                place = traceback.extract_tb(error.__traceback__)[-1]
                found.append(
                    f"{told}: {type(error).__name__}: {str(error)[:200]} at {place.filename}:{place.lineno}"
                )
                continue
            err = capsys.readouterr().err
            if (
                code not in codes
                or "Traceback" in err
                or len(err) > 6000
                or (code == 1 and err.count("\n") > 2)
            ):
                found.append(f"{told}: {code} {err[:1000]}")
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.fixture
def half(made, tmp_path):
    """A run of four of six questions, whose answers are then edited; and the lines."""
    assert main([*run(made, tmp_path / "out"), "--limit", "4"]) == 0
    file = tmp_path / "out/videomme.answers.jsonl"
    return file, file.read_text().splitlines()


def finished(made, tmp_path):
    """The numbers of the run when it has gone on to its end."""
    assert main(run(made, tmp_path / "out")) == 0
    task = json.loads((tmp_path / "out/results.json").read_text())["tasks"]["videomme"]
    return task["asked"], task["answered"], task["careful"]["value"], task["official"]["n"]


def numbers(whole):
    task = json.loads((whole / "a/results.json").read_text())["tasks"]["videomme"]
    return task["asked"], task["answered"], task["careful"]["value"], task["official"]["n"]


@pytest.mark.parametrize("how", ["torn", "twice", "all twice", "backwards", "torn between"])
def test_lines_that_are_torn_repeated_or_out_of_order_count_once(how, half, made, whole, tmp_path):
    file, lines = half
    changed = {
        "torn": "\n".join(lines) + "\n" + lines[0][:50],
        "twice": "\n".join([*lines, lines[1]]) + "\n",
        "all twice": "\n".join(lines * 2) + "\n",
        "backwards": "\n".join(reversed(lines)) + "\n",
        "torn between": "\n".join(lines[:-1]) + "\n" + lines[-1],
    }
    file.write_text(changed[how])
    assert finished(made, tmp_path) == numbers(whole)
    after = [json.loads(line)["id"] for line in file.read_text().splitlines()]
    assert len(set(after)) == 6 and len(after) <= 10


def test_an_answer_to_a_question_that_is_in_no_benchmark_counts_nowhere(half, made, whole, tmp_path):
    file, lines = half
    foreign = json.dumps({**json.loads(lines[0]), "id": "elsewhere/1"})
    file.write_text("\n".join([foreign, *lines]) + "\n")
    assert finished(made, tmp_path) == numbers(whole)
    scores = (tmp_path / "out/videomme.scores.jsonl").read_text()
    assert "elsewhere" not in scores and len(scores.splitlines()) == 6


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 400,
        b'{"id": "001-1", "status": "ok", "text": "\xff\xfe"}',
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"id": "001-1", "status": "ok", "text": 1}',
        b'{"id": "001-1", "status": "ok"}',
        b'{"id": ["001-1"], "status": "ok", "text": "A"}',
        b"[]",
        b"null",
        b'{"id": 1' + b"0" * 5000 + b"}",
    ],
    ids=lambda line: repr(line[:12]),
)
def test_a_line_that_is_none_is_named_and_nothing_is_asked(line, half, made, tmp_path, capsys):
    file, lines = half
    file.write_bytes(line + b"\n" + "\n".join(lines).encode() + b"\n")
    before = file.read_bytes()
    capsys.readouterr()
    assert main(run(made, tmp_path / "out")) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "videomme.answers.jsonl" in err and "--fresh" in err and len(err) < 700, (
        err
    )
    assert file.read_bytes() == before
