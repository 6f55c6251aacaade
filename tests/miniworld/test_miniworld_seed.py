"""Mini SEED-Bench (both), MMBench-Video and VideoVista as files: fields, ids, dimensions, types and paths."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections import Counter

import av
import pytest
from miniworld.told_more import judge_more

from kangaroo_eval.miniworld import mmbench_video, seed_clips, seedbench, seedbench_v1, videovista
from kangaroo_eval.miniworld.facts_more import pictured
from kangaroo_eval.miniworld.motion import sprites

# The capability tree of VLMEvalKit: coarse group -> its dimensions.
TREE = {
    "CP": "Video Topic, Video Emotion, Video Scene, Video Style",
    "FP-S": "OCR, Object Recognition, Attribute Recognition, Event Recognition, Human Motion, Counting",
    "FP-C": "Spatial Relationship, Human-object Interaction, Human Interaction",
    "HL": "Hallucination",
    "LR": "Structuralized Image-Text Understanding, Mathematical Calculation",
    "AR": "Physical Property, Function Reasoning, Identity Reasoning",
    "RR": "Natural Relation, Physical Relation, Social Relation",
    "CSR": "Common Sense Reasoning",
    "TR": "Counterfactual Reasoning, Causal Reasoning, Future Prediction",
}
UNDERSTANDING = (
    "Objects Existence, Objects Count, Action Count, Detailed Description, Brief Description, Event Description, "
    "Event Sequence, Optical Character Recognition, Action Recognition, Action Sequence, Action Location, "
    "Event Location, Objects Temporal Location, Objects Temporal Relation, Objects Spatial Location, "
    "Objects Spatial Relation, Objects Spatial Tracking, Human Activity Analysis, Anomaly Detection"
)
REASONING = (
    "Relation Reasoning-Image, Relation Reasoning-Video, Event Prediction, Action Prediction, Causal Reasoning, "
    "Counterfactual Reasoning, Commonsense Reasoning, Logic Reasoning"
)
CHOICES = ["answer", "choice_a", "choice_b", "choice_c", "choice_d"]
# The official wordings of three dimensions -> what the worlds are asked.
WORDINGS = {
    "What is the action being carried out in the video?": "what is the action performed in the video?",
    "Please anticipate what action will occur following the end of this video.": "what will the person do next?",
    "Can you identify the sequence of actions in this video and list them in order?": (
        "in which order do these three things happen?"
    ),
}


def plain(option):
    return option if re.fullmatch(r"[0-9A-Z]{2}\.?", option) else option[:1].lower() + option[1:]


def one_true(world, row):
    options = [row[f"choice_{a}"] for a in "abcd"]
    told = judge_more(world, WORDINGS.get(row["question"], row["question"]), [plain(o) for o in options])
    assert told == [letter == row["answer"] for letter in "ABCD"], row


# SEED-Bench-2


@pytest.fixture(scope="module")
def two(minis):
    return json.loads((minis / "seedbench/SEED-Bench_v2_level1_2_3.json").read_text())


def test_seedbench_rows(two):
    assert list(two) == ["question_type", "questions"]
    assert two["question_type"]["Global Video Understanding"] == 19
    assert list(two["question_type"].values()) == list(range(1, 28))
    videos = [row for row in two["questions"] if row["data_type"] == "Video"]
    rest = [row for row in two["questions"] if row["data_type"] != "Video"]
    assert [row["question_id"] for row in videos] == [f"{d}_{k}" for d in range(19, 23) for k in range(3)]
    assert len(rest) == 2 and all(isinstance(row["data_id"], str) for row in rest)
    fields = [*CHOICES, "data_id", "data_source", "data_type", "level", "question", "question_id"]
    for row in two["questions"]:
        assert list(row) == [*fields, "question_type_id", "subpart", "version"]
        assert row["question_id"].startswith(f"{row['question_type_id']}_") and row["level"] == "L1"
    for row in videos:
        assert row["subpart"] == "Video & Text Comprehension" and row["version"] == "v2"
        assert row["data_source"] == "SEED-Bench v2" and len(row["data_id"]) == 8
    assert not {row["question_type_id"] for row in rest} & {19, 20, 21, 22}
    counts = Counter(row["answer"] for row in videos)
    assert set(counts.values()) == {3}


def test_seedbench_pictures_are_the_ones_of_the_rows(two, minis):
    root = minis / "seedbench/SEED-Bench-2-image"
    named = [path for row in two["questions"] if row["data_type"] == "Video" for path in row["data_id"]]
    assert len(set(named)) == 96
    assert {str(p.relative_to(root)) for p in root.rglob("*.png")} == set(named)
    for row in two["questions"][1:-1]:
        folders = {path.rpartition("/")[0] for path in row["data_id"]}
        assert len(folders) == 1 and folders.pop().startswith(f"task{row['question_type_id']}/")
        assert [path.rpartition("/")[2] for path in row["data_id"]] == [f"{k}.png" for k in range(1, 9)]


def test_seedbench_answers_are_true(two):
    pictures = seedbench.plan().pictures
    for row in two["questions"]:
        if row["data_type"] == "Video":
            stills = [pictures[f"SEED-Bench-2-image/{path}"] for path in row["data_id"]]
            world = stills[0].world
            one_true(world, row)
            assert [s.seconds for s in stills] == sorted({s.seconds for s in stills})
            seen = {e for s in stills for e in world.events if e.start <= s.seconds < e.end}
            assert seen == set(world.events)  # no event falls between two pictures


# SEED-Bench 1


@pytest.fixture(scope="module")
def first(minis):
    return json.loads((minis / "seedbench_v1/SEED-Bench.json").read_text())


def test_seedbench_v1_rows(first, minis):
    assert list(first) == ["questions", "question_type"]
    assert list(first["question_type"].values()) == list(range(1, 13))
    videos = [row for row in first["questions"] if row["data_type"] == "video"]
    rest = [row for row in first["questions"] if row["data_type"] == "image"]
    assert [row["question_type_id"] for row in videos] == [10, 10, 11, 11, 12, 12] and len(rest) == 2
    fields = [*CHOICES, "data_id", "data_type", "question", "question_id", "question_type_id"]
    folders = {10: "task10/ssv2_8_frame", 11: "task11/kitchen_8_frame", 12: "task12/breakfast_8_frame"}
    for row in first["questions"]:
        dimension = row["question_type_id"]
        assert list(row) == fields + (["segment"] if dimension in (11, 12) else [])
        assert isinstance(row["data_id"], str)
    for row in videos:
        assert re.fullmatch(r"v\d+", row["question_id"])
        folder = minis / "seedbench_v1/v1_video" / folders[row["question_type_id"]] / row["question_id"]
        assert sorted(p.name for p in folder.iterdir()) == [f"{k}.png" for k in range(1, 9)]
        kind = {11: float, 12: int}.get(row["question_type_id"])
        assert all(type(t) is kind for t in row.get("segment", []))
        start, end = row.get("segment", (0, 1))
        assert start < end
    assert all(re.fullmatch(r"\d+", row["question_id"]) and row["question_type_id"] < 10 for row in rest)
    counts = Counter(row["answer"] for row in videos)
    assert len(counts) == 4 and max(counts.values()) <= 2


def test_seedbench_v1_answers_are_true(first):
    pictures = seedbench_v1.plan().pictures
    worlds = {path.split("/")[3]: still.world for path, still in pictures.items()}
    for row in first["questions"]:
        if row["data_type"] == "video":
            one_true(worlds[row["question_id"]], row)


def test_both_have_other_clips_of_the_same_dimensions():
    assert set(seed_clips.DIMENSIONS) == set(seedbench._FOLDERS)
    one, other = ({s.world for s in layout.plan().pictures.values()} for layout in (seedbench, seedbench_v1))
    assert not one & other


# MMBench-Video


@pytest.fixture(scope="module")
def mmbench(minis):
    with (minis / "mmbench_video/MMBench-Video.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_mmbench_video_rows(mmbench, minis):
    columns = ["index", "video", "video_type", "question", "answer", "dimensions", "video_path"]
    assert len(mmbench) == 15 and len({row["video"] for row in mmbench}) == 6
    groups = {leaf: group for group, leaves in TREE.items() for leaf in leaves.split(", ")}
    found = set()
    for i, row in enumerate(mmbench):
        assert list(row) == columns and row["index"] == str(i)
        assert row["video_path"] == f"./video/{row['video']}.mp4"
        assert (minis / f"mmbench_video/video/{row['video']}.mp4").is_file()
        dimensions = ast.literal_eval(row["dimensions"])
        assert isinstance(dimensions, list) and 1 <= len(dimensions) <= 2
        found |= {groups[dimension] for dimension in dimensions}
        assert row["question"].endswith("?") and row["answer"].endswith(".")
    assert found == set(TREE)
    assert len({(row["video"], row["question"]) for row in mmbench}) == 15


def test_mmbench_video_answers_are_true(mmbench):
    videos = mmbench_video.plan().videos
    for row in mmbench:
        world = videos[f"video/{row['video']}.mp4"]
        answer = plain(row["answer"]).removesuffix(".")
        assert judge_more(world, row["question"], [answer]) == [True], row


# VideoVista


@pytest.fixture(scope="module")
def vista(minis):
    return json.loads((minis / "videovista/VideoVista.json").read_text())


def test_videovista_rows(vista, minis):
    fields = ["question_id", "video_name", "category", "Type", "Question", "Answer_Choices", "Answer", "time"]
    assert [row["question_id"] for row in vista] == list(range(28))
    worlds = videovista.plan().videos
    for row in vista:
        assert list(row) == fields + (["image_name"] if row["Type"] == "Relation Reasoning-Image" else [])
        path = f"merged/{row['category']}/{row['video_name'].split('.')[1]}/{row['video_name']}"
        assert (minis / "videovista" / path).is_file() and worlds[path].seconds == row["time"]
        assert isinstance(row["Answer"], int) and 0 <= row["Answer"] < len(row["Answer_Choices"])
        assert 3 <= len(row["Answer_Choices"]) <= 5 and isinstance(row["time"], int | float)
        assert len(set(row["Answer_Choices"])) == len(row["Answer_Choices"])
    assert {row["Type"] for row in vista} == {*UNDERSTANDING.split(", "), *REASONING.split(", ")}
    assert {len(row["Answer_Choices"]) for row in vista} == {3, 4, 5}
    assert len({row["video_name"] for row in vista}) == 8 == len({row["category"] for row in vista})
    for n in (3, 4, 5):
        counts = Counter(row["Answer"] for row in vista if len(row["Answer_Choices"]) == n)
        assert len(counts) == n and max(counts.values()) - min(counts.values()) <= 1


def test_videovista_answers_are_true(vista):
    worlds = videovista.plan().videos
    for row in vista:
        world = worlds[f"merged/{row['category']}/{row['video_name'].split('.')[1]}/{row['video_name']}"]
        options = row["Answer_Choices"]
        if row["Type"] == "Relation Reasoning-Image":
            told = [option.lower() == f"in the {world.place_of(pictured(world))}" for option in options]
        elif row["Type"] == "Detailed Description":
            told = judge_more(world, plain(row["Question"]), options)
        else:
            told = judge_more(world, row["Question"], [plain(option) for option in options])
        assert told == [k == row["Answer"] for k in range(len(options))], row


def test_videovista_picture_is_a_picture_of_the_thing(vista, minis):
    plan = videovista.plan()
    (row,) = [row for row in vista if row["Type"] == "Relation Reasoning-Image"]
    path = f"relation_images/{row['image_name']}"
    still = plan.pictures[path]
    (sprite,) = sprites(still.world, still.seconds)
    world = plan.videos[f"merged/{row['category']}/{row['video_name'].split('.')[1]}/{row['video_name']}"]
    assert f"{sprite.colour} {sprite.form}" == pictured(world).thing.name
    with av.open(str(minis / "videovista" / path)) as container:
        frame = next(container.decode(video=0))
        assert container.streams.video[0].codec_context.name == "mjpeg" and frame.width == 128
    assert list(plan.pictures) == [path]
