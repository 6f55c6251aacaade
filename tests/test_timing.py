"""Where a run's time went, and what a run will take: the sums, their table, and the forecast of a real run."""

from __future__ import annotations

import json
import time

import pytest
from conftest import videomme_rows, write_video, write_videomme

from kangaroo_eval import evaluate, forecast
from kangaroo_eval.cli import main
from kangaroo_eval.plan import RunConfig
from kangaroo_eval.report.timing import bar, parts, timing
from kangaroo_eval.timing import measure, read_forecast
from kangaroo_eval.types import Response


def line(name, video, decode, wait, seconds=1.0, **more):
    return {
        "id": name,
        "video": video,
        "status": "ok",
        "decode_seconds": decode,
        "wait_seconds": wait,
        "seconds": seconds,
        "prompt_tokens": 10,
        "new_tokens": 2,
        **more,
    }


def test_what_is_spent_on_a_video_counts_once():
    phases = {"vision": 0.5, "prefill": 0.2, "generate": 0.25}
    lines = [
        line("1", "a", 2.0, 0.5, phases=phases),
        line("2", "a", 2.0, 0.5, phases=phases),
        line("3", "b", 2.0, 0.5, frames_stored=True),
        {"id": "4", "video": "c", "status": "missing_video"},
        line("5", "a", 1.0, 0.25),
    ]
    spent = measure(lines)
    assert (spent.videos, spent.stored, spent.answers) == (3, 1, 4)
    assert (spent.decode, spent.wait, spent.model) == (5.0, 1.25, 4.0)
    assert spent.phases == {"vision": 1.0, "prefill": 0.4, "generate": 0.5}
    assert (spent.prompt_tokens, spent.new_tokens) == (40, 8)
    assert parts(spent.as_json()) == pytest.approx(
        {"wait": 1.25, "vision": 1.0, "prefill": 0.4, "generate": 0.5, "model": 2.1}
    )


def test_a_video_counts_once_where_answers_of_others_come_in_between():
    order = ["a", "b", "a", "c", "b", "a"]
    spent = measure([line(str(n), video, 2.0 + ord(video), 0.5) for n, video in enumerate(order)])
    assert (spent.videos, spent.wait, spent.answers) == (3, 1.5, 6)


def test_the_bar_has_a_letter_for_each_part_of_the_time():
    assert bar({"wait": 1.0, "vision": 1.0, "model": 1.0}) == "w" * 10 + "v" * 10 + "m" * 10
    assert bar({"wait": 0.0, "model": 5.0}) == "m" * 30
    assert len(bar({"wait": 1e-9, "vision": 3.3, "generate": 1.7})) == 30


def test_no_time_no_table():
    nothing = measure([]).as_json()
    assert timing({"run": {"model": "m"}, "tasks": {}, "time": {"tasks": {"videomme": nothing}}}) == []
    assert timing({"run": {"model": "m"}, "tasks": {}}) == [], "results of an earlier version"


class Slow:
    """Takes its time for a video and for each question, and tells."""

    name, frame_size = "slow", 32
    once, each = 0.05, 0.02

    def respond(self, requests):
        last, shared = None, 0.0
        for request in requests:
            if request.video != last:
                time.sleep(self.once)
                last = request.video
                shared = self.once / (request.siblings + 1)
            time.sleep(self.each)
            phases = {"vision": shared, "generate": self.each}
            yield Response(request.id, "C", request.frames.times, 100, 3, shared + self.each, phases=phases)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Twelve videos of different sizes with three questions each."""
    root = write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(12, 3))
    for number in range(12):
        write_video(root / f"videomme/data/video{number:06d}.mp4", frames=16 + number)
    return root


def test_a_run_tells_where_its_time_went(made, tmp_path):
    found = evaluate("videomme", Slow(), 4, data="real", data_root=made, output=tmp_path, workers=1)
    spent = found.data["time"]["tasks"]["videomme"]
    assert (spent["videos"], spent["answers"], spent["new_tokens"]) == (12, 36, 108)
    assert spent["phases"] == {"vision": pytest.approx(0.6), "generate": pytest.approx(0.72)}
    assert spent["model"] == pytest.approx(1.32) and spent["decode"] > 0
    text = (tmp_path / "report.md").read_text()
    assert "where the time went" in text and "12 videos, 0 of them out of the frame store" in text


def test_phases_that_are_no_numbers_cost_the_answer_and_not_the_run(made, tmp_path):
    class Odd(Slow):
        def respond(self, requests):
            for request in requests:
                yield Response(request.id, "C", request.frames.times, 1, 1, 0.1, phases={"vision": "long"})

    found = evaluate("videomme", Odd(), 4, data="real", data_root=made, output=tmp_path, workers=0, limit=3)
    assert found.data["tasks"]["videomme"]["statuses"] == {"request_failed": 3}


def test_the_forecast_is_near_what_the_run_takes(made, tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "load", lambda config: Slow())
    config = RunConfig(
        tasks=("videomme",), frames=4, data="real", data_root=made, output=tmp_path / "run", workers=1
    )
    expected = forecast.forecast(config)
    (task,) = expected.tasks
    assert (task.videos, task.questions, task.measured, task.failed) == (12, 36, 9, 0)
    assert task.model == pytest.approx(12 * Slow.once + 36 * Slow.each, rel=1e-3)
    assert (task.prompt_tokens, task.new_tokens) == (3600, 108)
    assert task.bytes > 0 and expected.memory > 10**7 and not expected.gpu
    assert expected.seconds == pytest.approx(max(task.model, task.decode))
    assert "12" in str(expected) and "decoding by 1 workers" in str(expected)
    assert not (tmp_path / "run").exists(), "nothing is written"


def test_videos_that_cannot_be_read_are_told(made, tmp_path, monkeypatch):
    root = write_videomme(tmp_path, videomme_rows(3, 1))
    for number in range(3):
        (root / f"videomme/data/video{number:06d}.mp4").write_bytes(b"no video")
    monkeypatch.setattr(forecast, "load", lambda config: Slow())
    found = forecast.forecast(
        RunConfig(tasks=("videomme",), data="real", data_root=root, frames=4, workers=1)
    )
    assert found.tasks[0].failed == 3 and "3 of the measured videos gave no frames" in str(found)


def test_the_command_leaves_its_forecast_for_the_report(made, tmp_path, capsys, away):
    words = ["--tasks", "videomme", "--model", "constant", "--data-root", str(made), "--frames", "4"]
    words += ["--output", str(tmp_path / "run"), "--workers", "1"]
    assert main(["run", *words, "--dry-run", "measure", "--json"]) == 0
    out = capsys.readouterr().out
    told = json.loads(out.splitlines()[-1])
    assert "36 samples, 12 videos" in out and told["tasks"][0]["questions"] == 36
    assert read_forecast(tmp_path / "run") == {"seconds": told["seconds"]}
    assert main(["run", *words, "-q"]) == 0
    report = (tmp_path / "run/report.md").read_text()
    assert "forecast by --dry-run measure" in report
    (tmp_path / "run/forecast.json").write_text("{")
    assert read_forecast(tmp_path / "run") is None
    assert main(["run", *words, "--dry-run", "guess"]) == 1
    assert "--dry-run 'guess': give nothing, or measure" in capsys.readouterr().err


def test_a_video_that_never_comes_back_from_decoding_ends_the_run(made, tmp_path, monkeypatch):
    """It must not pass for one that was not asked for."""
    from kangaroo_eval import answering
    from kangaroo_eval.errors import RunFailed

    plain = answering.decode_ahead

    def forgetful(*args, **options):
        yield from list(plain(*args, **options))[1:]

    monkeypatch.setattr(answering, "decode_ahead", forgetful)
    with pytest.raises(RunFailed, match="1 videos did not come back from decoding"):
        evaluate("videomme", Slow(), 4, data="real", data_root=made, output=tmp_path, workers=1)
