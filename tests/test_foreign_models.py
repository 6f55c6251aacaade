"""What a run makes of models that break: in a row, in their attributes, with a panic; and how each is known again."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from conftest import videomme_rows, write_videomme
from scripted import Scripted, go, lines

from kangaroo_eval.cli import main
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.types import Failure, Response


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(4))


def test_quick_failures_do_not_pass_for_a_broken_model(data, tmp_path):
    """Of many requests in flight the failures come first; the row is that of the questions."""

    class Overtaking(Scripted):
        def respond(self, requests):
            self.seen = list(requests)
            ordered = sorted(self.seen, key=lambda request: request.id not in bad)
            yield from (
                Failure(request.id, "http_400", "too long") for request in ordered if request.id in bad
            )
            yield from (
                Response(request.id, "C", (), 0, 0, 0.0) for request in ordered if request.id not in bad
            )

    many = write_videomme(tmp_path / "many", videomme_rows(10))
    bad = {f"{video:03}-{question}" for video in range(1, 11) for question in (1, 2)}
    results = go(Overtaking(None), many, tmp_path / "run", min_coverage=0.1)
    assert results["videomme"]["statuses"] == {"ok": 10, "request_failed": 20}
    # The same command again asks for what failed, and that it fails again is nothing new.
    again = go(Overtaking(None), many, tmp_path / "run", min_coverage=0.1)
    assert again["videomme"]["statuses"] == {"ok": 10, "request_failed": 20}


def test_a_broken_model_is_asked_no_further_and_what_it_has_is_kept(tmp_path):
    """Ten failures in the order of the questions end the run, but not before what is in flight has come back."""

    class InFlight(Scripted):
        def respond(self, requests):
            flight = []
            for request in requests:
                self.seen.append(request)
                flight.append(request)
                if len(flight) > 6:
                    yield self.outcome(flight.pop(0))
            for request in flight:
                yield self.outcome(request)

        def outcome(self, request):
            if "003-1" <= request.id <= "006-3":
                return Failure(request.id, "http_500", "down")
            return Response(request.id, "C", (), 0, 0, 0.0)

    many = write_videomme(tmp_path / "many", videomme_rows(12))
    model = InFlight(None)
    with pytest.raises(RunFailed, match="failed on 10 requests in a row"):
        go(model, many, tmp_path / "run")
    kept = lines(tmp_path / "run/videomme.answers.jsonl")
    assert len(kept) == len(model.seen) < 36, "each that was asked has its line"
    assert [line["status"] for line in kept[-3:]] == ["ok"] * 3


def test_one_slow_answer_hides_no_broken_model(tmp_path):
    """The first question is answered last; all others fail."""

    class Slow(Scripted):
        def respond(self, requests):
            first = next(requests)
            self.seen.append(first)
            for request in requests:
                self.seen.append(request)
                yield Failure(request.id, "http_500", "down")
            yield Response(first.id, "C", (), 0, 0, 0.0)

    many = write_videomme(tmp_path / "many", videomme_rows(12))
    model = Slow(None)
    with pytest.raises(RunFailed, match="failed on 10 requests in a row"):
        go(model, many, tmp_path / "run", min_coverage=0.0)
    assert len(model.seen) == 11
    assert [line["status"] for line in lines(tmp_path / "run/videomme.answers.jsonl")][-1] == "ok"


def test_a_dead_model_is_asked_no_more_each_time(tmp_path):
    many = write_videomme(tmp_path / "many", videomme_rows(12))
    asked = []
    for _ in range(4):
        model = Scripted(lambda request: Failure(request.id, "http_500", "down"))
        with pytest.raises(RunFailed, match="in a row"):
            go(model, many, tmp_path / "run")
        asked.append(len(model.seen))
    assert asked == [10] * 4


def test_what_failed_before_comes_after_what_was_never_asked(tmp_path):
    many = write_videomme(tmp_path / "many", videomme_rows(12))
    model = Scripted(lambda request: Failure(request.id, "http_400", "no") if request.id < "002" else "C")
    go(model, many, tmp_path / "run", limit=6, min_coverage=0.1)
    again = Scripted(lambda _: "C")
    go(again, many, tmp_path / "run")
    assert [request.id for request in again.seen][-3:] == ["001-1", "001-2", "001-3"]
    assert [request.id for request in again.seen][:2] == ["003-1", "003-2"]


def test_videos_that_could_not_be_read_before_are_no_failures_of_the_model(data, tmp_path):
    """Undecodable in the first call, repaired in the second, whose model fails."""
    broken = write_videomme(tmp_path / "data", videomme_rows(12))
    for file in (broken / "videomme/data").glob("*.mp4"):
        file.write_bytes(b"no video")
    first = go(Scripted(lambda _: "C"), broken, tmp_path / "run", min_coverage=0.0)
    assert first["videomme"]["statuses"] == {"decode_error": 36}
    write_videomme(tmp_path / "data", videomme_rows(12))
    model = Scripted(lambda request: Failure(request.id, "http_500", "down"))
    with pytest.raises(RunFailed, match="in a row"):
        go(model, broken, tmp_path / "run", min_coverage=0.0)
    assert len(model.seen) == 10


def test_attributes_of_other_models_of_the_same_names_do_no_harm(data, tmp_path):
    """A wrapper of torch has a dtype and often settings; only a hash has to be what the harness expects."""
    model = Scripted(lambda _: "C")
    model.dtype, model.settings, model.notes = np.dtype("float32"), object(), np.zeros(2)
    assert go(model, data, tmp_path / "run", limit=3).exit_code == 0
    known = json.loads((tmp_path / "run/run.json").read_text())["model"]
    assert (known["dtype"], known["settings"], known["notes"][0]) == ("float32", {}, "0.0")
    model.model_hash = 7
    with pytest.raises(UserError, match="its model_hash is 7, and must be a text"):
        go(model, data, tmp_path / "other")


def test_a_run_directory_of_an_earlier_version_is_held_to_what_it_was_asked_for(data, tmp_path):
    model = Scripted(lambda _: "C")
    go(model, data, tmp_path / "run", limit=3)
    path = tmp_path / "run/run.json"
    record = json.loads(path.read_text())
    del record["protocol"]["asked"]
    record["protocol"]["dtype"] = None
    path.write_text(json.dumps(record))
    model.dtype = "float16"
    assert go(model, data, tmp_path / "run", limit=6).exit_code == 0
    record = json.loads(path.read_text())
    del record["protocol"]["asked"]
    record["model"]["args"] = {"weights": "A"}
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match="another protocol"):
        go(model, data, tmp_path / "run")


class Panic(BaseException):
    """Derives from BaseException alone, as a panic of Rust does."""


def test_a_panic_costs_its_own_question(data, tmp_path):
    def say(request):
        if request.id == "002-2":
            raise Panic("index out of bounds")
        return "C"

    results = go(Scripted(say), data, tmp_path / "run", min_coverage=0.5)
    assert results["videomme"]["statuses"] == {"ok": 11, "request_failed": 1}


def test_a_model_without_a_hash_is_known_by_what_was_asked_for(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("kangaroo_eval.loading.load_model", lambda name, **options: Scripted(lambda _: "C"))
    monkeypatch.setattr("kangaroo_eval.runner.check_model", lambda name: None)

    def run(model, *words):
        common = ["--tasks", "videomme", "--data-root", str(data), "--data", "real", "--frames", "2"]
        return main([*common, "--model", model, "--output", str(tmp_path / "run"), *words])

    assert run("mine:weightsA", "--limit", "4") == 0
    out = capsys.readouterr().out
    assert "weights unknown: the model gives no model_hash" in out
    for other in (("mine:weightsB",), ("mine:weightsA", "--model-args", "letter=C")):
        assert run(*other) == 1
        assert "another protocol" in capsys.readouterr().err
    assert run("mine:weightsA") == 0


@pytest.mark.parametrize(
    "given", [{"model_hash": "a"}, {"model_hash": "a", "dtype": "fp8", "notes": "careful"}]
)
def test_a_hash_counts_also_where_it_is_all_that_a_model_says(data, tmp_path, given, caplog):
    model = Scripted(lambda _: "C")
    vars(model).update(given)
    go(model, data, tmp_path / "run", limit=3)
    known = json.loads((tmp_path / "run/run.json").read_text())["model"]
    assert known["hash"] == "a" and known["dtype"] == given.get("dtype")
    assert known["notes"] == ([given["notes"]] if "notes" in given else []) and known["settings"] == {}
    assert "no model_hash" not in caplog.text
    model.model_hash = "b"
    with pytest.raises(UserError, match="model_hash: a -> b"):
        go(model, data, tmp_path / "run")


def _broken(*_):
    raise OSError("the driver is gone")


@pytest.mark.parametrize(
    "name", ["name", "model_hash", "dtype", "notes", "settings", "frame_size", "keep_aspect"]
)
def test_an_attribute_that_cannot_be_read_is_one_line_that_names_it(data, tmp_path, name):
    kind = type("Odd", (Scripted,), {name: property(_broken)})
    kind.__init__ = lambda self: None
    with pytest.raises(UserError, match=r"Odd.*the driver is gone"):
        go(kind(), data, tmp_path / "run")


@pytest.mark.parametrize("method", ["earlier", "study"])
def test_a_method_that_fails_is_one_line_that_names_it(data, tmp_path, method):
    model = Scripted(lambda _: "C")
    setattr(model, method, _broken)
    with pytest.raises(UserError, match=rf"Scripted.{method}\(\) failed: OSError: the driver is gone"):
        go(model, data, tmp_path / "run")


def test_settings_that_hold_themselves_are_written_down(data, tmp_path):
    model = Scripted(lambda _: "C")
    model.model_hash, model.settings = "a", {"b": [1]}
    model.settings["b"].append(model.settings)
    go(model, data, tmp_path / "run")
    known = json.loads((tmp_path / "run/run.json").read_text())["model"]
    assert known["settings"] == {"b": [1, "(itself)"]}


def test_settings_that_break_at_the_end_cost_no_run(data, tmp_path, caplog):
    class Fading(Scripted):
        model_hash, dtype, notes = "a", "none", ()

        @property
        def settings(self):
            return _broken() if self.seen else {"fresh": 1}

    assert go(Fading(lambda _: "C"), data, tmp_path / "run").exit_code == 0
    assert "the driver is gone" in caplog.text
    assert json.loads((tmp_path / "run/run.json").read_text())["model"]["settings"] == {"fresh": 1}


@pytest.mark.parametrize("field", [{"seconds": float("nan")}, {"frame_times": (0.0, float("inf"))}])
def test_numbers_that_json_cannot_hold_are_no_answer(data, tmp_path, field):
    def say(request):
        answer = Response(request.id, "C", (), 0, 0, 0.0)
        return dataclasses.replace(answer, **field) if request.id == "001-1" else answer

    results = go(Scripted(say), data, tmp_path / "run", min_coverage=0.5)
    assert results["videomme"]["statuses"]["request_failed"] == 1
    assert "NaN" not in (tmp_path / "run/videomme.answers.jsonl").read_text()
