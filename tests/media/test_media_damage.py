"""Bad media: a MediaError with one line, or frames that are right; never anything else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from kangaroo_eval.errors import MediaError, MissingVideo
from kangaroo_eval.media import SAMPLERS, decode, probe
from kangaroo_eval.media.decoding import _mend
from kangaroo_eval.types import Frames, Video


def attempt(path, n: int = 8, size: int = 64) -> Frames:
    video = Video(str(path))
    info = probe(video)
    return decode(video, info, SAMPLERS["uniform"](info.total, n), (size, size), 2)


def test_truncated_file_is_the_frames_that_are_left(made, tmp_path, read_numbers):
    data = made("faststart.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: int(len(data) * 0.6)])
    info = probe(Video(str(path)))
    assert 150 < info.total < 200 and info.total + info.absent == 300
    wanted = SAMPLERS["uniform"](info.total, 32)
    frames = decode(Video(str(path)), info, wanted, (224, 224), 2)
    assert frames.repeated == 0 and read_numbers(frames.pixels) == list(wanted)


@pytest.mark.parametrize("bursts", [1, 3, 40])
def test_no_frame_of_a_damaged_file_is_silently_wrong(made, tmp_path, bursts):
    source = made("h264_k250.mp4")
    data = source.read_bytes()
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    clean = attempt(source, 48).pixels
    for seed in range(3):
        dice, damaged = random.Random(seed), bytearray(data)
        for _ in range(bursts):
            at = dice.randrange(start, end - 64)
            damaged[at : at + 64] = dice.randbytes(64)
        path = tmp_path / f"{seed}.mp4"
        path.write_bytes(damaged)
        try:
            frames = attempt(path, 48)
        except MediaError as error:
            assert "wanted frames cannot be decoded" in str(error)
            continue
        wrong = sum(not np.array_equal(a, b) for a, b in zip(frames.pixels, clean, strict=True))
        assert wrong <= frames.repeated <= 2


def test_lost_frames_repeat_the_nearest_earlier_one():
    pixels = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1).repeat(3, -1)
    sound = np.ones(40, np.bool_)
    sound[[0, 7]] = False
    assert _mend("x", pixels, sound) == 2
    assert pixels[[0, 7], 0, 0, 0].tolist() == [1, 6]


@pytest.mark.parametrize(
    ("n", "lost", "fine"), [(8, 1, True), (8, 2, False), (40, 2, True), (40, 3, False), (1, 1, False)]
)
def test_at_most_a_twentieth_is_repeated(n, lost, fine):
    pixels, sound = np.zeros((n, 1, 1, 3), np.uint8), np.ones(n, np.bool_)
    sound[:lost] = False
    if fine:
        assert _mend("x", pixels, sound) == lost
    else:
        with pytest.raises(MediaError, match="x: "):
            _mend("x", pixels, sound)


def test_missing_file_is_its_own_status(tmp_path):
    with pytest.raises(MissingVideo, match=r"gone\.mp4: no such file") as caught:
        probe(Video(str(tmp_path / "gone.mp4")))
    assert caught.value.status == "missing_video"
    with pytest.raises(MissingVideo):
        probe(Video("x", frames_dir=str(tmp_path / "gone"), fps=1.0))


def bad_files(made, folder) -> dict[str, bytes]:
    whole = made("h264_2s.mp4").read_bytes()
    return {
        "empty.mp4": b"",
        "text.txt": b"just some words\n" * 400,
        "text.mp4": b"just some words\n" * 400,
        "no_moov.mp4": whole[: whole.index(b"moov") - 4],
        "noise.mp4": random.Random(1).randbytes(50_000),
        "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        "all_zero.mp4": whole[: whole.index(b"mdat") + 4]
        + bytes(whole.index(b"moov") - whole.index(b"mdat") - 8)
        + whole[whole.index(b"moov") - 4 :],
    }


def test_what_is_no_video_is_a_decode_error_in_one_line(made, tmp_path):
    for name, data in bad_files(made, tmp_path).items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(MediaError) as caught:
            attempt(path)
        message = str(caught.value)
        assert type(caught.value) is MediaError and caught.value.status == "decode_error"
        assert name in message and "\n" not in message and len(message) > len(str(path)) + 5


def test_folders_and_sound_are_no_video(tmp_path):
    import av

    with pytest.raises(MediaError, match="is a folder"):
        probe(Video(str(tmp_path)))
    with pytest.raises(MediaError, match="no pictures"):
        probe(Video("x", frames_dir=str(tmp_path), fps=1.0))
    with pytest.raises(MediaError, match="needs a rate"):
        probe(Video("x", frames_dir=str(tmp_path)))
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=44100)
        stream.layout = "mono"
        for k in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, k * 1024
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with pytest.raises(MediaError, match="no video stream"):
        probe(Video(str(path)))


def test_a_clip_past_the_end_says_both_times(made):
    path = str(made("h264_2s.mp4"))
    with pytest.raises(MediaError, match=r"12\.000-15\.000 s is not in the video, which is 10\.000 s long"):
        probe(Video(path, start=12, end=15))
    with pytest.raises(MediaError, match="is not in the video"):
        probe(Video(path, start=5, end=4))


def test_a_damaged_picture_of_a_folder_is_repeated(tmp_path, draw):
    import av

    for index in range(4):
        av.VideoFrame.from_ndarray(draw(index), format="rgb24").save(str(tmp_path / f"{index}.png"))
    (tmp_path / "2.png").write_bytes(b"broken")
    video = Video(str(tmp_path), frames_dir=str(tmp_path), fps=1.0)
    frames = decode(video, probe(video), range(4), (64, 64), 2)
    assert frames.repeated == 1 and np.array_equal(frames.pixels[2], frames.pixels[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["one_gop.mp4", "faststart.mp4", "vp9.webm", "h264.ts", "mpeg4.avi", "loop.gif"]
)
def test_fuzzed_files_give_frames_or_a_media_error(made, tmp_path, name):
    data = made(name).read_bytes()
    path = tmp_path / name
    ends = {"frames": 0, "error": 0}
    for seed in range(40):
        dice, damaged = random.Random(seed), bytearray(data)
        # Half of the damage goes where the tables are: the head and the tail of a file.
        for _ in range(dice.choice((1, 8, 60))):
            edge = dice.choice(
                ((0, len(data)), (0, min(6000, len(data))), (max(0, len(data) - 6000), len(data)))
            )
            damaged[dice.randrange(*edge)] = dice.randrange(256)
        if dice.random() < 0.3:
            del damaged[dice.randrange(1, len(damaged)) :]
        path.write_bytes(damaged)
        try:
            frames = attempt(path, 4, 32)
            assert frames.pixels.shape[1:] == (32, 32, 3) and len(frames.times) == len(frames.pixels)
            ends["frames"] += 1
        except MediaError as error:
            assert "\n" not in str(error) and name in str(error)
            ends["error"] += 1
    assert all(ends.values()), ends
