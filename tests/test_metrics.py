"""Accuracy, macro accuracy and errors clustered by video."""

from __future__ import annotations

import math
import random

import pytest

from kangaroo_eval.metrics import Point, estimate


def points(*rows):
    return [Point(value, cluster, group, readable) for value, cluster, group, readable in rows]


def test_an_empty_set_has_no_accuracy():
    with pytest.raises(ValueError, match="no samples"):
        estimate([], macro=False)


def test_samples_outside_the_denominator_are_left_out_but_counted_unreadable():
    found = estimate(points((1, "a", "", True), (None, "b", "", False), (0, "c", "", True)), macro=False)
    assert (found.value, found.n, found.unreadable) == (0.5, 2, 1)


def test_nothing_readable_is_no_value_rather_than_zero():
    found = estimate(points((None, "a", "", False)), macro=False)
    assert (found.value, found.stderr, found.n, found.unreadable) == (None, None, 0, 1)


def test_macro_is_the_mean_of_group_means():
    rows = [(1, f"v{i}", "big", True) for i in range(9)] + [(0, "x", "small", True)]
    assert estimate(points(*rows), macro=True).value == 0.5
    assert estimate(points(*rows), macro=False).value == 0.9


def test_with_one_question_a_video_the_error_is_the_usual_one():
    draw = random.Random(0)
    values = [float(draw.random() < 0.6) for _ in range(200)]
    found = estimate([Point(value, str(i), "", True) for i, value in enumerate(values)], macro=False)
    mean = sum(values) / 200
    usual = math.sqrt(sum((value - mean) ** 2 for value in values) / 199 / 200)
    assert found.stderr == pytest.approx(usual)


def test_repeating_every_question_of_a_video_does_not_shrink_the_error():
    draw = random.Random(1)
    single = [Point(float(draw.random() < 0.5), str(i), "", True) for i in range(60)]
    tripled = [point for point in single for _ in range(3)]
    assert estimate(tripled, macro=False).stderr == pytest.approx(estimate(single, macro=False).stderr)


def test_one_video_has_no_standard_error():
    assert estimate(points((1, "a", "", True), (0, "a", "", True)), macro=False).stderr is None


@pytest.mark.parametrize("macro", [False, True])
def test_the_error_is_the_spread_of_the_estimate_over_drawn_videos(macro):
    """600 simulated benchmarks of 80 videos, 3 correlated questions each: the mean stated error is within 10 %
    of the true spread."""
    draw = random.Random(2)
    values, errors = [], []
    for _ in range(600):
        sample = []
        for video in range(80):
            ability = draw.gauss(0, 1)
            group = "ab"[video % 2]
            sample += [
                Point(float(ability + draw.gauss(0, 1) > 0), str(video), group, True) for _ in range(3)
            ]
        found = estimate(sample, macro=macro)
        values.append(found.value)
        errors.append(found.stderr)
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    assert sum(errors) / len(errors) == pytest.approx(spread, rel=0.1)
