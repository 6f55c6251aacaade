"""The frame store: the same pixels again without decoding, whatever happens to it and whoever else uses it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kangaroo_eval.errors import UserError
from kangaroo_eval.media import FrameSpec, Job, decode_ahead, decoders, job, store
from kangaroo_eval.media.store import FORMS, Store, Stored, packed, unpacked
from kangaroo_eval.types import Frames, Video

SPEC = FrameSpec(frames=4, size=64)


@pytest.fixture
def video(made, tmp_path):
    """A copy of one's own."""
    return Video(str(shutil.copy(made("h264_2s.mp4"), tmp_path / "v.mp4")))


@pytest.fixture
def kept(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def nothing_decodes(monkeypatch):
    def refuse(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(job, "DECODERS", {"pyav": refuse})


def done(video, store_, spec=SPEC):
    (found,) = decode_ahead([Job(video, spec, store_)], workers=0)
    assert found.error is None
    return found


def same(a, b):
    return (
        np.array_equal(a.frames.pixels, b.frames.pixels)
        and (a.frames.times, a.frames.total, a.frames.duration, a.frames.absent, a.frames.repeated)
        == (b.frames.times, b.frames.total, b.frames.duration, b.frames.absent, b.frames.repeated)
        and a.view == b.view
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_second_look_decodes_nothing_and_sees_the_same(form, video, kept, monkeypatch):
    kept = replace(kept, form=form)
    first = done(video, kept)
    monkeypatch.setattr(job, "DECODERS", {})
    second = done(video, kept)
    assert (first.stored, second.stored) == (False, True) and same(first, second)
    assert second.frames.pixels.flags.writeable


def test_exact_is_what_is_decoded_and_near_is_near(video, kept):
    plain = done(video, None)
    assert same(plain, done(video, kept))
    near = done(video, replace(kept, form="near")).frames.pixels.astype(int)
    off = np.abs(near - plain.frames.pixels)
    assert 0 < off.mean() < 1.5 and off.max() < 40


def test_a_video_is_known_by_its_content(video, kept, tmp_path, nothing_decodes, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(job, "DECODERS", decoders.DECODERS)
        done(video, kept)
    moved = Video(str(shutil.move(video.path, tmp_path / "another name.mp4")))
    os.utime(moved.path, (1, 1))
    assert done(moved, kept).stored
    data = bytearray((tmp_path / "another name.mp4").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "another name.mp4").write_bytes(data)
    with pytest.raises(AssertionError, match="decoded"):
        done(moved, kept)


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, frames=5),
        replace(SPEC, size=32),
        replace(SPEC, sampler="endpoints"),
        replace(SPEC, frames=None, fps=1.0),
        replace(SPEC, keep_aspect=True),
    ],
)
def test_other_frames_are_other_files(other, video, kept):
    done(video, kept)
    assert not done(video, kept, other).stored and done(video, kept, other).stored


def test_other_bounds_are_other_files(video, kept):
    done(video, kept)
    part = replace(video, start=1.0, end=2.0)
    first = done(part, kept)
    assert not first.stored and all(1.0 <= time < 2.0 for time in first.frames.times)


def test_subtitles_are_read_anew(video, kept, tmp_path):
    cues = tmp_path / "a.srt"
    cues.write_text("1\n00:00:00,500 --> 00:00:01,000\nHi\n")
    first = done(replace(video, subtitles=str(cues)), kept)
    cues.write_text("1\n00:00:00,500 --> 00:00:01,000\nHo\n")
    second = done(replace(video, subtitles=str(cues)), kept)
    assert second.stored and [first.view.cues[0].text, second.view.cues[0].text] == ["Hi", "Ho"]


def test_no_video_is_no_video_whatever_is_stored(video, kept):
    done(video, kept)
    os.unlink(video.path)
    (found,) = decode_ahead([Job(video, SPEC, kept)], workers=0)
    assert found.error.status == "missing_video"


def test_a_folder_of_pictures(kept, tmp_path, draw):
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(1, 7):
        Image.fromarray(draw(number)).save(folder / f"{number:05d}.jpg")
    shown = Video(str(folder), frames_dir=str(folder), fps=3.0)
    first = done(shown, kept)
    assert not first.stored and same(first, done(shown, kept)) and done(shown, kept).stored
    Image.fromarray(draw(9)).save(folder / "00003.jpg")
    assert not done(shown, kept).stored


def test_pictures_of_one_name_size_and_time_are_told_apart(kept, tmp_path, draw):
    """Folders that an archive left: each has a 0.png, of which all have as many bytes."""
    from PIL import Image

    found = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        Image.fromarray(draw(number)).save(folder / "0.png", compress_level=0)
        os.utime(folder / "0.png", (0, 0))
        found.append(done(Video(str(folder), frames_dir=str(folder), fps=1.0), kept))
    assert not found[1].stored and not same(*found)


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "foreign", "header"])
def test_a_damaged_file_is_made_anew(damage, video, kept, caplog):
    first = done(video, kept)
    (path,) = (Path(entry.path) for entry, _ in kept.files())
    data = path.read_bytes()
    spoilt = {
        "cut": data[:-5],
        "flipped": data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
        "emptied": b"",
        "foreign": b"PK" + data,
        "header": data[:20] + b"\xff" + data[21:],
    }[damage]
    path.write_bytes(spoilt)
    again = done(video, kept)
    assert not again.stored and same(first, again) and "damaged" in caplog.text
    assert done(video, kept).stored


def test_two_stores_of_one_folder_in_many_processes(made, tmp_path):
    """Whole files alone are ever seen, and all of them agree."""
    code = (
        "import sys; from kangaroo_eval.media import *; from kangaroo_eval.media.store import Store;"
        "from kangaroo_eval.types import Video\n"
        "for n in range(6):\n"
        "    for found in decode_ahead([Job(Video(v), FrameSpec(frames=4 + n % 2, size=64), Store(sys.argv[1]))"
        " for v in sys.argv[2:]], workers=0):\n"
        "        assert found.error is None and found.frames.pixels.mean() > 1\n"
    )
    videos = [str(made(name)) for name in ("h264_2s.mp4", "one_gop.mp4", "vp9.webm")]
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s"), *videos]) for _ in range(3)]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    names = [entry.name for entry, _ in Store(str(tmp_path / "s")).files()]
    assert len(names) == 6 and all(name.endswith(".frames") for name in names)


def noise(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (2, 64, 64, 3), np.uint8)
    return Stored(Frames(pixels, (0.0, 1.0), 0, 2, 2.0), 1.0)


def test_the_least_recently_used_go_first_and_the_cap_holds(tmp_path):
    size = len(packed(noise(0), "exact"))
    small = Store(str(tmp_path), cap=round(3.5 * size), since=2_000_000_000)
    for number in range(3):
        small.write(f"{number:040d}", noise(number))
        os.utime(small.path(f"{number:040d}"), (number + 1, number + 1))
    assert small.read(f"{0:040d}") is not None
    small.write(f"{3:040d}", noise(3))
    there = [number for number in range(4) if small.path(f"{number:040d}").exists()]
    assert 0 in there and 3 in there and 1 not in there
    assert sum(state.st_size for _, state in small.files()) <= small.cap


def test_what_this_run_used_stays_and_the_rest_is_told_once(tmp_path, caplog):
    size = len(packed(noise(0), "exact"))
    small = Store(str(tmp_path), cap=round(2.5 * size), since=0)
    for number in range(5):
        small.write(f"{number:040d}", noise(number))
    assert [number for number in range(5) if small.path(f"{number:040d}").exists()] == [0, 1]
    assert caplog.text.count("is full") == 1


def test_a_store_that_cannot_be_written_costs_nothing(video, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "full"):
        if folder.name == "full":
            monkeypatch.setattr(
                store.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
            )
        found = done(video, Store(str(folder)))
        assert not found.stored and "cannot be written to" in caplog.text
        caplog.clear()
    assert [entry.name for entry, _ in Store(str(tmp_path / "full")).files()] == []


def test_wrong_use():
    with pytest.raises(UserError, match="--frame-store 'raw': choose one of off, exact, near"):
        Store("x", "raw")
    with pytest.raises(UserError, match="--frame-store-size 0"):
        Store("x", cap=0)


def test_frames_as_bytes_and_back_at_odd_sizes():
    for form in FORMS:
        for shape in ((1, 7, 5, 3), (3, 33, 51, 3)):
            pixels = np.full(shape, 100, np.uint8)
            kept = Stored(Frames(pixels, tuple(map(float, range(shape[0]))), 1, 9, 3.0, 2), 29.97)
            back = unpacked(packed(kept, form))
            assert np.abs(back.frames.pixels.astype(int) - 100).max() <= 3
            assert (back.frames.times, back.frames.repeated, back.frames.total) == (kept.frames.times, 1, 9)
            assert (back.frames.duration, back.frames.absent, back.fps) == (3.0, 2, 29.97)


def fill(video, store_, *specs):
    (found,) = decode_ahead([Job(video, specs[-1], store_, specs[:-1])], workers=0)
    return found


def test_several_formulas_in_one_pass(video, kept, monkeypatch):
    specs = [replace(SPEC, frames=n) for n in (2, 3, 7)] + [replace(SPEC, frames=5, size=32)]
    passes = []

    def counted(video, info, indices, shape, threads):
        passes.append(len(indices))
        return decoders.pyav(video, info, indices, shape, threads)

    monkeypatch.setattr("kangaroo_eval.media.filling.DECODERS", {"pyav": counted})
    found = fill(video, kept, *specs)
    assert not found.stored and same(found, done(video, None, specs[-1]))
    assert len(passes) == 2, "one for each size"
    for spec in specs:
        stored = done(video, kept, spec)
        assert stored.stored and same(stored, done(video, None, spec))
    again = fill(video, kept, *specs)
    assert again.stored and same(found, again) and len(passes) == 2


def test_damage_counts_for_each_formula_alone(made, tmp_path, kept):
    """Which frame stands in for a lost one depends on which others are wanted."""
    data = bytearray(made("h264_2s.mp4").read_bytes())
    rng = np.random.default_rng(3)
    for place in rng.integers(len(data) // 3, 2 * len(data) // 3, 12):
        data[place : place + 40] = rng.integers(0, 255, 40, np.uint8).tobytes()
    (tmp_path / "bad.mp4").write_bytes(data)
    bad = Video(str(tmp_path / "bad.mp4"))
    specs = [replace(SPEC, frames=n) for n in (3, 8, 40)]
    fill(bad, kept, *specs)
    for spec in specs:
        alone, stored = (next(iter(decode_ahead([Job(bad, spec, each)], workers=0))) for each in (None, kept))
        assert alone.error == stored.error
        if alone.error is None:
            assert same(alone, stored)


def test_filling_tells_of_a_bad_video(tmp_path, kept):
    assert fill(Video(str(tmp_path / "gone.mp4")), kept, SPEC).error.status == "missing_video"


def test_what_stands_in_for_damage_is_not_kept(video, kept):
    key = kept.key(video, SPEC)
    frames = Frames(np.zeros((4, 8, 8, 3), np.uint8), (0.0, 1.0, 2.0, 3.0), repeated=1, total=4, duration=4.0)
    assert kept.write(key, Stored(frames, 1.0)).frames.repeated == 1
    assert kept.read(key) is None
    kept.write(key, Stored(replace(frames, repeated=0), 1.0))
    assert kept.read(key) is not None


def test_a_store_of_somebody_else_is_read(video, kept, monkeypatch):
    first = done(video, kept)

    def refuse(*_):
        raise PermissionError("not the owner")

    monkeypatch.setattr(store.os, "utime", refuse)
    again = done(video, kept)
    assert again.stored and same(first, again)
