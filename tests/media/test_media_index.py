"""The frame index: sample tables against what libav demuxes, and the rules of what may be skipped."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from kangaroo_eval.media import index, mp4
from kangaroo_eval.media.gop import may_skip


@pytest.mark.parametrize(
    "name", ["h264_2s.mp4", "h264_open.mp4", "hevc_open.mp4", "av1.mp4", "vfr.mp4", "start5.mp4", "edit.mp4"]
)
def test_sample_tables_say_what_demuxing_says(made, monkeypatch, name):
    path = str(made(name))
    tabled = index.read(path)
    monkeypatch.setattr(mp4, "read", lambda path, track: None)
    demuxed = index.read(path)
    assert tabled.raw and not demuxed.raw
    assert tabled.times.tolist() == pytest.approx(demuxed.times.tolist())
    assert tabled.fps == pytest.approx(demuxed.fps)
    assert tabled.duration == pytest.approx(demuxed.duration, abs=0.002)
    assert (tabled.width, tabled.height, tabled.codec) == (demuxed.width, demuxed.height, demuxed.codec)


def test_unusual_files_are_left_to_the_demuxer(made, tmp_path):
    assert mp4.read(str(made("fragments.mp4")), 1) is None
    assert mp4.read(str(made("vp9.webm")), 1) is None
    assert mp4.read(str(made("h264_2s.mp4")), 7) is None
    assert mp4.read(str(made("h264_2s.mp4")), 1) is not None


def test_a_leading_picture_starts_at_the_keyframe_before():
    # Decode order I0 P3 B1 B2 I6 B4 B5 P7, the second keyframe open.
    pts = np.array([0, 3, 1, 2, 6, 4, 5, 7])
    frames = np.array([0, 2, 3, 1, 5, 6, 4, 7])
    assert index._starts(frames, np.array([0, 4]), pts).tolist() == [0, 0, 0, 0, 0, 0, 4, 4]


def _hvcc(layers: int) -> bytes:
    return bytes([1, *[0] * 20, layers << 3 | 7, 0, 0])


@pytest.mark.parametrize(
    ("codec", "header", "allowed"),
    [
        ("h264", b"", True),
        ("hevc", _hvcc(1), True),
        ("hevc", _hvcc(2), False),
        ("hevc", _hvcc(0), False),
        ("hevc", b"\0\0\0\1", False),
        ("av1", b"", False),
        ("vp9", b"", False),
    ],
)
def test_only_frames_that_nothing_refers_to_are_skipped(codec, header, allowed):
    stream = SimpleNamespace(codec_context=SimpleNamespace(extradata=header))
    assert may_skip(SimpleNamespace(codec=codec), stream) is allowed


def test_cover_art_is_no_video(made, tmp_path):
    import av

    source, path = made("one_gop.mp4"), tmp_path / "cover.mp4"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        cover = new.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 64
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        stream = new.add_stream_from_template(old.streams.video[0])
        new.mux(cover.encode(av.VideoFrame(64, 64, "yuvj420p")))
        new.mux(cover.encode())
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    found = index.read(str(path))
    assert (found.codec, len(found.times)) == ("h264", 120)


def test_times_of_a_container_in_milliseconds_keep_the_nominal_rate(made):
    found = index.read(str(made("h264.mkv")))
    assert found.fps == 30.0 and found.times[1] == pytest.approx(0.033)
