"""`data verify`: what is wrong with a benchmark's videos is found, and nothing that is right is called wrong."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import videomme_rows, write_video, write_videomme

from kangaroo_eval.cli import main
from kangaroo_eval.media import FrameSpec, probe
from kangaroo_eval.media.spec import select
from kangaroo_eval.media.store import Store
from kangaroo_eval.types import Video


@pytest.fixture
def root(tmp_path, away):
    """Six different videos, three questions about each."""
    return write_videomme(tmp_path / "data", videomme_rows(6)) / "videomme/data"


def verify(root, capsys, *words, task="videomme", code=6):
    capsys.readouterr()
    assert main(["data", "verify", task, "--data-root", str(root), "--json", *words]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["exit"] == code
    return told["tasks"][task]


def test_sound_videos_are_sound(root, capsys):
    told = verify(root.parent.parent, capsys, code=0)
    assert (told["samples"], told["answerable"], told["videos"], told["data"]) == (18, 18, 6, "real")
    assert told["missing"] == told["broken"] == told["too_short"] == told["duplicate"] == []


def test_only_the_videos_of_the_samples_that_a_run_would_ask_are_looked_at(root, capsys):
    """A part of a benchmark was fetched: what is not part of it is not missing."""
    place = root.parent.parent
    told = verify(place, capsys, "--subset", "0:4", code=0)
    assert (told["samples"], told["videos"]) == (4, 4), "a subset takes one question of each video first"
    for path in sorted(root.glob("*.mp4"))[2:]:
        path.unlink()
    assert verify(place, capsys, "--limit", "6", code=0)["videos"] == 2
    assert verify(place, capsys, "--samples", "001-1,002-3", code=0)["samples"] == 2
    assert len(verify(place, capsys)["missing"]) == 4
    assert main(["data", "verify", "videomme", "--data-root", str(place), "--samples", "no"]) == 1
    assert "--samples names none of videomme's samples" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["ls", "mini", "exam"])
def test_what_takes_all_of_a_task_says_so(action, tmp_path, capsys):
    assert main(["data", action, "--data-root", str(tmp_path), "--limit", "3"]) == 1
    assert f"data {action} takes all of a task: --limit" in capsys.readouterr().err


def test_everything_wrong_is_named(root, capsys):
    write_video(root / "video000000.mp4", frames=48, front=True)
    whole = (root / "video000000.mp4").read_bytes()
    (root / "video000000.mp4").write_bytes(whole[: len(whole) // 2])  # its index is whole
    (root / "video000001.mp4").write_bytes(b"")
    (root / "video000002.mp4").unlink()
    shutil.copy(root / "video000003.mp4", root / "video000004.mp4")
    told = verify(root.parent.parent, capsys)
    assert told["missing"] == ["data/video000002.mp4"]
    assert [each["path"] for each in told["broken"]] == ["data/video000000.mp4", "data/video000001.mp4"]
    assert all(each["why"] for each in told["broken"])
    assert told["duplicate"] == [["data/video000003.mp4", "data/video000004.mp4"]]
    assert told["answerable"] == 9, "nine questions are about the three videos that are not there or broken"
    assert main(["data", "verify", "videomme", "--data-root", str(root.parent.parent)]) == 6
    said = capsys.readouterr()
    assert (
        "18 samples, 6 videos, 1 missing, 2 unreadable, 0 too short, 1 duplicate; 9 samples answerable"
        in said.out
    )
    assert "data/video000002.mp4: missing" in said.out
    assert said.err.strip().splitlines()[-1].startswith("kangaroo-eval: 1 task has videos")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_pictures_are_decoded_and_not_only_counted(root, capsys, workers):
    """The index and every packet's place are right; what is in the last packets is not."""
    path = write_video(root / "video000005.mp4", frames=48, front=True)
    whole = bytearray(path.read_bytes())
    start = whole.index(b"mdat") + 4
    for at in range(start + (len(whole) - start) // 2, len(whole)):
        whole[at] = 0xFF
    path.write_bytes(bytes(whole))
    assert probe(Video(str(path))).absent == 0, "the index tells nothing of it"
    told = verify(root.parent.parent, capsys, "--workers", workers)
    assert [each["path"] for each in told["broken"]] == ["data/video000005.mp4"]
    assert told["broken"][0]["why"]


def mlvu(root: Path, duration: float) -> Path:
    """MLVU's seven tasks with a video each, all of the same name, two of them the same file."""
    stems = ("1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco", "7_topic_reasoning")
    row = {"video": "x.mp4", "duration": duration, "question": "Q?", "candidates": ["a", "b", "c", "d"], "answer": "a",
           "question_type": "t"}  # fmt: skip
    for number, stem in enumerate(stems):
        (root / "mlvu/json").mkdir(parents=True, exist_ok=True)
        (root / f"mlvu/json/{stem}.json").write_text(json.dumps([row]))
        write_video(root / f"mlvu/video/{stem}/x.mp4", shade=min(number, 5))
    return root


def test_too_short_is_told_against_the_annotation(tmp_path, away, capsys):
    told = verify(mlvu(tmp_path / "data", 100), capsys, task="mlvu")
    assert {(each["seconds"], each["annotated"]) for each in told["too_short"]} == {(3.0, 100.0)}
    assert len(told["too_short"]) == 7 and told["answerable"] == 7, "a short video can still be asked about"


def test_annotations_are_rounded_and_one_name_in_two_folders_is_the_benchmarks_own_way(
    tmp_path, away, capsys
):
    told = verify(mlvu(tmp_path / "data", 4), capsys, task="mlvu", code=0)
    assert told["too_short"] == [] and told["duplicate"] == [] and told["twins"] == 2


def test_the_ends_of_what_a_formula_takes(tmp_path):
    video = Video(str(write_video(tmp_path / "x.mp4", frames=100)))
    info = probe(video)
    whole = select(info, FrameSpec(frames=8), video).indices
    assert select(info, FrameSpec(frames=8, ends=True), video).indices == (whole[0], whole[-1])
    assert select(info, FrameSpec(frames=1, ends=True), video).indices == (50,)
    store = Store(str(tmp_path))
    assert store.key(video, FrameSpec(frames=8)) != store.key(video, FrameSpec(frames=8, ends=True))


def test_subtitles_that_cannot_be_read_are_found_too(root, capsys):
    (root.parent / "subtitle").mkdir()
    for number in range(6):
        file = root.parent / f"subtitle/video00000{number}.srt"
        file.write_text("1\n00:00:00,100 --> 00:00:02,000\nhello\n")
    file.write_bytes(b"1\n00:00:00,100 --> nonsense\n\xff\xfe\x00")
    file.unlink()
    os.symlink("/nowhere/at/all.srt", file)
    told = verify(root.parent.parent, capsys, task="videomme_subtitles")
    assert [each["path"] for each in told["broken"]] == ["data/video000005.mp4"]
    assert "subtitles cannot be read" in told["broken"][0]["why"]


def test_a_file_that_was_cut_short_is_told_by_its_frames(root, capsys):
    write_video(root / "video000000.mp4", frames=200, front=True)
    whole = (root / "video000000.mp4").read_bytes()
    (root / "video000000.mp4").write_bytes(whole[:-200])
    told = verify(root.parent.parent, capsys, "--frames", "2")
    assert [each["path"] for each in told["broken"]] == ["data/video000000.mp4"]
    assert "frames are not in the file" in told["broken"][0]["why"]
