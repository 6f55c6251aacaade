"""MLVU Test, with and without labels, and MLVU's generation tasks: texts for the judge, its scores, refusals."""

from __future__ import annotations

import json

import pytest

from kangaroo_eval.registry import get_task
from kangaroo_eval.results import task_result
from kangaroo_eval.scores import Verdicts, score_answers
from kangaroo_eval.types import View

VIEW = View((1.0, 2.0), 30.0)
TEST, GENERATION = get_task("mlvu_test"), get_task("mlvu_generation")
ROW = {
    "question_id": "AR_0",
    "question_type": "anomaly_reco",
    "video": "test_AR_0.mp4",
    "question": "Does this surveillance footage contain any anomalies?",
    "candidates": ["Normal", "Fighting", "Explosion", "Robbery", "Arson", "Abuse"],
}
LABELLED = {**ROW, "answer": "Arson"}
PROMPT = """\
Question: Does this surveillance footage contain any anomalies?
Options:
(A) Normal
(B) Fighting
(C) Explosion
(D) Robbery
(E) Arson
(F) Abuse
Only give the best option."""
SCENE = {
    "video": "subPlot_new_all_1.mp4",
    "duration": 480.5,
    "question": "Please describe what\nhappens at the dinner.",
    "answer": "They quarrel.",
    "scoring_points": ["A man's hat falls", 'She says "no"'],
    "question_type": "subPlot",
}
SUMMARY = {
    "video": "217.mp4",
    "duration": 300,
    "question": "Can you summarize the main content of this video?",
    "answer": "A man {walks} home.",
    "question_type": "summary",
}
SSC_USER = """
                            Please score the respondent's answer according to the steps in the Instructions. You must \
end with a JSON dict to store the scores.
                            Question: Please describe whathappens at the dinner.
                            Scoring Points: ["A man's hat falls", 'She says "no"']
                            Respondent's Answer: They {eat}.
                        """
VS_USER = """
                            Please score the respondent's answer according to the steps in the Instructions. You must \
end with a JSON dict to store the scores.
                            Standard Answer: A man {walks} home.
                            Respondent's Answer: They {eat}.
                        """


# --- Test ----------------------------------------------------------------------------------------------------


@pytest.fixture
def mlvu_test(tmp_path, bench):
    def write(*rows):
        bench.put(tmp_path, "test_mcq.json", list(rows) or [ROW])
        return tmp_path

    return write


def test_the_official_test_file_reads(mlvu_test, bench, tmp_path):
    (sample,) = bench.samples("mlvu_test", mlvu_test())
    assert (sample.id, sample.target, sample.question) == ("AR_0", None, ROW["question"])
    assert (sample.choices, sample.tags) == (tuple(ROW["candidates"]), {"task": "anomaly_reco"})
    assert sample.video.path == str(tmp_path / "video/test_AR_0.mp4")


@pytest.mark.parametrize("place", ["MLVU_Test/video/{}", "{}"])
def test_test_videos_are_found_in_other_places(mlvu_test, bench, place):
    root = mlvu_test()
    file = bench.put(root, place.format("test_AR_0.mp4"), b"x")
    assert bench.samples("mlvu_test", root)[0].video.path == str(file)


def test_labels_of_six_options_are_read_where_the_file_has_them(mlvu_test, bench):
    last = {**LABELLED, "question_id": "AR_1", "answer": "Abuse"}
    none = {**LABELLED, "question_id": "AR_2", "answer": "Riot"}
    twice = {**LABELLED, "question_id": "AR_3", "candidates": ["Arson", "b", "c", "Arson", "e", "f"]}
    samples = bench.samples("mlvu_test", mlvu_test(LABELLED, last, none, twice))
    assert [sample.target for sample in samples] == ["E", "F", "@", "D"]
    assert [sample.tags.get("fault") for sample in samples] == [
        None,
        None,
        "no candidate is the answer",
        "several candidates are the answer",
    ]
    # A harness that knows A to D alone can never get these right.
    for sample, letter in zip(samples[:2], "EF", strict=True):
        assert TEST.official(sample, f"{letter}) text").value == TEST.scorer(sample, letter).value == 1.0


def test_without_labels_answers_are_read_and_nothing_is_scored(mlvu_test, bench):
    root = mlvu_test()
    samples = bench.samples("mlvu_test", root)
    scored = list(score_answers(TEST, samples, {"AR_0": {"status": "ok", "text": "F) Abuse"}}, root))
    found = task_result(TEST, scored, {"ok": 1}, {"anomaly_reco"}, {"data": "real", "min_coverage": 0.99})
    assert (found["status"], found["careful"]["value"], found["official"]["value"]) == (
        "no_labels",
        None,
        None,
    )
    assert (scored[0].official.answer, scored[0].careful.answer) == ("F", "F")


def test_the_mean_is_over_tasks_not_questions(mlvu_test, bench):
    rows = [
        {**LABELLED, "question_id": f"{kind}_{i}", "question_type": kind}
        for kind, count in (("count", 1), ("sportsQA", 3))
        for i in range(count)
    ]
    root = mlvu_test(*rows)
    answers = {
        row["question_id"]: {"status": "ok", "text": "E" if row["question_type"] == "count" else "A"}
        for row in rows
    }
    scored = list(score_answers(TEST, bench.samples("mlvu_test", root), answers, root))
    asked_with = {"data": "real", "min_coverage": 0.99}
    found = task_result(TEST, scored, {"ok": 4}, {"count", "sportsQA"}, asked_with)
    assert (found["official"]["value"], found["metric"]) == (0.5, "macro_accuracy")


@pytest.mark.parametrize("answer", ["", None])
def test_an_empty_label_is_none(mlvu_test, bench, answer):
    (sample,) = bench.samples("mlvu_test", mlvu_test({**ROW, "answer": answer}))
    assert sample.target is None and "fault" not in sample.tags


def test_prompt_system_and_prefill_of_the_test_are_the_authors(mlvu_test, bench):
    (sample,) = bench.samples("mlvu_test", mlvu_test())
    assert TEST.prompt(sample, VIEW) == PROMPT
    assert TEST.system == (
        "Carefully watch this video and pay attention to every detail. Based on your observations, select the best "
        "option that accurately addresses the question."
    )
    assert (TEST.prefill, TEST.timed_text, TEST.published) == ("Best Option: (", None, None)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"candidates": ["x"]}, "field 'candidates': expected a list of"),
        ({"candidates": ["x"] * 7}, "field 'candidates': expected a list of"),
        ({"candidates": "Normal"}, "field 'candidates': expected a list of"),
        ({"candidates": [1, 2, 3, 4, 5, 6]}, "field 'candidates': expected a list of"),
        ({"question_id": 3}, "field 'question_id': expected text"),
        ({"question_type": None}, "field 'question_type': expected text"),
        ({"question": ""}, "field 'question': expected text"),
        ({"video": ["a"]}, "field 'video': expected text"),
        ({"answer": 4}, "field 'answer': expected text"),
    ],
)
def test_a_malformed_row_of_the_test_is_refused(mlvu_test, bench, change, named):
    root = mlvu_test(ROW, {**ROW, "question_id": "AR_1", **change})
    bench.refused("mlvu_test", root, "test_mcq.json, row 1", named)


@pytest.mark.parametrize("field", list(ROW))
def test_a_missing_field_of_the_test_is_named(mlvu_test, bench, field):
    row = {key: value for key, value in ROW.items() if key != field}
    bench.refused("mlvu_test", mlvu_test(row), f"test_mcq.json, row 0: field {field!r} is missing")


def test_a_missing_test_file_and_a_question_given_twice_are_refused(mlvu_test, bench, tmp_path):
    bench.refused("mlvu_test", tmp_path, "not found", "test_mcq.json")
    bench.refused("mlvu_test", mlvu_test(ROW, ROW), "id 'AR_0' is given twice, by rows 0 and 1")
    for content in ("{", {"a": 1}, [1], []):
        bench.put(tmp_path, "test_mcq.json", content)
        bench.refused("mlvu_test", tmp_path, "test_mcq.json")


# --- generation ----------------------------------------------------------------------------------------------


@pytest.fixture
def generation(tmp_path, bench):
    def write(scenes=(SCENE,), summaries=(SUMMARY,), place=""):
        bench.put(tmp_path, f"{place}json/8_sub_scene.json", list(scenes))
        bench.put(tmp_path, f"{place}json/9_summary.json", list(summaries))
        return tmp_path

    return write


@pytest.fixture
def open_samples(generation, bench):
    return dict(zip(("ssc", "vs"), bench.samples("mlvu_generation", generation()), strict=True))


def test_the_official_generation_files_read(open_samples, tmp_path):
    scene, summary = open_samples.values()
    assert (scene.id, scene.tags, scene.target) == ("8_sub_scene/0", {"task": "sub_scene"}, "They quarrel.")
    assert scene.facts["scoring_points"] == ("A man's hat falls", 'She says "no"')
    assert scene.video.path == str(tmp_path / "video/8_sub_scene/subPlot_new_all_1.mp4")
    assert (summary.id, summary.tags, summary.choices) == ("9_summary/0", {"task": "summary"}, ())
    assert summary.video.path == str(tmp_path / "video/9_summary/217.mp4")


@pytest.mark.parametrize("place", ["MLVU/video/8_sub_scene/", "8_sub_scene/", "video/"])
def test_generation_files_are_found_in_other_places(generation, bench, place):
    root = generation(place="MLVU/" if place.startswith("MLVU/") else "")
    file = bench.put(root, f"{place}subPlot_new_all_1.mp4", b"x")
    assert bench.samples("mlvu_generation", root)[0].video.path == str(file)


def test_prompt_and_system_of_generation_are_the_authors_and_nothing_is_prefilled(open_samples):
    assert GENERATION.prompt(open_samples["vs"], VIEW) == "Can you summarize the main content of this video?"
    assert GENERATION.prompt(open_samples["ssc"], VIEW) == "Please describe what\nhappens at the dinner."
    assert GENERATION.system == (
        "Carefully watch this video and pay attention to every detail. Based on your observations, answer the given "
        "questions."
    )
    assert (GENERATION.prefill, GENERATION.timed_text) == (None, None)
    assert GENERATION.scorer(open_samples["vs"], "x") is None
    assert GENERATION.official(open_samples["ssc"], "x") is None


def test_the_judges_user_texts_are_the_authors_with_the_points_as_a_list(open_samples):
    """Braces in an answer are no places to fill, and line breaks leave the question as they do in the script."""
    (_, ssc), (_, vs) = (GENERATION.judge.ask(open_samples[kind], "They {eat}.") for kind in ("ssc", "vs"))
    assert ssc == ("user", SSC_USER)
    assert vs == ("user", VS_USER)


def test_the_judges_system_texts_are_the_authors(shared, open_samples):
    published = json.loads((shared / "data/mlvu/judge_prompts.json").read_text())
    for kind, name in (("ssc", "sub_scene_captioning"), ("vs", "video_summarization")):
        (role, text), (_, user) = GENERATION.judge.ask(open_samples[kind], "PRED")
        assert (role, text) == ("system", published[name]["system"])
        template = published[name]["user_template"]
        for field, value in (
            ("question", "Please describe whathappens at the dinner."),
            ("scoring_points", """["A man's hat falls", 'She says "no"']"""),
            ("answer", "A man {walks} home."),
            ("pred", "PRED"),
        ):
            template = template.replace(f"{{{field}}}", value)
        assert user == template
        assert GENERATION.judge.model == published[name]["model"] == "gpt-4-turbo"
        assert GENERATION.judge.parameters == {"temperature": published[name]["temperature"]}
    assert GENERATION.judge.attempts == 1


@pytest.mark.parametrize(
    ("kind", "reply", "official", "careful"),
    [
        ("ssc", "{'score_accuracy': 3.67, 'score_relevance': 5, 'total_score': 8.67}", 8.67, 8.67),
        ("vs", "Well. {'score_completeness': 2, 'score_reliability': 4, 'total_score': 6}", 6.0, 6.0),
        # calculate.py takes the one score that it finds for the first key; one score alone is no verdict.
        ("ssc", "{'score_relevance': 4, 'total_score': 7}", 4.0, None),
        ("ssc", "{'score_accuracy': 3}", 3.0, None),
        ("ssc", "I cannot score this.", 0.0, None),
        # There the script dies.
        ("ssc", "{'score_accuracy':3, 'score_relevance':5, 'total_score':8}", 0.0, 8.0),
        ("ssc", "score_accuracy is 3 because: it misses, score_relevance: 2,", 0.0, None),
        ("vs", "{'score_completeness': 9, 'score_reliability': 4, 'total_score': 13}", 13.0, None),
        ("vs", "", 0.0, None),
    ],
)
def test_both_readers_of_the_judge(open_samples, kind, reply, official, careful):
    score = GENERATION.judge.official(open_samples[kind], reply)
    assert score.value == pytest.approx(official) and (score.answer is None) == (official == 0.0)
    score = GENERATION.judge.careful(open_samples[kind], reply)
    assert score.value == pytest.approx(careful or 0.0) and (score.answer is None) == (careful is None)


def test_the_mean_is_over_the_two_tasks_not_their_items(generation, bench):
    scenes = tuple({**SCENE, "question": f"What happens in part {i}?"} for i in range(3))
    root = generation(scenes)
    samples = bench.samples("mlvu_generation", root)
    answers = {sample.id: {"status": "ok", "text": "x"} for sample in samples}
    verdicts = {
        sample.id: "{'score_accuracy': 1, 'score_relevance': 1, 'total_score': 2}"
        if sample.tags["task"] == "sub_scene"
        else "{'score_completeness': 5, 'score_reliability': 5, 'total_score': 10}"
        for sample in samples
    }
    scored = list(score_answers(GENERATION, samples, answers, root, Verdicts("a judge", verdicts, (), {})))
    asked_with = {"data": "real", "min_coverage": 0.99, "judge": {"model": "gpt-4-turbo"}}
    found = task_result(GENERATION, scored, {"ok": 4}, {"sub_scene", "summary"}, asked_with)
    assert (found["official"]["value"], found["careful"]["value"], found["scale"]) == (6.0, 6.0, 10)
    values = {name: each["official"]["value"] for name, each in found["breakdown"]["task"].items()}
    assert values == {"sub_scene": 2.0, "summary": 10.0}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"scoring_points": []}, "field 'scoring_points': expected a list of"),
        ({"scoring_points": "A man"}, "field 'scoring_points': expected a list of"),
        ({"scoring_points": [1]}, "field 'scoring_points': expected a list of"),
        ({"duration": "480"}, "field 'duration': expected a number"),
        ({"answer": ""}, "field 'answer': expected text"),
        ({"question": 1}, "field 'question': expected text"),
        ({"video": None}, "field 'video': expected text"),
    ],
)
def test_a_malformed_row_of_generation_is_refused(generation, bench, change, named):
    root = generation((SCENE, {**SCENE, **change}))
    bench.refused("mlvu_generation", root, "8_sub_scene.json, row 1", named)


@pytest.mark.parametrize("field", ["video", "duration", "question", "answer", "scoring_points"])
def test_a_missing_field_of_generation_is_named(generation, bench, field):
    row = {key: value for key, value in SCENE.items() if key != field}
    bench.refused(
        "mlvu_generation", generation((row,)), f"8_sub_scene.json, row 0: field {field!r} is missing"
    )
    if field != "scoring_points":
        row = {key: value for key, value in SUMMARY.items() if key != field}
        bench.refused(
            "mlvu_generation", generation((SCENE,), (row,)), f"9_summary.json, row 0: field {field!r}"
        )


@pytest.mark.parametrize("stem", ["8_sub_scene", "9_summary"])
def test_without_both_generation_files_it_is_refused(generation, bench, stem):
    root = generation()
    (root / f"json/{stem}.json").unlink()
    bench.refused("mlvu_generation", root, "not found", f"{stem}.json")
    bench.put(root, f"json/{stem}.json", "[")
    bench.refused("mlvu_generation", root, f"{stem}.json")
