"""What holds for every mini benchmark: its files, its speed and size, and that the same seed gives the same."""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from kangaroo_eval import miniworld
from kangaroo_eval.miniworld.build import is_complete
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.recipes import SHORT
from kangaroo_eval.miniworld.render import FPS, SIDE, picture, write_video
from kangaroo_eval.miniworld.stills import Still, write_still

NAMES = list(miniworld.MINI)
CODECS = {".mp4": "h264", ".webm": "vp8", ".avi": "mpeg4"}
# The hash of every text, and of some pictures of every video and still. If one changes on purpose, raise
# miniworld.VERSION. The texts and videos of videomme, and the first seven tasks of mlvu, are those of version 1.
GOLDEN = {
    "videomme": "3bb37a63cc2168b6673295295f2279d618719166078a62adf6c05fe688f71a72",
    "mlvu": "f8135d92b8231dc26fccccf2ea0d1db3ecebb109445245bd8d798103e00d5728",
    "mlvu_test": "f6bae7a4a35921fef7e6fa7f6ba3922276887a6fb74f4cf3bca03f82636faea1",
    "lvbench": "ea6369d2137a65d8654bf894d1c1db2aa63e3baf44d050d5449354d2380bf342",
    "longvideobench": "b01a78b0a31cac7d4dc93f7768aa7da08a6970e7482aab91b486b65c612a01d9",
    "egoschema": "54ec67a95451861a87694d63b80181bed21add18b6b9ed0ec9ede62b89d01af0",
    "mvbench": "dc108d8fb92dd9ef2a173866137aa18d6201411215c3775a36b521f1c7a40361",
    "tempcompass": "7213749f224aef50a8cfcbc9a216b20915b80b23762d16a19bc6a83eeedcf5ec",
    "seedbench": "532aa2e765b1475c7ce07025c52b0190527812164bd0f82e0b16120b08441685",
    "seedbench_v1": "2e477b05d8166da67c6f250df05095e6521ac6432eaab48ad085fcb9dd0f5b27",
    "mmbench_video": "99bcd1eef95daf88eb3128e380f38f5c935473f64c1a0b9f2b40ce4da72d3f39",
    "videovista": "155522c8e695212b9fbbee36be81771a4d6fdac18ce1da964f6cde66b58447e4",
}
PRINT_HASHES = """
import hashlib, importlib, json, sys
from kangaroo_eval import miniworld
from kangaroo_eval.miniworld.render import picture
def digest(plan):
    h = hashlib.sha256()
    for path in plan.paths:
        h.update(path.encode())
        if path in plan.texts and not path.endswith(".parquet"):
            h.update(plan.texts[path])
        elif path in plan.videos:
            world = plan.videos[path]
            h.update(repr(world.seconds).encode())
            for k in range(8):
                h.update(picture(world, (k + 0.3) * world.seconds / 8).tobytes())
        elif path in plan.pictures:
            h.update(picture(plan.pictures[path].world, plan.pictures[path].seconds).tobytes())
    return h.hexdigest()
print(json.dumps({n: digest(importlib.import_module(f"kangaroo_eval.miniworld.{n}").plan()) for n in miniworld.MINI}))
"""


def plan_of(name, *seed):
    module, _, function = miniworld.MINI[name].partition(":")
    return getattr(importlib.import_module(module), function)(*seed)


def test_same_plans_in_a_new_process_and_on_every_machine():
    for seed in ("1", "2"):
        out = subprocess.run(
            [sys.executable, "-c", PRINT_HASHES],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(p for p in sys.path if p)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert json.loads(out) == GOLDEN


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_videos_in_the_same_layout(name):
    one, other = plan_of(name), plan_of(name, "other")
    assert other == plan_of(name, "other")
    assert set(one.videos.values()) != set(other.videos.values()) or one.pictures != other.pictures
    assert {Path(p).suffix for p in one.paths} == {Path(p).suffix for p in other.paths}
    assert len(one.videos) == len(other.videos)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_those_of_the_plan_and_the_mark(minis, name):
    plan = plan_of(name)
    found = {str(p.relative_to(minis / name)) for p in (minis / name).rglob("*") if p.is_file()}
    assert found == {"mini.json", *plan.paths}
    assert is_complete(minis / name)
    mark = json.loads((minis / name / "mini.json").read_text())
    assert mark["miniworld"] == miniworld.VERSION == "2" and mark["seed"] == plan.seed
    assert plan.seed.startswith(f"mini/{name}/") and list(mark["files"]) == list(plan.paths)
    for path, content in plan.texts.items():
        assert (minis / name / path).read_bytes() == content


@pytest.mark.parametrize("name", NAMES)
def test_videos_play_and_are_as_long_as_their_worlds(minis, name):
    for path, world in plan_of(name).videos.items():
        with av.open(str(minis / name / path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == CODECS[Path(path).suffix]
            assert (stream.codec_context.width, stream.codec_context.height) == (SIDE, SIDE)
            assert stream.codec_context.pix_fmt == "yuv420p" and stream.average_rate == FPS
            frames = [packet for packet in container.demux(stream) if packet.size]
            assert len(frames) == round(world.seconds * FPS)
            container.seek(0)
            first = next(container.decode(stream)).to_ndarray(format="rgb24")
        assert np.abs(first.astype(int) - picture(world, 0.0)).mean() < 6, path


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_real_and_show_their_time(minis, name):
    for path, still in plan_of(name).pictures.items():
        head = (minis / name / path).read_bytes()[:11]
        assert head.startswith(b"\x89PNG\r\n\x1a\n") if path.endswith(".png") else head[6:] == b"JFIF\0"
        with av.open(str(minis / name / path)) as container:
            shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
        difference = np.abs(shown.astype(int) - picture(still.world, still.seconds))
        assert difference.max() == 0 if path.endswith(".png") else difference.mean() < 3


def test_all_together_are_small(minis):
    assert sum(path.stat().st_size for path in minis.rglob("*") if path.is_file()) < 20e6


@pytest.mark.parametrize("ending", CODECS)
def test_every_kind_of_video_has_the_same_bytes_each_time_and_shows_the_world(tmp_path, ending):
    world = make_world("kinds", SHORT["actions"])
    for name in ("a", "b"):
        write_video(world, tmp_path / f"{name}{ending}")
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()
    with av.open(str(tmp_path / f"a{ending}")) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == world.seconds * FPS
    for i in (0, 20, 50, 95):
        assert np.abs(shown[i].astype(int) - picture(world, i / FPS)).mean() < 6


def test_stills_have_the_same_bytes_each_time(tmp_path):
    world = make_world("stills", SHORT["space"])
    for ending in (".png", ".jpg"):
        digests = set()
        for name in ("a", "b"):
            write_still(Still(world, 2.0), tmp_path / f"{name}{ending}")
            digests.add(hashlib.sha256((tmp_path / f"{name}{ending}").read_bytes()).hexdigest())
        assert len(digests) == 1


def test_other_endings_are_refused(tmp_path):
    world = make_world("endings", SHORT["space"])
    with pytest.raises(ValueError, match=r"x\.gif: a video ends in \.mp4, \.webm, \.avi"):
        write_video(world, tmp_path / "x.gif")
    with pytest.raises(ValueError, match=r"x\.bmp: a picture ends in \.png or \.jpg"):
        write_still(Still(world, 0.0), tmp_path / "x.bmp")
    assert not list(tmp_path.iterdir())
