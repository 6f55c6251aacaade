"""Statistics of two runs on the same samples: the paired difference with videos as clusters, flips, and Holm.

Questions about one video are answered alike, and the two runs answer the same questions; an interval that knows neither is
wrong both ways (Miller 2024, arXiv:2411.00640, sections 4 and 5).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Pair(NamedTuple):
    """One sample that both runs answered: its score in each, 0 to 1, the video that it is clustered by, and its group
    where the metric is a mean over groups ("" elsewhere)."""

    new: float
    old: float
    cluster: str
    group: str = ""


class Difference(NamedTuple):
    """`value` is the mean of new - old, on the scale of the scores; `stderr` its standard error over `clusters` videos
    (None for fewer than two), `n` samples; `gained` of them are scored higher in the new run and `lost` lower."""

    value: float
    stderr: float | None
    n: int
    clusters: int
    gained: int
    lost: int

    @property
    def identical(self) -> bool:
        """Whether no sample differs: then the difference is 0 and has no error."""
        return self.gained == self.lost == 0

    def interval(self, alpha: float) -> tuple[float, float]:
        """The two-sided interval that a true difference lies outside of with probability `alpha`; all numbers where
        nothing is known of the error."""
        if self.identical:
            return 0.0, 0.0
        if self.stderr is None:
            return -math.inf, math.inf
        reach = _quantile(1 - alpha / 2, self.clusters - 1) * self.stderr
        return self.value - reach, self.value + reach

    def p_lower(self) -> float:
        """The one-sided p-value against "the new run is not worse"; 1 where nothing is known of the error."""
        from scipy import stats

        if self.identical or self.stderr is None:
            return 1.0
        if self.stderr == 0:
            return 0.0 if self.value < 0 else 1.0
        return float(stats.t.cdf(self.value / self.stderr, self.clusters - 1))

    def detectable(self, alpha: float, power: float = 0.8) -> float | None:
        """The true drop that the one-sided test at `alpha` finds with probability `power`: what this suite, with these
        two runs' disagreement, can see. None where the error is not known."""
        if self.stderr is None or self.identical:
            return None
        reach = _quantile(1 - alpha, self.clusters - 1) + _quantile(power, self.clusters - 1)
        return reach * self.stderr


def difference(*tasks: Sequence[Pair]) -> Difference:
    """The mean difference over samples; over groups where a task's pairs have several; and over tasks where several are
    given, each of which weighs alike. ValueError for none, or for one without pairs.

    The standard error is that of `metrics.estimate` on the differences: with the influence of each sample, (its
    difference - its group's mean) / (group size * groups * tasks), the variance is G/(G-1) * sum over videos of (sum of
    its)^2. Tasks that ask about the same videos share them.
    """
    if not tasks or not all(tasks):
        raise ValueError("no sample that both runs answered")
    values = []
    influence: dict[str, list[float]] = defaultdict(list)
    for pairs in tasks:
        groups: dict[str, list[Pair]] = defaultdict(list)
        for pair in pairs:
            groups[pair.group].append(pair)
        means = {name: math.fsum(p.new - p.old for p in each) / len(each) for name, each in groups.items()}
        values.append(math.fsum(means.values()) / len(means))
        for name, each in groups.items():
            share = 1 / (len(each) * len(groups) * len(tasks))
            for pair in each:
                influence[pair.cluster].append((pair.new - pair.old - means[name]) * share)
    clusters = len(influence)
    stderr = None
    if clusters > 1:
        square = math.fsum(math.fsum(parts) ** 2 for parts in influence.values())
        stderr = math.sqrt(square * clusters / (clusters - 1))
    return Difference(
        value=math.fsum(values) / len(values),
        stderr=stderr,
        n=sum(map(len, tasks)),
        clusters=clusters,
        gained=sum(pair.new > pair.old for pairs in tasks for pair in pairs),
        lost=sum(pair.new < pair.old for pairs in tasks for pair in pairs),
    )


def mcnemar(gained: int, lost: int) -> float:
    """The exact two-sided p-value of McNemar's test: whether flips go one way more often than a coin would. It knows
    nothing of videos, so it is an addition to the interval and no replacement."""
    from scipy import stats

    return 1.0 if gained + lost == 0 else float(stats.binomtest(gained, gained + lost).pvalue)


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for their number (Holm 1979): each may be compared with alpha, and the chance of one false
    alarm among all stays below it."""
    corrected: dict[str, float] = {}
    highest = 0.0
    ranked = sorted(values.items(), key=lambda item: item[1])
    for rank, (name, value) in enumerate(ranked):
        highest = max(highest, min(1.0, value * (len(ranked) - rank)))
        corrected[name] = highest
    return {name: corrected[name] for name in values}


def _quantile(probability: float, freedom: int) -> float:
    from scipy import stats

    return float(stats.t.ppf(probability, freedom))
