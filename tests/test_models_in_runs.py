"""What a run makes of models that do more, or less, than answer: failures, guesses, no pictures, whole pictures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from conftest import videomme_rows, write_videomme
from scripted import Scripted, go, lines

from kangaroo_eval.cli import main
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.export import export_run
from kangaroo_eval.types import Failure, Response


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(4))


def test_a_failure_costs_its_own_question_and_is_asked_again(data, tmp_path):
    def say(request):
        return Failure(request.id, "http_500", "the server\nfailed") if request.id == "002-2" else "C"

    model = Scripted(say)
    results = go(model, data, tmp_path / "run", min_coverage=0.5)
    assert results["videomme"]["statuses"] == {"ok": 11, "request_failed": 1}
    assert len(model.seen) == 12, "nothing is asked twice"
    (failed,) = [x for x in lines(tmp_path / "run/videomme.answers.jsonl") if x["status"] != "ok"]
    assert (failed["id"], failed["text"]) == ("002-2", None)
    assert failed["error"] == {"type": "http_500", "message": "the server failed"}
    again = Scripted(lambda request: "C")
    assert go(again, data, tmp_path / "run").exit_code == 0
    assert [request.id for request in again.seen] == ["002-2"]


def test_failures_only_end_the_run(data, tmp_path):
    model = Scripted(lambda request: Failure(request.id, "http_401", "the key is refused"))
    with pytest.raises(RunFailed, match=r"10 requests in a row.*the key is refused"):
        go(model, data, tmp_path / "run")


def test_a_failure_under_another_id_is_refused(data, tmp_path):
    model = Scripted(lambda request: Failure("003-1", "x", "y"))
    with pytest.raises(RunFailed, match="answered request '003-1', which it does not have"):
        go(model, data, tmp_path / "run")


def test_a_guess_scores_its_expected_value_under_both_readers(data, tmp_path):
    model = Scripted(lambda request: Response(request.id, "", (), 0, 0, 0.0, guess=4))
    results = go(model, data, tmp_path / "run")
    for reader in ("careful", "official"):
        assert results["videomme"][reader]["value"] == 0.25 and results["videomme"][reader]["unreadable"] == 0
    assert lines(tmp_path / "run/videomme.answers.jsonl")[0]["guess"] == 4
    assert main(["score", str(tmp_path / "run"), "--data-root", str(data)]) == 0
    assert lines(tmp_path / "run/videomme.scores.jsonl")[0]["careful"]["score"] == 0.25
    with pytest.raises(UserError, match="guesses"):
        export_run(tmp_path / "run", "videomme", "csv", data_root=data)


def test_a_baseline_is_told_every_question_before_it_is_asked_any(data, tmp_path):
    class Student(Scripted):
        def study(self, task, samples):
            assert not self.seen
            self.task, self.told = task, {sample.id: sample.target for sample in samples}

    model = Student(lambda request: model.told[request.id])
    assert go(model, data, tmp_path / "run", limit=3)["videomme"]["careful"]["value"] == 1.0
    assert model.task == "videomme" and len(model.told) == 12, "all samples, not only those asked"


def test_frames_of_the_shape_that_the_model_wants(data, tmp_path):
    shapes = {}
    for name, size, keep in (
        ("none", 0, False),
        ("square", 48, False),
        ("whole", 48, True),
        ("own", 999, True),
    ):
        model = Scripted(lambda request: "C")
        model.frame_size, model.keep_aspect = size, keep
        assert go(model, data, tmp_path / name).exit_code == 0
        shapes[name] = {request.frames.pixels.shape for request in model.seen}
        assert all(len(request.frames.times) == 4 for request in model.seen)
        record = json.loads((tmp_path / name / "run.json").read_text())
        assert record["protocol"]["keep_aspect"] is keep and record["decoding"]["size"] == size
    assert shapes == {
        "none": {(4, 0, 0, 3)},
        "square": {(4, 48, 48, 3)},
        "whole": {(4, 48, 48, 3)},
        "own": {(4, 64, 64, 3)},  # the video's own size: nothing is enlarged
    }


def test_what_a_model_learns_while_it_answers_is_in_the_record(data, tmp_path):
    class Meter(Scripted):
        model_hash, dtype = "0" * 64, "none"

        @property
        def notes(self):
            return ("saw much",) if len(self.seen) > 10 else ()

        @property
        def settings(self):
            return {"asked": len(self.seen)}

    go(Meter(lambda request: "C"), data, tmp_path / "run")
    model = json.loads((tmp_path / "run/run.json").read_text())["model"]
    assert model["settings"] == {"asked": 12} and model["notes"] == ["saw much"]


def test_flags_reach_the_loader_only_where_given(data, tmp_path, monkeypatch):
    given = []

    def loader(arg, **options):
        given.append(options)
        return Scripted(lambda request: "C")

    monkeypatch.setattr("kangaroo_eval.registry.model_loader", lambda name: loader)
    monkeypatch.setattr("kangaroo_eval.runner.check_model", lambda name: None)
    words = [
        "--tasks",
        "videomme",
        "--model",
        "x",
        "--data-root",
        str(data),
        "--data",
        "real",
        "--frames",
        "2",
        "-q",
    ]
    assert main([*words, "--output", str(tmp_path / "one")]) == 0
    assert main([*words, "--output", str(tmp_path / "two"), "--full-hash", "--trust-remote-code"]) == 0
    assert set(given[0]) == {"device", "dtype", "seed", "batch_size"}
    assert given[1]["full_hash"] is True and given[1]["trust_remote_code"] is True
    assert main([*words, "--model-args", "trust_remote_code=1"]) == 1


def test_what_a_model_cannot_do_does_not_make_it_broken(data, tmp_path):
    def say(request):
        return "C" if request.id.startswith("004") else Failure(request.id, "unsupported", "no such thing")

    data = write_videomme(tmp_path / "data", videomme_rows(4, questions=4))
    results = go(Scripted(say), data, tmp_path / "run")
    assert results["videomme"]["statuses"] == {"ok": 4, "request_failed": 12} and results.exit_code == 3


def test_unknown_token_counts_stay_unknown(data, tmp_path):
    go(Scripted(lambda request: Response(request.id, "C", (), None, None, 0.0)), data, tmp_path / "run")
    first = lines(tmp_path / "run/videomme.answers.jsonl")[0]
    assert first["prompt_tokens"] is None and first["new_tokens"] is None


def test_a_model_that_the_run_loaded_is_closed_even_after_a_failure(data, tmp_path, monkeypatch):
    class Server(Scripted):
        closed = 0

        def close(self):
            self.closed += 1

    model = Server(lambda request: Failure(request.id, "http_500", "down"))
    monkeypatch.setattr("kangaroo_eval.registry.model_loader", lambda name: lambda arg, **options: model)
    monkeypatch.setattr("kangaroo_eval.runner.check_model", lambda name: None)
    with pytest.raises(RunFailed):
        go("server", data, tmp_path / "run")
    assert model.closed == 1
    with pytest.raises(RunFailed):
        go(model, data, tmp_path / "other")
    assert model.closed == 1, "whoever made the object closes it"


def test_answers_may_come_in_any_order(data, tmp_path):
    class Shuffled(Scripted):
        def respond(self, requests):
            asked = [request for request in requests]
            for request in reversed(asked):
                yield Response(request.id, request.id[-1], (), 0, 0, 0.0)

    assert go(Shuffled(None), data, tmp_path / "run").exit_code == 0
    texts = {line["id"]: line["text"] for line in lines(tmp_path / "run/videomme.answers.jsonl")}
    assert len(texts) == 12 and all(text == name[-1] for name, text in texts.items())


def test_frames_that_a_model_changed_reach_no_other_question(data, tmp_path):
    def say(request):
        request.frames.pixels[:] = 255 - request.frames.pixels
        return "C"

    with pytest.raises(RunFailed, match="changed the pixels"):
        go(Scripted(say), data, tmp_path / "run")
    assert not lines(tmp_path / "run/videomme.answers.jsonl")


@pytest.mark.parametrize("guess", [1, -2, True, 2.5])
def test_no_model_awards_itself_points(data, tmp_path, guess):
    model = Scripted(lambda request: Response(request.id, "", (), 0, 0, 0.0, guess=guess))
    with pytest.raises(RunFailed, match="guess"):
        go(model, data, tmp_path / "run")


def test_one_video_whose_every_question_fails_does_not_end_the_run(tmp_path):
    data = write_videomme(tmp_path / "data", videomme_rows(3, questions=12))

    def say(request):
        return Failure(request.id, "http_400", "picture refused") if request.id.startswith("001") else "C"

    results = go(Scripted(say), data, tmp_path / "run", min_coverage=0.5)
    assert results["videomme"]["statuses"] == {"request_failed": 12, "ok": 24}
    (error,) = results["videomme"]["errors"]
    assert error == {
        "status": "request_failed",
        "type": "http_400",
        "count": 12,
        "message": "picture refused",
    }
    assert "12 x http_400, such as: picture refused" in str(results)


def test_an_exit_of_foreign_code_is_an_error_like_any_other(data, tmp_path, monkeypatch):
    def leave(request):
        raise SystemExit(0)

    with pytest.raises(RunFailed, match="10 requests in a row"):
        go(Scripted(leave), data, tmp_path / "run")

    def loader(arg, **options):
        raise SystemExit(0)

    monkeypatch.setattr("kangaroo_eval.registry.model_loader", lambda name: loader)
    monkeypatch.setattr("kangaroo_eval.runner.check_model", lambda name: None)
    with pytest.raises(UserError, match="'leaver' cannot be loaded: SystemExit: 0"):
        go("leaver", data, tmp_path / "other")


@pytest.mark.parametrize(
    "error", [RuntimeError("no card"), FileNotFoundError(2, "No such file", "w.bin"), MemoryError()]
)
def test_a_loader_that_fails_is_named_in_one_line(data, tmp_path, monkeypatch, error):
    def loader(arg, **options):
        raise error

    monkeypatch.setattr("kangaroo_eval.registry.model_loader", lambda name: loader)
    monkeypatch.setattr("kangaroo_eval.runner.check_model", lambda name: None)
    with pytest.raises(UserError, match=f"'mine' cannot be loaded: {type(error).__name__}"):
        go("mine", data, tmp_path / "run")


def test_closing_that_fails_costs_nothing(data, tmp_path, monkeypatch):
    class Sticky(Scripted):
        def close(self):
            raise OSError("stuck")

    model = Sticky(lambda request: "C")
    monkeypatch.setattr("kangaroo_eval.registry.model_loader", lambda name: lambda arg, **options: model)
    monkeypatch.setattr("kangaroo_eval.runner.check_model", lambda name: None)
    assert go("sticky", data, tmp_path / "run").exit_code == 0


def test_settings_that_json_cannot_hold_are_written_as_text(data, tmp_path):
    class Odd(Scripted):
        model_hash, dtype, notes = "0" * 64, "none", "one note"
        settings: ClassVar = {"path": Path("x"), 3: {1.5, float("nan")}, "deep": [{"a": (np.int64(3),)}]}

    go(Odd(lambda request: "C"), data, tmp_path / "run")
    model = json.loads((tmp_path / "run/run.json").read_text())["model"]
    assert model["notes"] == ["one note"] and model["settings"]["path"] == "x"
    assert sorted(map(str, model["settings"]["3"])) == ["1.5", "nan"]
    assert model["settings"]["deep"] == [{"a": ["3"]}]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("frame_size", "448", "frame_size is '448'"),
        ("frame_size", 44.5, "frame_size is 44.5"),
        ("frame_size", -1, "frame_size is -1"),
        ("name", None, "lacks a name"),
        ("model_hash", b"x", "model_hash is b'x'"),
    ],
)
def test_an_object_that_is_no_model_is_refused_in_one_line(data, tmp_path, name, value, told):
    model = Scripted(lambda request: "C")
    model.model_hash, model.dtype, model.notes, model.settings = "0", "none", (), {}
    setattr(model, name, value)
    with pytest.raises(UserError, match=told):
        go(model, data, tmp_path / "run")


def test_a_model_takes_up_where_its_earlier_call_ended(data, tmp_path):
    class Counting(Scripted):
        model_hash, dtype, notes = "0" * 64, "none", ()
        before = 0

        def earlier(self, settings):
            self.before = settings.get("asked", 0)

        @property
        def settings(self):
            return {"asked": self.before + len(self.seen)}

    go(Counting(lambda request: "C"), data, tmp_path / "run", limit=5)
    go(Counting(lambda request: "C"), data, tmp_path / "run")
    assert json.loads((tmp_path / "run/run.json").read_text())["model"]["settings"] == {"asked": 12}


def test_every_task_that_a_baseline_has_no_answer_for_is_named_at_once(data, tmp_path):
    class Ignorant(Scripted):
        def study(self, task, samples):
            raise UserError(f"{task}: no labels")

    with pytest.raises(UserError, match="leave videomme out of --tasks: videomme: no labels"):
        go(Ignorant(lambda request: "C"), data, tmp_path / "run")


def test_a_text_with_half_a_character_is_shown_in_a_table(data, tmp_path):
    results = go(Scripted(lambda request: "C \ud800"), data, tmp_path / "run")
    assert results.frame("videomme")["text"][0] == "C \\ud800"


def test_a_task_that_cannot_make_its_prompt_is_named(data, tmp_path, monkeypatch):
    from kangaroo_eval.registry import get_task

    def fail(sample, view):
        raise ZeroDivisionError("division by zero")

    broken = dataclasses.replace(get_task("videomme"), prompt=fail)
    monkeypatch.setattr("kangaroo_eval.plan.get_task", lambda name: broken)
    with pytest.raises(RunFailed, match="task videomme cannot make the prompt of 001-1: ZeroDivisionError"):
        go(Scripted(lambda request: "C"), data, tmp_path / "run")


def test_a_quiet_run_that_fails_says_why(data, tmp_path, monkeypatch, capsys):
    model = Scripted(lambda request: Failure(request.id, "http_500", "down") if request.id > "003" else "C")
    monkeypatch.setattr("kangaroo_eval.registry.model_loader", lambda name: lambda arg, **options: model)
    monkeypatch.setattr("kangaroo_eval.runner.check_model", lambda name: None)
    words = ["--tasks", "videomme", "--model", "x", "--data-root", str(data), "--frames", "2", "-q"]
    assert main([*words, "--output", str(tmp_path / "run")]) == 3
    out, errors = capsys.readouterr()
    assert out == "" and "videomme: no answer for 6 request_failed." in errors
    assert "6 x http_500, such as: down" in errors and "coverage below 99 %" in errors


def test_a_question_asked_alone_is_answered_under_its_own_id(data, tmp_path):
    """After a batch failed all its questions wait, and an answer to one must not be taken for another's."""

    class Confused(Scripted):
        def respond(self, requests):
            for request in requests:
                batch = [request]
                while batch[-1].siblings:
                    batch.append(next(requests))
                if len(batch) > 1:
                    raise RuntimeError("batch too large")
                yield Response("001-3" if request.id == "001-1" else request.id, "C", (), 0, 0, 0.0)

    results = go(Confused(None), data, tmp_path / "run", min_coverage=0.5)
    assert results["videomme"]["statuses"] == {"request_failed": 1, "ok": 11}
    (failed,) = [x for x in lines(tmp_path / "run/videomme.answers.jsonl") if x["status"] != "ok"]
    assert failed["id"] == "001-1" and "it answered '001-3'" in failed["error"]["message"]
