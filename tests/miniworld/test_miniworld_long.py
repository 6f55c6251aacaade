"""Mini MLVU Test, LVBench, LongVideoBench and EgoSchema as files: official names, fields, ids and categories."""

from __future__ import annotations

import json
import re
from collections import Counter
from uuid import UUID

import pytest
from miniworld.told_more import judge_more

from kangaroo_eval.miniworld import egoschema, longvideobench, lvbench, mlvu_test
from kangaroo_eval.miniworld.render import FPS

PREFIXES = {
    "AR": "anomaly_reco",
    "AC": "count",
    "ER": "ego",
    "NQA": "needleQA",
    "AO": "order",
    "PQA": "plotQA",
    "SQA": "sportsQA",
    "TR": "topic_reasoning",
    "TQA": "tutorialQA",
}
CATEGORIES = {
    "entity recognition",
    "event understanding",
    "key information retrieval",
    "temporal grounding",
    "reasoning",
    "summarization",
}
PERCEPTION = {"S2E", "S2O", "S2A", "E2O", "O2E", "T2E", "T2O", "T2A"}
RELATION = {"E3E", "O3O", "SSS", "SOS", "SAA", "T3E", "T3O", "TOS", "TAA"}
LVB_FIELDS = (
    "video_id question question_wo_referring_query candidates correct_choice position topic_category "
    "question_category level id video_path subtitle_path duration_group starting_timestamp_for_subtitles "
    "duration view_count type"
)


def lowered(text):
    """As the world says it: options and questions get a capital and a full stop only in files."""
    return (
        re.sub(r"\.$", "", text[:1].lower() + text[1:]) if not re.match(r"C |I ", text) else text.rstrip(".")
    )


def check(world, question, options, right):
    told = judge_more(world, lowered(question), [lowered(option) for option in options])
    assert told == [k == right for k in range(len(options))], (question, options, right)


def balanced(letters, options):
    counts = Counter(letters)
    assert len(counts) == min(options, len(letters)) and max(counts.values()) - min(counts.values()) <= 1


@pytest.fixture(scope="module")
def load(minis):
    return lambda path: json.loads((minis / path).read_text())


# MLVU Test


def test_mlvu_test_rows(load):
    rows = load("mlvu_test/test_mcq.json")
    ids = [f"{prefix}_{k}" for prefix in PREFIXES for k in range(2)]
    assert [row["question_id"] for row in rows] == ids
    for row in rows:
        names = ["question_id", "question_type", "video", "question", "candidates", "answer"]
        assert list(row) == names
        assert row["question_type"] == PREFIXES[row["question_id"].split("_")[0]]
        assert len(row["candidates"]) == 6 == len(set(row["candidates"]))
        assert row["answer"] in row["candidates"] and row["video"].endswith(".mp4")
    assert len({row["video"] for row in rows}) == 9
    assert len({(row["video"], row["question"]) for row in rows}) == 18
    balanced([row["candidates"].index(row["answer"]) for row in rows], 6)


def test_mlvu_test_answers_are_true(load):
    plan = mlvu_test.plan()
    for row in load("mlvu_test/test_mcq.json"):
        right = row["candidates"].index(row["answer"])
        check(plan.videos[f"video/{row['video']}"], row["question"], row["candidates"], right)


# LVBench


@pytest.fixture(scope="module")
def lvbench_records(minis):
    return [json.loads(line) for line in (minis / "lvbench/video_info.meta.jsonl").read_text().splitlines()]


def test_lvbench_records(lvbench_records, minis):
    assert [r["type"] for r in lvbench_records] == [
        "cartoon",
        "documentary",
        "live",
        "selfmedia",
        "sport",
        "tv",
    ]
    for record in lvbench_records:
        assert list(record) == ["key", "type", "video_info", "qa"]
        assert re.fullmatch(r"[\w-]{11}", record["key"])
        assert (minis / f"lvbench/videos/{record['key']}.mp4").is_file()
        info = record["video_info"]
        assert info == {"duration_minutes": 2, "fps": 8.0, "resolution": {"width": 128, "height": 128}}
        assert isinstance(info["duration_minutes"], int) and len(record["qa"]) == 3
    questions = [qa for record in lvbench_records for qa in record["qa"]]
    assert [qa["uid"] for qa in questions] == [str(k) for k in range(18)]
    assert {name for qa in questions for name in qa["question_type"]} == CATEGORIES
    assert {len(qa["question_type"]) for qa in questions} == {1, 2, 3}
    balanced([qa["answer"] for qa in questions], 4)


def test_lvbench_questions_are_true_and_at_their_time(lvbench_records):
    plan = lvbench.plan()
    for record in lvbench_records:
        world = plan.videos[f"videos/{record['key']}.mp4"]
        for qa in record["qa"]:
            assert list(qa) == ["uid", "question", "answer", "question_type", "time_reference"]
            text, *options = qa["question"].split("\n")
            assert [option[:4] for option in options] == ["(A) ", "(B) ", "(C) ", "(D) "]
            check(world, text, [option[4:] for option in options], "ABCD".index(qa["answer"]))
            found = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", qa["time_reference"])
            a, b, c, d = map(int, found.groups())
            start, end = 60 * a + b, 60 * c + d
            assert 0 <= start < end <= world.seconds + 1
            gold = options["ABCD".index(qa["answer"])][4:].lower()
            asked = f"{text.lower()} {gold}"
            for event in world.events:
                if any(name in asked for name in event.names):
                    assert start <= event.start and event.end <= end
    spans = {qa["time_reference"] for record in lvbench_records for qa in record["qa"]}
    assert len(spans) > 9


# LongVideoBench


@pytest.fixture(scope="module")
def lvb(load):
    return load("longvideobench/lvb_val.json"), load("longvideobench/lvb_test_wo_gt.json")


def test_longvideobench_rows(lvb, minis):
    val, test = lvb
    assert len(val) == 18 and len(test) == 4
    assert {row["video_id"] for row in val}.isdisjoint(row["video_id"] for row in test)
    for row in (*val, *test):
        wanted = LVB_FIELDS.split() if row in val else LVB_FIELDS.replace("correct_choice ", "").split()
        assert list(row) == wanted
        assert re.fullmatch(r"[\w-]{11}", row["video_id"]) and row["id"] in (
            f"{row['video_id']}_0",
            f"{row['video_id']}_1",
        )
        assert row["video_path"] == f"{row['video_id']}.mp4"
        assert row["subtitle_path"] == f"{row['video_id']}_en.json"
        assert (minis / "longvideobench/videos" / row["video_path"]).is_file()
        assert (minis / "longvideobench/subtitles" / row["subtitle_path"]).is_file()
        assert len(row["candidates"]) in (4, 5) and len(set(row["candidates"])) == len(row["candidates"])
        assert row["level"] == ("L1-Perception" if row["question_category"] in PERCEPTION else "L2-Relation")
        assert isinstance(row["duration"], float) and isinstance(row["view_count"], int)
        assert row["duration"] == {15: 12.0, 60: 30.0, 600: 60.0, 3600: 120.0}[row["duration_group"]]
        assert all(isinstance(k, int) and 0 <= k < row["duration"] * FPS for k in row["position"])
        assert re.fullmatch(r"[A-Z]{2}-[A-Za-z-]+", row["topic_category"]) and row["type"] == "local"
        assert row["question_wo_referring_query"].endswith("?")
    assert {row["question_category"] for row in val} == PERCEPTION | RELATION
    assert {row["duration_group"] for row in val} == {15, 60, 600, 3600}
    assert {len(row["candidates"]) for row in val} == {4, 5}
    starts = {row["starting_timestamp_for_subtitles"] for row in val}
    assert 0 in starts and len(starts) >= 3
    for n in (4, 5):
        balanced([row["correct_choice"] for row in val if len(row["candidates"]) == n], n)


def test_longvideobench_answers_are_true(lvb):
    worlds = longvideobench.plan().videos
    for row in lvb[0]:
        check(
            worlds[f"videos/{row['video_path']}"], row["question"], row["candidates"], row["correct_choice"]
        )


def test_longvideobench_subtitles_have_both_shapes_and_the_time_of_the_longer_video(lvb, load):
    worlds = longvideobench.plan().videos
    shapes = Counter()
    for row in {row["video_id"]: row for row in (*lvb[0], *lvb[1])}.values():
        start = row["starting_timestamp_for_subtitles"]
        cues = worlds[f"videos/{row['video_path']}"].cues
        lines = load(f"longvideobench/subtitles/{row['subtitle_path']}")
        assert cues and len(lines) == len(cues)
        for line, cue in zip(lines, cues, strict=True):
            shapes[tuple(line)] += 1
            if "timestamp" in line:
                assert line == {"timestamp": [cue.start + start, cue.end + start], "text": cue.text}
                assert all(isinstance(t, float) for t in line["timestamp"])
            else:
                assert [seconds(line[key]) - start for key in ("start", "end")] == [cue.start, cue.end]
                assert line["line"] == cue.text
    assert set(shapes) == {("timestamp", "text"), ("start", "end", "line")}


def seconds(clock):
    hours, minutes, rest = re.fullmatch(r"(\d\d):(\d\d):(\d\d\.\d{3})", clock).groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


def test_longvideobench_has_questions_for_the_narrator_only(lvb):
    needing = [row for row in lvb[0] if "subtitle says" in row["question"] or " called " in row["question"]]
    assert {row["question_category"] for row in needing} >= {"T2E", "T2A", "T3E", "T3O", "TOS", "TAA"}
    assert all("subtitle says" not in row["question_wo_referring_query"] for row in needing)


# EgoSchema


def test_egoschema_rows(load, minis, shared):
    rows, subset = load("egoschema/questions.json"), load("egoschema/subset_answers.json")
    (real,) = (shared / "data/egoschema").glob("questions_sample*.json")
    wanted = [(key, type(value)) for key, value in json.loads(real.read_text())[0].items()]
    known = json.loads((shared / "data/egoschema/subset_answers.json").read_text())
    assert {type(value) for value in known.values()} == {type(value) for value in subset.values()} == {int}
    for row in rows:
        assert [(key, type(value)) for key, value in row.items()] == wanted


def test_egoschema_answers_are_true(load, minis):
    rows, subset = load("egoschema/questions.json"), load("egoschema/subset_answers.json")
    worlds = egoschema.plan().videos
    assert len(rows) == 6 and list(subset) == [row["q_uid"] for row in rows[:4]]
    for row in rows:
        assert str(UUID(row["q_uid"])) == row["q_uid"] and len(row["google_drive_id"]) == 33
        assert (minis / f"egoschema/videos/{row['q_uid']}.mp4").is_file()
        options = [row[f"option {k}"] for k in range(5)]
        assert all(option.startswith("C ") for option in options) and len(set(options)) == 5
        world = worlds[f"videos/{row['q_uid']}.mp4"]
        assert world.seconds == 60 and world.scenes[0].ego
        told = judge_more(world, lowered(row["question"]), [lowered(option) for option in options])
        assert sum(told) == 1
        if row["q_uid"] in subset:
            assert told[subset[row["q_uid"]]]
    assert len(set(subset.values())) >= 3
