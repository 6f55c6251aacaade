"""MVBench: all 4,000 published rows, the clips they are about, the prompt, and what is refused."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from kangaroo_eval.errors import DataError
from kangaroo_eval.media.sampling import mvbench as mvbench_indices
from kangaroo_eval.plan import RunConfig, make_plan, missing_hints
from kangaroo_eval.registry import get_task
from kangaroo_eval.types import View

VIEW = View((1.0, 2.0), 30.0)
# The specification's table: task, file, folder of its videos, bounded, and how many questions have so many options.
TABLE = """\
Action Sequence|action_sequence|star/Charades_v1_480|yes|4:200
Action Prediction|action_prediction|star/Charades_v1_480|yes|4:200
Action Antonym|action_antonym|ssv2_video|no|3:200
Fine-grained Action|fine_grained_action|Moments_in_Time_Raw/videos|no|4:200
Unexpected Action|unexpected_action|FunQA_test/test|no|4:200
Object Existence|object_existence|clevrer/video_validation|no|3:200
Object Interaction|object_interaction|star/Charades_v1_480|yes|4:200
Object Shuffle|object_shuffle|perception/videos|no|3:200
Moving Direction|moving_direction|clevrer/video_validation|no|4:200
Action Localization|action_localization|sta/sta_video|yes|4:200
Scene Transition|scene_transition|scene_qa/video|no|4:200
Action Count|action_count|perception/videos|no|3:200
Moving Count|moving_count|clevrer/video_validation|no|4:200
Moving Attribute|moving_attribute|clevrer/video_validation|no|2:65 3:69 4:66
State Change|state_change|perception/videos|no|3:200
Fine-grained Pose|fine_grained_pose|nturgbd|no|4:200
Character Order|character_order|perception/videos|no|3:200
Egocentric Navigation|egocentric_navigation|vlnqa|no|4:200
Episodic Reasoning|episodic_reasoning|tvqa/frames_fps3_hq|yes|5:200
Counterfactual Inference|counterfactual_inference|clevrer/video_validation|no|1:5 2:53 3:32 4:110"""
PARTS = [line.split("|") for line in TABLE.splitlines()]
SYSTEM = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that "
    "accurately addresses the question.\n"
)
ROW = {
    "video": "ZS9XR.mp4",
    "question": "What happened after the person took the food?",
    "candidates": [
        "Ate the medicine.",
        "Tidied up the blanket.",
        "Put down the cup/glass/bottle.",
        "Took the box.",
    ],
    "answer": "Ate the medicine.",
}
BOUNDED = {**ROW, "start": 1.5, "end": 17.1}
PROMPT = """\
Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of \
objects, and the action and pose of persons. Based on your observations, select the best option that accurately \
addresses the question.
Question: What happened after the person took the food?
Options:
(A) Ate the medicine.
(B) Tidied up the blanket.
(C) Put down the cup/glass/bottle.
(D) Took the box.
Only give the best option."""


@pytest.fixture
def mvbench(tmp_path, bench):
    def write(**files):
        for _, stem, _, bounded, _ in PARTS:
            rows = files.get(stem, [BOUNDED if bounded == "yes" else ROW])
            bench.put(tmp_path, f"mvbench/json/{stem}.json", rows)
        return tmp_path / "mvbench"

    return write


@pytest.fixture(scope="module")
def real(shared, bench):
    return bench.samples("mvbench", shared / "data/mvbench")


@pytest.fixture(scope="module")
def rows(shared):
    """The published rows by id, read without the package."""
    found = {}
    for _, stem, *_ in PARTS:
        file = shared / f"data/mvbench/json/{stem}.json"
        for number, row in enumerate(json.loads(file.read_text())):
            found[f"{stem}/{number}"] = row
    return found


# --- the layout ----------------------------------------------------------------------------------------------


def test_the_official_files_read(mvbench, bench, tmp_path):
    samples = {sample.id: sample for sample in bench.samples("mvbench", mvbench())}
    assert list(samples) == [f"{stem}/0" for _, stem, *_ in PARTS]
    first = samples["action_sequence/0"]
    assert (first.target, first.choices, first.tags) == (
        "A",
        tuple(ROW["candidates"]),
        {"task": "Action Sequence"},
    )
    for name, stem, root, bounded, _ in PARTS:
        sample = samples[f"{stem}/0"]
        assert sample.tags == {"task": name}
        assert sample.video.path == str(tmp_path / "mvbench/video" / root / "ZS9XR.mp4")
        bounds = (1.5, 17.1) if bounded == "yes" else (None, None)
        assert (sample.video.start, sample.video.end) == bounds
    episodic = samples["episodic_reasoning/0"].video
    assert (episodic.frames_dir, episodic.fps) == (episodic.path, 3.0)
    assert [stem for stem in samples if samples[stem].video.frames_dir] == ["episodic_reasoning/0"]


@pytest.mark.parametrize(
    "place",
    ["video/data0613/star/Charades_v1_480/", "star/Charades_v1_480/", "data0613/star/Charades_v1_480/"],
)
def test_videos_are_found_in_other_places(mvbench, bench, place):
    root = mvbench()
    file = bench.put(root, f"{place}ZS9XR.mp4", b"x")
    assert bench.samples("mvbench", root)[0].video.path == str(file)
    usual = bench.put(root, "video/star/Charades_v1_480/ZS9XR.mp4", b"x")
    assert bench.samples("mvbench", root)[0].video.path == str(usual)


def test_the_gold_is_the_last_equal_candidate_and_none_is_a_fault(mvbench, bench):
    twice = {**ROW, "candidates": ["x", "Ate the medicine.", "Ate the medicine."]}
    none = {**ROW, "answer": "Ate the medicine"}
    single = {**ROW, "candidates": ["Ate the medicine."]}
    root = mvbench(counterfactual_inference=[twice, none, single])
    found = {sample.id: sample for sample in bench.samples("mvbench", root)}
    assert found["counterfactual_inference/0"].target == "C"
    assert found["counterfactual_inference/1"].tags["fault"] == "no candidate is the answer"
    assert (found["counterfactual_inference/1"].target, found["counterfactual_inference/2"].target) == (
        "@",
        "A",
    )
    task = get_task("mvbench")
    assert task.official(found["counterfactual_inference/1"], "A").value == 0.0
    assert task.scorer(found["counterfactual_inference/1"], "A").value == 0.0


def test_prompt_system_and_prefill_are_the_authors(mvbench, bench):
    task = get_task("mvbench")
    sample = bench.samples("mvbench", mvbench())[0]
    assert task.prompt(sample, VIEW) == PROMPT
    assert (task.system, task.prefill, task.timed_text) == (SYSTEM, "Best option:(", None)
    assert (task.frames, task.max_new_tokens, task.sampler) == (16, 100, "mvbench")


def test_the_official_indices_of_a_frame_folder_start_at_one():
    """The specification's golden clip: 10.5 to 20.3 s of 180 pictures at 3 a second."""
    assert mvbench_indices((10.5, 20.3), 3.0, 180, 1, 8) == (33, 37, 40, 44, 47, 51, 55, 58)


@pytest.mark.parametrize(
    ("reply", "official", "careful"),
    [
        ("A", 1.0, 1.0),
        ("A) Ate", 1.0, 1.0),
        ("", 1.0, 0.0),
        ("The answer is (A).", 0.0, 1.0),
        ("B", 0.0, 0.0),
    ],
)
def test_both_readers(mvbench, bench, reply, official, careful):
    task = get_task("mvbench")
    sample = bench.samples("mvbench", mvbench())[0]
    assert (task.official(sample, reply).value, task.scorer(sample, reply).value) == (official, careful)


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "change", "named"),
    [
        ("state_change", {"candidates": []}, "field 'candidates': expected a list of"),
        ("state_change", {"candidates": "A"}, "field 'candidates'"),
        ("state_change", {"candidates": ["x", 1]}, "field 'candidates'"),
        ("state_change", {"candidates": ["x"] * 27}, "field 'candidates'"),
        ("state_change", {"answer": 0}, "field 'answer': expected text"),
        ("state_change", {"video": None}, "field 'video'"),
        ("state_change", {"question": ""}, "field 'question'"),
        ("action_sequence", {"start": "1.5"}, "field 'start': expected a number"),
        ("action_localization", {"end": None}, "field 'end': expected a number"),
        ("episodic_reasoning", {"start": True}, "field 'start': expected a number"),
    ],
)
def test_a_malformed_row_is_refused(mvbench, bench, stem, change, named):
    root = mvbench(**{stem: [BOUNDED, {**BOUNDED, **change}]})
    bench.refused("mvbench", root, f"json/{stem}.json, row 1", named)


@pytest.mark.parametrize("field", ["video", "question", "candidates", "answer", "start", "end"])
def test_a_missing_field_is_named(mvbench, bench, field):
    row = {key: value for key, value in BOUNDED.items() if key != field}
    root = mvbench(object_interaction=[row])
    bench.refused("mvbench", root, f"object_interaction.json, row 0: field {field!r} is missing")


@pytest.mark.parametrize("stem", [stem for _, stem, *_ in PARTS])
def test_without_all_twenty_files_it_is_refused(mvbench, bench, stem):
    root = mvbench()
    (root / f"json/{stem}.json").unlink()
    bench.refused("mvbench", root, "not found", f"{stem}.json")


@pytest.mark.parametrize("content", ["", "{", {"a": 1}, [1], []])
def test_a_damaged_file_is_named(mvbench, bench, content):
    bench.refused("mvbench", mvbench(vlnqa=[], egocentric_navigation=content), "egocentric_navigation.json")


# --- the published annotations -------------------------------------------------------------------------------


def test_all_published_rows_load(real, rows):
    assert [sample.id for sample in real] == list(rows)
    assert Counter(sample.tags["task"] for sample in real) == {name: 200 for name, *_ in PARTS}
    assert len(real) == 4000 and not any("fault" in sample.tags for sample in real)
    for sample in real:
        row = rows[sample.id]
        assert row["candidates"]["ABCDE".index(sample.target)] == row["answer"]
        assert (sample.question, sample.choices) == (row["question"], tuple(row["candidates"]))


@pytest.mark.parametrize(("name", "stem", "root", "bounded", "options"), PARTS)
def test_options_bounds_and_folders_are_those_of_the_specification(
    real, rows, shared, name, stem, root, bounded, options
):
    mine = [sample for sample in real if sample.tags["task"] == name]
    counts = Counter(len(sample.choices) for sample in mine)
    assert " ".join(f"{size}:{counts[size]}" for size in sorted(counts)) == options
    for sample in mine:
        row = rows[sample.id]
        assert sample.video.path == str(shared / "data/mvbench/video" / root / row["video"])
        bounds = (row["start"], row["end"]) if bounded == "yes" else (None, None)
        assert (sample.video.start, sample.video.end) == bounds
        assert (sample.video.fps, sample.video.frames_dir) == (
            (3.0, sample.video.path) if stem == "episodic_reasoning" else (None, None)
        )


def test_every_published_row_gets_the_official_prompt(real, rows):
    task = get_task("mvbench")
    for sample in real:
        row = rows[sample.id]
        question = "Question: " + row["question"] + "\nOptions:\n"
        for number, candidate in enumerate(row["candidates"]):
            question += "(" + "ABCDE"[number] + ") " + candidate + "\n"
        assert task.prompt(sample, VIEW) == SYSTEM + question.rstrip() + "\nOnly give the best option."


def test_a_name_is_no_clip(real):
    """218 questions would read another clip's frames from a cache by file name: 186 another part of the same
    file, 32 a file of another data set."""
    first, other_part, other_file = {}, 0, 0
    for sample in real:
        name = sample.video.path.rsplit("/", 1)[1]
        before = first.setdefault(name, sample.video)
        if before != sample.video:
            other_part += before.path == sample.video.path
            other_file += before.path != sample.video.path
    assert (other_part, other_file) == (186, 32)
    folders = {}
    for sample in real:
        folder, name = sample.video.path.rsplit("/", 1)
        folders.setdefault(name, set()).add(folder.split("/video/")[1].split("/")[0])
    shared_names = Counter(tuple(sorted(each)) for each in folders.values() if len(each) > 1)
    assert shared_names == {("clevrer", "perception"): 20, ("sta", "star"): 12}
    assert len({sample.video for sample in real}) == 3871


# --- videos that are not in the download ---------------------------------------------------------------------


def config(root, **change):
    return RunConfig(tasks=("mvbench",), data="real", data_root=root, model="no-such-model", **change)


HINT = "mvbench's video/nturgbd: NTU RGB+D videos (Fine-grained Pose) left the hub in October 2024"


def test_missing_ntu_videos_are_told_before_any_model_is_looked_for(mvbench, bench):
    root = mvbench()
    for _, _, folder, *_ in PARTS:
        if folder != "nturgbd":
            bench.put(root, f"video/{folder}/ZS9XR.mp4", b"x")
    with pytest.raises(DataError) as caught:
        make_plan(config(root.parent))
    assert caught.value.exit_code == 6
    message = str(caught.value)
    assert message.startswith("1 video is missing: ") and "nturgbd/ZS9XR.mp4" in message
    assert f"1 of them are {HINT}" in message and "--on-missing skip" in message
    (plan,) = make_plan(config(root.parent, on_missing="skip"))
    (hint,) = missing_hints(plan)
    assert hint.startswith(f"1 of them are {HINT}") and "https://" in hint
    bench.put(root, "video/nturgbd/ZS9XR.mp4", b"x")
    (plan,) = make_plan(config(root.parent))
    assert (plan.missing, missing_hints(plan)) == ((), [])


def test_other_missing_videos_bring_no_hint(mvbench, bench):
    root = mvbench()
    bench.put(root, "video/nturgbd/ZS9XR.mp4", b"x")
    with pytest.raises(DataError) as caught:
        make_plan(config(root.parent))
    assert "NTU" not in str(caught.value)


def test_the_published_rows_name_200_ntu_videos(shared, real):
    (plan,) = make_plan(config(shared / "data", on_missing="skip"))
    assert len(plan.everything) == 4000 and plan.kind == "real"
    videos = {sample.video.path for sample in real if "/nturgbd/" in sample.video.path}
    assert missing_hints(plan)[0].startswith(f"{len(videos)} of them are {HINT}")
    assert len(videos) == 200
