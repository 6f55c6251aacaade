"""The category cap: the fixed point against brute force, exact shares, and rows that do not depend on their order."""

from __future__ import annotations

import random
import time
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.train.curation.balance import (
    chosen,
    count,
    hashed,
    keeps,
    one_pass,
    outcome,
    shares,
    solve,
)


def zipf(rows=10_000, categories=300, power=1.1):
    weights = [1 / rank**power for rank in range(1, categories + 1)]
    drawn = random.Random(0).choices(range(categories), weights, k=rows)
    return [(f"clip{place}", f"category{which}") for place, which in enumerate(drawn)]


def largest_quota(counts, share):
    """The largest whole number of rows a category that leaves every share at most `share`, by trying all."""
    for quota in range(max(counts), 0, -1):
        if Fraction(quota) <= share * sum(min(size, quota) for size in counts) or quota == 0:
            return quota
    return 0


def kept_by_brute_force(counts, share):
    """The most rows that can be kept: whatever is kept, no category has more than the largest, so all bounds are tried."""
    best = 0
    for quota in range(max(counts) + 1):
        kept = [min(size, quota) for size in counts]
        if max(kept) <= share * sum(kept):
            best = max(best, sum(kept))
    return best


def test_zipf_every_share_at_most_one_percent_and_fast():
    rows = zipf()
    counts = count(category for _, category in rows)
    begun = time.process_time()
    kept = chosen(rows)
    assert time.process_time() - begun < 1
    left = Counter(category for name, category in rows if name in kept)
    assert all(100 * size <= left.total() for size in left.values())
    assert left.total() == kept_by_brute_force(list(counts.values()), Fraction(1, 100))
    plan = solve(counts)
    told = outcome(plan)
    assert plan.quota == largest_quota(list(counts.values()), Fraction(1, 100))
    assert (told.rows, told.kept, told.categories) == (10_000, left.total(), len(counts))
    assert told.largest_share <= 0.01 < told.one_pass_largest_share
    assert f"kept {left.total():,} of 10,000 rows ({left.total() / 10_000:.2%})" in told.told()
    assert abs(plan.expected - told.kept_share) < 0.01


def test_capping_once_is_not_enough():
    # 200 categories of one row, and three of a thousand: at 1 % of 3,200 rows these still have 32 of 296, 10.8 %.
    counts = {f"small{each}": 1 for each in range(200)} | {"a": 1000, "b": 1000, "c": 1000}
    assert max(one_pass(counts).values()) == pytest.approx(32 / 296)
    plan = solve(counts)
    # c = .01 * 200 / (1 - .03) = 2.06: two rows of each.
    assert plan.cap == Fraction(200, 97)
    assert plan.kept()["a"] == 2
    assert max(shares(plan.kept()).values()) == 2 / 206


def test_nothing_to_cap():
    counts = {str(each): 5 for each in range(150)}
    plan = solve(counts)
    assert plan.kept() == counts
    assert plan.expected == outcome(plan).kept_share == 1.0


def test_exactly_as_many_categories_as_needed():
    plan = solve({str(each): 7 + each for each in range(100)})
    assert set(plan.kept().values()) == {7}
    assert set(shares(plan.kept()).values()) == {0.01}


def test_too_few_categories():
    with pytest.raises(UserError, match=r"at least 100 are needed; give a share of 1\.01% or more") as error:
        solve({str(each): 1000 for each in range(99)})
    assert "\n" not in str(error.value)
    # Empty ones do not help.
    with pytest.raises(UserError, match="with 99 categories"):
        solve({str(each): 10 for each in range(99)} | {"empty": 0})
    with pytest.raises(UserError, match="with 0 categories"):
        solve({})
    assert solve({"a": 3, "b": 9}, 0.5).kept() == {"a": 3, "b": 3}


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_a_share_that_is_none(share):
    with pytest.raises(UserError, match="above 0 and at most 1"):
        solve({"a": 1}, share)


def test_counts_that_are_none():
    with pytest.raises(UserError, match=r"'a' \(-1\)"):
        solve({"a": -1}, 1.0)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=30),
    st.sampled_from([Fraction(1, 2), Fraction(1, 3), Fraction(1, 5), Fraction(1, 7), Fraction(3, 10)]),
)
def test_the_fixed_point(sizes, share):
    assume(len(sizes) * share >= 1)
    counts = {str(place): size for place, size in enumerate(sizes)}
    plan = solve(counts, share)
    left = sum((min(Fraction(size), plan.cap) for size in sizes), Fraction(0))
    # It solves c = share * sum(min(n, c)), or leaves all where none is too large.
    assert plan.cap == share * left
    kept = plan.kept()
    assert max(kept.values()) <= share * sum(kept.values())
    assert plan.quota >= 1
    assert sum(kept.values()) == kept_by_brute_force(sizes, share)


def test_the_rows_do_not_depend_on_their_order():
    rows = zipf(2000, 200)
    mixed = random.Random(1).sample(rows, len(rows))
    assert chosen(rows) == chosen(mixed)


def test_the_rule_by_hash_needs_no_other_row():
    rows = zipf()
    plan = solve(count(category for _, category in rows))
    kept = {name for name, category in rows if keeps(name, category, plan)}
    left = Counter(category for name, category in rows if name in kept)
    # A shard alone decides as the whole does.
    assert {name for name, category in rows[500:600] if keeps(name, category, plan)} == kept & {
        name for name, _ in rows[500:600]
    }
    assert len(kept) / len(rows) == pytest.approx(plan.expected, abs=0.02)
    # On average at the cap: 41 rows, give or take three standard deviations.
    assert max(left.values()) < float(plan.cap) + 4 * float(plan.cap) ** 0.5
    # Both rules go by the same hashes: what is under the threshold comes first.
    assert len(kept ^ chosen(rows)) < 0.1 * len(kept)
    with pytest.raises(UserError, match="'unheard of' was not counted"):
        keeps("x", "unheard of", plan)


def test_repeated_ids():
    with pytest.raises(DataError, match="2 rows share their id with another, such as 'a'"):
        chosen([("a", "x"), ("a", "y"), ("b", "x"), ("b", "x")], 0.5)


def test_hashes_are_the_same_everywhere():
    assert hashed("clip", "balance") == hashed("clip", "balance") != hashed("clip", "letter")
    assert hashed("片段", "balance") == 2445673236632939141
