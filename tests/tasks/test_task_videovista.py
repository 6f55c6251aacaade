"""VideoVista: paths, durations, the types with and without relations, the prompt, and what is refused."""

from __future__ import annotations

import json

import pytest

from kangaroo_eval.registry import get_task
from kangaroo_eval.tasks.videovista import REASONING, RELATIONS, UNDERSTANDING
from kangaroo_eval.types import View

VIEW = View((1.0, 2.0), 30.0)
NAMES = ("videovista", "videovista_relation")
FILE = "VideoVista.json"
NAME = "1.abcdefghijk.3.mp4"
ROW = {
    "question_id": 12,
    "video_name": NAME,
    "category": "Food",
    "Type": "Objects Count",
    "Question": "How many eggs are broken?",
    "Answer_Choices": ["One", "Two", "Three", "Four"],
    "Answer": 2,
    "time": 59.9,
}
RELATION = {**ROW, "question_id": 13, "Type": "Relation Reasoning-Video"}
PICTURED = {**ROW, "question_id": 14, "Type": "Relation Reasoning-Image", "image_name": "a/b.jpg"}
# As the script lists them.
LISTS = {
    "understanding": "Objects Existence, Objects Count, Action Count, Detailed Description, Brief Description, "
    "Event Description, Event Sequence, Optical Character Recognition, Action Recognition, Action Sequence, "
    "Action Location, Event Location, Objects Temporal Location, Objects Temporal Relation, Objects Spatial Location, "
    "Objects Spatial Relation, Objects Spatial Tracking, Human Activity Analysis, Anomaly Detection",
    "reasoning": "Relation Reasoning-Image, Relation Reasoning-Video, Event Prediction, Action Prediction, "
    "Causal Reasoning, Counterfactual Reasoning, Commonsense Reasoning, Logic Reasoning",
}
TYPES = {name: kinds.split(", ") for name, kinds in LISTS.items()}
PROMPT = """\
How many eggs are broken?
Options:
(A) One
(B) Two
(C) Three
(D) Four
Answer with the option's letter from the given choices directly."""


@pytest.fixture
def vista(tmp_path, bench):
    def write(*rows):
        bench.put(tmp_path, FILE, list(rows) or [ROW])
        return tmp_path

    return write


def test_the_official_file_reads(vista, bench, tmp_path):
    (sample,) = bench.samples("videovista", vista())
    assert (sample.id, sample.question, sample.target) == ("12", "How many eggs are broken?", "C")
    assert sample.choices == ("One", "Two", "Three", "Four")
    assert sample.video.path == str(tmp_path / "merged/Food/abcdefghijk" / NAME)
    assert (sample.video.start, sample.video.end, sample.video.picture) == (None, None, None)
    assert sample.tags == {
        "ability": "understanding",
        "type": "Objects Count",
        "category": "Food",
        "duration": "0-60 s",
    }


def test_a_fifth_option_is_e(vista, bench):
    row = {**ROW, "Answer_Choices": [*ROW["Answer_Choices"], "Five"], "Answer": 4, "question_id": "q"}
    (sample,) = bench.samples("videovista", vista(row))
    assert (sample.id, sample.target) == ("q", "E")


@pytest.mark.parametrize("place", [f"Food/abcdefghijk/{NAME}", f"merged/{NAME}"])
def test_videos_are_found_in_other_places(vista, bench, place):
    root = vista()
    file = bench.put(root, place, b"x")
    assert bench.samples("videovista", root)[0].video.path == str(file)


def test_a_name_without_a_middle_part_lies_in_its_category(vista, bench, tmp_path):
    (sample,) = bench.samples("videovista", vista({**ROW, "video_name": "plain.mp4"}))
    assert sample.video.path == str(tmp_path / "merged/Food/plain.mp4")


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        (0, "0-60 s"),
        (59.9, "0-60 s"),
        (60, "60-120 s"),
        (119, "60-120 s"),
        (120, "120-300 s"),
        (299.99, "120-300 s"),
        (300, "300-600 s"),
        (599, "300-600 s"),
        (600, "600+ s"),
        (4000, "600+ s"),
    ],
)
def test_durations_are_the_scripts_minute_buckets(vista, bench, seconds, bucket):
    (sample,) = bench.samples("videovista", vista({**ROW, "time": seconds}))
    assert sample.tags["duration"] == bucket


def test_types_are_the_scripts_and_only_understanding_has_a_duration(vista, bench):
    assert (list(UNDERSTANDING), list(REASONING)) == (TYPES["understanding"], TYPES["reasoning"])
    assert RELATIONS == ("Relation Reasoning-Image", "Relation Reasoning-Video")
    kinds = [*TYPES["understanding"], *TYPES["reasoning"], "Smelling"]
    rows = [{**PICTURED, "question_id": i, "Type": kind} for i, kind in enumerate(kinds)]
    samples = bench.samples("videovista_relation", vista(*rows))
    assert [sample.tags["type"] for sample in samples] == kinds
    for sample in samples:
        kind = sample.tags["type"]
        ability = next((name for name, names in TYPES.items() if kind in names), "unlisted")
        assert sample.tags["ability"] == ability
        assert ("duration" in sample.tags) == (ability == "understanding")


def test_relation_types_are_left_out_or_all_asked(vista, bench, tmp_path):
    root = vista(ROW, RELATION, PICTURED)
    assert [sample.id for sample in bench.samples("videovista", root)] == ["12"]
    samples = bench.samples("videovista_relation", root)
    assert [sample.id for sample in samples] == ["12", "13", "14"]
    pictures = [sample.video.picture for sample in samples]
    assert pictures == [None, None, str(tmp_path / "relation_images/a/b.jpg")]
    elsewhere = bench.put(root, "merged/relation_images/a/b.jpg", b"x")
    assert bench.samples("videovista_relation", root)[2].video.picture == str(elsewhere)


def test_only_the_task_without_relations_stands_beside_the_published_number():
    published = [get_task(name).published for name in NAMES]
    assert [(each.table, each.column) for each in published] == [("III", "videovista")] * 2
    assert published[0].other is None and "without relation reasoning" in published[1].other
    assert published[1].samples == 25000


@pytest.mark.parametrize("name", NAMES)
def test_the_prompt(vista, bench, name):
    task = get_task(name)
    assert task.prompt(bench.samples(name, vista())[0], VIEW) == PROMPT
    assert (task.system, task.prefill, task.timed_text) == (None, None, None)
    assert "the prompt is not the authors'" in task.notes


def test_the_official_reader_gives_the_scripts_results(shared, vista, bench):
    task = get_task("videovista")
    choices = [*ROW["Answer_Choices"], "Five"]
    cases = json.loads((shared / "golden/videovista_answers.json").read_text())
    assert len(cases) == 10
    for case in cases:
        row = {**ROW, "Answer_Choices": choices, "Answer": "ABCDE".index(case["gold"])}
        (sample,) = bench.samples("videovista", vista(row))
        assert task.official(sample, case["response"]).value == case["official_correct"], case


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"Answer": 4}, "field 'Answer': expected a whole number from 0 to 3, found 4"),
        ({"Answer": -1}, "field 'Answer'"),
        ({"Answer": "C"}, "field 'Answer'"),
        ({"Answer": True}, "field 'Answer'"),
        ({"Answer": None}, "field 'Answer'"),
        ({"Answer_Choices": ["One"]}, "field 'Answer_Choices': expected a list of"),
        ({"Answer_Choices": ["x"] * 6}, "field 'Answer_Choices': expected a list of"),
        ({"Answer_Choices": [1, 2]}, "field 'Answer_Choices': expected a list of"),
        ({"time": "59.9"}, "field 'time'"),
        ({"time": -1}, "field 'time'"),
        ({"time": float("nan")}, "field 'time'"),
        ({"time": None}, "field 'time'"),
        ({"Question": ""}, "field 'Question'"),
        ({"video_name": 7}, "field 'video_name'"),
        ({"category": []}, "field 'category'"),
        ({"Type": 1}, "field 'Type'"),
        ({"question_id": None}, "field 'question_id'"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_malformed_row_is_refused(vista, bench, name, change, named):
    bench.refused(name, vista(ROW, {**ROW, "question_id": 99, **change}), f"{FILE}, row 1, {named}")


@pytest.mark.parametrize("field", list(ROW))
@pytest.mark.parametrize("name", NAMES)
def test_a_missing_field_is_named(vista, bench, name, field):
    row = {key: value for key, value in ROW.items() if key != field}
    bench.refused(name, vista(row), f"{FILE}, row 0: field {field!r} is missing")


def test_a_relation_without_its_picture_is_refused_where_relations_are_asked(vista, bench):
    row = {key: value for key, value in PICTURED.items() if key != "image_name"}
    root = vista(ROW, row)
    bench.refused("videovista_relation", root, f"{FILE}, row 1: field 'image_name' is missing")
    assert len(bench.samples("videovista", root)) == 1


def test_a_question_given_twice_is_refused(vista, bench):
    bench.refused(
        "videovista", vista(ROW, {**ROW, "question_id": "12"}), "id '12' is given twice, by rows 0 and 1"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_or_damaged_file_is_named(bench, tmp_path, name):
    bench.refused(name, tmp_path, "not found", FILE)
    for content in ("", "[", {"a": 1}, [1], []):
        bench.put(tmp_path, FILE, content)
        bench.refused(name, tmp_path, FILE)
