"""Frame counts and times: the paper's bounds, even numbers, no more than the file has, one answer a seed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangaroo_eval.errors import UserError
from kangaroo_eval.media.sampling import uniform
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.train.frame_budget import FrameBudget

INSTRUCTION = FrameBudget()
LONG = FrameBudget(least=64, most=160)


@pytest.mark.parametrize(
    ("seconds", "instruction", "long"),
    [
        *[(0.5, 16, 64), (16, 16, 64), (16.1, 18, 64), (17, 18, 64), (31, 32, 64), (32.0000000001, 32, 64)],
        *[(63.2, 64, 64), (64, 64, 64), (64.5, 64, 66), (100, 64, 100), (159, 64, 160), (7200, 64, 160)],
    ],
)
def test_frames_grow_with_the_video_within_the_bounds_of_the_stage(seconds, instruction, long):
    assert INSTRUCTION.frames(seconds) == instruction
    assert LONG.frames(seconds) == long


def test_a_picture_is_one_frame():
    assert INSTRUCTION.frames(None) == 1 == LONG.frames(None)


@pytest.mark.parametrize(
    ("total", "frames"), [(1, 1), (2, 2), (3, 2), (15, 14), (16, 16), (17, 16), (900, 16)]
)
def test_no_more_frames_than_the_file_has(total, frames):
    assert INSTRUCTION.frames(10, total=total) == frames


@given(
    seconds=st.floats(0.01, 1e5),
    least=st.sampled_from([1, 2, 8, 16, 64]),
    more=st.integers(0, 60),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    total=st.none() | st.integers(1, 400),
    seed=st.integers(0, 99),
)
def test_counts_are_even_bounded_and_the_same_for_the_same_seed(seconds, least, more, share, total, seed):
    budget = FrameBudget(least=least, most=max(least, 2 * more), short_share=share)
    found = budget.frames(seconds, Dice(str(seed)), total)
    assert found == 1 or found % 2 == 0
    assert found <= budget.most and (total is None or found <= total)
    if total is None:
        assert found >= min(least, budget.most)
        assert found <= budget.frames(seconds) if not share else True
    assert found == budget.frames(seconds, Dice(str(seed)), total)


def test_a_short_share_of_the_draws_sees_fewer_frames():
    budget = FrameBudget(short_share=0.25)
    counts = [budget.frames(60, Dice(f"draw/{number}")) for number in range(2000)]
    fewer = [count for count in counts if count < 60]
    assert 0.2 < len(fewer) / len(counts) < 0.3
    assert min(fewer) == 16 and max(fewer) == 58 and len(set(fewer)) == 22
    assert {FrameBudget(short_share=1).frames(60, Dice(str(number))) for number in range(300)} == {
        *range(16, 60, 2)
    }


def test_a_short_share_needs_dice():
    with pytest.raises(ValueError, match="needs dice"):
        FrameBudget(short_share=0.5).frames(60)


@given(total=st.integers(1, 3000), n=st.integers(1, 160), fps=st.sampled_from([1, 4, 8, 25, 30]))
def test_times_show_the_frames_of_the_uniform_sampler(total, n, fps):
    if n > total:
        return
    times = INSTRUCTION.times(total / fps, n)
    assert tuple(math.floor(time * fps + 1e-6) for time in times) == uniform(total, n)


def test_times_are_segment_centres_from_the_start_of_the_clip():
    assert INSTRUCTION.times(8, 4, start=10) == (11, 13, 15, 17)


def test_a_picture_has_a_random_time_within_the_span():
    budget = FrameBudget(image_span=30)
    times = [budget.image_time(Dice(str(number))) for number in range(200)]
    assert 0 <= min(times) < 3 and 27 < max(times) <= 30
    assert times == [budget.image_time(Dice(str(number))) for number in range(200)]
    assert FrameBudget(image_span=0).image_time(Dice("x")) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        *[
            {"fps": 0},
            {"fps": math.nan},
            {"least": 0},
            {"least": 32, "most": 16},
            {"least": 15},
            {"most": 63},
        ],
        *[{"short_share": 1.5}, {"short_share": math.nan}, {"image_span": -1}, {"image_span": math.inf}],
    ],
)
def test_a_budget_that_cannot_be_is_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        FrameBudget(**wrong)


@pytest.mark.parametrize(
    ("seconds", "total"), [(0, None), (-1, None), (math.nan, None), (math.inf, None), (5, 0)]
)
def test_a_video_without_length_is_refused(seconds, total):
    with pytest.raises(ValueError, match="no frames of a video"):
        INSTRUCTION.frames(seconds, total=total)


def test_no_times_of_no_frames():
    with pytest.raises(ValueError, match="cannot place 0 frames"):
        INSTRUCTION.times(8, 0)
