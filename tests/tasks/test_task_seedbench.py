"""SEED-Bench's video dimensions, of both versions: eight frames a question, labels, ranking, and what is refused."""

from __future__ import annotations

import json
import re

import pytest

from kangaroo_eval.registry import get_task
from kangaroo_eval.types import View

VIEW = View((0.0, 1.0), 1.0)
FILE = "SEED-Bench_v2_level1_2_3.json"
V1_FILE = "SEED-Bench.json"
FRAMES = "task19/Charades_test_frame/WRQ95"
ROW = {
    "answer": "B",
    "choice_a": "robe",
    "choice_b": "Cut a knife on the table",
    "choice_c": "Open a door",
    "choice_d": "Sit down",
    "data_id": [f"{FRAMES}/{k}.png" for k in range(1, 9)],
    "data_source": "SEED-Bench v2",
    "data_type": "Video",
    "level": "L1",
    "question": "What does the person do?",
    "question_id": "19_0",
    "question_type_id": 19,
    "subpart": "Video & Text Comprehension",
    "version": "v2",
}
IMAGE = {**ROW, "question_id": "1_0", "question_type_id": 1, "data_type": "Single Image", "data_id": "x.jpg"}
V1_ROW = {
    "answer": "B",
    "choice_a": "move pan",
    "choice_b": "move saucepan",
    "choice_c": "open tap",
    "choice_d": "wash hand",
    "data_id": "P03/P03_24.MP4",
    "data_type": "video",
    "question": "Please anticipate what action will occur following the end of this video.",
    "question_id": "v1743",
    "question_type_id": 11,
    "segment": [648.0, 658.0],
}
TYPES = {"Global Video Understanding": 19, "Action Recognition": 20, "Scene Understanding": 1}
PROMPT = """\
What does the person do?
A. robe
B. Cut a knife on the table
C. Open a door
D. Sit down
Answer with the option's letter from the given choices directly."""
V1_PROMPT = """\
Please anticipate what action will occur following the end of this video.
A. move pan
B. move saucepan
C. open tap
D. wash hand
Answer with the option's letter from the given choices directly."""


@pytest.fixture
def seed(tmp_path, bench):
    def write(*rows):
        bench.put(tmp_path, FILE, {"question_type": TYPES, "questions": list(rows) or [ROW]})
        return tmp_path

    return write


@pytest.fixture
def seed_v1(tmp_path, bench):
    def write(*rows):
        bench.put(tmp_path, V1_FILE, {"question_type": TYPES, "questions": list(rows) or [V1_ROW]})
        return tmp_path

    return write


# --- version 2 -----------------------------------------------------------------------------------------------


def test_the_official_file_reads(seed, bench, tmp_path):
    (sample,) = bench.samples("seedbench_video", seed())
    assert (sample.id, sample.target, sample.question) == ("19_0", "B", "What does the person do?")
    assert sample.choices == ("robe", "Cut a knife on the table", "Open a door", "Sit down")
    assert sample.tags == {"dimension": "Global Video Understanding"}
    folder = str(tmp_path / "SEED-Bench-2-image" / FRAMES)
    assert (sample.video.path, sample.video.frames_dir, sample.video.fps) == (folder, folder, 1.0)


def test_the_four_video_dimensions_are_read_and_all_others_left_out(seed, bench):
    rows = [
        {**ROW, "question_id": f"{kind}_{i}", "question_type_id": kind}
        for kind in range(1, 28)
        for i in (0, 1)
    ]
    for row in rows:
        if not 19 <= row["question_type_id"] <= 22:
            # Images have one path, or several that are no frames, and some dimensions other options.
            row |= {"data_id": "a.jpg", "choice_a": None, "answer": "E"}
    found = [
        (sample.id, sample.tags["dimension"]) for sample in bench.samples("seedbench_video", seed(*rows))
    ]
    assert found == [
        (f"{kind}_{i}", name)
        for kind, name in (
            (19, "Global Video Understanding"),
            (20, "Action Recognition"),
            (21, "Action Prediction"),
            (22, "Procedure Understanding"),
        )
        for i in (0, 1)
    ]


def test_frames_beside_the_questions_are_found_too(seed, bench):
    root = seed()
    bench.put(root, f"{FRAMES}/1.png", b"x")
    assert bench.samples("seedbench_video", root)[0].video.frames_dir == str(root / FRAMES)


@pytest.mark.parametrize(
    "paths",
    [
        [f"{FRAMES}/{k}.png" for k in range(1, 8)],
        [f"{FRAMES}/{k}.png" for k in range(1, 10)],
        [],
        f"{FRAMES}/1.png",
        [f"{FRAMES}/{k}.png" for k in range(8)],
        [f"{FRAMES}/{k}.png" for k in (2, 1, 3, 4, 5, 6, 7, 8)],
        [f"{FRAMES}{k}/{k}.png" for k in range(1, 9)],
        [f"{FRAMES}/{k}.png" for k in range(1, 8)] + [8],
    ],
)
def test_exactly_eight_frames_of_one_folder_are_wanted(seed, bench, paths):
    root = seed(ROW, {**ROW, "question_id": "19_1", "data_id": paths})
    bench.refused("seedbench_video", root, f"{FILE}, row 1, field 'data_id'")


@pytest.mark.parametrize("label", [" B", "B ", "B\n", "\tB"])
def test_a_label_with_a_space_is_a_fault_that_the_careful_reader_alone_forgives(seed, bench, label):
    (sample,) = bench.samples("seedbench_video", seed({**ROW, "answer": label}))
    assert sample.target == "B"
    assert sample.tags["fault"].startswith("the label has a space beside its letter")
    task = get_task("seedbench_video")
    assert task.scorer(sample, "B").value == 1 and task.official(sample, "B").value == 0
    assert task.ranking.score(sample, (1.0, 0.0, 2.0, 3.0)).value == 0


def test_an_empty_choice_is_kept(seed, bench):
    assert bench.samples("seedbench_video", seed({**ROW, "choice_d": ""}))[0].choices[3] == ""


def test_the_prompts_are_the_usual_one_and_what_is_ranked_is_the_bare_question(seed, seed_v1, bench):
    task, v1 = get_task("seedbench_video"), get_task("seedbench_v1_video")
    (sample,) = bench.samples("seedbench_video", seed())
    assert task.prompt(sample, VIEW) == PROMPT
    assert task.ranking.prompt(sample) == "What does the person do?"
    (old,) = bench.samples("seedbench_v1_video", seed_v1())
    assert v1.prompt(old, VIEW) == V1_PROMPT
    assert [(each.system, each.prefill, each.timed_text) for each in (task, v1)] == [(None, None, None)] * 2


@pytest.mark.parametrize("name", ["seedbench_video", "seedbench_v1_video"])
def test_eight_frames_are_shown_twice(name):
    assert (get_task(name).frames, get_task(name).repeat_frames) == (8, 2)


NAN = float("nan")


@pytest.mark.parametrize(
    ("losses", "answer"),
    [([1, 0.5, 0.5, 2], "B"), ([0.2] * 4, "A"), ([NAN, 3, 4, 5], "B"), ([NAN] * 4, "A"), ([4, 3, 2, 1], "D")],
)
def test_the_likeliest_choice_is_the_answer(seed, bench, losses, answer):
    (sample,) = bench.samples("seedbench_video", seed())
    score = get_task("seedbench_video").ranking.score(sample, losses)
    assert (score.answer, score.value) == (answer, float(answer == "B"))


@pytest.mark.parametrize(
    ("reply", "official", "careful"),
    [
        ("B", 1.0, 1.0),
        (" B. Cut a knife", 1.0, 1.0),
        ("b", 0.0, 1.0),
        ("(B)", 0.0, 1.0),
        ("Answer: B", 0.0, 1.0),
        ("Because of C, B", 1.0, None),
        ("", 0.0, 0.0),
    ],
)
def test_both_readers(seed, bench, reply, official, careful):
    task = get_task("seedbench_video")
    (sample,) = bench.samples("seedbench_video", seed())
    assert task.official(sample, reply).value == official
    assert careful is None or task.scorer(sample, reply).value == careful


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"answer": "E"}, "field 'answer': expected one of A, B, C, D, found 'E'"),
        ({"answer": "b"}, "field 'answer'"),
        ({"answer": 1}, "field 'answer': expected text"),
        ({"choice_c": None}, "field 'choice_c': expected text"),
        ({"choice_a": 3}, "field 'choice_a': expected text"),
        ({"question": ""}, "field 'question'"),
        ({"question_type_id": "19"}, "field 'question_type_id': expected a whole number"),
        ({"question_type_id": True}, "field 'question_type_id'"),
        ({"question_id": 1.5}, "field 'question_id'"),
    ],
)
def test_a_malformed_row_is_refused(seed, bench, change, named):
    root = seed(IMAGE, {**ROW, "question_id": "19_1", **change})
    bench.refused("seedbench_video", root, f"{FILE}, row 1", named)


@pytest.mark.parametrize(
    "field", ["question_id", "question_type_id", "question", "answer", "data_id", "choice_a", "choice_d"]
)
def test_a_missing_field_is_named(seed, bench, field):
    row = {key: value for key, value in ROW.items() if key != field}
    bench.refused("seedbench_video", seed(row), f"{FILE}, row 0: field {field!r} is missing")


def test_a_question_given_twice_is_refused(seed, bench):
    bench.refused("seedbench_video", seed(IMAGE, ROW, ROW), "id '19_0' is given twice, by rows 0 and 1")


@pytest.mark.parametrize(("name", "file"), [("seedbench_video", FILE), ("seedbench_v1_video", V1_FILE)])
def test_a_missing_or_damaged_file_is_named(bench, tmp_path, name, file):
    bench.refused(name, tmp_path, "not found", file)
    for content in ("{", [ROW], {"questions": {}}, {"rows": [ROW]}, {"questions": ["x"]}, {"questions": []}):
        bench.put(tmp_path, file, content)
        bench.refused(name, tmp_path, file)


def test_a_file_of_images_alone_has_no_samples(seed, bench):
    bench.refused("seedbench_video", seed(IMAGE), "seedbench_video: no samples")


def test_other_dimensions_ids_are_known_and_own_ones_are_not_other(seed):
    others = get_task("seedbench_video").other_ids
    assert [others(name) for name in ("1_0", "9_85", "23_7", "190_1")] == [True] * 4
    assert [others(name) for name in ("19_0", "20_1", "21_2", "22_1022", "v1738", "19", "")] == [False] * 7
    old = get_task("seedbench_v1_video").other_ids
    assert [old(name) for name in ("101669", "v1743")] == [True, False]


def test_the_published_answers_carry_5341_labelled_video_questions(shared):
    """The file has 8 ids twice; of dimension 19 ten of 1,594 are not in it."""
    file = shared / "data/seedbench/SEED-Bench-2_GPT-4V.json"
    task = get_task("seedbench_video")
    found = {}
    for each in task.predictions[0].read(file):
        if not task.other_ids(each.id):
            assert found.setdefault(each.id, each) == each
    lines = [json.loads(line) for line in re.findall(r"\{.*?\}", file.read_text())]
    raw = {
        line["question_id"]: line for line in lines if line["question_id"][:3] in ("19_", "20_", "21_", "22_")
    }
    assert found.keys() == raw.keys() and len(found) == 5341
    faults = 0
    for name, each in found.items():
        assert each.sample.target == raw[name]["gt_answer"].strip()
        assert ("fault" in each.sample.tags) == (raw[name]["gt_answer"] not in "ABCD")
        faults += "fault" in each.sample.tags
    assert faults == 6
    absent = {f"19_{i}" for i in range(1594)} - found.keys()
    assert absent == {f"19_{i}" for i in (58, 191, 238, 319, 331, 712, 881, 954, 1527, 1542)}


# --- version 1 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "dimension", "folder"),
    [
        (10, "v1738", "Action Recognition", "task10/ssv2_8_frame"),
        (11, "v1743", "Action Prediction", "task11/kitchen_8_frame"),
        (12, "v3817", "Procedure Understanding", "task12/breakfast_8_frame"),
    ],
)
def test_version_1_reads_its_official_file(seed_v1, bench, tmp_path, kind, name, dimension, folder):
    row = {**V1_ROW, "question_type_id": kind, "question_id": name}
    (sample,) = bench.samples("seedbench_v1_video", seed_v1(row))
    assert (sample.id, sample.target, sample.tags) == (name, "B", {"dimension": dimension})
    place = str(tmp_path / "v1_video" / folder / name)
    assert (sample.video.path, sample.video.frames_dir, sample.video.fps) == (place, place, 1.0)
    bench.put(tmp_path, f"{folder}/{name}/1.png", b"x")
    assert bench.samples("seedbench_v1_video", tmp_path)[0].video.path == str(tmp_path / folder / name)


def test_version_1_leaves_images_out(seed_v1, bench):
    images = [
        {**V1_ROW, "question_type_id": kind, "question_id": str(101669 + kind), "data_type": "image"}
        for kind in range(1, 10)
    ]
    samples = bench.samples("seedbench_v1_video", seed_v1(*images, V1_ROW))
    assert [sample.id for sample in samples] == ["v1743"]
    bench.refused("seedbench_v1_video", seed_v1(*images), "no samples")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"answer": "F"}, "field 'answer': expected one of A, B, C, D"),
        ({"choice_b": ["x"]}, "field 'choice_b'"),
        ({"question_id": None}, "field 'question_id'"),
        ({"question_type_id": None}, "field 'question_type_id'"),
    ],
)
def test_a_malformed_row_of_version_1_is_refused(seed_v1, bench, change, named):
    bench.refused("seedbench_v1_video", seed_v1(V1_ROW, {**V1_ROW, **change}), f"{V1_FILE}, row 1", named)


def test_a_question_of_version_1_given_twice_is_refused(seed_v1, bench):
    bench.refused("seedbench_v1_video", seed_v1(V1_ROW, V1_ROW), "id 'v1743' is given twice, by rows 0 and 1")
