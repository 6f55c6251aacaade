"""Mini Video-MME and MLVU Dev as files: the official names, columns and types, and videos that really play."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import av
import pyarrow as pa
import pyarrow.parquet as pq
import pysubs2
import pytest

from kangaroo_eval import miniworld
from kangaroo_eval.miniworld import mlvu, videomme
from kangaroo_eval.miniworld.build import is_complete
from kangaroo_eval.miniworld.captions import caption
from kangaroo_eval.types import Cue

TASK_TYPES = {
    "Temporal Perception",
    "Spatial Perception",
    "Attribute Perception",
    "Action Recognition",
    "Object Recognition",
    "OCR Problems",
    "Counting Problem",
    "Temporal Reasoning",
    "Spatial Reasoning",
    "Action Reasoning",
    "Object Reasoning",
    "Information Synopsis",
}
# The official domains, with those of the official sub-categories that the mini benchmark uses.
DOMAINS = {
    "Knowledge": {"Humanity & History", "Astronomy", "Technology"},
    "Film & Television": {"Animation", "Documentary"},
    "Sports Competition": {"Basketball", "Football"},
    "Artistic Performance": {"Magic Show", "Stage Play"},
    "Life Record": {"Daily Life", "Travel"},
    "Multilingual": {"Multilingual"},
}
MLVU_TYPES = {
    "1_plotQA": "plotQA",
    "2_needle": "findNeedle",
    "3_ego": "ego",
    "4_count": "count",
    "5_order": "order",
    "6_anomaly_reco": "anomaly_reco",
    "7_topic_reasoning": "topic_reasoning",
}

# SHA-256 of the files of version 1: what was measured on them still holds.
SEVEN = {
    "1_plotQA": "a1c8a9f8d58f1858",
    "2_needle": "c21a6acd507700bb",
    "3_ego": "958720840f5f87e8",
    "4_count": "8d4cefd16bad5461",
    "5_order": "8c2a338882fef99c",
    "6_anomaly_reco": "cbb38ae1965b5e90",
    "7_topic_reasoning": "9a3fac61bc6f390e",
}


@pytest.fixture(scope="module")
def root(minis) -> Path:
    return minis


@pytest.fixture(scope="module")
def videomme_rows(root):
    return pq.read_table(root / "videomme/videomme/test-00000-of-00001.parquet").to_pylist()


@pytest.fixture(scope="module")
def mlvu_rows(root):
    return {stem: json.loads((root / f"mlvu/json/{stem}.json").read_text()) for stem in MLVU_TYPES}


@pytest.fixture(scope="module")
def mlvu_open(root):
    return {
        stem: json.loads((root / f"mlvu/json/{stem}.json").read_text())
        for stem in ("8_sub_scene", "9_summary")
    }


def files_under(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def probe(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        kinds = Counter()
        keys = []
        for frame in container.decode(stream):
            kinds[av.video.frame.PictureType(frame.pict_type).name] += 1
            if frame.key_frame:
                keys.append(frame.time)
        return stream.codec_context, float(stream.duration * stream.time_base), stream.frames, kinds, keys


def test_videomme_columns_and_types(root):
    schema = pq.read_schema(root / "videomme/videomme/test-00000-of-00001.parquet")
    names = "video_id duration domain sub_category url videoID question_id task_type question options answer"
    assert schema.names == names.split()
    for name in schema.names:
        wanted = pa.list_(pa.string()) if name == "options" else pa.string()
        assert schema.field(name).type == wanted, name


def test_videomme_rows(videomme_rows):
    assert len(videomme_rows) == 36
    for i, row in enumerate(videomme_rows):
        assert row["video_id"] == f"{i // 3 + 1:03d}"
        assert row["question_id"] == f"{i // 3 + 1:03d}-{i % 3 + 1}"
        assert row["duration"] == ("short", "medium", "long")[i // 12]
        assert row["sub_category"] in DOMAINS[row["domain"]]
        assert re.fullmatch(r"[\w-]{11}", row["videoID"])
        assert row["url"] == f"https://www.youtube.com/watch?v={row['videoID']}"
        assert [option[:3] for option in row["options"]] == ["A. ", "B. ", "C. ", "D. "]
        assert len({option[3:] for option in row["options"]}) == 4
        assert row["answer"] in ("A", "B", "C", "D")
        assert row["question"].endswith("?") and row["question"][0].isupper()
    assert Counter(row["task_type"] for row in videomme_rows) == dict.fromkeys(TASK_TYPES, 3)
    for part in ("short", "medium", "long"):
        assert {row["task_type"] for row in videomme_rows if row["duration"] == part} == TASK_TYPES
    assert {row["domain"] for row in videomme_rows} == set(DOMAINS)
    assert len({row["videoID"] for row in videomme_rows}) == 12
    assert len({(row["videoID"], row["question"]) for row in videomme_rows}) == 36


def test_no_letter_pays(videomme_rows, mlvu_rows):
    for letters in (
        [row["answer"] for row in videomme_rows],
        [row["candidates"].index(row["answer"]) for rows in mlvu_rows.values() for row in rows],
    ):
        counts = Counter(letters)
        assert len(counts) == 4 and max(counts.values()) / len(letters) <= 0.35


def test_videomme_files_are_the_official_ones_and_the_mark(root, videomme_rows):
    videos = {row["videoID"] for row in videomme_rows}
    found = files_under(root / "videomme")
    with_subtitles = {Path(path).stem for path in found if path.startswith("subtitle/")}
    assert found == {"videomme/test-00000-of-00001.parquet", "mini.json"} | {
        f"data/{v}.mp4" for v in videos
    } | {f"subtitle/{v}.srt" for v in with_subtitles}
    by_duration = {d: {r["videoID"] for r in videomme_rows if r["duration"] == d} for d in ("short", "long")}
    assert by_duration["long"] <= with_subtitles
    assert by_duration["short"] & with_subtitles and by_duration["short"] - with_subtitles
    mark = json.loads((root / "videomme/mini.json").read_text())
    assert mark["miniworld"] == miniworld.VERSION and mark["seed"] == videomme.SEED


def test_videomme_subtitles_tell_what_some_questions_need(root, videomme_rows):
    plan = videomme.plan()
    needing = 0
    for row in videomme_rows:
        path = root / f"videomme/subtitle/{row['videoID']}.srt"
        told = ""
        if path.exists():
            cues = pysubs2.load(str(path))
            told = " ".join(cue.plaintext for cue in cues).lower()
            assert "<font" not in told
            world = plan.videos[f"data/{row['videoID']}.mp4"]
            assert [(c.start / 1000, c.end / 1000) for c in cues] == [(c.start, c.end) for c in world.cues]
        if re.search(r"called|code word", row["question"]):
            needing += 1
            gold = row["options"]["ABCD".index(row["answer"])][3:].rstrip(".").lower()
            asked = re.search(r"called (\w+)\?|the (\w+ \w+) called\?|code word", row["question"].lower())
            fits = f"{gold} is called {asked[1]}", f"the {asked[2]} is called {gold}", f"code word is {gold}"
            assert any(f"{line}." in told for line in fits)
            others = [o[3:].rstrip(".").lower() for o in row["options"] if not o.startswith(row["answer"])]
            assert not any(f"code word is {other}" in told for other in others)
    assert 4 <= needing <= 12


def test_srt_clock_and_font_tags():
    cues = (Cue(0.0, 1.5, "One."), Cue(3661.25, 3662.0, "Two."))
    plain = videomme.srt(cues, fonts=False).decode()
    assert plain == "1\n00:00:00,000 --> 00:00:01,500\nOne.\n\n2\n01:01:01,250 --> 01:01:02,000\nTwo.\n"
    tagged = videomme.srt(cues, fonts=True).decode()
    assert '<font color="white" size=".72c">One.</font>' in tagged
    assert [c.plaintext for c in pysubs2.SSAFile.from_string(tagged)] == ["One.", "Two."]


def test_videomme_videos_play(root, videomme_rows):
    lengths = {"short": 12, "medium": 40, "long": 120}
    for row in videomme_rows[::3]:
        context, seconds, frames, kinds, keys = probe(root / f"videomme/data/{row['videoID']}.mp4")
        assert context.name == "h264" and context.pix_fmt == "yuv420p"
        assert (context.width, context.height) == (128, 128)
        assert seconds == pytest.approx(lengths[row["duration"]], abs=0.01)
        assert frames == kinds.total() == lengths[row["duration"]] * 8
        assert kinds["B"] > 0 and all(b - a <= 4 for a, b in pairwise(keys))


def test_mp4_index_comes_first(root):
    for path in (root / "videomme/data").iterdir():
        head = path.read_bytes()
        assert head.index(b"moov") < head.index(b"mdat")


def test_mlvu_rows(mlvu_rows):
    for stem, question_type in MLVU_TYPES.items():
        rows = mlvu_rows[stem]
        assert len(rows) == 4 and len({row["video"] for row in rows}) == 2
        for row in rows:
            assert list(row) == ["video", "duration", "question", "candidates", "answer", "question_type"]
            assert row["question_type"] == question_type
            assert isinstance(row["duration"], int | float) and 120 <= row["duration"] <= 180
            assert len(row["candidates"]) == 4 == len(set(row["candidates"]))
            assert row["candidates"].count(row["answer"]) == 1
            assert not re.match(r"[A-D]\. ", row["answer"])
        assert len({(row["video"], row["question"]) for row in rows}) == 4


def test_mlvu_files_are_the_official_ones_and_the_mark(root, mlvu_rows, mlvu_open):
    all_rows = mlvu_rows | mlvu_open
    videos = {f"video/{stem}/{row['video']}" for stem, rows in all_rows.items() for row in rows}
    assert files_under(root / "mlvu") == {"mini.json"} | {f"json/{stem}.json" for stem in all_rows} | videos
    assert len(videos) == 18
    assert json.loads((root / "mlvu/mini.json").read_text())["seed"] == mlvu.SEED


def test_mlvu_generation_rows(mlvu_open):
    fields = ["video", "duration", "question", "answer", "question_type"]
    for stem, (question_type, count) in {"8_sub_scene": ("subPlot", 4), "9_summary": ("summary", 2)}.items():
        rows = mlvu_open[stem]
        assert len(rows) == count and len({row["video"] for row in rows}) == 2
        for row in rows:
            assert list(row) == fields + (["scoring_points"] if stem == "8_sub_scene" else [])
            assert row["question_type"] == question_type and row["question"].endswith("?")
        assert len({(row["video"], row["question"]) for row in rows}) == count


def test_mlvu_generation_answers_are_what_the_videos_tell(mlvu_open):
    worlds = mlvu.plan().videos
    for row in mlvu_open["9_summary"]:
        assert row["answer"] == caption(worlds[f"video/9_summary/{row['video']}"])
    for row in mlvu_open["8_sub_scene"]:
        assert row["answer"] == " ".join(row["scoring_points"]) and 1 <= len(row["scoring_points"]) <= 13
        place = re.search(r"in the (\w+)\?", row["question"])[1]
        told = re.findall(r"[^.]+\.", caption(worlds[f"video/8_sub_scene/{row['video']}"]))
        there = [line.strip() for line in told if line.strip().startswith(f"In the {place} ")]
        assert row["scoring_points"] == there


def test_the_first_seven_tasks_are_those_of_the_first_version(root):
    assert {
        stem: hashlib.sha256((root / f"mlvu/json/{stem}.json").read_bytes()).hexdigest()[:16]
        for stem in MLVU_TYPES
    } == SEVEN


def test_mlvu_videos_are_as_long_as_their_rows_say(root, mlvu_rows):
    for stem, rows in mlvu_rows.items():
        for row in rows[::2]:
            with av.open(str(root / f"mlvu/video/{stem}/{row['video']}")) as container:
                stream = container.streams.video[0]
                assert stream.codec_context.name == "h264"
                assert float(stream.duration * stream.time_base) == pytest.approx(row["duration"], abs=0.01)
                assert stream.frames == round(row["duration"] * 8)


def test_the_same_plan_twice_and_another_for_another_seed():
    for layout in (videomme, mlvu):
        assert layout.plan() == layout.plan()
        assert layout.plan("other").texts != layout.plan().texts


def test_long_videos_keep_what_subtitles_tell_on_the_screen_for_four_seconds():
    for world in videomme.plan().videos.values():
        if world.seconds > 20:
            assert all(cue.end - cue.start >= 4 for cue in world.cues)


def test_all_are_complete_and_made_once(root):
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    for name in miniworld.MINI:
        assert is_complete(root / name)
        miniworld.make(name, root)
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    assert {p.name for p in root.iterdir()} == set(miniworld.MINI)
