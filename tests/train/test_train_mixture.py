"""Draws as a pure function, weights and passes kept exactly; manifests whose files the harness's media code reads."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangaroo_eval.errors import DataError, MediaError, UserError
from kangaroo_eval.media import FrameSpec, Job, decode_ahead, probe
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.recipes import RECIPES
from kangaroo_eval.miniworld.render import frames as painted
from kangaroo_eval.miniworld.render import write_video
from kangaroo_eval.miniworld.stills import Still, write_still
from kangaroo_eval.train import mixture as module
from kangaroo_eval.train.frame_budget import FrameBudget
from kangaroo_eval.train.mixture import ManifestSource, Mixture, Timed, Weighted, _permuted
from kangaroo_eval.train.rows import Row
from kangaroo_eval.types import Video

MESSAGES = [{"role": "user", "content": "What moves?"}, {"role": "assistant", "content": "A circle."}]


class Numbered:
    """A source of text rows that never reads anything."""

    def __init__(self, name: str, size: int) -> None:
        self.name, self.identity, self._size = name, f"{name}/{size}", size

    def __len__(self):
        return self._size

    def row(self, index, seed):
        return Row(id=str(index), messages=())

    def frames(self, row, times, side):
        raise AssertionError("text has no frames")


def mixture(*parts, **changes):
    sources = tuple(
        Weighted(Numbered(f"s{place}", size), weight) for place, (size, weight) in enumerate(parts)
    )
    return Mixture(sources=sources, **changes)


def test_every_window_has_each_weights_share():
    mixed = mixture((7, 1), (50, 2), (1000, 5), window=80)
    for start in (0, 80, 8000):
        drawn = Counter(mixed.draw(0, i).source for i in range(start, start + 80))
        assert drawn == {0: 10, 1: 20, 2: 50}


def test_shares_that_do_not_come_out_even_are_rounded_by_the_largest_remainder():
    assert mixture((3, 1), (3, 1), (3, 1), window=10).quotas in {(4, 3, 3), (3, 4, 3), (3, 3, 4)}
    assert mixture((3, 0.26), (3, 0.74), window=10).quotas == (3, 7)


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    seed=st.integers(0, 9),
    epoch=st.integers(0, 3),
)
def test_every_row_is_drawn_once_before_any_is_drawn_again(sizes, seed, epoch):
    mixed = mixture(*[(size, place + 1.0) for place, size in enumerate(sizes)], seed=seed, window=12)
    seen = [[] for _ in sizes]
    for i in range(400):
        draw = mixed.draw(epoch, i)
        seen[draw.source].append(draw.row)
    for size, rows in zip(sizes, seen, strict=True):
        assert len(rows) >= size
        for start in range(0, len(rows) - size + 1, size):
            assert sorted(rows[start : start + size]) == list(range(size))


def test_draws_are_a_pure_function_and_every_pass_epoch_and_seed_has_its_own_order():
    def order(mixed, epoch, start):
        return [mixed.draw(epoch, i).row for i in range(start, start + 100)]

    mixed = mixture((100, 1))
    orders = [
        order(mixed, 0, 0),
        order(mixed, 0, 100),
        order(mixed, 1, 0),
        order(mixture((100, 1), seed=1), 0, 0),
    ]
    assert len({tuple(each) for each in orders}) == 4
    assert all(sorted(each) == list(range(100)) and each != sorted(each) for each in orders)
    backwards = [mixture((100, 1)).draw(0, i) for i in reversed(range(300))]
    assert backwards[::-1] == [mixed.draw(0, i) for i in range(300)]
    assert len({draw.seed for draw in backwards}) == 300, "no two draws have the same seed"


def test_every_window_has_its_own_order_of_sources():
    mixed = mixture((7, 1), (7, 1), window=20)
    assert len({tuple(mixed.draw(0, 20 * w + i).source for i in range(20)) for w in range(5)}) == 5


@given(st.integers(1, 300), st.text(max_size=3))
def test_the_permutation_is_one(size, seed):
    assert sorted(_permuted(place, size, seed) for place in range(size)) == list(range(size))


def test_the_permutation_of_a_huge_source_needs_no_memory_and_stays_inside():
    size = 300_000_000
    found = [_permuted(place, size, "x") for place in range(1000)]
    assert len(set(found)) == 1000 and 0 <= min(found) < size // 50 and size - size // 50 < max(found) < size


def test_identity_follows_rows_weights_and_seed():
    base = mixture((3, 1), (4, 2))
    others = [mixture((3, 1), (5, 2)), mixture((3, 1), (4, 3)), mixture((3, 1), (4, 2), seed=1)]
    assert base.identity == mixture((3, 1), (4, 2)).identity
    assert len({base.identity, *(each.identity for each in others)}) == 4


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], "at least one source"),
        ([(0, 1)], "'s0' has no rows"),
        ([(3, 0)], "weight 0 must be above 0"),
        ([(3, float("nan"))], "must be above 0"),
        ([(3, 1), (3, 10_000)], "'s0': its weight 1 is less than one draw of 1024"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(parts, said):
    with pytest.raises(UserError, match=said):
        mixture(*parts)


def test_sources_of_one_name_are_refused():
    with pytest.raises(UserError, match="different names"):
        Mixture(sources=(Weighted(Numbered("a", 1)), Weighted(Numbered("a", 2))))


def test_no_draw_before_the_first():
    with pytest.raises(ValueError, match="draw -1"):
        mixture((3, 1)).draw(0, -1)


WORLD = make_world("train/mixture", replace(RECIPES["objects"], seconds=6.0, events=2, scenes=1))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    write_video(WORLD, folder / "v.mp4")
    write_still(Still(WORLD, 2.0), folder / "p.png")
    (folder / "bad.mp4").write_bytes(b"no video" * 100)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    for file in made.iterdir():
        shutil.copy2(file, tmp_path)
    return tmp_path


def manifest(folder, *rows):
    path = folder / "m.jsonl"
    path.write_text(
        "\n".join(json.dumps({"id": str(n), "messages": MESSAGES, **row}) for n, row in enumerate(rows))
    )
    return path


@pytest.mark.parametrize("clip", [{}, {"start": 1.3, "end": 4.1}, {"start": 2.0}, {"end": 0.01}])
@pytest.mark.parametrize("n", [1, 4, 16])
def test_a_video_is_seen_as_the_harness_sees_it(folder, clip, n):
    source = ManifestSource("m", manifest(folder, {"video": "v.mp4", **clip}))
    row = source.row(0, 0)
    video = Video(str(folder / "v.mp4"), **clip)
    info = probe(video)
    assert (row.total, row.seconds) == (info.total, pytest.approx(info.duration))
    n = min(n, info.total)
    (expected,) = decode_ahead([Job(video, FrameSpec(frames=n, size=64))], workers=0)
    times = FrameBudget().times(row.seconds, n, row.begin)
    assert isinstance(source, Timed)
    assert source.shown(row, times) == expected.frames.times
    pixels = source.frames(row, times, 64)
    assert pixels.dtype == np.uint8 and np.array_equal(pixels, expected.frames.pixels)


def test_a_frame_on_screen_at_several_times_comes_several_times(folder):
    source = ManifestSource("m", manifest(folder, {"video": "v.mp4"}))
    row = source.row(0, 0)
    pixels = source.frames(row, (1.0, 1.01, 1.3), 32)
    assert source.shown(row, (1.0, 1.01, 1.3)) == (1.0, 1.0, 1.25)
    assert source.shown(row, (1.25 - 1e-12,)) == (1.25,), "floating point"
    assert np.array_equal(pixels[0], pixels[1]) and pixels.shape == (3, 32, 32, 3)


def test_a_picture_comes_as_it_is(folder):
    source = ManifestSource("m", manifest(folder, {"image": "p.png"}))
    row = source.row(0, 0)
    pixels = source.frames(row, (7.5,), 128)
    assert np.array_equal(pixels, painted(WORLD, [2.0]))
    assert source.shown(row, (7.5,)) == (7.5,)
    assert source.frames(row, (7.5,), 32).shape == (1, 32, 32, 3)


def test_a_file_that_is_no_picture(folder):
    source = ManifestSource("m", manifest(folder, {"image": "bad.mp4"}))
    with pytest.raises(MediaError, match=r"bad\.mp4: not a picture"):
        source.frames(source.row(0, 0), (0.0,), 32)


def test_durations_are_probed_once_and_kept(folder, monkeypatch, tmp_path):
    path = manifest(
        folder, {"video": "v.mp4"}, {"video": "v.mp4", "start": 1}, {"video": "v.mp4", "duration": 6}
    )
    probed = []
    real = probe
    monkeypatch.setattr("kangaroo_eval.media.info.probe", lambda video: probed.append(video) or real(video))
    first = ManifestSource("m", path)
    assert len(probed) == 2, "the row with a duration needs no probing"
    assert (folder / "m.jsonl.durations.json").is_file()
    again = ManifestSource("m", path)
    assert len(probed) == 2
    rows = [[source.row(n, 0) for n in range(3)] for source in (first, again)]
    assert rows[0] == rows[1] and first.identity == again.identity
    assert [row.seconds for row in rows[0]] == [6.0, 5.0, 6.0]

    write_video(
        make_world("x", replace(RECIPES["objects"], seconds=5.0, events=2, scenes=1)), folder / "v.mp4"
    )
    changed = ManifestSource("m", path)
    assert len(probed) == 4 and changed.row(0, 0).seconds == 5.0
    assert changed.identity != first.identity
    os.utime(folder / "v.mp4", (1, 1))
    ManifestSource("m", path)
    assert len(probed) == 6, "a file of the same size that was written at another time"


@pytest.mark.parametrize("broken", ["", "[]", "{", '{"x": [1, 2]}', '{"x": null}'])
def test_a_broken_cache_is_made_again(folder, broken):
    path = manifest(folder, {"video": "v.mp4"})
    cache = folder / "cache"
    before = ManifestSource("m", path, cache=cache).row(0, 0)
    (file,) = cache.iterdir()
    good = file.read_text()
    file.write_text(broken)
    assert ManifestSource("m", path, cache=cache).row(0, 0) == before
    assert file.read_text() == good


def test_a_cache_that_cannot_be_written_is_told_of_and_done_without(folder, caplog):
    (folder / "taken").touch()
    with caplog.at_level(logging.WARNING):
        source = ManifestSource("m", manifest(folder, {"video": "v.mp4"}), cache=folder / "taken")
    assert source.row(0, 0).seconds == 6.0
    assert "will be probed again" in caplog.text


def test_a_video_that_cannot_be_probed(folder, caplog):
    path = manifest(folder, {"video": "v.mp4"}, {"video": "bad.mp4"}, {"video": "v.mp4", "start": 99})
    with pytest.raises(
        DataError, match=r"m\.jsonl: 2 of 3 rows .*row 1 \(id '1'\): .*bad\.mp4.*row 2 .*not in the video"
    ):
        ManifestSource("m", path)
    with caplog.at_level(logging.WARNING):
        source = ManifestSource("m", path, bad="skip")
    assert len(source) == 1 and "left out" in caplog.text


def test_a_manifest_that_promises_a_longer_video(folder):
    source = ManifestSource(
        "m", manifest(folder, {"video": "v.mp4", "duration": 60}, {"video": "v.mp4", "duration": 6.9})
    )
    with pytest.raises(MediaError, match=r"clip ends at 60\.00 s, the video at 6\.00 s"):
        source.frames(source.row(0, 0), (59.0,), 32)
    assert source.shown(source.row(1, 0), (6.8,)) == (5.875,), "a rounded duration ends with the last frame"


def test_identity_stays_where_data_is_moved(folder, tmp_path_factory):
    path = manifest(folder, {"video": "v.mp4"}, {"image": "p.png"})
    moved = tmp_path_factory.mktemp("moved") / "data"
    shutil.copytree(folder, moved)
    one = ManifestSource("m", path).identity
    assert ManifestSource("m", moved / "m.jsonl").identity == one
    assert ManifestSource("m", manifest(moved, {"video": "v.mp4"})).identity != one
    begun = {"messages": [MESSAGES[0], {**MESSAGES[1], "prefill": "It is"}]}
    assert (
        ManifestSource("m", manifest(moved, {"video": "v.mp4", **begun}, {"image": "p.png"})).identity != one
    )


def test_the_probed_clip_is_opened_once_for_times_and_pixels(folder, monkeypatch):
    source = ManifestSource("m", manifest(folder, {"video": "v.mp4"}))
    probed = []
    real = probe
    module._info.cache_clear()
    monkeypatch.setattr("kangaroo_eval.media.info.probe", lambda video: probed.append(video) or real(video))
    row = source.row(0, 0)
    source.shown(row, (1.0,))
    source.frames(row, (1.0,), 32)
    assert len(probed) == 1
