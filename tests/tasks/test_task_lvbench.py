"""LVBench: options inside the question, categories that overlap, the prompt, and what is refused."""

from __future__ import annotations

import copy
import json

import pytest

from kangaroo_eval.registry import get_task
from kangaroo_eval.results import task_result
from kangaroo_eval.scores import score_answers
from kangaroo_eval.types import View

VIEW = View((1.0, 2.0), 30.0)
QUESTION = "What year appears in the opening caption of the video?\n(A) 1636\n(B) 1366\n(C) 1363\n(D) 1633"
PROMPT = """\
What year appears in the opening caption of the video?
(A) 1636
(B) 1366
(C) 1363
(D) 1633
Answer with the option's letter from the given choices directly."""


def item(**change):
    return {
        "uid": "55",
        "question": QUESTION,
        "answer": "D",
        "question_type": ["key information retrieval"],
        "time_reference": "00:15-00:19",
    } | change


def record(*qa, **change):
    return {
        "key": "Cm73ma6Ibcs",
        "type": "cartoon",
        "video_info": {
            "duration_minutes": 61,
            "fps": 25.0,
            "resolution": {"width": 1280, "height": 720},
        },
        "qa": list(qa) or [item()],
    } | change


@pytest.fixture
def lvbench(tmp_path, bench):
    def write(*records):
        lines = "".join(f"{json.dumps(each)}\n" for each in records or [record()])
        bench.put(tmp_path, "video_info.meta.jsonl", lines)
        return tmp_path

    return write


def test_the_official_file_reads(lvbench, bench, tmp_path):
    first = record(item(), item(uid="56", answer="A", question_type=["reasoning", "summarization"]))
    second = record(item(uid="57"), key="28CIeC8cZks", type="tv")
    one, two, three = bench.samples("lvbench", lvbench(first, second))
    assert (one.id, one.question, one.target) == ("55", QUESTION, "D")
    assert one.choices == ("1636", "1366", "1363", "1633")
    assert one.tags == {"category": ("key information retrieval",), "genre": "cartoon"}
    assert one.video.path == str(tmp_path / "videos/Cm73ma6Ibcs.mp4") == two.video.path
    assert (two.target, two.tags["category"]) == ("A", ("reasoning", "summarization"))
    assert (three.video.path, three.tags["genre"]) == (str(tmp_path / "videos/28CIeC8cZks.mp4"), "tv")


@pytest.mark.parametrize("place", ["all_videos/{}.mp4", "{}.mp4"])
def test_videos_are_found_in_other_places(lvbench, bench, place):
    root = lvbench()
    file = bench.put(root, place.format("Cm73ma6Ibcs"), b"x")
    assert bench.samples("lvbench", root)[0].video.path == str(file)


def test_the_prompt_is_the_question_as_it_stands_and_a_request(lvbench, bench):
    task = get_task("lvbench")
    (sample,) = bench.samples("lvbench", lvbench())
    assert task.prompt(sample, VIEW) == PROMPT
    assert (task.system, task.prefill, task.timed_text) == (None, None, None)
    assert "the prompt is not the authors'" in task.notes


@pytest.mark.parametrize(
    ("options", "choices"),
    [
        ("\n(A) x\n(B) y\n(C) z\n(D) w\n", ("x", "y", "z", "w")),
        ("\n\n  (A)x\n  (B)y\n  (C)  z \n  (D) w", ("x", "y", "z", "w")),
        ("\n(A) see (B) below\n(B) y\n(C) z\n(D) w", ("see (B) below", "y", "z", "w")),
        ("\n(A) two\nlines\n(B) y\n(C) z\n(D) w", ("two\nlines", "y", "z", "w")),
        ("\n(A) \n(B) y\n(C) z\n(D) w", ("", "y", "z", "w")),
    ],
)
def test_options_are_read_out_of_the_question(lvbench, bench, options, choices):
    (sample,) = bench.samples("lvbench", lvbench(record(item(question=f"What?{options}"))))
    assert sample.choices == choices and "fault" not in sample.tags


@pytest.mark.parametrize(
    "question",
    [
        "What year?",
        "What year? (A) x (B) y (C) z (D) w",
        "What year?\n(A) x\n(B) y\n(C) z",
        "What year?\n(A) x\n(C) z\n(B) y\n(D) w",
        "What year?\n(A) x\n(B) y\n(C) z\n(C) w\n(D) v",
        "What year?\nA. x\nB. y\nC. z\nD. w",
    ],
)
def test_options_that_cannot_be_told_apart_are_a_fault_and_still_asked(lvbench, bench, question):
    task = get_task("lvbench")
    (sample,) = bench.samples("lvbench", lvbench(record(item(question=question))))
    assert sample.tags["fault"] == "the options cannot be told apart in the question"
    assert sample.choices == ("", "", "", "")
    assert task.prompt(sample, VIEW).startswith(f"{question}\n")
    for reader in (task.scorer, task.official):
        assert [reader(sample, text).value for text in ("D", "(D)", "A")] == [1.0, 1.0, 0.0]


def test_a_question_counts_under_each_of_its_categories_and_once_overall(lvbench, bench):
    """The golden case of the official compute_accuracy: reasoning .5, the others 1, overall 2 of 3."""
    task = get_task("lvbench")
    qa = [
        item(uid="1", answer="A", question_type=["reasoning", "event understanding"]),
        item(uid="2", answer="B", question_type=["entity recognition"]),
        item(uid="3", answer="C", question_type=["reasoning"]),
    ]
    root = lvbench(record(*qa))
    samples = bench.samples("lvbench", root)
    answers = {name: {"status": "ok", "text": text} for name, text in {"1": "A", "2": "B", "3": "D"}.items()}
    scored = list(score_answers(task, samples, answers, root))
    found = task_result(task, scored, {"ok": 3}, (), {"data": "real", "min_coverage": 0.99})
    assert found["official"]["value"] == pytest.approx(2 / 3) and found["official"]["n"] == 3
    values = {name: each["official"]["value"] for name, each in found["breakdown"]["category"].items()}
    assert values == {"reasoning": 0.5, "event understanding": 1.0, "entity recognition": 1.0}
    assert [each["official"]["n"] for each in found["breakdown"]["genre"].values()] == [3]


@pytest.mark.parametrize(
    ("reply", "official", "careful"),
    [("(D) 1633", "D", "D"), ("The answer is D", None, "D"), ("d", None, "D"), ("", None, None)],
)
def test_both_readers(lvbench, bench, reply, official, careful):
    task = get_task("lvbench")
    (sample,) = bench.samples("lvbench", lvbench())
    assert (task.official(sample, reply).answer, task.scorer(sample, reply).answer) == (official, careful)
    assert task.official(sample, reply).value == float(official == "D")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"answer": "E"}, "field 'answer': expected one of A, B, C, D, found 'E'"),
        ({"answer": 3}, "field 'answer'"),
        ({"question": None}, "field 'question': expected text"),
        ({"uid": 1.5}, "field 'uid'"),
        ({"question_type": "reasoning"}, "field 'question_type': expected a list"),
        ({"question_type": []}, "field 'question_type': expected a list"),
        ({"question_type": [1]}, "field 'question_type': expected a list"),
    ],
)
def test_a_malformed_question_is_refused(lvbench, bench, change, named):
    root = lvbench(record(item(uid="1")), record(item(**change), key="other"))
    bench.refused("lvbench", root, "video_info.meta.jsonl, row 1", named)


@pytest.mark.parametrize("field", ["uid", "question", "answer", "question_type"])
def test_a_missing_field_of_a_question_is_named(lvbench, bench, field):
    broken = item()
    del broken[field]
    root = lvbench(record(broken))
    bench.refused("lvbench", root, f"video_info.meta.jsonl, row 0: field {field!r} is missing")


@pytest.mark.parametrize("field", ["key", "type", "qa"])
def test_a_missing_field_of_a_record_is_named(lvbench, bench, field):
    broken = copy.deepcopy(record())
    del broken[field]
    if field == "qa":
        bench.refused("lvbench", lvbench(broken), "video_info.meta.jsonl, row 0", "'qa'")
    else:
        bench.refused("lvbench", lvbench(broken), f"row 0: field {field!r} is missing")


@pytest.mark.parametrize("qa", [{}, [1], "text", None])
def test_questions_that_are_no_list_of_objects_are_refused(lvbench, bench, qa):
    bench.refused("lvbench", lvbench(record(qa=qa)), "row 0, field 'qa': expected a list of objects")


def test_a_uid_given_twice_is_refused_even_in_two_records(lvbench, bench):
    root = lvbench(record(item()), record(item(), key="other"))
    bench.refused("lvbench", root, "id '55' is given twice, by rows 0 and 1")


def test_a_uid_may_be_a_number(lvbench, bench):
    assert bench.samples("lvbench", lvbench(record(item(uid=55))))[0].id == "55"


def test_a_missing_or_damaged_file_is_named(lvbench, bench, tmp_path):
    bench.refused("lvbench", tmp_path, "not found", "video_info.meta.jsonl")
    bench.put(tmp_path, "video_info.meta.jsonl", json.dumps(record()) + "\n{\n")
    bench.refused("lvbench", tmp_path, "video_info.meta.jsonl, line 2")
    bench.put(tmp_path, "video_info.meta.jsonl", "\n")
    bench.refused("lvbench", tmp_path, "video_info.meta.jsonl holds no rows")
