"""Bad videos, through the real command: each is frames or a status with one line, and costs the others nothing."""

from __future__ import annotations

import resource
from collections import Counter

import corpus
import pytest
from conftest import VIDEOMME_ROW, write_video, write_videomme
from harness import Runs, write_plugin
from how_long import COUNT

pytestmark = pytest.mark.slow

LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Whole small files of several containers and codecs, by name; the first is MP4 with H.264."""
    folder = tmp_path_factory.mktemp("good")
    names = ("plain.mp4", "front.mp4", "a.mkv", "a.ts", "a.avi", "a.mov")
    return {
        name: write_video(folder / name, frames=16, front=name == "front.mp4").read_bytes() for name in names
    }


def test_bad_videos_have_a_status_each_and_the_good_ones_are_answered(good, tmp_path):
    bad = dict(corpus.videos(good, COUNT or 1, max(70, COUNT)))
    assert len(bad) >= 60
    files = [("good-first.mp4", good["plain.mp4"]), *bad.items(), ("good-last.mp4", good["plain.mp4"])]
    rows = []
    for number, (name, _) in enumerate(files):
        rows.append({**VIDEOMME_ROW, "videoID": f"v{number:03d}", "question_id": f"{number:03d} {name}"})
    data = write_videomme(tmp_path / "data", rows, videos=False)
    (data / "videomme/data").mkdir()
    for number, (_, content) in enumerate(files):
        (data / f"videomme/data/v{number:03d}.mp4").write_bytes(content)
    (tmp_path / "plugin").mkdir()
    runs = Runs(data, write_plugin(tmp_path / "plugin"), tmp_path)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    code, said = runs.run("out", "--workers", "1", "--decode-timeout", "20", before=LIMIT)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert code == 3 and "Traceback" not in said, said[-3000:]
    lines = {line["id"]: line for line in runs.lines("out")}
    assert len(lines) == len(files) == len(runs.lines("out"))
    ends = Counter(line["status"] for line in lines.values())
    assert set(ends) == {"ok", "decode_error"} and ends["ok"] > 2 and ends["decode_error"] > len(files) / 4, (
        ends
    )
    for name, line in lines.items():
        if line["status"] == "ok":
            assert line["text"] and line["frame_times"] == sorted(line["frame_times"]), line
            continue
        message = line["error"]["message"]
        assert line["error"]["type"] == "decode_error" and "\n" not in message and len(message) < 1000, line
        # Whatever libav makes of it, a video that kills or hangs its decoder is one that we should know better.
        assert "decoder process died" not in message and "time-out" not in message, (name, message)
    assert [name for name in lines if "good" in name and lines[name]["status"] != "ok"] == []
    assert spent < 60 + len(files) / 2, "no file takes long"
