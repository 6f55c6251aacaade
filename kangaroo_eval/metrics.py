"""Means of scores, over samples or over groups, with standard errors clustered by video."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from kangaroo_eval.types import Estimate


class Point(NamedTuple):
    """One scored sample: `value` (None: outside the denominator), its cluster, its group (for macro means) and
    whether its answer could be read."""

    value: float | None
    cluster: str
    group: str
    readable: bool


def estimate(points: Sequence[Point], *, macro: bool) -> Estimate:
    """The mean, or with `macro` the unweighted mean over groups of the group means.

    The standard error treats videos as the unit (questions about one video are not independent): with
    influence u_i = (x_i - mean of its group) / (group size * number of groups), the variance is
    G/(G-1) * sum over videos of (sum of u_i)^2 (Liang and Zeger 1986; Miller 2024, arXiv:2411.00640, eq. 4, for
    one group). One video has no standard error. Raises ValueError when there is nothing to average.
    """
    if not points:
        raise ValueError("no samples to average: an empty set has no accuracy")
    unreadable = sum(not point.readable for point in points)
    groups: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for point in points:
        if point.value is not None:
            groups[point.group if macro else ""].append((point.value, point.cluster))
    n = sum(len(members) for members in groups.values())
    if n == 0:
        return Estimate(None, None, 0, unreadable)
    means = {
        name: math.fsum(value for value, _ in members) / len(members) for name, members in groups.items()
    }
    influence: dict[str, list[float]] = defaultdict(list)
    for name, members in groups.items():
        for value, cluster in members:
            influence[cluster].append((value - means[name]) / (len(members) * len(groups)))
    clusters = len(influence)
    stderr = None
    if clusters > 1:
        square = math.fsum(math.fsum(parts) ** 2 for parts in influence.values())
        stderr = math.sqrt(square * clusters / (clusters - 1))
    return Estimate(math.fsum(means.values()) / len(means), stderr, n, unreadable)
