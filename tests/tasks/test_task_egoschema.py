"""EgoSchema: the 500 with labels, all 5,031 without, the prompt, and what is refused."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from kangaroo_eval.registry import get_task
from kangaroo_eval.types import View

VIEW = View((1.0, 2.0), 30.0)
NAME = "001934bb-81bd-4cd8-a574-0472ef3f6678"
ROW = {
    "q_uid": NAME,
    "google_drive_id": "15yGB0TI5zG5usdQZOXn0CrRzkJNB0gMl",
    "question": "Although the video is predominantly focused on one recurring action, what interrupts it?",
    "option 0": "C stops scrolling to check notifications",
    "option 1": "C is cleaning the kitchen",
    "option 2": "C interrupts scrolling to type on the laptop",
    "option 3": "C briefly stops scrolling, showing a drifting focus.",
    "option 4": "C takes a break to drink from a cup",
}
OTHER = {**ROW, "q_uid": "001d2d1b-d2f9-4c39-810e-6e2087ff9d5a"}
PROMPT = """\
Although the video is predominantly focused on one recurring action, what interrupts it?
A. C stops scrolling to check notifications
B. C is cleaning the kitchen
C. C interrupts scrolling to type on the laptop
D. C briefly stops scrolling, showing a drifting focus.
E. C takes a break to drink from a cup
Answer with the option's letter from the given choices directly."""


@pytest.fixture
def ego(tmp_path, bench):
    def write(rows=(ROW, OTHER), labels=None):
        bench.put(tmp_path, "questions.json", list(rows) if isinstance(rows, tuple) else rows)
        bench.put(tmp_path, "subset_answers.json", {NAME: 3} if labels is None else labels)
        return tmp_path

    return write


def test_only_the_questions_with_labels_are_asked(ego, bench, tmp_path):
    (sample,) = bench.samples("egoschema", ego())
    assert (sample.id, sample.target, sample.question) == (NAME, "D", ROW["question"])
    assert sample.choices == tuple(ROW[f"option {number}"] for number in range(5))
    assert sample.video.path == str(tmp_path / f"videos/{NAME}.mp4")
    assert (sample.video.start, sample.video.end, sample.tags) == (None, None, {})


def test_the_full_set_is_asked_whole_and_has_no_label(ego, bench):
    root = ego()
    (root / "subset_answers.json").unlink()
    samples = bench.samples("egoschema_full", root)
    assert [(sample.id, sample.target) for sample in samples] == [(NAME, None), (OTHER["q_uid"], None)]


@pytest.mark.parametrize(("label", "letter"), [(0, "A"), (1, "B"), (2, "C"), (3, "D"), (4, "E")])
def test_labels_count_from_nought(ego, bench, label, letter):
    assert bench.samples("egoschema", ego(labels={NAME: label}))[0].target == letter


@pytest.mark.parametrize("place", ["{}.mp4", "videos/{}.MP4"])
def test_videos_are_found_in_other_places(ego, bench, place):
    root = ego()
    file = bench.put(root, place.format(NAME), b"x")
    assert bench.samples("egoschema", root)[0].video.path == str(file)
    assert bench.samples("egoschema_full", root)[1].video.path == str(root / f"videos/{OTHER['q_uid']}.mp4")


@pytest.mark.parametrize("name", ["egoschema", "egoschema_full"])
def test_the_prompt_is_the_usual_one(ego, bench, name):
    task = get_task(name)
    assert task.prompt(bench.samples(name, ego())[0], VIEW) == PROMPT
    assert (task.system, task.prefill, task.timed_text) == (None, None, None)
    assert "the prompt is not the authors'" in task.notes


def test_an_unreadable_reply_is_officially_a_guess_among_five(ego, bench):
    task = get_task("egoschema")
    (sample,) = bench.samples("egoschema", ego())
    scores = [(task.official(sample, text).value, task.official(sample, text).answer) for text in ("B)", "D")]
    assert scores == [(0.2, None), (1.0, "D")]
    wearer = task.official(sample, "C is cleaning the kitchen")
    assert (wearer.answer, wearer.value) == ("C", 0.0), "the camera wearer's name is a letter to lmms-eval"
    assert task.scorer(sample, "C is cleaning the kitchen").answer == "B"


def test_without_labels_nothing_is_scored(ego, bench):
    task = get_task("egoschema_full")
    sample = bench.samples("egoschema_full", ego())[0]
    assert (task.official(sample, "D").value, task.scorer(sample, "D").value) == (None, None)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"q_uid": None}, "field 'q_uid': expected text"),
        ({"question": 7}, "field 'question': expected text, found 7"),
        ({"option 4": None}, "field 'option 4'"),
        ({"option 3": ["C"]}, "field 'option 3': expected text"),
        ({"option 0": " "}, "field 'option 0': expected text"),
    ],
)
def test_a_malformed_row_is_refused(ego, bench, change, named):
    bench.refused("egoschema", ego(rows=(ROW, {**OTHER, **change})), "questions.json, row 1", named)


@pytest.mark.parametrize("field", ["q_uid", "question", "option 0", "option 4"])
def test_a_missing_field_is_named(ego, bench, field):
    row = {key: value for key, value in ROW.items() if key != field}
    bench.refused("egoschema_full", ego(rows=(row,)), f"questions.json, row 0: field {field!r} is missing")


@pytest.mark.parametrize("label", [5, -1, "3", True, None, 2.0, [3]])
def test_a_label_that_is_no_option_is_refused(ego, bench, label):
    bench.refused("egoschema", ego(labels={NAME: label}), "subset_answers.json", NAME, "from 0 to 4")


def test_a_question_given_twice_is_refused(ego, bench):
    bench.refused("egoschema_full", ego(rows=(ROW, ROW)), f"id {NAME!r} is given twice, by rows 0 and 1")


@pytest.mark.parametrize("file", ["questions.json", "subset_answers.json"])
def test_a_missing_file_is_named(ego, bench, file):
    root = ego()
    (root / file).unlink()
    bench.refused("egoschema", root, "not found", file)


@pytest.mark.parametrize(("rows", "labels"), [({"a": 1}, None), ((ROW,), [3]), ("{", None), ((ROW,), "[")])
def test_a_file_of_another_shape_is_named(ego, bench, rows, labels):
    root = ego(rows, labels)
    bench.refused("egoschema", root, "questions.json" if labels is None else "subset_answers.json")


# --- the public files ----------------------------------------------------------------------------------------


def test_the_published_sample_of_questions_reads(shared, bench, tmp_path):
    published = shared / "data/egoschema"
    bench.put(tmp_path, "questions.json", (published / "questions_sample20_617b469.json").read_text())
    bench.put(tmp_path, "subset_answers.json", (published / "subset_answers.json").read_text())
    samples = bench.samples("egoschema_full", tmp_path)
    assert len(samples) == 20 and samples[0].id == NAME
    assert samples[0].choices[3] == "C briefly stops scrolling, showing a drifting focus."
    bench.refused("egoschema", tmp_path, "egoschema: no samples")


def test_all_ids_and_exactly_the_500_labels(shared, bench, tmp_path):
    published = shared / "data/egoschema"
    names = list(json.loads((published / "uid_to_ego4d.json").read_text()))
    labels = json.loads((published / "subset_answers.json").read_text())
    bench.put(tmp_path, "questions.json", [{**ROW, "q_uid": name} for name in names])
    bench.put(tmp_path, "subset_answers.json", labels)
    assert len({sample.id for sample in bench.samples("egoschema_full", tmp_path)}) == 5031
    subset = bench.samples("egoschema", tmp_path)
    assert {sample.id: sample.target for sample in subset} == {k: "ABCDE"[v] for k, v in labels.items()}
    assert Counter(sample.target for sample in subset) == {"E": 117, "B": 108, "A": 101, "C": 91, "D": 83}
