"""Controls: runs of the same questions with a part of them taken away, and what they tell of the score."""

from __future__ import annotations

import json
import re

import pytest
from conftest import videomme_rows, write_videomme
from scripted import Scripted, go, lines

from kangaroo_eval import evaluate, report
from kangaroo_eval.cli import main
from kangaroo_eval.controls import CONTROLS
from kangaroo_eval.errors import UserError
from kangaroo_eval.permutation import all_turned, before, turned
from kangaroo_eval.report.controls import troubles
from kangaroo_eval.types import Failure, Sample, Video

ALL = tuple(CONTROLS)


def sample(choices, target="B", identity="s1"):
    return Sample(identity, Video("v.mp4"), "What is it?", tuple(choices), target)


# Options in another order


@pytest.mark.parametrize("form", ["{text}", "{letter}. {text}", "({letter}) {text}"])
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_every_option_gets_another_letter_and_the_right_one_stays_right(form, count):
    texts = ["red", "blue", "green", "white", "pink"][:count]
    shown = [form.format(letter=letter, text=text) for letter, text in zip("ABCDE", texts, strict=False)]
    for number in range(20):
        old = sample(shown, "B", f"s{number}")
        new = turned(old)
        place = "ABCDE".index(new.target)
        assert new.choices[place] == form.format(letter=new.target, text="blue")
        told = [re.sub(r"^\W*[A-E]\W+", "", choice) if form != "{text}" else choice for choice in new.choices]
        assert sorted(told) == sorted(texts) and all(a != b for a, b in zip(told, texts, strict=True))
        assert before(new.target, old.id, count) == "B"
        assert new == turned(old)


@pytest.mark.parametrize(
    "choices",
    [
        ["red", "blue", "none of the above"],
        ["red", "blue", "both A and B"],
        ["A. red", "C. blue", "B. green"],
        ["A. red", "blue", "green"],
        ["red", "", "green"],
        ["red"],
        [],
    ],
)
def test_options_that_speak_of_each_other_stay(choices):
    old = sample(choices, "A")
    assert turned(old) is old


def test_a_target_that_is_no_letter_stays():
    old = sample(["yes", "no"], "yes")
    assert turned(old) is old


def test_a_prompt_that_has_its_options_from_elsewhere_is_refused():
    with pytest.raises(UserError, match="do not follow the list of options"):
        all_turned("mine", [sample(["red", "blue"])], lambda each, view: "What is it?\nA. red\nB. blue")
    with pytest.raises(UserError, match="no question has options with letters"):
        all_turned("mine", [sample([])], lambda each, view: each.question)


# Runs


@pytest.fixture
def data(tmp_path):
    rows = videomme_rows(10)
    for number, row in enumerate(rows):
        row["options"] = [f"{letter}. Thing {number}{letter}." for letter in "ABCD"]
    return write_videomme(tmp_path / "data", rows)


def right(data):
    """Question id -> the text of the right option."""
    import pyarrow.parquet as pq

    rows = pq.read_table(data / "videomme/videomme/test-00000-of-00001.parquet").to_pylist()
    return {row["question_id"]: row["options"]["ABCD".index(row["answer"])][3:] for row in rows}


def seeing(data):
    """A model that is right where it sees four frames in their order, by the option's text, and says B else."""
    answers = right(data)

    def say(request):
        light = [float(frame.mean()) for frame in request.frames.pixels]
        if len(light) < 4 or light != sorted(light):
            return "B"
        letter = re.search(rf"([A-D])\. {re.escape(answers[request.id])}", request.prompt)
        return letter[1] if letter else "no such option"

    return Scripted(say)


def test_each_control_tells_what_the_score_loses_without_a_part(data, tmp_path):
    model = seeing(data)
    found = go(model, data, tmp_path / "run", controls=ALL)
    task = found["videomme"]
    assert task["careful"]["value"] == 1.0 and set(task["controls"]) == set(ALL)
    share = sum(row["answer"] == "B" for row in videomme_rows(10)) / 30
    for name in ("blind", "single-frame", "shuffle-frames"):
        control = task["controls"][name]
        assert control["careful"]["value"] == pytest.approx(share)
        lost = control["lost"]["careful"]
        assert lost["value"] == pytest.approx(1 - share) and lost["n"] == 30 and lost["low"] > 0.5
    assert task["controls"]["shuffle-options"]["careful"]["value"] == 1.0
    assert task["controls"]["shuffle-options"]["same"] == {"value": 1.0, "n": 30}
    assert "below_blind" not in {each["kind"] for each in task["findings"]}
    counts = {len(request.frames.times) for request in model.seen}
    assert counts == {0, 1, 4}, "blind, one frame, all of them"
    # What the runs have on disk is what a rescore finds again.
    before_ = json.loads((tmp_path / "run/results.json").read_text())
    assert main(["score", str(tmp_path / "run"), "--data-root", str(data), "-q"]) == 0
    assert json.loads((tmp_path / "run/results.json").read_text())["tasks"] == before_["tasks"]
    text = report.terminal(found.data)
    assert (
        "controls" in text and "shuffle-options: options in another order" in text and "100.0 % of 30" in text
    )
    assert "letters answered: A 27, B 27" in text


def test_scoring_anew_scores_the_controls_too(data, tmp_path):
    """What a score loses is a difference of two scores by one reader."""
    go(seeing(data), data, tmp_path / "run", controls=("blind",))
    kept = tmp_path / "run/controls/blind/videomme.scores.jsonl"
    before_ = kept.read_bytes()
    kept.write_bytes(before_.replace(b'"score": 1.0', b'"score": 0.0'))
    assert main(["score", str(tmp_path / "run"), "--data-root", str(data), "-q"]) == 0
    assert kept.read_bytes() == before_


def test_the_same_call_again_asks_nothing_again(data, tmp_path):
    go(seeing(data), data, tmp_path / "run", controls=("blind", "shuffle-options"))
    again = seeing(data)
    go(again, data, tmp_path / "run", controls=("blind", "shuffle-options"))
    assert not again.seen
    go(again, data, tmp_path / "run", controls=("single-frame",))
    assert len(again.seen) == 30


def test_a_model_that_picks_letters_is_found_out(data, tmp_path):
    found = go(Scripted(lambda request: "B"), data, tmp_path / "run", controls=("blind", "shuffle-options"))
    task = found["videomme"]
    assert task["controls"]["shuffle-options"]["same"]["value"] == 0.0
    kinds = {each["kind"] for each in task["findings"]}
    assert {"letter_collapse", "no_gain"} <= kinds


def test_a_score_below_that_without_the_video_is_told(data, tmp_path):
    answers = right(data)

    def say(request):
        letter = re.search(rf"([A-D])\. {re.escape(answers[request.id])}", request.prompt)
        return "ABCD"["ABCD".index(letter[1]) - 1] if len(request.frames.times) else letter[1]

    found = go(Scripted(say), data, tmp_path / "run", controls=("blind",))
    told = next(each for each in found["videomme"]["findings"] if each["kind"] == "below_blind")
    assert "the score is 100.0 points" in told["text"] and "below that without the video" in told["text"]
    assert found["videomme"]["careful"]["value"] == 0.0, "and the score stays what it is"


def test_a_control_that_lacks_answers_is_no_success(data, tmp_path):
    """Else a nightly job reads "the video adds nothing" off a control that was never answered."""

    down = sorted(right(data))[:3]

    def say(request):
        blind = not len(request.frames.times)
        return Failure(request.id, "http_500", "down") if blind and request.id in down else "B"

    found = go(Scripted(say), data, tmp_path / "run", controls=("blind", "single-frame"))
    assert found["videomme"]["status"] == "ok" and found.exit_code == 3
    assert troubles(found.data) == ["videomme, control blind: status low_coverage, coverage 90.0 %."]
    assert troubles(found.data)[0] in (tmp_path / "run/report.md").read_text()


def test_scores_of_shuffled_options_are_of_the_shuffled_ones(data, tmp_path):
    """Also when scored again: the run's protocol says that its options were moved."""
    go(seeing(data), data, tmp_path / "run", controls=("shuffle-options",))
    control = tmp_path / "run/controls/shuffle-options"
    first = lines(control / "videomme.scores.jsonl")
    assert json.loads((control / "run.json").read_text())["protocol"]["options"] == "shuffled"
    assert main(["score", str(control), "--data-root", str(data), "-q"]) == 0
    assert lines(control / "videomme.scores.jsonl") == first
    original = {line["id"]: line["target"] for line in lines(tmp_path / "run/videomme.scores.jsonl")}
    assert all(line["target"] != original[line["id"]] for line in first)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["blin"],
            "--controls 'blin': choose among blind, single-frame, shuffle-frames, shuffle-options, or all",
        ),
        (["blind"], "constant:B gets no pictures anyway"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(names, message, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("kangaroo_eval.backends.baselines.Constant.frame_size", 0)
    asked = ["--tasks", "videomme", "--model", "constant:B", "--data-root", str(data), "--frames", "4"]
    code = main([*asked, "--output", str(tmp_path / "run"), "--controls", *names])
    assert code == 1 and message in capsys.readouterr().err


def test_tasks_without_options_are_refused(tmp_path):
    with pytest.raises(UserError, match="mlvu_generation has no questions with options"):
        evaluate(
            "mlvu_generation",
            Scripted(lambda request: "A"),
            data="mini",
            cache=tmp_path / "cache",
            output=tmp_path / "run",
            controls=("blind",),
        )
