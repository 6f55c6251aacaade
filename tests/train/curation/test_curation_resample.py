"""Clips written anew: at the rate asked for, at their own times, and quick to seek in."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
from conftest import write_video

from kangaroo_eval.cli.curate import main
from kangaroo_eval.media import decode, probe
from kangaroo_eval.train.curation.resample import Resample, file_name
from kangaroo_eval.train.curation.stage import process
from kangaroo_eval.types import Video


def resampled(tmp_path, row, **settings):
    (found,) = process([Resample(out=str(tmp_path), **settings)], [row])
    return found


@pytest.mark.parametrize(("fps", "every"), [(16, 4), (8, 2), (4, 1), (2, 1)])
def test_frames_keep_their_times_and_what_they_show(fps, every, tmp_path):
    path = write_video(tmp_path / "in.mp4", frames=24, fps=fps)
    found = resampled(tmp_path, {"id": "v", "path": str(path)}, crf=1)
    old, new = probe(Video(str(path))), probe(Video(found["path"]))
    assert np.allclose(new.times, old.times[::every], atol=1e-4)
    assert new.duration == pytest.approx(old.duration, abs=max(0.26, 1 / fps))
    shown = decode(Video(found["path"]), new, range(new.total), (32, 32), 1).pixels.mean((1, 2, 3))
    assert np.allclose(shown, [10 * number for number in range(0, 24, every)], atol=4)


def test_a_clip_begins_at_nought_and_says_where_it_was(tmp_path):
    path = write_video(tmp_path / "in.mp4", frames=24, fps=8)
    row = {"id": "v#1", "path": str(path), "start": 1.0, "end": 2.5, "caption": "kept"}
    found = resampled(tmp_path, row)
    assert found["origin"] == {"path": str(path), "start": 1.0, "end": 2.5} and found["caption"] == "kept"
    assert "start" not in found and found["duration"] == 1.5
    assert probe(Video(found["path"])).times.tolist() == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1.0, 1.25], abs=1e-4
    )


def test_a_keyframe_stands_every_eight_frames(tmp_path):
    path = write_video(tmp_path / "in.mp4", frames=96, fps=8)
    with av.open(resampled(tmp_path, {"id": "v", "path": str(path)})["path"]) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert [place for place, key in enumerate(keys) if key] == list(range(0, 48, 8))


def test_large_frames_become_smaller_and_small_ones_stay(tmp_path):
    path = write_video(tmp_path / "in.mp4", frames=4, size=128)
    assert probe(Video(resampled(tmp_path, {"id": "a", "path": str(path)}, side=64)["path"])).width == 64
    assert probe(Video(resampled(tmp_path, {"id": "b", "path": str(path)})["path"])).width == 128


def test_names_are_safe_and_differ():
    names = [file_name(each) for each in ("a/b.mp4#0", "a-b.mp4#0", "../../etc/x", "", "视频", "x" * 300)]
    assert len(set(names)) == len(names)
    assert all("/" not in name and not name.startswith(".") and len(name) < 120 for name in names)


def test_a_broken_video_leaves_nothing(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video")
    (tmp_path / "out").mkdir()
    found = resampled(tmp_path / "out", {"id": "x", "path": str(tmp_path / "x.mp4")})
    assert found["error"]["stage"] == "resample" and not list((tmp_path / "out").iterdir())


def test_the_command_writes_what_stays(tmp_path, capsys):
    rows = [{"id": f"v{n}", "path": str(write_video(tmp_path / f"v{n}.mp4"))} for n in range(3)]
    (tmp_path / "kept.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["resample", str(tmp_path)]) == 0
    assert "3 clips, 0 that cannot be read" in capsys.readouterr().out
    assert len(list((tmp_path / "clips").glob("*.mp4"))) == 3
    assert main(["resample", str(tmp_path), "--fps", "0"]) == 1
    assert main(["resample", str(tmp_path / "clips")]) == 6
