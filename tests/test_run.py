"""A whole run on real files with a made model: what is kept, what is scored, and what never becomes a score."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest
from conftest import videomme_rows, write_video, write_videomme

from kangaroo_eval import evaluate
from kangaroo_eval.errors import DataError, RunFailed, UserError
from kangaroo_eval.tasks.mlvu import STEMS
from kangaroo_eval.types import Response


class Oracle:
    """Answers with `say(request)`; remembers what it was asked."""

    frame_size = 32

    def __init__(self, say=lambda request: "C", name="oracle"):
        self.say = say
        self.name = name
        self.seen = []

    def respond(self, requests):
        for request in requests:
            self.seen.append(request)
            yield Response(request.id, self.say(request), request.frames.times, 7, 1, 0.001)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four videos with three questions each, in Video-MME's layout."""
    return write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(4))


@pytest.fixture
def data(made, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "data"))


def go(model, data, output, **options):
    options = {"frames": 4, "workers": 1, **options}
    return evaluate("videomme", model, data="real", data_root=data, output=output, **options)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_keeps_every_answer_scores_it_twice_and_writes_the_fixed_keys(made, tmp_path):
    model = Oracle()
    results = go(model, made, tmp_path / "run")
    answers = lines(tmp_path / "run/videomme.answers.jsonl")
    assert len(answers) == 12 and results.exit_code == 0
    keys = "id video status system prompt prefill text frame_times frames_repeated prompt_tokens new_tokens seconds attempt error"
    assert set(keys.split()) <= set(answers[0])
    assert answers[0]["id"] == "001-1" and answers[0]["video"] == "data/video000000.mp4"
    assert answers[0]["status"] == "ok" and answers[0]["text"] == "C" and answers[0]["attempt"] == 1
    assert answers[0]["frame_times"] == pytest.approx([0.375, 1.125, 1.875, 2.625])
    scores = lines(tmp_path / "run/videomme.scores.jsonl")
    assert [line["id"] for line in scores] == [row["question_id"] for row in videomme_rows(4)]
    assert set(scores[0]) == {"id", "video", "target", "careful", "official", "tags", "options"}
    assert set(scores[0]["careful"]) == {"answer", "score", "rule", "span"}
    assert set(scores[0]["official"]) == {"answer", "score"}
    data = json.loads((tmp_path / "run/results.json").read_text())
    task = data["tasks"]["videomme"]
    assert data["schema"] == 1 and data["run"]["complete"] is True and data["run"]["frames"] == 4
    assert (
        task["careful"]
        == task["official"]
        == {"value": 0.25, "stderr": task["careful"]["stderr"], "n": 12, "unreadable": 0}
    )
    assert set(task["breakdown"]) == {"duration", "domain", "sub_category", "task_type"}
    assert set(task["breakdown"]["duration"]) == {"short", "medium", "long"}
    assert task["published"] == {
        **task["published"],
        "table": "IV",
        "column": "overall_wo",
        "comparable": False,
        "why": "12 of the 2700 samples that the published number covers",
    }
    assert "oracle" in (tmp_path / "run/report.md").read_text()
    assert str(results).startswith("Table IV")


def test_a_model_gets_frames_of_its_size_prompts_and_siblings_but_no_target(made, tmp_path):
    model = Oracle()
    go(model, made, tmp_path / "run")
    assert [request.siblings for request in model.seen[:6]] == [2, 1, 0, 2, 1, 0]
    assert model.seen[0].frames.pixels.shape == (4, 32, 32, 3)
    assert model.seen[0].frames is model.seen[2].frames, "one video is decoded once"
    assert model.seen[0].prompt.startswith("Select the best answer")
    assert not hasattr(model.seen[0], "target")
    # Brightness rises by 10 a frame: the frames are the ones at the stated times.
    shown = [int(picture.mean()) for picture in model.seen[0].frames.pixels]
    wanted = [10 * round(each * 8) for each in model.seen[0].frames.times]
    assert all(abs(one - other) <= 3 for one, other in zip(shown, wanted, strict=True))


def test_more_frames_than_the_video_has_are_all_of_them_and_the_number_is_recorded(made, tmp_path):
    go(Oracle(), made, tmp_path / "run", frames=500)
    answer = lines(tmp_path / "run/videomme.answers.jsonl")[0]
    assert len(answer["frame_times"]) == 24 and answer["frames_in_video"] == 24


def test_the_samplers_say_which_frames(made, tmp_path):
    for sampler, first_and_last in {"endpoints": [0.0, 23 / 8], "official": [0.375, 20 / 8]}.items():
        model = Oracle()
        go(model, made, tmp_path / sampler, sampler=sampler)
        times = model.seen[0].frames.times
        assert [times[0], times[-1]] == pytest.approx(first_and_last), sampler
    model = Oracle()
    go(model, made, tmp_path / "rate", frames=None, fps=2.0)
    assert model.seen[0].frames.times == pytest.approx((0.0, 0.5, 1.0, 1.5, 2.0, 2.5))


def subtitle(data, video, text):
    """An SRT file that shows the text for an hour."""
    file = data / f"videomme/subtitle/video{video:06d}.srt"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"1\n00:00:00,000 --> 01:00:00,000\n{text}\n")


def test_resuming_asks_only_what_is_left_and_adds_tasks_and_samples(data, tmp_path):
    made = data
    subtitle(made, 0, "hello")
    go(Oracle(), made, tmp_path / "run", limit=5)
    second = Oracle()
    results = go(second, made, tmp_path / "run")
    assert [request.id for request in second.seen] == [
        "002-3",
        "003-1",
        "003-2",
        "003-3",
        "004-1",
        "004-2",
        "004-3",
    ]
    assert results["videomme"]["asked"] == 12
    third = Oracle()
    both = evaluate(
        ["videomme", "videomme_subtitles"],
        third,
        4,
        data="real",
        data_root=made,
        output=tmp_path / "run",
        workers=1,
    )
    assert {request.id for request in third.seen} == {row["question_id"] for row in videomme_rows(4)}
    assert set(both.data["tasks"]) == {"videomme", "videomme_subtitles"}
    again = go(Oracle(), made, tmp_path / "run")
    assert set(again.data["tasks"]) == {"videomme", "videomme_subtitles"}, "an earlier task keeps its scores"


def test_another_protocol_is_refused_with_the_difference_named(made, tmp_path):
    go(Oracle(), made, tmp_path / "run", limit=1)
    with pytest.raises(UserError, match=r"tasks.videomme.frames: 4 -> 8.*--fresh"):
        go(Oracle(), made, tmp_path / "run", frames=8)
    with pytest.raises(UserError, match="sampler: uniform -> endpoints"):
        go(Oracle(), made, tmp_path / "run", sampler="endpoints")
    results = go(Oracle(), made, tmp_path / "run", frames=8, limit=1, fresh=True)
    assert results["videomme"]["asked"] == 1 and (tmp_path / "run.old-1/run.json").exists()


class Hashed(Oracle):
    model_hash, dtype, notes, settings = "one", "float32", ("untrained weights",), {}


def test_other_weights_are_another_protocol_and_caveats_are_everywhere(made, tmp_path):
    results = go(Hashed(), made, tmp_path / "run", limit=1)
    other = Hashed()
    other.model_hash = "two"
    with pytest.raises(UserError, match="model_hash: one -> two"):
        go(other, made, tmp_path / "run", limit=1)
    assert "untrained weights" in str(results)
    assert "untrained weights" in (tmp_path / "run/report.md").read_text()


BAD_VIDEOS = {
    "text": b"this is no video\n" * 100,
    "empty": b"",
    "truncated": None,
}


@pytest.mark.parametrize("kind", BAD_VIDEOS)
def test_a_bad_video_costs_its_own_questions_only_and_is_never_asked_blind(data, tmp_path, kind):
    file = data / "videomme/data/video000001.mp4"
    whole = file.read_bytes()
    file.write_bytes(whole[:200] if kind == "truncated" else BAD_VIDEOS[kind])
    model = Oracle()
    results = go(model, data, tmp_path / "run")
    assert {request.id for request in model.seen}.isdisjoint({"002-1", "002-2", "002-3"})
    task = results["videomme"]
    assert task["statuses"] == {"ok": 9, "decode_error": 3} and task["coverage"] == 0.75
    assert task["status"] == "low_coverage" and results.exit_code == 3
    assert task["careful"]["value"] is None and task["official"]["value"] is None
    bad = next(line for line in lines(tmp_path / "run/videomme.answers.jsonl") if line["id"] == "002-1")
    assert (
        bad["status"] == "decode_error"
        and bad["text"] is None
        and "video000001.mp4" in bad["error"]["message"]
    )
    file.write_bytes(whole)
    mended = go(Oracle(), data, tmp_path / "run")
    assert mended.exit_code == 0 and mended["videomme"]["careful"]["n"] == 12
    again = [line for line in lines(tmp_path / "run/videomme.answers.jsonl") if line["id"] == "002-1"]
    assert [line["attempt"] for line in again] == [1, 2]


def test_a_video_that_was_cut_short_is_answered_and_named_in_the_report(data, tmp_path):
    """The sample table promises 240 frames, 60 % of the file is there: what is there is the video, said aloud."""
    file = write_video(data / "videomme/data/video000001.mp4", frames=240, size=128, front=True)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * 0.6)])
    results = go(Oracle(), data, tmp_path / "run")
    assert results.exit_code == 0 and results["videomme"]["videos_cut_short"] == ["data/video000001.mp4"]
    cut = next(line for line in lines(tmp_path / "run/videomme.answers.jsonl") if line["id"] == "002-1")
    assert cut["status"] == "ok" and cut["frames_absent"] == 240 - cut["frames_in_video"] > 0
    assert "1 videos end before their file says so: data/video000001.mp4" in str(results)


def test_broken_subtitles_cost_only_the_task_that_needs_them(data, tmp_path):
    (data / "videomme/subtitle").mkdir()
    (data / "videomme/subtitle/video000000.srt").write_bytes(bytes(range(256)))
    assert go(Oracle(), data, tmp_path / "run").exit_code == 0
    options = {"frames": 4, "data": "real", "data_root": data, "workers": 1}
    results = evaluate("videomme_subtitles", Oracle(), output=tmp_path / "subs", **options)
    assert (
        results["videomme_subtitles"]["statuses"] == {"ok": 9, "decode_error": 3} and results.exit_code == 3
    )


def test_missing_videos_are_found_before_the_model_is_asked_anything(data, tmp_path):
    (data / "videomme/data/video000002.mp4").unlink()
    with pytest.raises(DataError, match=r"1 video is missing: .*video000002.mp4"):
        evaluate(
            "videomme",
            "kangaroo:no-such-folder-is-ever-looked-at",
            4,
            data="real",
            data_root=data,
            output=tmp_path / "run",
        )
    results = go(Oracle(), data, tmp_path / "run", on_missing="skip")
    assert results["videomme"]["statuses"] == {"ok": 9, "missing_video": 3} and results.exit_code == 3
    shown = go(Oracle(), data, tmp_path / "run", on_missing="skip", min_coverage=0.5)
    assert shown.exit_code == 0 and shown["videomme"]["careful"]["n"] == 9


def test_a_batch_that_failed_is_gone_when_its_questions_are_asked_again(made, tmp_path):
    """Its memory may be what the single question needs."""
    batches, alive = [], []

    class Activations:
        pass

    class Batching(Oracle):
        def respond(self, requests):
            batch = list(requests)
            if not batch:
                return
            if len(batch) > 1:
                held = Activations()
                batches.append(weakref.ref(held))
                raise MemoryError("CUDA out of memory") from RuntimeError(str(held))
            alive.append(batches[-1]() is not None)
            yield from super().respond(iter(batch))

    results = go(Batching(), made, tmp_path / "run")
    assert results["videomme"]["statuses"] == {"ok": 12}
    assert len(alive) == 12 and not any(alive)


def test_what_was_answered_before_an_interrupt_is_handed_over_whole(made, tmp_path):
    """A progress bar that raises once an interrupt has come must not cost the replies that are paid for."""

    class Handing(Oracle):
        handing_over = False

        def respond(self, requests):
            answered = list(super().respond(requests))
            yield answered[0]
            self.handing_over = True
            yield from answered[1:]
            raise KeyboardInterrupt

    def tell(progress):
        if progress.done > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(Handing(), made, tmp_path / "run", progress=tell)
    assert len(lines(tmp_path / "run/videomme.answers.jsonl")) == 12


def test_one_failing_request_fails_alone(made, tmp_path):
    def say(request):
        if request.id == "002-2":
            raise RuntimeError("weights\nexploded")
        if request.id == "003-1":
            raise MemoryError("CUDA out of memory")
        return "B"

    results = go(Oracle(say), made, tmp_path / "run", min_coverage=0.5)
    assert results["videomme"]["statuses"] == {"ok": 10, "request_failed": 1, "oom": 1}
    failed = next(line for line in lines(tmp_path / "run/videomme.answers.jsonl") if line["id"] == "002-2")
    assert failed["error"] == {"type": "RuntimeError", "message": "RuntimeError: weights exploded"}
    assert failed["text"] is None
    mended = go(Oracle(), made, tmp_path / "run")
    assert mended["videomme"]["statuses"] == {"ok": 12}


class Batcher(Oracle):
    """Reads all requests about a video before it answers any, as batching adapters do, and fails as a batch."""

    def respond(self, requests):
        for request in requests:
            batch = [request]
            while batch[-1].siblings:
                batch.append(next(requests))
            if len(batch) > 1:
                raise RuntimeError("batch too large")
            for each in batch:
                yield Response(each.id, self.say(each), each.frames.times, 0, 0, 0.0)


def test_a_failing_batch_is_asked_again_one_by_one(made, tmp_path):
    results = go(Batcher(lambda request: request.id[-1]), made, tmp_path / "run")
    assert results["videomme"]["statuses"] == {"ok": 12}
    texts = {line["id"]: line["text"] for line in lines(tmp_path / "run/videomme.answers.jsonl")}
    assert texts == {row["question_id"]: row["question_id"][-1] for row in videomme_rows(4)}


def test_a_model_that_only_fails_ends_the_run_and_resumes(made, tmp_path):
    def say(request):
        raise RuntimeError("no weights")

    with pytest.raises(RunFailed, match=r"10 requests in a row.*no weights") as caught:
        go(Oracle(say), made, tmp_path / "run")
    assert caught.value.exit_code == 2
    assert go(Oracle(), made, tmp_path / "run").exit_code == 0


def test_a_model_that_answers_too_little_or_too_much_is_refused(made, tmp_path):
    class Skipping(Oracle):
        def respond(self, requests):
            return (each for each in super().respond(requests) if each.id != "001-2")

    class Short(Oracle):
        def respond(self, requests):
            yield from [Response(request.id, "A", (), 0, 0, 0.0) for request in requests][:-1]

    class Long(Oracle):
        def respond(self, requests):
            for request in requests:
                yield Response(request.id, "A", (), 0, 0, 0.0)
                yield Response(request.id, "A", (), 0, 0, 0.0)

    class Broken(Oracle):
        def respond(self, requests):
            raise RuntimeError("cannot start")
            yield

    with pytest.raises(RunFailed, match="too few answers: 1 requests got none, 001-2 among them"):
        go(Skipping(), made, tmp_path / "skipping")
    assert len(lines(tmp_path / "skipping/videomme.answers.jsonl")) == 11
    with pytest.raises(RunFailed, match="too few"):
        go(Short(), made, tmp_path / "short")
    with pytest.raises(RunFailed, match="answered request '001-1', which it does not have"):
        go(Long(), made, tmp_path / "long")
    with pytest.raises(RunFailed, match="cannot start"):
        go(Broken(), made, tmp_path / "broken")


def test_a_task_without_any_answer_fails_the_run(data, tmp_path):
    for file in (data / "videomme/data").iterdir():
        file.write_bytes(b"")
    results = go(Oracle(), data, tmp_path / "run")
    assert results.exit_code == 2 and results["videomme"]["status"] == "failed"
    assert results["videomme"]["careful"] == {"value": None, "stderr": None, "n": 0, "unreadable": 0}


def test_a_full_disk_ends_the_run_with_one_clear_error(made, tmp_path):
    go(Oracle(), made, tmp_path / "run", limit=1)
    (tmp_path / "run/videomme.answers.jsonl").unlink()
    os.symlink("/dev/full", tmp_path / "run/videomme.answers.jsonl")
    with pytest.raises(RunFailed, match="No space left") as caught:
        go(Oracle(), made, tmp_path / "run")
    assert caught.value.exit_code == 2


def test_a_reply_that_is_no_text_fails_its_request_and_poisons_nothing(made, tmp_path):
    odd = {"001-2": None, "002-1": 3}
    results = go(Oracle(lambda request: odd.get(request.id, "B")), made, tmp_path / "run", min_coverage=0.5)
    assert results["videomme"]["statuses"] == {"ok": 10, "request_failed": 2}
    assert go(Oracle(), made, tmp_path / "run")["videomme"]["statuses"] == {"ok": 12}


def test_two_models_never_share_a_directory_even_without_a_hash(made, tmp_path):
    go(Oracle(), made, tmp_path / "run", limit=3)
    with pytest.raises(UserError, match="model: oracle -> other"):
        go(Oracle(name="other"), made, tmp_path / "run")


def test_scores_of_an_earlier_task_that_a_kill_left_stale_are_made_again(data, tmp_path):
    subtitle(data, 0, "hello")
    go(Oracle(), data, tmp_path / "run", limit=6)
    old = (tmp_path / "run/videomme.scores.jsonl").read_bytes()
    go(Oracle(), data, tmp_path / "run")
    whole = (tmp_path / "run/videomme.scores.jsonl").read_bytes()
    (tmp_path / "run/videomme.scores.jsonl").write_bytes(old)
    options = {"frames": 4, "data": "real", "data_root": data, "workers": 1, "output": tmp_path / "run"}
    results = evaluate("videomme_subtitles", Oracle(), **options)
    assert results["videomme"]["careful"]["n"] == 12
    assert (tmp_path / "run/videomme.scores.jsonl").read_bytes() == whole


def test_answers_without_their_run_record_are_not_built_upon(made, tmp_path):
    go(Oracle(), made, tmp_path / "run", limit=3)
    (tmp_path / "run/run.json").unlink()
    with pytest.raises(UserError, match=r"answers but no run\.json"):
        go(Oracle(), made, tmp_path / "run")


def test_exchanged_videos_and_subtitles_are_noticed(data, tmp_path):
    go(Oracle(), data, tmp_path / "run", limit=3)
    write_video(data / "videomme/data/video000000.mp4", frames=48)
    with pytest.raises(UserError, match="the file was exchanged"):
        go(Oracle(), data, tmp_path / "run")
    subtitle(data, 1, "before")
    options = {"frames": 4, "data": "real", "data_root": data, "workers": 1, "output": tmp_path / "subs"}
    evaluate("videomme_subtitles", Oracle(), limit=3, **options)
    subtitle(data, 1, "after")
    with pytest.raises(UserError, match=r"tasks\.videomme_subtitles\.subtitles"):
        evaluate("videomme_subtitles", Oracle(), **options)


def test_a_run_with_subtitles_needs_subtitles(data, tmp_path):
    options = {"frames": 4, "data": "real", "data_root": data, "workers": 1}
    with pytest.raises(DataError, match="no subtitle file for any video"):
        evaluate("videomme_subtitles", Oracle(), output=tmp_path / "none", **options)
    (data / "videomme/subtitle/video000000.srt").mkdir(parents=True)
    results = evaluate("videomme_subtitles", Oracle(), output=tmp_path / "odd", **options)
    assert results["videomme_subtitles"]["statuses"] == {"ok": 9, "decode_error": 3}


def test_fresh_leaves_files_that_are_no_runs_alone(made, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("years of work")
    go(Oracle(), made, tmp_path / "run", limit=1, fresh=True)
    assert (tmp_path / "run/thesis.tex").exists() and not (tmp_path / "run.old-1").exists()


def mlvu_data(root):
    """MLVU's layout: each of the seven tasks one question about a video of its own."""
    for stem in STEMS:
        row = {"video": "v.mp4", "duration": 3, "question": "What?", "candidates": ["a", "b"], "answer": "b"}
        (root / "mlvu/json").mkdir(parents=True, exist_ok=True)
        (root / f"mlvu/json/{stem}.json").write_text(json.dumps([{**row, "question_type": "x"}]))
        write_video(root / f"mlvu/video/{stem}/v.mp4")
    return root


def test_a_macro_mean_over_the_tasks_that_happen_to_have_answers_is_no_score(tmp_path):
    root = mlvu_data(tmp_path / "data")
    options = {"frames": 2, "data": "real", "data_root": root, "workers": 1, "min_coverage": 0.5}
    (root / "mlvu/video/6_anomaly_reco/v.mp4").write_bytes(b"")
    results = evaluate("mlvu", Oracle(lambda _: "B) b"), output=tmp_path / "run", **options)
    assert results["mlvu"]["groups_without_answers"] == ["anomaly_reco"]
    assert results["mlvu"]["careful"]["value"] is None and results.exit_code == 3
    assert "no answer at all for anomaly_reco" in str(results)
    write_video(root / "mlvu/video/6_anomaly_reco/v.mp4")
    mended = evaluate("mlvu", Oracle(lambda _: "B) b"), output=tmp_path / "run", **options)
    assert mended["mlvu"]["careful"]["value"] == mended["mlvu"]["official"]["value"] == 1.0


def test_samples_limit_and_subset_pick_what_they_say(made, tmp_path):
    def ids(**options):
        model = Oracle()
        go(model, made, tmp_path / repr(options), **options)
        return [request.id for request in model.seen]

    assert ids(samples=("003-2", "001-1")) == ["001-1", "003-2"]
    assert ids(limit=0.25) == ["001-1", "001-2", "001-3"]
    four, eight = ids(subset=(7, 4)), ids(subset=(7, 8))
    assert len(four) == 4 and len({each[:3] for each in four}) == 4, "one question of every video first"
    assert set(four) < set(eight) and ids(subset=(7, 4), seed=0) == four
    assert set(ids(subset=(8, 4))) != set(four)
    with pytest.raises(UserError, match="no such sample: 9-9"):
        ids(samples=("9-9",))


def test_the_results_are_a_pandas_table_for_who_wants_one(made, tmp_path):
    frame = go(Oracle(), made, tmp_path / "run").frame("videomme")
    assert len(frame) == 12 and frame["careful_score"].mean() == 0.25
    assert {"id", "video", "target", "careful", "official", "duration", "text"} <= set(frame.columns)


SLOW_RUN = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_run import Oracle, go
def say(request):
    time.sleep(0.03)
    return "ABCD"[len(request.prompt + request.id) % 4] + " " + request.id
if __name__ == "__main__":
    go(Oracle(say), Path({data!r}), Path({run!r}))
    print("finished", flush=True)
"""


def test_kill_9_at_any_moment_loses_at_most_the_question_in_flight_and_scores_come_out_the_same(
    made, tmp_path
):
    """The same run undisturbed and killed again and again: byte-identical scores, no answer asked twice."""
    tests = str(Path(__file__).parent)

    def script(run):
        code = tmp_path / f"{run}.py"
        code.write_text(SLOW_RUN.format(tests=tests, data=str(made), run=str(tmp_path / run)))
        return [sys.executable, str(code)]

    subprocess.run(script("calm"), check=True, capture_output=True)
    kills = 0
    answers = tmp_path / "stormy/videomme.answers.jsonl"
    for _ in range(40):
        process = subprocess.Popen(script("stormy"), stdout=subprocess.PIPE, text=True)
        before = answers.read_bytes().count(b"\n") if answers.exists() else 0
        while process.poll() is None:
            now = answers.read_bytes().count(b"\n") if answers.exists() else 0
            if now >= before + 3:
                process.kill()
                kills += 1
                break
            time.sleep(0.002)
        output = process.communicate()[0]
        if "finished" in output:
            break
    assert "finished" in output and kills >= 3
    assert (tmp_path / "calm/videomme.scores.jsonl").read_bytes() == (
        tmp_path / "stormy/videomme.scores.jsonl"
    ).read_bytes()
    asked = [line["id"] for line in lines(answers)]
    assert sorted(asked) == sorted(row["question_id"] for row in videomme_rows(4)), "nothing was asked twice"


def test_the_real_videos_answer_questions_through_a_hand_made_folder(shared, tmp_path):
    """Six real phone and web videos behind Video-MME's layout."""
    files = sorted((shared / "data/sample_videos").glob("*.mp4"))
    rows = [
        {**row, "videoID": file.stem}
        for file, row in zip(files, videomme_rows(len(files), questions=1), strict=True)
    ]
    root = write_videomme(tmp_path, rows, videos=False)
    (root / "videomme/data").mkdir()
    for file in files:
        shutil.copy(file, root / "videomme/data" / file.name)
    model = Oracle()
    results = go(model, root, tmp_path / "run", frames=8)
    assert len(files) == 6 and results["videomme"]["statuses"] == {"ok": 6}
    for request in model.seen:
        assert request.frames.pixels.shape == (8, 32, 32, 3) and request.frames.pixels.std() > 10
        assert list(request.frames.times) == sorted(request.frames.times)


def test_a_video_key_is_the_same_wherever_the_data_lies(made, tmp_path):
    moved = Path(shutil.copytree(made, tmp_path / "elsewhere"))
    go(Oracle(), made, tmp_path / "one", limit=2)
    go(Oracle(), moved, tmp_path / "two", limit=2)
    assert (tmp_path / "one/videomme.scores.jsonl").read_bytes() == (
        tmp_path / "two/videomme.scores.jsonl"
    ).read_bytes()


def test_write_video_is_what_the_other_tests_think_it_is(tmp_path):
    import av

    with av.open(str(write_video(tmp_path / "v.mp4"))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 24
