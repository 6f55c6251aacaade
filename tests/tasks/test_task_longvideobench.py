"""LongVideoBench: the official interleaving of subtitles and frames, labels, the prompts, and what is refused."""

from __future__ import annotations

import json

import pytest

from kangaroo_eval.media.subtitles import read as read_subtitles
from kangaroo_eval.registry import get_task
from kangaroo_eval.types import Cue, View

VIEW = View((1.0, 2.0), 30.0)
NAMES = ("longvideobench", "longvideobench_subtitles", "longvideobench_test")
FILES = dict(zip(NAMES, ("lvb_val.json", "lvb_val.json", "lvb_test_wo_gt.json"), strict=True))
ROW = {
    "video_id": "9PD3ciudpIE",
    "question": "In front of an ancient building, what color is the woman's clothing at that moment?",
    "question_wo_referring_query": "what color is the woman's clothing?",
    "candidates": ["yellow", "green", "blue", "red"],
    "correct_choice": 0,
    "position": [1200],
    "topic_category": "NP-News-Programs",
    "question_category": "T2A",
    "level": "L1-Perception",
    "id": "9PD3ciudpIE_0",
    "video_path": "9PD3ciudpIE.mp4",
    "subtitle_path": "9PD3ciudpIE_en.json",
    "duration_group": 600,
    "starting_timestamp_for_subtitles": 0,
    "duration": 467.92,
    "view_count": 1000,
    "type": "T2A",
}
FIVE = {
    **ROW,
    "id": "9PD3ciudpIE_1",
    "candidates": ["yellow", "green", "blue", "red", "white"],
    "correct_choice": 4,
    "question_category": "TAA",
    "level": "L2-Relation",
    "duration_group": 3600,
}
UNLABELLED = {key: value for key, value in ROW.items() if key != "correct_choice"}
PROMPT = """\
In front of an ancient building, what color is the woman's clothing at that moment?
A. yellow
B. green
C. blue
D. red
Answer with the option's letter from the given choices directly."""


@pytest.fixture
def lvb(tmp_path, bench):
    def write(*rows, file="lvb_val.json"):
        bench.put(tmp_path, file, list(rows) or [ROW])
        return tmp_path

    return write


def test_the_official_file_reads(lvb, bench, tmp_path):
    four, five = bench.samples("longvideobench", lvb(ROW, FIVE))
    assert (four.id, four.target, four.choices) == ("9PD3ciudpIE_0", "A", ("yellow", "green", "blue", "red"))
    assert four.video.path == str(tmp_path / "videos/9PD3ciudpIE.mp4")
    assert (four.video.start, four.video.end, four.video.subtitles) == (None, 467.92, None)
    assert four.tags == {
        "duration": "600 s",
        "category": "T2A",
        "level": "L1-Perception",
        "topic": "NP-News-Programs",
    }
    assert (five.target, len(five.choices), five.tags["duration"]) == ("E", 5, "3600 s")
    assert (five.tags["category"], five.tags["level"]) == ("TAA", "L2-Relation")


def test_all_groups_are_tagged(lvb, bench):
    rows = [{**ROW, "id": str(group), "duration_group": group} for group in (15, 60, 600, 3600)]
    tags = [sample.tags["duration"] for sample in bench.samples("longvideobench", lvb(*rows))]
    assert tags == ["15 s", "60 s", "600 s", "3600 s"]


def test_the_test_split_has_no_labels(lvb, bench):
    task = get_task("longvideobench_test")
    root = lvb(UNLABELLED, file="lvb_test_wo_gt.json")
    (sample,) = bench.samples("longvideobench_test", root)
    assert (sample.target, len(sample.choices)) == (None, 4)
    assert (task.scorer(sample, "A").value, task.official(sample, "A").value) == (None, None)
    assert (task.scorer(sample, "A").answer, task.published) == ("A", None)
    bench.refused("longvideobench", root, "not found", "lvb_val.json")


def test_a_validation_question_without_its_label_is_refused(lvb, bench):
    for name in NAMES[:2]:
        bench.refused(
            name,
            lvb(ROW, {**UNLABELLED, "id": "x"}),
            "lvb_val.json, row 1: field 'correct_choice' is missing",
        )


def test_subtitles_belong_to_the_task_that_shows_them(lvb, bench, tmp_path):
    root = lvb()
    file = bench.put(root, "subtitles/9PD3ciudpIE_en.json", [])
    assert bench.samples("longvideobench", root)[0].video.subtitles is None
    assert bench.samples("longvideobench_subtitles", root)[0].video.subtitles == str(file)
    file.unlink()
    assert bench.samples("longvideobench_subtitles", root)[0].video.subtitles is None


def test_the_prompts_are_the_loaders_and_the_usual_one(lvb, bench):
    (sample,) = bench.samples("longvideobench", lvb())
    assert get_task("longvideobench").prompt(sample, VIEW) == PROMPT
    assert get_task("longvideobench_test").prompt(sample, VIEW) == PROMPT
    assert get_task("longvideobench_subtitles").prompt(sample, VIEW) == f"Question: {PROMPT}"
    assert [(get_task(name).system, get_task(name).prefill) for name in NAMES] == [(None, None)] * 3
    assert [get_task(name).timed_text is not None for name in NAMES] == [False, True, False]


# --- interleaving --------------------------------------------------------------------------------------------


def interleaved(times, cues):
    """The frames and texts in the order shown: a cue comes after every frame up to its middle."""
    left, shown = list(times), []
    for cue in cues:
        while left and left[0] <= (cue.start + cue.end) / 2:
            shown.append(f"<f{left.pop(0):g}>")
        shown.append(cue.text)
    return shown + [f"<f{time:g}>" for time in left]


def shown(lvb, bench, case):
    root = lvb(
        {
            **ROW,
            "duration": case["duration"],
            "starting_timestamp_for_subtitles": case["starting_timestamp_for_subtitles"],
        }
    )
    file = bench.put(root, "subtitles/9PD3ciudpIE_en.json", case["subtitles"])
    (sample,) = bench.samples("longvideobench_subtitles", root)
    assert sample.video.subtitles == str(file)
    times = tuple(map(float, case["frame_timestamps"]))
    cues = get_task("longvideobench_subtitles").timed_text(
        sample, View(times, 30.0, read_subtitles(str(file)))
    )
    return interleaved(times, cues)


def test_interleaving_equals_the_official_loaders(shared, lvb, bench):
    cases = json.loads((shared / "golden/longvideobench_interleave.json").read_text())
    assert len(cases) == 5
    for case in cases:
        assert shown(lvb, bench, case) == case["official"], case["case"]


def case(frames, *cues, start=0, duration=10):
    return {
        "frame_timestamps": frames,
        "subtitles": [{"timestamp": list(span), "text": text} for *span, text in cues],
        "starting_timestamp_for_subtitles": start,
        "duration": duration,
    }


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        # Trap 10: a whole-number end is not a float to the loader, and becomes the whole duration.
        (case([0, 2, 4, 6, 8], (1.0, 3, "int")), ["<f0>", "<f2>", "<f4>", "int", "<f6>", "<f8>"]),
        (case([0, 2, 4, 6, 8], (1.0, 3.0, "float")), ["<f0>", "<f2>", "float", "<f4>", "<f6>", "<f8>"]),
        (case([0, 2, 4, 6, 8], (1, 3.0, "int start")), ["<f0>", "<f2>", "int start", "<f4>", "<f6>", "<f8>"]),
        # The duration of an open end is moved like any other end.
        (
            case([0, 2, 4], (101.0, None, "open"), start=100.0, duration=104.0),
            ["<f0>", "<f2>", "open", "<f4>"],
        ),
        (case([0, 2, 4], (101.0, 103, "int"), start=100, duration=104), ["<f0>", "<f2>", "int", "<f4>"]),
        # A span under a second is widened to one around its middle.
        (case([0, 2, 4], (2.2, 2.6, "short")), ["<f0>", "<f2>", "short", "<f4>"]),
        (case([0, 2, 4], (2.5, 2.7, "too far")), ["<f0>", "<f2>", "<f4>"]),
        (case([0, 2, 4], (1.6, 2.4, "on it")), ["<f0>", "<f2>", "on it", "<f4>"]),
        # Two cues at one frame stay two, in the file's order, and a repeated one is not dropped.
        (case([0, 2, 4], (1.5, 2.6, "a"), (1.9, 2.95, "a")), ["<f0>", "<f2>", "a", "a", "<f4>"]),
        (case([0, 2, 4]), ["<f0>", "<f2>", "<f4>"]),
    ],
)
def test_interleaving_at_the_edges(lvb, bench, given, wanted):
    assert shown(lvb, bench, given) == wanted


def test_a_cue_is_told_with_the_times_that_count(lvb, bench):
    (sample,) = bench.samples(
        "longvideobench_subtitles", lvb({**ROW, "starting_timestamp_for_subtitles": 100.0})
    )
    view = View((2.0, 8.0), 30.0, (Cue(101.0, 103.5, "a"), Cue(108.0, 108.2, "b"), Cue(1.0, 3.0, "before")))
    cues = get_task("longvideobench_subtitles").timed_text(sample, view)
    assert [(cue.start, pytest.approx(cue.end), cue.text) for cue in cues] == [
        (1.0, 3.5, "a"),
        (pytest.approx(7.6), 8.6, "b"),
    ]


# --- readers and refusals ------------------------------------------------------------------------------------


def test_an_unreadable_reply_is_officially_a_guess_among_its_options(lvb, bench):
    task = get_task("longvideobench")
    four, five = bench.samples("longvideobench", lvb(ROW, FIVE))
    assert (task.official(four, "none").value, task.official(five, "none").value) == (0.25, 0.2)
    assert (task.official(four, "E").value, task.official(five, "E").value) == (0.0, 1.0)
    assert (task.official(four, "Answer: B").answer, task.scorer(four, "Answer: B").answer) == ("A", "B")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"correct_choice": 4}, "field 'correct_choice': expected a whole number from 0 to 3, found 4"),
        ({"correct_choice": -1}, "field 'correct_choice'"),
        ({"correct_choice": "A"}, "field 'correct_choice'"),
        ({"correct_choice": None}, "field 'correct_choice'"),
        ({"candidates": ["one"]}, "field 'candidates': expected a list of"),
        ({"candidates": ["x"] * 6}, "field 'candidates': expected a list of"),
        ({"candidates": "yellow"}, "field 'candidates': expected a list of"),
        ({"candidates": ["a", "b", "c", 4]}, "field 'candidates': expected a list of"),
        ({"duration": "467.92"}, "field 'duration': expected a number"),
        ({"duration_group": "600"}, "field 'duration_group'"),
        ({"starting_timestamp_for_subtitles": None}, "field 'starting_timestamp_for_subtitles'"),
        ({"question": ""}, "field 'question'"),
        ({"level": 1}, "field 'level'"),
    ],
)
def test_a_malformed_row_is_refused(lvb, bench, change, named):
    bench.refused("longvideobench", lvb(ROW, {**ROW, "id": "x", **change}), "lvb_val.json, row 1", named)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "field",
    [
        "id",
        "question",
        "candidates",
        "video_path",
        "duration",
        "duration_group",
        "question_category",
        "level",
    ],
)
def test_a_missing_field_is_named(lvb, bench, name, field):
    row = {key: value for key, value in ROW.items() if key != field}
    root = lvb(row, file=FILES[name])
    bench.refused(name, root, f"{FILES[name]}, row 0: field {field!r} is missing")


def test_a_missing_subtitle_path_is_named_where_subtitles_are_shown(lvb, bench):
    row = {key: value for key, value in ROW.items() if key != "subtitle_path"}
    bench.refused(
        "longvideobench_subtitles", lvb(row), "lvb_val.json, row 0: field 'subtitle_path' is missing"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_and_an_id_given_twice_are_refused(lvb, bench, tmp_path, name):
    bench.refused(name, tmp_path, "not found", FILES[name])
    bench.refused(name, lvb(ROW, ROW, file=FILES[name]), "id '9PD3ciudpIE_0' is given twice, by rows 0 and 1")
