"""What official protocols want of the media module: bounded indices, subtitles in JSON, a further picture."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from conftest import write_video
from hypothesis import given
from hypothesis import strategies as st

from kangaroo_eval.errors import MediaError, MissingVideo
from kangaroo_eval.media import FrameSpec, Job, decode_ahead, probe, sampling
from kangaroo_eval.media.spec import select
from kangaroo_eval.media.subtitles import read
from kangaroo_eval.types import Cue, Video


def test_mvbench_indices_equal_the_notebooks(shared):
    cases = json.loads((shared / "golden/mvbench_frame_indices.json").read_text())
    assert len(cases) == 6
    for case in cases:
        bound = tuple(case["bound"]) if case["bound"] else (None, None)
        found = sampling.mvbench(
            bound, case["fps"], case["max_frame"], case["first_idx"], case["num_segments"]
        )
        assert list(found) == case["indices"], case


def _plain(bound, fps, max_frame, first_idx, num_segments):
    """A second transcription of the notebook's get_index."""
    start, end = bound if bound else (-100000, 100000)
    start_idx = max(first_idx, round(start * fps))
    end_idx = min(round(end * fps), max_frame)
    seg_size = float(end_idx - start_idx) / num_segments
    return [int(start_idx + (seg_size / 2) + np.round(seg_size * idx)) for idx in range(num_segments)]


@given(
    start=st.floats(0, 50),
    length=st.floats(0, 50),
    fps=st.sampled_from([3.0, 15.0, 23.976, 25.0, 29.97, 30.0]),
    last=st.integers(1, 2000),
    first=st.integers(0, 1),
    n=st.integers(1, 64),
)
def test_mvbench_indices_equal_a_plain_transcription(start, length, fps, last, first, n):
    bound = (start, start + length)
    assert list(sampling.mvbench(bound, fps, last, first, n)) == _plain(bound, fps, last, first, n)


def clip(tmp_path, start=None, end=None):
    """A video of 40 frames at 8 a second."""
    path = tmp_path / "v.mp4"
    if not path.exists():
        write_video(path, frames=40)
    return Video(str(path), start, end)


def still(path, shape, value, codec, pixels):
    """A picture file of one grey."""
    import av

    frame = av.VideoFrame.from_ndarray(np.full((*shape, 3), value, np.uint8), format="rgb24")
    with av.open(str(path), "w", format="image2") as out:
        stream = out.add_stream(codec, rate=1)
        stream.height, stream.width, stream.pix_fmt = *shape, pixels
        out.mux(stream.encode(frame.reformat(format=pixels)))
        out.mux(stream.encode())


def test_a_bounded_clip_is_sampled_by_rounded_bounds_of_the_whole_file(tmp_path):
    video = clip(tmp_path, 1.06, 3.0)
    spec = FrameSpec(frames=4, sampler="mvbench")
    chosen = select(probe(video), spec, video)
    assert chosen.info.total == 40
    assert list(chosen.indices) == _plain((1.06, 3.0), 8.0, 39, 0, 4)
    (decoded,) = decode_ahead([Job(video, spec)], workers=0)
    assert [time * 8 for time in decoded.frames.times] == pytest.approx(list(chosen.indices))


def test_a_short_clip_repeats_nothing(tmp_path):
    video = clip(tmp_path, 1.0, 1.5)
    indices = select(probe(video), FrameSpec(frames=16, sampler="mvbench"), video).indices
    assert list(indices) == sorted(set(_plain((1.0, 1.5), 8.0, 39, 0, 16)))


def test_a_folder_of_frames_counts_its_pictures_from_one(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for k in range(1, 31):
        still(folder / f"{k:05d}.png", (32, 32), 8 * k, "png", "rgb24")
    video = Video(str(folder), 2.0, 7.0, frames_dir=str(folder), fps=3.0)
    spec = FrameSpec(frames=4, sampler="mvbench")
    chosen = select(probe(video), spec, video)
    names = [int(chosen.info.source[index].rpartition("/")[2][:5]) for index in chosen.indices]
    assert names == _plain((2.0, 7.0), 3.0, 30, 1, 4)
    (decoded,) = decode_ahead([Job(video, spec)], workers=0)
    assert [round(picture.mean() / 8) for picture in decoded.frames.pixels] == names


@pytest.mark.parametrize(
    ("have", "told"),
    [
        ((1, 2, 4, 5, 6, 7, 8), "7 pictures, and it must hold 8"),
        ((1, 2, 3, 4, 5, 6, 7, 8, 9), "9 pictures, and it must hold 8"),
        ((1, 2, 4, 5, 6, 7, 8, 9), "picture 3 is not there, 4.png follows"),
    ],
)
def test_a_folder_that_lacks_a_picture_is_an_error_and_not_a_shorter_video(tmp_path, have, told):
    folder = tmp_path / "frames"
    folder.mkdir()
    for k in have:
        still(folder / f"{k}.png", (32, 32), 8 * k, "png", "rgb24")
    video = Video(str(folder), frames_dir=str(folder), fps=1.0, pictures=8)
    (decoded,) = decode_ahead([Job(video, FrameSpec(frames=8))], workers=0)
    assert decoded.error.status == "decode_error" and told in decoded.error.message


def test_a_clip_past_the_end_is_an_error_and_not_other_frames(tmp_path):
    video = clip(tmp_path, 9.0, 12.0)
    (decoded,) = decode_ahead([Job(video, FrameSpec(frames=4, sampler="mvbench"))], workers=0)
    assert decoded.error.status == "decode_error" and "not in the video" in decoded.error.message


def test_longvideobench_takes_no_more_frames_than_whole_seconds(tmp_path):
    video = clip(tmp_path, end=3.9)
    info = probe(video)
    chosen = select(info, FrameSpec(frames=64, sampler="longvideobench"), video)
    assert chosen.indices == sampling.longvideobench(info.total, 3)
    assert len(select(info, FrameSpec(frames=2, sampler="longvideobench"), video).indices) == 2


def test_both_shapes_of_json_subtitles_are_read(tmp_path):
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_text(
        json.dumps([{"timestamp": [1.5, 2.5], "text": "a"}, {"timestamp": [3.0, None], "text": "b"}])
    )
    two.write_text(json.dumps([{"start": "01:02:03.500", "end": "01:02:04.000", "line": "c"}]))
    assert read(str(one)) == (Cue(1.5, 2.5, "a"), Cue(3.0, math.inf, "b"))
    assert read(str(two)) == (Cue(3723.5, 3724.0, "c"),)


def test_an_int_end_stays_an_int_for_rules_that_tell_them_apart(tmp_path):
    file = tmp_path / "s.json"
    file.write_text('[{"timestamp": [1, 2], "text": "a"}, {"timestamp": [1.0, 2.0], "text": "b"}]')
    assert [type(cue.end) for cue in read(str(file))] == [int, float]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "3",
        '[{"text": "a"}]',
        '[{"timestamp": [1], "text": "a"}]',
        '[{"start": "1", "end": "2", "line": "x"}]',
        '[{"timestamp": ["a", 2.0], "text": "a"}]',
        "[1]",
    ],
)
def test_json_that_is_no_subtitle_file_is_an_error(tmp_path, content):
    file = tmp_path / "s.json"
    file.write_text(content)
    with pytest.raises(MediaError, match="not a subtitle file"):
        read(str(file))


def test_a_further_picture_is_shown_after_the_clip(tmp_path):
    picture = tmp_path / "p.jpg"
    still(picture, (48, 32), 200, "mjpeg", "yuvj420p")
    base = clip(tmp_path)
    spec = FrameSpec(frames=4, size=64)
    (decoded,) = decode_ahead([Job(Video(base.path, picture=str(picture)), spec)], workers=0)
    assert decoded.frames.pixels.shape == (5, 64, 64, 3)
    assert abs(decoded.frames.pixels[-1].mean() - 200) < 4
    assert decoded.frames.times[-1] == pytest.approx(5.0) and len(decoded.view.frame_times) == 5
    (absent,) = decode_ahead([Job(Video(base.path, picture=str(tmp_path / "no.jpg")), spec)], workers=0)
    assert absent.error.status == MissingVideo.status
