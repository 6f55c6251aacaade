"""What a curation costs, reckoned from what was measured on some clips."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kangaroo_eval.errors import DataError
from kangaroo_eval.train.curation.stage import Row


class Cost(NamedTuple):
    """CPU-seconds of one clip, by stage, as a mean over `clips` clips of `seconds` seconds on average."""

    stages: dict[str, float]
    clips: int
    seconds: float

    @property
    def total(self) -> float:
        """CPU-seconds of one clip in all stages."""
        return sum(self.stages.values())


def cost(rows: Iterable[Row]) -> Cost:
    """The mean over the clips; what a stage spent on a file is shared among its clips, and what broken files cost counts too.
    DataError where nothing was measured."""
    sums: dict[str, float] = {}
    clips = 0
    length = 0.0
    for row in rows:
        for stage, spent in row.get("spent", {}).items():
            sums[stage] = sums.get(stage, 0.0) + spent
        if not row.get("error"):
            clips += 1
            length += row.get("duration") or 0.0
    if not clips or not sums:
        raise DataError("no clip was measured: run kangaroo-curate annotate on some videos first")
    return Cost({name: value / clips for name, value in sums.items()}, clips, length / clips)


def table(found: Cost, clips: float, cores: int) -> str:
    """Each stage's CPU-seconds a clip, and core-hours and days for so many clips on so many cores."""
    from tabulate import tabulate

    rows = [
        [name, f"{value:.3f}", f"{value * clips / 3600:,.0f}"]
        for name, value in [*found.stages.items(), ("all", found.total)]
    ]
    days = found.total * clips / cores / 86400
    return "\n".join(
        [
            tabulate(
                rows, headers=["stage", "CPU-s a clip", f"core-hours for {clips:,.0f}"], disable_numparse=True
            ),
            f"measured on {found.clips} clips of {found.seconds:.1f} s on average; {days:,.1f} days on {cores:,} cores",
        ]
    )
