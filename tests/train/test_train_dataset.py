"""Micro-batches as a pure function of their number: for any number of workers and ranks, from any start."""

from __future__ import annotations

import json
import logging
import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from kangaroo_eval.errors import DataError, MediaError, UserError
from kangaroo_eval.media import FrameSpec, Job, decode_ahead
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.recipes import RECIPES
from kangaroo_eval.miniworld.render import write_video
from kangaroo_eval.miniworld.stills import Still, write_still
from kangaroo_eval.model.config import kangaroo_tiny
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.train.batch import IGNORED
from kangaroo_eval.train.dataset import Batching, PackedData, loader, skipped
from kangaroo_eval.train.encode import encode
from kangaroo_eval.train.frame_budget import FrameBudget
from kangaroo_eval.train.mixture import ManifestSource, Mixture, Weighted
from kangaroo_eval.train.rows import Message, Row
from kangaroo_eval.types import Video

BUDGET = FrameBudget(least=2, most=8)


class Painted:
    """A source without files: each frame is one colour, which says which row and time it is of. Row 3k is text, row
    3k + 1 a picture, row 3k + 2 a video; `broken` rows do not decode."""

    def __init__(self, size=30, broken=(), words=3) -> None:
        self.name, self.identity = "painted", f"painted/{size}/{words}"
        self._size, self._broken, self._words = size, broken, words

    def __len__(self):
        return self._size

    def row(self, index, seed):
        dice = Dice(f"words/{index}/{seed}")
        question = "what moves? " * (1 + index % self._words)
        return Row(
            id=str(index),
            messages=(Message("user", question), Message("assistant", dice.pick(("red", "blue")))),
            video=None if index % 3 == 0 else Path(f"row/{index}"),
            image=index % 3 == 1,
            duration=None if index % 3 < 2 else 2.0 + index % 7,
        )

    def frames(self, row, times, side):
        if int(row.id) in self._broken:
            raise MediaError(f"{row.video}: damaged")
        shades = [(10 * int(row.id) + int(10 * time)) % 256 for time in times]
        return np.stack([np.full((side, side, 3), shade, np.uint8) for shade in shades])


class Videos(Painted):
    """Videos of eight frames alone."""

    def row(self, index, seed):
        return replace(super().row(index, seed), video=Path("x"), image=False, duration=8.0)


@pytest.fixture(scope="module")
def processor():
    return KangarooProcessor.for_config(load_tiny_tokenizer(), kangaroo_tiny())


@pytest.fixture
def make(processor):
    def make(source=None, rank=0, ranks=1, budget=BUDGET, **batching):
        options = {"tokens": 256, "max_frames": 16, "window": 30, **batching}
        mixed = Mixture(sources=(Weighted(source or Painted()),), window=8)
        return PackedData(mixed, processor, budget, Batching(**options), rank, ranks)

    return make


def content(pack):
    return pickle.dumps(
        [
            *[
                pack.input_ids.tolist(),
                pack.targets.tolist(),
                pack.positions.tolist(),
                pack.lengths,
                pack.names,
            ],
            *[
                None if pack.pixels is None else pack.pixels.numpy().tobytes(),
                pack.times.tolist(),
                pack.counts,
            ],
            pack.padding,
        ]
    )


def drawn(data, count):
    """The names of the first `count` draws."""
    return [f"painted:{data.mixture.draw(0, i).row}" for i in range(count)]


@pytest.mark.parametrize("options", [{}, {"packing": False, "micro_batch": 3}])
def test_a_micro_batch_depends_on_its_number_alone(make, options):
    forward = [content(make(**options)[i]) for i in range(12)]
    data = make(**options)
    assert [content(data[i]) for i in reversed(range(12))] == forward[::-1]
    assert len(set(forward)) == 12


def test_a_window_of_packs_holds_each_of_its_draws_once(make):
    data = make()
    data.planned(1000)
    first, second, third = data.window_starts[:3]
    for number, (start, stop) in enumerate(((first, second), (second, third))):
        names = [name for i in range(start, stop) for name in data[i].names]
        assert sorted(names) == sorted(drawn(data, 60)[30 * number : 30 * number + 30])
        assert stop - start < 30, "documents share packs"


def test_every_window_is_packed_in_its_own_order(make):
    data = make(Videos())
    data.planned(1000)
    orders = []
    for window in range(4):
        place = {data.mixture.draw(0, i).seed: i % 30 for i in range(30 * window, 30 * window + 30)}
        packs = range(*data.window_starts[window : window + 2])
        orders.append(tuple(place[each.draw.seed] for i in packs for each in data.planned(i)))
    assert len(set(orders)) == 4 and all(sorted(each) == list(range(30)) for each in orders)
    assert make(Videos(), seed=1).planned(0) != data.planned(0), "and every seed"


def test_packs_keep_their_caps_and_positions_begin_anew(make):
    data = make()
    for i in range(20):
        pack = data[i]
        assert len(pack.input_ids) <= 256 and sum(pack.counts) <= 16
        assert pack.positions.tolist() == [place for length in pack.lengths for place in range(length)]


def test_without_packing_documents_stand_in_the_order_of_the_draws(make):
    data = make(packing=False, micro_batch=4)
    names = [name for i in range(5) for name in data[i].names]
    assert names == drawn(data, 20)
    assert data.window_starts == (0,), "nothing is planned"


@pytest.mark.parametrize("options", [{}, {"packing": False, "micro_batch": 2}])
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_documents_between_them(make, ranks, options):
    shares = [make(rank=rank, ranks=ranks, **options) for rank in range(ranks)]
    steps = 60 // 2 // ranks
    if not options:
        for data in shares:
            data.planned(200)
        assert len({data.window_starts for data in shares}) == 1, (
            "as many on each, without a word between them"
        )
        steps = shares[0].window_starts[2]
    names = [name for i in range(steps) for data in shares for name in data[i].names]
    assert sorted(names) == sorted(drawn(shares[0], 60))


def test_ranks_without_packing_make_up_the_batches_of_one(make):
    one = make(packing=False, micro_batch=4)
    two = [make(packing=False, micro_batch=2, rank=rank, ranks=2) for rank in range(2)]
    for i in range(4):
        assert one[i].names == two[0][i].names + two[1][i].names


def test_where_packs_do_not_come_out_even_a_rank_gets_a_blank_one(make):
    # One video fills a pack, so that there is nothing to split, and 30 packs are no multiple of 4.
    data = [make(Videos(), rank=rank, ranks=4, max_frames=8, budget=BUDGET) for rank in range(4)]
    packs = [data[rank][i] for i in range(8) for rank in range(4)]
    names = [name for pack in packs for name in pack.names]
    assert names[30:] == ["", ""] and sorted(names[:30]) == sorted(drawn(data[0], 30))
    assert [pack.labelled > 0 for pack in packs] == [True] * 30 + [False] * 2
    assert packs[-1].pixels is None and packs[-1].lengths == (1,)


def test_documents_are_the_encoded_rows_with_their_frames_and_times(make, processor):
    data = make(packing=False)
    kinds = set()
    for i in range(12):
        pack = data[i]
        draw = data.mixture.draw(0, i)
        row = data.mixture.sources[0].source.row(draw.row, draw.seed)
        frames = 0 if row.video is None else 1 if row.image else BUDGET.frames(row.seconds)
        ids, labels, _ = encode(row, processor, frames)
        assert pack.input_ids.tolist() == list(ids)
        assert pack.targets.tolist() == [*labels[1:], IGNORED]
        if row.video is None:
            kinds.add("text")
            assert pack.pixels is None and pack.counts == ()
            continue
        assert pack.counts == (frames,)
        times = tuple(pack.times.tolist())
        kinds.add("picture" if row.image else "video")
        if not row.image:
            assert times == BUDGET.times(row.seconds, frames)
        shades = [(10 * draw.row + int(10 * time)) % 256 for time in times]
        assert pack.pixels.shape == (frames, 3, 64, 64) and pack.pixels[:, 0, 0, 0].tolist() == shades
    assert kinds == {"text", "picture", "video"}


def test_a_picture_is_shown_at_another_time_each_time(make):
    data = make(packing=False)
    times = {}
    for i in range(90):
        pack = data[i]
        if int(pack.names[0].split(":")[1]) % 3 == 1:
            times.setdefault(pack.names[0], set()).add(pack.times.item())
    assert len(times) == 10 and all(len(each) == 3 for each in times.values())


def test_fill_gives_every_pack_one_shape(make):
    data = make(fill=True)
    for i in range(6):
        pack = data[i]
        assert len(pack.input_ids) == sum(pack.lengths) == 256
        assert pack.padding == 256 - sum(pack.lengths[: len(pack.names)])
        assert pack.labelled == make()[i].labelled > 0


def test_a_padded_batch_has_the_same_targets_and_costs_more(make):
    plain, padded = make(packing=False, micro_batch=4)[0], make(packing=False, micro_batch=4, padded=True)[0]
    longest = max(plain.lengths)
    assert padded.lengths == (longest,) * 4
    assert padded.labelled == plain.labelled and padded.tokens == plain.tokens == sum(plain.lengths)
    for place, (ids, length) in enumerate(
        zip(plain.input_ids.split(plain.lengths), plain.lengths, strict=True)
    ):
        row = padded.input_ids[place * longest : (place + 1) * longest]
        assert torch.equal(row[:length], ids)
        assert set(padded.targets[place * longest + length : (place + 1) * longest].tolist()) <= {IGNORED}


def test_a_run_goes_on_where_it_stopped(make):
    whole = [content(pack) for pack in loader(make(), 0, 30)]
    assert [content(pack) for pack in loader(make(), 17, 30)] == whole[17:]
    assert list(loader(make(), 5, 5)) == []


def test_known_starts_of_windows_save_planning_and_change_nothing(make, monkeypatch):
    before = make()
    expected = content(before[60])
    after = make()
    after.remember(before.window_starts)
    planned = []
    real = PackedData._plan
    monkeypatch.setattr(PackedData, "_plan", lambda self, place: planned.append(place) or real(self, place))
    assert content(after[60]) == expected
    assert len(planned) == 30, "one window, not all before it"
    with pytest.raises(ValueError, match="begin with 0"):
        after.remember([3, 4])
    with pytest.raises(ValueError, match="and grow"):
        after.remember([0, 4, 4])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two videos, a picture and text, with a manifest; a file that does not decode in `bad.jsonl`."""
    folder = tmp_path_factory.mktemp("data")
    recipe = replace(RECIPES["objects"], seconds=6.0, events=2, scenes=1)
    for name in ("one", "two"):
        write_video(make_world(f"train/{name}", recipe), folder / f"{name}.mp4")
    write_still(Still(make_world("train/one", recipe), 1.0), folder / "p.png")
    (folder / "broken.mp4").write_bytes((folder / "one.mp4").read_bytes()[:2000])
    messages = [{"role": "user", "content": "What moves?"}, {"role": "assistant", "content": "A circle."}]
    rows = [{"video": "one.mp4"}, {"video": "two.mp4", "start": 1, "end": 5}, {"image": "p.png"}, {}]
    for name, extra in (("good", []), ("bad", [{"video": "broken.mp4", "duration": 6}])):
        lines = [
            json.dumps({"id": str(n), "messages": messages, **row}) for n, row in enumerate(rows + extra)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder


def from_files(folder, processor, name="good", budget=BUDGET, **batching):
    source = ManifestSource(name, folder / f"{name}.jsonl")
    mixed = Mixture(sources=(Weighted(source),), window=4)
    return PackedData(mixed, processor, budget, Batching(tokens=512, max_frames=16, window=10, **batching))


def test_files_are_seen_as_the_harness_sees_them(folder, processor):
    # Ten frames of 4 or 6 s at 8 a second: no segment's centre is a frame's own time.
    data = from_files(folder, processor, budget=FrameBudget(least=10, most=10), packing=False)
    packs = {pack.names[0]: pack for pack in (data[i] for i in range(4))}
    for name, video in (
        ("good:0", Video(str(folder / "one.mp4"))),
        ("good:1", Video(str(folder / "two.mp4"), start=1, end=5)),
    ):
        (seen,) = decode_ahead([Job(video, FrameSpec(frames=10, size=64))], workers=0)
        assert tuple(packs[name].times.tolist()) == seen.frames.times
        assert torch.equal(packs[name].pixels, processor.pixels(seen.frames.pixels))
    assert packs["good:2"].counts == (1,) and packs["good:3"].pixels is None


def test_workers_give_the_packs_of_this_process_in_its_order(folder, processor):
    packs = [content(pack) for pack in loader(from_files(folder, processor), 3, 15)]
    for workers in (1, 2):
        state = torch.get_rng_state()
        stream = loader(from_files(folder, processor), 3, 15, workers)
        assert [content(pack) for pack in stream] == packs
        assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers are left alone"


def test_closing_an_endless_stream_ends_its_workers(folder, processor):
    stream = loader(from_files(folder, processor), workers=1)
    next(stream)
    assert multiprocessing.active_children()
    stream.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_does_not_decode_ends_the_run_with_its_name(folder, processor, workers):
    data = from_files(folder, processor, "bad")
    with pytest.raises(DataError, match=r"^bad:4: .*broken\.mp4: .*--on-bad skip\)$") as told:
        list(loader(data, 0, 20, workers))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_or_its_document_is_kept_blank_and_told_of(folder, processor, workers, caplog):
    with caplog.at_level(logging.WARNING):
        packs = list(loader(from_files(folder, processor, "bad", bad="skip"), 0, 6, workers))
    names = [name for pack in packs for name in skipped(pack)]
    assert names and all(name.startswith("bad:4 [skipped: ") for name in names)
    assert caplog.text.count("goes on without bad:4 [skipped: ") == len(names)
    for pack in packs:
        for place, name in enumerate(pack.names):
            start = sum(pack.lengths[:place])
            targets = pack.targets[start : start + pack.lengths[place]]
            assert (int((targets != IGNORED).sum()) == 0) == (name in names)


def test_a_blank_document_has_the_size_that_was_planned(make):
    good, bad = make(packing=False), make(Painted(broken=range(2, 30, 3)), packing=False, bad="skip")
    blank = 0
    for i in range(12):
        left, right = good[i], bad[i]
        assert left.lengths == right.lengths and left.counts == right.counts
        if skipped(right):
            blank += 1
            assert not right.pixels.any() and right.labelled == 0
    assert blank


def test_a_document_that_is_too_long_is_named_or_left_out(make):
    source = Painted(words=30)
    with pytest.raises(UserError, match=r"^painted:\d+: \d+ tokens and \d+ frames are more than 120 tokens"):
        make(source, tokens=120)[0]
    data = make(source, tokens=120, bad="skip")
    data.planned(100)
    packs = [data[i] for i in range(data.window_starts[1])]
    long = [name for pack in packs for name in skipped(pack)]
    kept = [name for pack in packs for name in pack.names if name not in long]
    assert long and all("are more than 120 tokens" in name for name in long)
    assert sorted([*kept, *(name.split(" [")[0] for name in long)]) == sorted(drawn(data, 30))


def test_no_more_frames_than_the_file_has(make):
    class Few(Videos):
        def row(self, index, seed):
            return replace(super().row(index, seed), total=5)

    assert make(Few(), packing=False)[0].counts == (4,)


def test_a_video_of_unknown_length_is_named(make):
    class Endless(Videos):
        def row(self, index, seed):
            return replace(super().row(index, seed), duration=None)

    with pytest.raises(DataError, match=r"painted:\d+: how long its video is, is not known"):
        make(Endless())[0]


def test_identity_follows_all_that_decides_the_packs(make, processor):
    base = make().identity
    assert make().identity == base
    others = [
        *[
            make(Painted(31)),
            make(tokens=300),
            make(window=31),
            make(seed=1),
            make(ranks=2),
            make(packing=False),
        ],
        make(budget=FrameBudget(least=2, most=6)),
    ]
    assert len({base, *(each.identity for each in others)}) == len(others) + 1
    assert make(rank=1, ranks=2).identity == make(rank=0, ranks=2).identity


def test_stats_of_a_window(make):
    stats = make().stats()
    assert stats.documents == 30 and stats.ratio == 30 / stats.packs > 1 and 0 < stats.wasted < 0.5
    with pytest.raises(ValueError, match="without packing"):
        make(packing=False).stats()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tokens": 0}, "at least 1"),
        ({"micro_batch": 2}, "micro_batch 2 counts documents without packing"),
        ({"padded": True}, "one of packing and padded"),
        ({"fill": True, "packing": False}, "fill pads packs"),
        ({"max_frames": 4}, "a video may have 8 frames, a pack only 4"),
        ({"rank": 2, "ranks": 2}, "rank 2 of 2"),
        ({"ranks": 31}, "rank 0 of 31"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, options, said):
    with pytest.raises(UserError, match=said):
        make(**options)


def test_micro_batches_begin_at_0(make):
    with pytest.raises(IndexError):
        make()[-1]
    with pytest.raises(UserError, match="both must be 0 or more"):
        next(loader(make(), -1))
