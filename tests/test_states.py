"""What a task's result can be beside a score: unlabelled, faulty, ranked, counted under several values; and every
benchmark's mini copy, run through the real command."""

from __future__ import annotations

import json
from collections import Counter

import pytest

import kangaroo_eval
from kangaroo_eval import results
from kangaroo_eval.cli import main
from kangaroo_eval.registry import get_task, task_names
from kangaroo_eval.types import Response, Score, ScoredSample

PLAIN = {"data": "real", "min_coverage": 0.99}


def scored(number, value=1.0, tags=None, target="A", judge=None):
    score = Score(value if target else None, "A")
    return ScoredSample(f"s{number}", f"v{number}", target, score, score, tags or {}, judge)


def result(task, samples, **more):
    return results.task_result(get_task(task), samples, {"ok": len(samples)}, {None}, {**PLAIN, **more})


def test_a_sample_counts_under_each_of_its_categories_and_once_in_the_whole():
    tags = [
        {"category": ("reasoning", "summarization"), "genre": "tv"},
        {"category": ("reasoning",), "genre": "tv"},
    ]
    found = result("lvbench", [scored(0, 1.0, tags[0]), scored(1, 0.0, tags[1])])
    assert found["careful"]["n"] == 2 and found["careful"]["value"] == 0.5
    counts = {name: pair["careful"]["n"] for name, pair in found["breakdown"]["category"].items()}
    assert counts == {"reasoning": 2, "summarization": 1}


def test_without_labels_there_is_no_score_and_no_failure():
    found = result("egoschema_full", [scored(number, target=None) for number in range(3)])
    assert found["status"] == "no_labels"
    assert found["careful"]["value"] is None and found["official"]["value"] is None
    assert results.exit_code({"tasks": {"egoschema_full": found}}) == 0


def test_labels_for_a_part_score_that_part_and_say_how_many():
    samples = [scored(0, 1.0, {"task": "count"}), scored(1, tags={"task": "count"}, target=None)]
    found = result("mlvu_test", samples)
    assert found["status"] == "ok" and found["careful"]["n"] == 1


def test_faults_of_the_annotations_are_counted():
    fault = {"task": "needle", "fault": "no candidate is the answer"}
    found = result("mlvu", [scored(0, 0.0, fault), scored(1, tags={"task": "needle"})])
    assert found["faults"] == {"no candidate is the answer": 1}


def test_a_split_that_the_paper_has_not_compares_with_what_was_published_elsewhere_alone():
    task = get_task("longvideobench")
    tags = {"duration": "15 s", "category": "S2E", "level": "L1"}
    found = results.task_result(
        task,
        [scored(number, tags=tags) for number in range(1337)],
        {"ok": 1337},
        {None},
        {**PLAIN, "total": 1337},
    )
    assert found["published"]["comparable"] is False and "test split" in found["published"]["why"]
    assert found["published"]["elsewhere_comparable"] is True
    assert found["published"]["elsewhere"][0]["value"] == 54.2
    part = results.task_result(task, [scored(0, tags=tags)], {"ok": 1}, {None}, {**PLAIN, "total": 1337})
    assert part["published"]["elsewhere_comparable"] is False


def test_a_part_of_a_benchmark_whose_size_is_not_published_is_not_comparable():
    tags = {"ability": "reasoning", "type": "Logic Reasoning", "category": "x"}
    samples = [scored(number, tags=tags) for number in range(24000)]
    found = result("videovista", samples, total=24600)
    assert found["published"]["why"] == "24000 of the 24600 samples that the published number covers"
    assert result("videovista", samples[:10], total=10)["published"]["comparable"] is False
    assert result("videovista", samples, total=24000)["published"]["comparable"] is True


class Ranker:
    """Says A, and finds the last choice likeliest."""

    name = "ranker"

    def __init__(self):
        self.asked = []

    def respond(self, requests):
        for request in requests:
            self.shown = len(request.frames.times), tuple(request.frames.times)
            yield Response(request.id, "A", request.frames.times, 1, 1, 0.0)

    def rank(self, request, candidates):
        self.asked.append((request.prompt, request.system, request.prefill, tuple(candidates)))
        return [float(-place) for place in range(len(candidates))]


def test_a_model_that_ranks_is_scored_by_likelihood_officially_and_by_its_answer_carefully(tmp_path, minis):
    model = Ranker()
    found = kangaroo_eval.evaluate(
        ["seedbench_video"], model, output=tmp_path / "run", cache=minis, workers=0
    )
    lines = [
        json.loads(line) for line in (tmp_path / "run/seedbench_video.scores.jsonl").read_text().splitlines()
    ]
    assert {line["official"]["answer"] for line in lines} == {"D"}
    assert {line["careful"]["answer"] for line in lines} == {"A"}
    labels = Counter(line["target"] for line in lines)
    assert found["seedbench_video"]["official"]["value"] == labels["D"] / 12
    assert model.shown == (16, tuple(float(k // 2) for k in range(16))), "8 frames, each shown twice"
    answers = [
        json.loads(line) for line in (tmp_path / "run/seedbench_video.answers.jsonl").read_text().splitlines()
    ]
    assert answers[0]["losses"] == [0.0, -1.0, -2.0, -3.0]
    assert model.asked[0][1:3] == (None, None) and "Answer with" not in model.asked[0][0]
    assert len(model.asked) == 12


class Mute:
    """A ranker whose ranking breaks."""

    name = "mute"

    def respond(self, requests):
        for request in requests:
            yield Response(request.id, "A", request.frames.times, 1, 1, 0.0)

    def rank(self, request, candidates):
        return [0.0]


def test_a_ranking_of_too_few_choices_is_a_failed_request_and_no_score(tmp_path, minis):
    from kangaroo_eval.errors import RunFailed

    with pytest.raises(RunFailed, match="ranked 1 of the 4 choices"):
        kangaroo_eval.evaluate(["seedbench_video"], Mute(), output=tmp_path / "run", cache=minis, workers=0)


def test_losses_that_are_no_numbers_are_a_failed_request_and_not_the_first_choice(tmp_path, minis):
    from kangaroo_eval.errors import RunFailed

    class Broken(Mute):
        def rank(self, request, candidates):
            return [float("nan")] * len(candidates)

    with pytest.raises(RunFailed, match="not finite"):
        kangaroo_eval.evaluate(["seedbench_video"], Broken(), output=tmp_path / "run", cache=minis, workers=0)


def test_ranked_and_unranked_answers_do_not_mix_in_a_run(tmp_path, minis):
    from kangaroo_eval.errors import UserError

    class Plain:
        name = "ranker"
        respond = Mute.respond

    options = {"output": tmp_path / "run", "cache": minis, "workers": 0}
    kangaroo_eval.evaluate(["seedbench_video"], Plain(), limit=3, **options)
    with pytest.raises(UserError, match="ranks_choices"):
        kangaroo_eval.evaluate(["seedbench_video"], Ranker(), **options)


def test_subtitles_come_between_the_frames_where_the_protocol_has_them(tmp_path, minis):
    seen = {}

    class Listener(Ranker):
        def respond(self, requests):
            for request in requests:
                seen[request.id] = request
                yield Response(request.id, "A", request.frames.times, 1, 1, 0.0)

    kangaroo_eval.evaluate(
        ["longvideobench_subtitles"], Listener(), 16, output=tmp_path / "run", cache=minis, workers=0
    )
    cues = [cue for request in seen.values() for cue in request.timed_text]
    assert cues and all(request.prompt.startswith("Question: ") for request in seen.values())
    for request in seen.values():
        for cue in request.timed_text:
            assert any(cue.start < time < cue.end for time in request.frames.times)


@pytest.fixture(scope="session")
def minis(tmp_path_factory):
    """A cache of mini benchmarks for these tests."""
    return tmp_path_factory.mktemp("minis")


@pytest.mark.slow
def test_every_benchmark_runs_on_its_mini_copy_and_the_command_ends_well(
    tmp_path, minis, monkeypatch, capsys
):
    monkeypatch.setenv("KANGAROO_EVAL_CACHE", str(minis))
    monkeypatch.delenv("KANGAROO_EVAL_DATA", raising=False)
    run = tmp_path / "run"
    words = [
        "--tasks",
        "all",
        "--frames",
        "8",
        "--model",
        "constant:B",
        "--output",
        str(run),
        "--quiet",
        "--json",
    ]
    assert main(words) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(summary["tasks"]) == set(task_names())
    tasks = json.loads((run / "results.json").read_text())["tasks"]
    states = {name: task["status"] for name, task in tasks.items() if task["status"] != "ok"}
    assert states == {
        "egoschema_full": "no_labels",
        "longvideobench_test": "no_labels",
        "mlvu_generation": "not_judged",
        "mmbench_video": "not_judged",
        "tempcompass": "not_judged",
    }
    assert all(task["coverage"] == 1 and task["label"].endswith("[mini]") for task in tasks.values())
    assert all(not (task["published"] or {}).get("comparable") for task in tasks.values())
    for name, task in tasks.items():
        if task["status"] == "ok" and task["metric"] == "accuracy":
            lines = [json.loads(line) for line in (run / f"{name}.scores.jsonl").read_text().splitlines()]
            right = sum(line["target"] == "B" for line in lines)
            assert task["careful"]["value"] * len(lines) == pytest.approx(right), name


def test_data_verify_looks_into_folders_of_frames(minis, monkeypatch, capsys):
    monkeypatch.setenv("KANGAROO_EVAL_CACHE", str(minis))
    words = ["data", "verify", "seedbench_video", "--data", "mini"]
    assert main(words) == 0
    assert "12 samples, 12 videos, 0 missing, 0 unreadable" in capsys.readouterr().out
    folder = next((minis / "seedbench").rglob("1.png")).parent
    whole = {picture: picture.read_bytes() for picture in folder.glob("*.png")}
    try:
        for picture, content in whole.items():
            picture.write_bytes(b"x" * len(content))
        assert main(words) == 6
        assert "1 unreadable" in capsys.readouterr().out
    finally:
        for picture, content in whole.items():
            picture.write_bytes(content)


def test_a_mean_over_groups_is_none_where_a_group_has_no_labels():
    """The paper's mean is over all of MLVU's tasks; one over those that have labels would pass for it."""
    samples = [scored(n, 1.0, {"task": "count"}) for n in range(4)]
    samples += [scored(9 + n, tags={"task": "order"}, target=None) for n in range(4)]
    found = results.task_result(
        get_task("mlvu_test"), samples, {"ok": 8}, {"count", "order"}, {**PLAIN, "total": 8}
    )
    assert found["careful"]["value"] is None and found["groups_without_answers"] == ["order"]
    assert found["status"] == "low_coverage"


def test_options_in_another_order_do_not_stand_beside_published_numbers():
    samples = [scored(n) for n in range(2700)]
    plain = result("videomme", samples, total=2700)
    assert plain["published"]["comparable"] is True and "options" not in plain
    turned = result("videomme", samples, total=2700, options="shuffled")
    assert turned["published"]["comparable"] is False
    assert (turned["published"]["why"], turned["options"]) == ("options shuffled", "shuffled")


def test_a_verdict_of_another_harness_needs_no_label_of_ours():
    samples = [
        ScoredSample(f"s{n}", f"v{n}", None, Score(None, "x"), Score(1.0, "x"), {}, None) for n in range(3)
    ]
    found = result("lmms:some_task", samples)
    assert (found["status"], found["official"]["value"]) == ("ok", 1.0)
