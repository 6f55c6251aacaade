"""The count of failures in a row against its definition, over random orders of questions and outcomes."""

from __future__ import annotations

import random

import pytest

from kangaroo_eval.streak import FAILED_VIDEOS, FAILURES_IN_A_ROW, Streak


def is_broken(asked, ended):
    """Ten failures of three videos in the order in which was asked; what says nothing is left out, what was answered
    or is still with the model parts the row."""
    row = []
    for request, video in asked:
        outcome = ended.get(request, "with the model")
        if outcome is False:
            row.append(video)
        elif outcome is not None:
            row = []
        if len(row) >= FAILURES_IN_A_ROW and len(set(row)) >= FAILED_VIDEOS:
            return True
    return False


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("videos", [1, 3, 30])
def test_it_is_told_as_soon_as_it_is_so_and_stays(share, videos):
    dice, found = random.Random(f"{share} {videos}"), 0
    for _ in range(60):
        streak, asked, ended, flight, broken = Streak(), [], {}, [], False
        for number in range(120):
            if not flight or dice.random() < 0.5:
                asked.append((str(number), dice.randrange(videos)))
                flight.append(str(number))
                streak.ask(str(number), str(asked[-1][1]))
                continue
            request = flight.pop(dice.randrange(len(flight)) if dice.random() < 0.7 else 0)
            ended[request] = None if dice.random() < 0.15 else dice.random() > share
            streak.end(request, ended[request])
            broken = broken or is_broken(asked, ended)
            assert streak.broken == broken
        found += broken
    assert found == 0 if videos == 1 else found > 0 or share == 0.5
