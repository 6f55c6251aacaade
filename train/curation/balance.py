"""Category balance (Section III.A): no category has more than a share (the paper: 1 %) of what is *kept*.

Capping once at 1 % of the original total is not enough: as rows go, the total falls and the shares rise again. The cap c
solves c = share * sum(min(n_i, c)); with m categories above it and S_rest rows in the others, c = share * S_rest /
(1 - share * m). Rows are chosen by a hash of their id, so that neither their order nor a restart changes which.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from kangaroo_eval.errors import DataError, UserError

SHARE = 0.01
"""The paper's cap on a category's share."""


def hashed(name: str, salt: str) -> int:
    """A whole number from 0 to 2**64 - 1 fixed by an id and by what it is for: choices with different `salt` do not hang
    together. The same on every machine (BLAKE2b)."""
    return int.from_bytes(hashlib.blake2b(f"{salt}\0{name}".encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many rows each category may have: `cap`, the real number that solves the fixed point, of `counts` rows."""

    share: Fraction
    cap: Fraction
    counts: Mapping[str, int]

    @property
    def quota(self) -> int:
        """The most rows a category keeps so that every share is at most the cap exactly: the cap's integer floor.

        With c = share * T(c) and f = c - floor(c), T falls by m * f when every one of m capped categories does, and
        floor(c) = c - f <= c - share * m * f = share * T(floor(c)), since share * m < 1.
        """
        return math.floor(self.cap)

    def kept(self) -> dict[str, int]:
        """Rows that each category keeps under the exact rule."""
        return {name: min(count, self.quota) for name, count in self.counts.items()}

    @property
    def expected(self) -> float:
        """The share of all rows that the rule by hash alone keeps on average, 0 to 1."""
        left = sum((min(Fraction(size), self.cap) for size in self.counts.values()), Fraction(0))
        return float(left / sum(self.counts.values()))

    def chance(self, category: str) -> Fraction:
        """The probability that the rule by hash alone keeps a row of that category: c / n_i, at most 1."""
        if category not in self.counts:
            raise UserError(f"category {category!r} was not counted: count all rows before any is decided")
        return min(Fraction(1), self.cap / self.counts[category])


def solve(counts: Mapping[str, int], share: float | Fraction = SHARE) -> Plan:
    """The cap for categories with so many rows each; empty ones do not count.

    UserError where `share` is no share, or where there are fewer than 1 / share categories: their shares sum to 1, so
    one of them must be above. With exactly as many all are cut to the smallest.
    """
    exact = share if isinstance(share, Fraction) else Fraction(str(share))
    if not 0 < exact <= 1:
        raise UserError(f"a category's share {float(exact):g} must be above 0 and at most 1")
    bad = [f"{name!r} ({count})" for name, count in counts.items() if count < 0]
    if bad:
        raise UserError(f"categories cannot have fewer than 0 rows: {', '.join(bad[:5])}")
    full = {name: count for name, count in counts.items() if count}
    least = math.ceil(1 / exact)
    if len(full) < least:
        raise UserError(
            f"no category can be kept to {float(exact):.2%} with {len(full)} categories: shares sum to 100 %, so at least "
            f"{least} are needed; give a share of {1 / len(full) if full else 1:.2%} or more, or finer categories"
        )
    sizes = sorted(full.values(), reverse=True)
    rest = sum(sizes)
    for capped, largest in enumerate(sizes):
        # 1 - share * capped stays above 0: it would reach it only behind 1 / share categories, and the last of these fits.
        cap = exact * rest / (1 - exact * capped)
        if largest <= cap:
            return Plan(share=exact, cap=cap, counts=full)
        rest -= largest
    raise AssertionError("with at least 1 / share categories the smallest is below the cap")


def keeps(name: str, category: str, plan: Plan) -> bool:
    """Whether the rule by hash alone keeps a row: hash(id) < c / n_i. It needs no other row, so shards can be decided apart;
    the shares are at the cap on average, and off by about one part in the square root of c."""
    chance = plan.chance(category)
    # In whole numbers: a float has 53 bits.
    return hashed(name, "balance") * chance.denominator < (chance.numerator << 64)


def chosen(rows: Iterable[tuple[str, str]], share: float | Fraction = SHARE) -> set[str]:
    """The ids that the exact rule keeps of rows (id, category): in each category those with the smallest hashes, as many as
    `Plan.quota` allows. No share is above the cap, and neither the order of rows nor an interruption changes anything."""
    members: dict[str, list[str]] = defaultdict(list)
    for name, category in rows:
        members[category].append(name)
    plan = solve({category: len(names) for category, names in members.items()}, share)
    twice = [
        name
        for name, times in Counter(each for names in members.values() for each in names).items()
        if times > 1
    ]
    if twice:
        raise DataError(
            f"{len(twice)} rows share their id with another, such as {twice[0]!r}: rename or remove them"
        )
    kept: set[str] = set()
    for names in members.values():
        # The id itself settles the order of two equal hashes.
        kept.update(sorted(names, key=lambda each: (hashed(each, "balance"), each))[: plan.quota])
    return kept


def one_pass(counts: Mapping[str, int], share: float | Fraction = SHARE) -> dict[str, float]:
    """The shares after capping once at `share` of the original total, for comparison: not what is used."""
    limit = float(share) * sum(counts.values())
    left = {name: min(float(count), limit) for name, count in counts.items()}
    return shares(left)


def shares(kept: Mapping[str, float]) -> dict[str, float]:
    """Each category's share of the rows kept, 0 to 1; all 0 where none is."""
    total = sum(kept.values())
    return {name: count / total if total else 0.0 for name, count in kept.items()}


class Balance(NamedTuple):
    """What a plan does to the data; shares are 0 to 1."""

    rows: int
    kept: int
    categories: int
    capped: int
    quota: int
    kept_share: float
    largest_share: float
    one_pass_kept_share: float
    one_pass_largest_share: float

    def told(self) -> str:
        """The outcome in one line."""
        return (
            f"kept {self.kept:,} of {self.rows:,} rows ({self.kept_share:.2%}): at most {self.quota:,} of each of "
            f"{self.categories:,} categories, {self.capped:,} of them cut; largest share {self.largest_share:.3%} (capping "
            f"once would keep {self.one_pass_kept_share:.2%}, with a largest share of {self.one_pass_largest_share:.2%})"
        )


def outcome(plan: Plan) -> Balance:
    """What the exact rule will keep, and what capping once would have."""
    total, kept = sum(plan.counts.values()), plan.kept()
    limit = plan.share * total
    return Balance(
        rows=total,
        kept=sum(kept.values()),
        categories=len(plan.counts),
        capped=sum(1 for size in plan.counts.values() if size > plan.quota),
        quota=plan.quota,
        kept_share=sum(kept.values()) / total,
        largest_share=max(shares(kept).values()),
        one_pass_kept_share=float(
            sum((min(Fraction(size), limit) for size in plan.counts.values()), Fraction(0)) / total
        ),
        one_pass_largest_share=max(one_pass(plan.counts, plan.share).values()),
    )


def count(categories: Iterable[str]) -> dict[str, int]:
    """Rows of each category, largest first."""
    return dict(Counter(categories).most_common())
