"""Decoding: the right frames, bit for bit those of a sequential decode, for every codec and odd container."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import av
import field_pictures
import numpy as np
import pytest

from kangaroo_eval.errors import MediaError
from kangaroo_eval.media import SAMPLERS, FrameSpec, decode, job, probe
from kangaroo_eval.types import Video

COUNTS = (1, 2, 3, 8, 24, 64)


def check_identical(path, sequential, digest, counts=COUNTS):
    video = Video(str(path))
    info = probe(video)
    truth = sequential(path)
    assert info.total == len(truth)
    for n in counts:
        for sampler, threads in (("uniform", 2), ("endpoints", 1)):
            wanted = SAMPLERS[sampler](info.total, n)
            frames = decode(video, info, wanted, (448, 448), threads)
            got = [digest(pixels) for pixels in frames.pixels]
            assert got == [truth[index] for index in wanted], (n, sampler)
            assert frames.repeated == 0
            assert (frames.total, frames.duration) == (info.total, info.duration)


def test_identical_to_a_sequential_decode_for_every_codec(codec_name, made, sequential, digest):
    check_identical(made(codec_name), sequential, digest)


def test_identical_to_a_sequential_decode_in_odd_containers(special_name, made, sequential, digest):
    check_identical(made(special_name), sequential, digest, (1, 3, 24))


@pytest.mark.slow
def test_real_videos_are_identical_to_a_sequential_decode(shared, sequential, digest):
    folder = shared / "data/sample_videos"
    paths = sorted(folder.glob("*.mp4"))
    if not paths:
        pytest.skip(f"no videos in {folder}")
    for path in paths:
        info = probe(Video(str(path)))
        truth = sequential(path)
        frames = decode(Video(str(path)), info, range(info.total), (448, 448), 2)
        assert [digest(pixels) for pixels in frames.pixels] == truth
        check_identical(path, sequential, digest, (1, 8, 64))


@pytest.mark.parametrize("size", [448, 224])
def test_burnt_in_numbers_are_the_indices(codec_name, made, read_numbers, size):
    video = Video(str(made(codec_name)))
    info = probe(video)
    wanted = SAMPLERS["uniform"](info.total, 32)
    frames = decode(video, info, wanted, (size, size), 2)
    assert frames.pixels.shape == (32, size, size, 3) and frames.pixels.dtype == np.uint8
    assert read_numbers(frames.pixels) == list(wanted)
    assert frames.times == pytest.approx([index / 30 for index in wanted], abs=1.1e-3)


@pytest.mark.parametrize(
    ("name", "total"), [("h264.mkv", 300), ("h264.ts", 300), ("start5.mp4", 300), ("fragments.mp4", 120)]
)
def test_odd_containers(made, read_numbers, name, total):
    video = Video(str(made(name)))
    info = probe(video)
    assert info.total == total
    assert info.fps == pytest.approx(30, rel=2e-3) and info.duration == pytest.approx(total / 30, abs=0.04)
    wanted = SAMPLERS["uniform"](total, 32)
    frames = decode(video, info, wanted, (224, 224), 2)
    assert read_numbers(frames.pixels) == list(wanted)
    assert frames.times[0] == pytest.approx(wanted[0] / 30, abs=1e-3)


def test_variable_rate_times_are_the_true_ones(made, read_numbers, frame_times):
    video = Video(str(made("vfr.mp4")))
    info = probe(video)
    truth = frame_times(300)
    assert info.times.tolist() == pytest.approx([t / 30 for t in truth])
    wanted = SAMPLERS["uniform"](info.total, 32)
    assert read_numbers(decode(video, info, wanted, (224, 224), 2).pixels) == list(wanted)


@pytest.mark.parametrize(("name", "hidden", "shown"), [("edit.mp4", 102, 150), ("edit_hevc.mp4", 45, 90)])
def test_edit_list_hides_frames(made, read_numbers, name, hidden, shown):
    video = Video(str(made(name)))
    info = probe(video)
    assert (info.total, info.times[0]) == (shown, 0.0)
    assert info.duration == pytest.approx(shown / 30, abs=2e-3)
    wanted = SAMPLERS["uniform"](info.total, 32)
    frames = decode(video, info, wanted, (224, 224), 2)
    assert read_numbers(frames.pixels) == [index + hidden for index in wanted]


@pytest.mark.parametrize("size", [None, 224])
def test_rotated_video_stands_upright(made, read_numbers, size):
    video = Video(str(made("rotated.mp4")))
    info = probe(video)
    assert (info.width, info.height) == (320, 240)
    frames = decode(video, info, (0, 7, 59), size and (size, size), 1)
    assert frames.pixels.shape == ((3, 240, 320, 3) if size is None else (3, 224, 224, 3))
    assert read_numbers(frames.pixels) == [0, 7, 59]


def test_own_size(made):
    video = Video(str(made("h264_2s.mp4")))
    info = probe(video)
    assert (info.width, info.height, info.codec) == (320, 240, "h264")
    assert decode(video, info, (3,), None, 1).pixels.shape == (1, 240, 320, 3)


def test_gif(made, read_numbers):
    video = Video(str(made("loop.gif")))
    info = probe(video)
    assert info.total == 30 and info.codec == "gif"
    assert info.times[1] == pytest.approx(0.03, abs=0.011)
    frames = decode(video, info, (0, 11, 29), (224, 224), 2)
    assert read_numbers(frames.pixels) == [0, 11, 29]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_folder_of_pictures_in_natural_order(tmp_path, draw, read_numbers, suffix):
    import av

    codec, pix_fmt = {"png": ("png", "rgb24"), "jpg": ("mjpeg", "yuvj420p"), "webp": ("libwebp", "yuv420p")}[
        suffix
    ]
    for index in range(12):
        frame = av.VideoFrame.from_ndarray(draw(index), format="rgb24").reformat(format=pix_fmt)
        with av.open(
            str(tmp_path / f"{index}.{suffix}"), "w", format="image2", options={"update": "1"}
        ) as out:
            stream = out.add_stream(codec, rate=1)
            stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pix_fmt
            out.mux(stream.encode(frame))
            out.mux(stream.encode())
    (tmp_path / "notes.txt").write_text("not a picture")
    video = Video(str(tmp_path), frames_dir=str(tmp_path), fps=3.0)
    info = probe(video)
    assert (info.total, info.fps, info.duration) == (12, 3.0, pytest.approx(4.0))
    frames = decode(video, info, (0, 2, 9, 10, 11), (224, 224), 2)
    assert read_numbers(frames.pixels) == [0, 2, 9, 10, 11]
    assert frames.times == pytest.approx((0, 2 / 3, 3, 10 / 3, 11 / 3))
    clip = dataclasses.replace(video, start=1.0, end=2.0)
    assert probe(clip).times.tolist() == pytest.approx([1.0, 4 / 3, 5 / 3])


@pytest.mark.parametrize(
    "start, end, first, total", [(2.0, 4.0, 60, 60), (None, 1.0, 0, 30), (9.0, None, 270, 30)]
)
def test_clip_bounds(made, read_numbers, start, end, first, total):
    video = Video(str(made("h264_2s.mp4")), start=start, end=end)
    info = probe(video)
    assert (info.total, info.first) == (total, first)
    assert info.duration == pytest.approx(total / 30)
    frames = decode(video, info, (0, total - 1), (224, 224), 2)
    assert read_numbers(frames.pixels) == [first, first + total - 1]
    assert frames.times == pytest.approx((first / 30, (first + total - 1) / 30))
    assert frames.total == total


@pytest.mark.parametrize(
    "start, end, frame", [(1.01, 1.02, 30), (9.99, 20.0, 299), (-1.0, 0.001, 0), (2.0, 2.0, 60)]
)
def test_a_clip_shorter_than_a_frame_is_that_frame(made, start, end, frame):
    info = probe(Video(str(made("h264_2s.mp4")), start=start, end=end))
    assert (info.total, info.first) == (1, frame)


def test_colours_follow_the_streams_matrix_and_range():
    import av

    from kangaroo_eval.media.container import Converter

    def shown(values, matrix, value_range):
        frame = av.VideoFrame(64, 64, "yuv420p")
        for plane, value in zip(frame.planes, values, strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.colorspace, frame.color_range = matrix, value_range
        out = np.empty((32, 32, 3), np.uint8)
        Converter().write(frame, out)
        return out[16, 16].tolist()

    bt709, bt601, limited, full = 1, 6, 1, 2
    assert shown((63, 102, 240), bt709, limited) == pytest.approx([255, 0, 0], abs=3)
    assert shown((81, 90, 240), bt601, limited) == pytest.approx([255, 0, 0], abs=3)
    assert shown((54, 99, 255), bt709, full) == pytest.approx([255, 0, 0], abs=3)


@pytest.mark.parametrize("indices", [(), (3, 2), (1, 1), (-1,), (300,)])
def test_indices_must_be_of_the_clip(made, indices):
    video = Video(str(made("h264_2s.mp4")))
    with pytest.raises(ValueError, match="sorted, distinct"):
        decode(video, probe(video), indices, (224, 224), 1)


@pytest.mark.parametrize("name", ["decord", "torchcodec"])
def test_other_decoders_give_the_same_frames_of_a_plain_file(made, read_numbers, name):
    from kangaroo_eval.errors import UserError
    from kangaroo_eval.media.decoders import DECODERS

    video = Video(str(made("h264_2s.mp4")), start=1.0)
    info = probe(video)
    try:
        frames = DECODERS[name](video, info, (0, 50, 200), (224, 224), 2)
    except UserError as error:
        pytest.skip(str(error))
    assert read_numbers(frames.pixels) == [30, 80, 230]
    assert frames.times == pytest.approx((1.0, 80 / 30, 230 / 30))


@pytest.mark.parametrize("bounds", [{"start": float("nan")}, {"end": float("nan")}])
def test_a_bound_that_is_no_number_is_no_clip(made, bounds):
    with pytest.raises(MediaError, match="no number"):
        probe(Video(str(made("h264_2s.mp4")), **bounds))


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
def test_two_packets_of_a_field_each_are_one_frame(suffix, tmp_path, sequential, digest):
    path = tmp_path / f"fields{suffix}"
    field_pictures.write(path, 30)
    info = probe(Video(str(path)))
    assert (info.total, round(info.fps), round(info.duration, 2)) == (30, 25, 1.2)
    assert info.times.tolist() == pytest.approx([i / 25 for i in range(30)])
    assert len(set(sequential(path))) == 30
    check_identical(path, sequential, digest, (1, 8, 30))


def test_a_recovery_that_takes_longer_than_a_keyframe_is_waited_for(made, read_numbers):
    path = made("refresh.mp4")
    info = probe(Video(str(path)))
    for wanted in ((7, 22, 37, 52), (3, 11, 18, 26, 33, 41, 48, 56)):
        found = decode(Video(str(path)), info, wanted, (240, 320), 1)
        assert (found.repeated, read_numbers(found.pixels)) == (0, list(wanted))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_pixels_that_are_not_square_are_shown_as_they_are_meant(suffix, tmp_path):
    """A circle of a 16:9 picture that is kept in 360 x 360."""
    path, pixel = tmp_path / f"anamorphic{suffix}", Fraction(16, 9)
    y, x = np.mgrid[0:360, 0:360]
    circle = ((x - 180) * float(pixel)) ** 2 + (y - 180) ** 2 < 100**2
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 360, 360, "yuv420p"
        stream.codec_context.sample_aspect_ratio = pixel
        for place in range(5):
            frame = av.VideoFrame.from_ndarray(circle[..., None].repeat(3, 2).astype(np.uint8) * 255)
            frame.pts = place
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    spec = FrameSpec(frames=1, size=448, keep_aspect=True)
    (shown,) = job.decoded(Video(str(path)), spec, 1).frames.pixels
    assert shown.shape == (252, 448, 3)
    lit = shown[..., 0] > 128
    assert abs(int(lit.any(0).sum()) - int(lit.any(1).sum())) <= 3
