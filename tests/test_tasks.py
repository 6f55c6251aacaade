"""Each benchmark's own part: its files, its prompt word for word, its faults, and what it refuses."""

from __future__ import annotations

import json

import pytest
from conftest import VIDEOMME_ROW, write_videomme

from kangaroo_eval.data import fingerprint, locate, read_samples
from kangaroo_eval.errors import DataError
from kangaroo_eval.registry import get_task
from kangaroo_eval.tasks.mlvu import STEMS
from kangaroo_eval.tasks.videomme import subtitles_at
from kangaroo_eval.types import Cue, View

VIEW = View((1.0, 5.0, 9.0, 13.0), 25.0)

VIDEOMME_PROMPT = """\
Select the best answer to the following multiple-choice question based on the video. Respond with only the letter \
(A, B, C, or D) of the correct option.
How many apples are on the tree?
A. One.
B. Two.
C. Three.
D. Four.
The best answer is:"""

MLVU_ROW = {
    "video": "movie101_66.mp4",
    "duration": 246,
    "question": "What color is the main male character in the video?",
    "candidates": ["Yellow", "Red", "Green", "Blue"],
    "answer": "Yellow",
    "question_type": "plotQA",
}
MLVU_PROMPT = """\
Question: What color is the main male character in the video?
Options:
(A) Yellow
(B) Red
(C) Green
(D) Blue
Only give the best option."""


def videomme(root, rows):
    return read_samples(get_task("videomme"), write_videomme(root, rows, videos=False) / "videomme")


def mlvu(root, rows=None, **files):
    (root / "mlvu/json").mkdir(parents=True)
    for stem in STEMS:
        (root / f"mlvu/json/{stem}.json").write_text(json.dumps(files.get(stem, rows or [MLVU_ROW])))
    return read_samples(get_task("mlvu"), root / "mlvu")


def test_videomme_reads_its_official_file(tmp_path):
    (sample,) = videomme(tmp_path, [VIDEOMME_ROW])
    assert (sample.id, sample.target, sample.choices[1]) == ("001-1", "C", "B. Two.")
    assert sample.video.path == str(tmp_path / "videomme/data/fFjv93ACGo8.mp4")
    assert sample.video.subtitles is None
    assert sample.tags == {
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Humanity & History",
        "task_type": "Counting Problem",
    }


@pytest.mark.parametrize("place", ["data/{}.MP4", "data/{}.mkv", "video/{}.mp4"])
def test_videomme_finds_videos_where_other_harnesses_leave_them(tmp_path, place):
    file = tmp_path / "videomme" / place.format("fFjv93ACGo8")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    (sample,) = videomme(tmp_path, [VIDEOMME_ROW])
    assert sample.video.path == str(file)


def test_videomme_prompt_is_the_authors(tmp_path):
    (sample,) = videomme(tmp_path, [VIDEOMME_ROW])
    assert get_task("videomme").prompt(sample, VIEW) == VIDEOMME_PROMPT


def test_videomme_prompt_with_subtitles_is_the_authors(tmp_path):
    (sample,) = videomme(tmp_path, [VIDEOMME_ROW])
    view = View((1.0, 5.0), 25.0, (Cue(0.0, 2.0, "Hello."), Cue(4.0, 6.0, "Three apples.")))
    task = get_task("videomme_subtitles")
    lead = "This video's subtitles are listed below:\nHello.\nThree apples.\n"
    assert task.prompt(sample, view) == lead + VIDEOMME_PROMPT
    assert task.prompt(sample, VIEW) == VIDEOMME_PROMPT, "a video without subtitles gets the prompt without"


def test_subtitles_at_the_sampled_frames_equal_the_official_scripts_output(shared):
    from kangaroo_eval.media.sampling import indices
    from kangaroo_eval.media.subtitles import read

    cues = read(str(shared / "data/videomme/slicer_demo.srt"))
    # The last cue ends at 15.32 s, 460 frames at 30 a second; the script says it looked at 1, 5, 9 and 13 s.
    times = tuple(index / 30 for index in indices("videomme", 460, 4))
    assert [int(time) for time in times] == [1, 5, 9, 13]
    lines = "\n".join(subtitles_at(View(times, 30.0, cues)))
    assert lines == (shared / "data/videomme/slicer_demo_expected_subtitles.txt").read_text()


def test_a_cue_shows_strictly_between_its_times_the_first_wins_and_repeats_stay():
    cues = (Cue(0.0, 2.0, "one"), Cue(1.0, 3.0, "two"))
    assert subtitles_at(View((0.0, 1.0, 1.5, 2.0, 2.5, 3.0), 25.0, cues)) == ["one", "one", "two", "two"]


def test_mlvu_reads_its_official_files(tmp_path):
    samples = mlvu(tmp_path)
    assert [sample.id for sample in samples] == [f"{stem}/0" for stem in STEMS]
    assert samples[0].video.path == str(tmp_path / "mlvu/video/1_plotQA/movie101_66.mp4")
    assert samples[0].target == "A" and samples[1].tags == {"task": "needle"}


def test_mlvu_prompt_system_and_prefill_are_the_authors(tmp_path):
    task = get_task("mlvu")
    assert task.prompt(mlvu(tmp_path)[0], VIEW) == MLVU_PROMPT
    assert task.system == (
        "Carefully watch this video and pay attention to every detail. Based on your observations, select the best "
        "option that accurately addresses the question."
    )
    assert task.prefill == "Best Option: ("


def test_mlvu_gold_is_the_last_equal_candidate_and_none_is_an_at_sign(tmp_path):
    twice = {**MLVU_ROW, "candidates": ["Red", "Yellow", "Yellow", "Blue"]}
    none = {**MLVU_ROW, "answer": "Purple"}
    empty = {**MLVU_ROW, "candidates": ["", "", "", ""], "answer": ""}
    samples = mlvu(tmp_path, **{STEMS[1]: [twice, none], STEMS[6]: [empty]})
    by_id = {sample.id: sample.target for sample in samples}
    assert (by_id["2_needle/0"], by_id["2_needle/1"], by_id["7_topic_reasoning/0"]) == ("C", "@", "D")


def test_mlvu_without_all_seven_files_is_refused(tmp_path):
    mlvu(tmp_path)
    (tmp_path / "mlvu/json/4_count.json").unlink()
    with pytest.raises(DataError, match=r"4_count\.json"):
        read_samples(get_task("mlvu"), tmp_path / "mlvu")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"answer": "E"}, "row 1, field 'answer': expected one of A, B, C, D, found 'E'"),
        ({"options": ["A. x"]}, "row 1, field 'options': expected a list of 4 texts"),
        ({"duration": "tiny"}, "row 1, field 'duration'"),
        ({"question": ""}, "row 1, field 'question'"),
        ({"question_id": "001-1"}, "id '001-1' is given twice, by rows 0 and 1"),
    ],
)
def test_videomme_refuses_a_malformed_file_naming_row_and_field(tmp_path, change, named):
    rows = [VIDEOMME_ROW, {**VIDEOMME_ROW, "question_id": "001-2", **change}]
    with pytest.raises(DataError, match=named.replace("(", r"\(")) as caught:
        videomme(tmp_path, rows)
    assert caught.value.exit_code == 6
    assert "test-00000-of-00001.parquet" in str(caught.value) or "annotations under" in str(caught.value)


def test_a_missing_column_is_named_with_the_ones_there_are(tmp_path):
    row = {key: value for key, value in VIDEOMME_ROW.items() if key != "task_type"}
    with pytest.raises(DataError, match=r"row 0: field 'task_type' is missing \(fields: video_id, duration"):
        videomme(tmp_path, [row])


@pytest.mark.parametrize("content", [b"", b"not parquet", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_a_damaged_parquet_file_is_named(tmp_path, content):
    file = tmp_path / "videomme/videomme/test-00000-of-00001.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_samples(get_task("videomme"), tmp_path / "videomme")


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', "[1]"])
def test_a_damaged_json_file_is_named(tmp_path, content):
    mlvu(tmp_path)
    (tmp_path / "mlvu/json/3_ego.json").write_text(content)
    with pytest.raises(DataError, match=r"3_ego\.json"):
        read_samples(get_task("mlvu"), tmp_path / "mlvu")


def test_the_fingerprint_follows_the_annotations_alone(tmp_path):
    task = get_task("videomme")
    root = write_videomme(tmp_path, [VIDEOMME_ROW], videos=False) / "videomme"
    first = fingerprint(task, root)
    (root / "data").mkdir()
    (root / "data/fFjv93ACGo8.mp4").write_bytes(b"x")
    assert fingerprint(task, root) == first
    write_videomme(tmp_path, [{**VIDEOMME_ROW, "answer": "D"}], videos=False)
    assert fingerprint(task, root) != first


def test_real_data_is_never_replaced_by_mini_data_when_asked_for(tmp_path):
    with pytest.raises(DataError, match="real data asked for"):
        locate(get_task("videomme"), "real", tmp_path, tmp_path)
    with pytest.raises(DataError, match="not a readable folder"):
        locate(get_task("videomme"), "auto", tmp_path / "nowhere", tmp_path)
