"""Baselines: what they answer, what their scores are worth, and that none of them looks at a picture."""

from __future__ import annotations

import dataclasses
import json
import logging

import numpy as np
import pytest
from conftest import videomme_rows, write_videomme

from kangaroo_eval import evaluate
from kangaroo_eval.errors import UserError
from kangaroo_eval.foreign import UNKNOWN_WEIGHTS
from kangaroo_eval.protocols import ChoiceRanker, Described, FrameSized, Informed
from kangaroo_eval.registry import get_task, load_model, task_names
from kangaroo_eval.scores import rule_scores
from kangaroo_eval.types import Cue, Failure, Frames, Request, Response, Sample, Video

NOTHING = Frames(np.zeros((2, 0, 0, 3), np.uint8), (0.5, 1.5))


def asked(name, **options) -> Request:
    return Request(name, Video("v.mp4"), "What?", NOTHING, 16, **options)


def sample(name, target, choices=("x", "y", "z"), **options) -> Sample:
    return Sample(name, Video("v.mp4"), "What?", tuple(choices), target, **options)


def test_a_constant_says_the_same_and_still_has_its_videos_decoded():
    model = load_model("constant:B", device=None, dtype=None, seed=0, batch_size=None, full_hash=False)
    (answer,) = model.respond([asked("1")])
    assert answer.text == "B" and model.frame_size > 0
    assert load_model("constant").text == "A"


@pytest.mark.parametrize("name", ["constant:B", "majority", "random"])
def test_a_baseline_takes_no_arguments(name):
    with pytest.raises(UserError, match="unknown --model-args temperature; known are none"):
        load_model(name, temperature="1")


@pytest.mark.parametrize("name", ["majority", "random"])
def test_what_stands_behind_a_colon_is_not_ignored(name):
    with pytest.raises(UserError, match=f"write {name}"):
        load_model(f"{name}:B")
    assert isinstance(load_model(name), Informed) and isinstance(load_model(name), Described)


# The most common answer


def said(model, *samples, **options):
    return [each.text for each in model.respond(asked(each.id, **options) for each in samples)]


def test_majority_says_the_most_common_answer_and_the_first_of_equally_common_ones():
    model = load_model("majority")
    model.study("two", [sample("4", "B"), sample("5", "A"), sample("6", None)])
    assert said(model, sample("6", None)) == ["B"]
    model.study("one", [sample("1", "A"), sample("2", "C"), sample("3", "C")])
    assert said(model, sample("1", None)) == ["C"]
    assert said(model, sample("1", None), prefill="Best option:(") == ["C)"]


def test_majority_counts_kinds_of_questions_apart_and_labels_by_their_place():
    labelled = [("Caption A: x", "Caption B: y"), ("Option 1: x", "Option 2: y")]
    samples = [
        sample("l1", "Caption B", labelled[0]),
        sample("l2", "Option 2", labelled[1]),
        sample("l3", "Option 1", labelled[1]),
        *(sample(f"y{n}", target, ()) for n, target in enumerate(("no", "no", "yes"))),
        *(sample(f"m{n}", "A") for n in range(9)),
        *(sample(f"o{n}", target, ()) for n, target in enumerate(("a cat", "a dog", "a dog"))),
    ]
    model = load_model("majority")
    model.study("mixed", samples)
    found = dict(zip((each.id for each in samples), said(model, *samples), strict=True))
    assert (found["l1"], found["l2"], found["l3"]) == ("Caption B", "Option 2", "Option 2")
    assert (found["y0"], found["m0"], found["o0"]) == ("no", "A", "a dog")


def test_majority_needs_labels():
    with pytest.raises(UserError, match=r"^secret: no labels to count, such as that of 1$"):
        load_model("majority").study("secret", [sample("1", None)])


@pytest.mark.parametrize("name", ["majority", "random"])
def test_each_task_is_learned_anew_whatever_ids_it_shares_with_another(name):
    model = load_model(name)
    tasks = {"one": [sample("1", "A"), sample("2", "A", ("x",))], "other": [sample("1", "C", "wxyz")]}
    for task in (*tasks, *tasks):
        model.study(task, tasks[task])
        (answer,) = model.respond([asked("1")])
        if name == "majority":
            assert answer.text == {"one": "A", "other": "C"}[task]
        else:
            assert answer.guess == {"one": 3, "other": 4}[task]
        if task == "other":
            with pytest.raises(KeyError):  # what the other task's sample is worth is not known any more
                list(model.respond([asked("2")]))


# The expected value of a guess


def test_random_is_worth_one_among_the_possible_replies():
    caption = sample("caption", "B", (), facts={"mc_question": "What?\nA. x\nB. y\nC. z"})
    samples = [sample("three", "A"), sample("two", "yes", ()), caption, sample("one", "A", ("only",))]
    model = load_model("random")
    model.study("task", samples)
    assert [each.guess for each in model.respond(asked(each.id) for each in samples)] == [3, 2, 3, 0]


def test_random_gives_the_only_reply_that_there_is():
    model = load_model("random")
    model.study("task", [sample("1", "A", ("only",)), sample("2", "Caption A", ("Caption A: x",))])
    answers = list(model.respond([asked("1"), asked("1", prefill="Best option:("), asked("2")]))
    assert [(each.text, each.guess) for each in answers] == [("A", 0), ("A)", 0), ("Caption A", 0)]


def test_random_refuses_a_caption_that_is_held_against_one_option():
    with pytest.raises(UserError, match="open"):
        load_model("random").study("t", [sample("1", "A", (), facts={"mc_question": "What?\nA. x"})])


def test_random_never_finds_an_answer_that_is_no_option():
    model = load_model("random")
    model.study("task", [sample("1", "@"), sample("2", None)])
    assert [each.guess for each in model.respond([asked("1"), asked("2")])] == [0, 3]


def test_random_refuses_open_questions():
    with pytest.raises(
        UserError, match=r"^talk: 1 of 2 questions are open, such as b, and cannot be guessed$"
    ):
        load_model("random").study("talk", [sample("a", "A"), sample("b", "a dog", ())])


def test_the_expected_value_of_a_guess_at_the_real_mvbench(shared):
    """28.29 was computed from the annotation files alone (specs of the short benchmarks)."""
    task = get_task("mvbench")
    samples = list(task.read(shared / "data/mvbench"))
    model = load_model("random")
    model.study("mvbench", samples)
    answers = list(model.respond(asked(each.id) for each in samples))
    scores = [
        rule_scores(task, each, {"text": answer.text, "guess": answer.guess})
        for each, answer in zip(samples, answers, strict=True)
    ]
    for side in (0, 1):
        assert 100 * np.mean([score[side].value for score in scores]) == pytest.approx(28.29, abs=0.01)


@pytest.fixture(scope="module")
def minis(tmp_path_factory):
    """The small made copy of a task, without its videos being looked at."""
    from kangaroo_eval.data import locate, read_samples

    cache = tmp_path_factory.mktemp("minis")

    def read(task):
        root, _ = locate(task, "mini", None, cache)
        return list(read_samples(task, root))

    return read


def asked_of(name):
    """A question of a task in the form its readers want, three with the same answer and one with another."""
    if name != "tempcompass":
        return [sample(str(n), target, "wxyz") for n, target in enumerate("BBAB")]
    lines = ("Caption A: x runs", "Caption B: y runs")
    question = "Which?\n" + "\n".join(lines)
    made = []
    for kind, choices, answers in (
        ("caption_matching", lines, (lines[1], lines[0], lines[1])),
        ("yes_no", (), ("no", "no", "yes")),
        ("multi-choice", ("A. x", "B. y"), ("B. y", "A. x", "B. y")),
    ):
        for number, answer in enumerate(answers):
            target = answer if kind == "yes_no" else answer.partition(":")[0] if ":" in answer else answer[0]
            facts, tags = {"answer": answer}, {"type": kind}
            each = sample(f"{kind}/{number}", target, choices, facts=facts, tags=tags)
            made.append(dataclasses.replace(each, question=question))
    return made


@pytest.mark.parametrize(
    "name",
    [
        *("videomme", "mlvu", "mvbench", "tempcompass", "seedbench_video", "lvbench", "egoschema"),
        *("longvideobench", "videovista"),
    ],
)
def test_both_readers_understand_the_majority_answer(name):
    """An official rule that cannot read it would call a fair share of right answers none."""
    task, samples = get_task(name), asked_of(name)
    model = load_model("majority")
    model.study(name, samples)
    answers = model.respond(asked(each.id, prefill=task.prefill) for each in samples)
    values = []
    for each, answer in zip(samples, answers, strict=True):
        careful, official = rule_scores(task, each, {"text": answer.text})
        assert careful is not None and careful.answer is not None, (each.id, answer.text)
        assert official is not None and official.value == careful.value, (each.id, answer.text)
        values.append(official.value)
    assert np.mean(values) == (0.75 if name != "tempcompass" else pytest.approx(2 / 3))


# A model without its video


class Seeing:
    """A model that says how many frames it got."""

    name = "seeing"
    frame_size = 32
    model_hash = "abc"
    dtype = "float32"
    notes = ("untrained weights",)
    settings = {"device": "cpu"}  # noqa: RUF012

    def respond(self, requests):
        for request in requests:
            frames = request.frames
            text = f"{frames.pixels.shape[0]} {len(frames.times)} {request.prompt} {len(request.timed_text)}"
            failed = request.id == "bad"
            yield (
                Failure(request.id, "odd", "no")
                if failed
                else Response(request.id, text, frames.times, 1, 1, 0)
            )


class Ranking(Seeing):
    """The same, and it ranks."""

    def rank(self, request, candidates):
        return [float(len(request.frames.times))] * len(candidates)


@pytest.fixture
def inner(monkeypatch):
    """A made model under the name that blind asks for; what it was made with."""
    from kangaroo_eval.backends import wrapped

    class Made:
        model = Seeing()
        given = None

    def load(name, **options):
        Made.given = (name, options)
        return Made.model

    monkeypatch.setattr(wrapped, "load_model", load)
    monkeypatch.setattr(wrapped, "model_loader", lambda name: load)
    return Made


def test_blind_gives_the_text_without_the_video(inner):
    model = load_model("blind:hf:some/id", device="cpu", dtype="float32", attn="eager")
    assert inner.given == ("hf:some/id", {"device": "cpu", "dtype": "float32", "attn": "eager"})
    cue = Cue(0.0, 1.0, "a line")
    answer, failed = model.respond([asked("1", timed_text=(cue,)), asked("bad")])
    assert answer.text == "0 0 What? 1" and answer.frame_times == ()
    assert failed == Failure("bad", "odd", "no")


def test_blind_is_a_model_of_its_own_that_says_what_it_lacks(inner):
    model = load_model("blind:seeing")
    assert model.name == "blind:seeing" and model.notes == ("untrained weights", "sees no video")
    assert isinstance(model, FrameSized) and model.frame_size == 0
    assert isinstance(model, Described) and model.model_hash not in ("abc", "")
    assert model.settings == {"device": "cpu", "blind": True} and model.dtype == "float32"
    before = model.model_hash
    inner.model = type("Other", (Seeing,), {"model_hash": "other"})()
    assert load_model("blind:seeing").model_hash != before


def test_blind_ranks_only_where_the_inner_model_does(inner):
    assert not isinstance(load_model("blind:seeing"), ChoiceRanker)
    inner.model = Ranking()
    model = load_model("blind:seeing")
    assert isinstance(model, ChoiceRanker)
    assert model.rank(asked("1"), ("x", "y")) == [0.0, 0.0]


def test_blind_closes_the_inner_model(inner):
    closed = []
    inner.model.close = lambda: closed.append(True)
    load_model("blind:seeing").close()
    assert closed == [True]
    del inner.model.close
    load_model("blind:seeing").close()


def test_blind_says_that_weights_without_a_hash_are_not_told_apart(inner, caplog):
    class Plain:
        name = "plain"

        def respond(self, requests):
            return iter(())

    inner.model = Plain()
    with caplog.at_level(logging.WARNING):
        model = load_model("blind:plain")
    assert "plain has no model_hash" in caplog.text
    assert isinstance(model, Described) and model.notes == (UNKNOWN_WEIGHTS, "sees no video")


def test_blind_hands_on_what_earlier_calls_of_the_run_ended_with(inner):
    load_model("blind:seeing").earlier({"usage": 1})
    told = []
    inner.model.earlier = told.append
    load_model("blind:seeing").earlier({"usage": 1})
    assert told == [{"usage": 1}]
    del inner.model.earlier


def test_blind_refuses_a_model_that_says_that_it_opens_videos(inner):
    inner.model = type("Opening", (Seeing,), {"opens_videos": True})()
    with pytest.raises(UserError, match="blind:own:x: own opens the video by itself and cannot be blinded"):
        load_model("blind:own:x")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("blind", "blind:NAME"),
        ("blind:random", "run random"),
        ("blind:release:/nowhere", "release opens the video by itself and cannot be blinded"),
        ("blind:blind:release:x/y", "release opens the video by itself and cannot be blinded"),
        ("blind:nobody", "unknown model 'nobody'"),
    ],
)
def test_blind_needs_a_model_that_sees(name, words):
    with pytest.raises(UserError, match=words):
        load_model(name)


# Whole runs


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(4))


def run(model, made, output, tasks="videomme", **options):
    options = {"frames": 4, "data": "real", "data_root": made, "workers": 1, **options}
    return evaluate(tasks, model, output=output, **options)


def test_whole_runs_of_the_baselines(made, tmp_path):
    random = run("random", made, tmp_path / "random")["videomme"]
    assert random["careful"] == random["official"] and random["careful"]["value"] == 0.25
    assert random["careful"]["unreadable"] == 0
    majority = run("majority", made, tmp_path / "majority")["videomme"]
    assert majority["careful"]["value"] == majority["official"]["value"] == 0.25
    record = json.loads((tmp_path / "majority/run.json").read_text())
    assert record["model"]["notes"] == ["looks at nothing", "knows the right answers"]


def test_a_whole_run_of_a_blind_model_decodes_nothing(made, tmp_path):
    results = run("blind:constant:C", made, tmp_path / "run")
    assert results["videomme"]["statuses"] == {"ok": 12}
    lines = [json.loads(line) for line in (tmp_path / "run/videomme.answers.jsonl").read_text().splitlines()]
    assert all(line["text"] == "C" and line["frame_times"] == [] for line in lines)
    assert json.loads((tmp_path / "run/run.json").read_text())["decoding"]["size"] == 0


@pytest.mark.slow
def test_the_bundled_model_answers_without_its_video(tmp_path):
    """With a system turn, a prefilled answer, bounded clips and folders of frames; and ranked, shown twice."""
    pytest.importorskip("transformers")
    options = {"frames": 4, "data": "mini", "cache": tmp_path / "cache", "limit": 4, "workers": 1}
    results = evaluate("mvbench,seedbench_video", "blind:kangaroo-tiny", output=tmp_path / "run", **options)
    assert results["mvbench"]["statuses"] == results["seedbench_video"]["statuses"] == {"ok": 4}
    lines = (tmp_path / "run/seedbench_video.answers.jsonl").read_text().splitlines()
    assert all(len(json.loads(line)["losses"]) == 4 for line in lines)


@pytest.mark.slow
def test_every_task_that_can_be_guessed_is_known(minis):
    """Which tasks random refuses: open questions, and nothing else."""
    refused = set()
    for name in task_names():
        task = get_task(name)
        try:
            load_model("random").study(name, minis(task))
        except UserError:
            refused.add(name)
    assert refused == {"mlvu_generation", "mmbench_video"}
