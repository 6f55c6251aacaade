"""A benchmark as one value: where its files are, how a row becomes a sample, its prompt, readers and metric."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kangaroo_eval.errors import UserError
from kangaroo_eval.types import Sample, Score, ScoredSample, View

METRICS = ("accuracy", "macro_accuracy")
TABLES = ("III", "IV")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a benchmark comes from.

    `folder` is its folder under the data root, `annotations` the files (patterns relative to it) that the
    data fingerprint is made of. `mini` is "module:function", called as `make(folder, parent)`, that makes a
    small copy in the same layout, or None.
    """

    folder: str
    annotations: tuple[str, ...]
    homepage: str
    hub: str | None
    licence: str
    citation: str
    mini: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The published column this task compares with: `table` and `column` of the paper. `breakdown` gives
    further columns: column name -> (tag, value). `samples` is how many samples the published number covers;
    a run over fewer is not comparable."""

    table: str
    column: str
    samples: int
    breakdown: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    note: str | None = None

    def __post_init__(self) -> None:
        if self.table not in TABLES:
            raise UserError(f"published table {self.table!r} is not one of {', '.join(TABLES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One benchmark, or one named variant of it: the name is the protocol.

    `read(root)` yields the samples from the annotation files under `root`, the benchmark's folder, without
    touching the videos; it raises `DataError` naming file, row and field. `prompt(sample, view)` is the user
    turn. `scorer` is the careful reader, `official` the benchmark's own rule; both get the text after the
    prefill. `metric` is one of `METRICS`; a macro mean is taken over the values of the tag `macro_over`.
    `sampler` is the authors' own formula, used for `--sampler official`; `subtitles` says that the protocol
    shows them, so that a run without a single subtitle file is refused.
    """

    name: str
    version: int
    title: str
    source: Source
    read: Callable[[Path], Iterable[Sample]]
    prompt: Callable[[Sample, View], str]
    scorer: Callable[[Sample, str], Score]
    official: Callable[[Sample, str], Score]
    official_rule: str
    breakdown: tuple[str, ...]
    metric: str = "accuracy"
    macro_over: str | None = None
    system: str | None = None
    prefill: str | None = None
    cluster_by: str = "video"
    max_new_tokens: int = 64
    frames: int = 64
    sampler: str = "uniform"
    published: Published | None = None
    subtitles: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise UserError(f"task {self.name}: metric {self.metric!r} is not one of {', '.join(METRICS)}")
        if (self.metric == "macro_accuracy") != (self.macro_over is not None):
            raise UserError(
                f"task {self.name}: macro_over goes with metric='macro_accuracy', and only with it"
            )
        if self.max_new_tokens < 1 or self.frames < 1:
            raise UserError(f"task {self.name}: max_new_tokens and frames must be at least 1")

    def group(self, sample: Sample) -> str | None:
        """The group that the sample counts in where the metric is a mean over groups."""
        return sample.tags[self.macro_over] if self.macro_over else None

    def cluster(self, scored: ScoredSample) -> str:
        """What this sample's standard error is clustered by: its video file, or one of its tags."""
        return scored.video if self.cluster_by == "video" else scored.tags[self.cluster_by]


class Folder:
    """Looks files up under a benchmark's folder; each directory is listed once, so thousands of look-ups
    cost a handful of system calls."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[str, frozenset[str]] = {}

    def _has(self, relative: str) -> bool:
        directory, name = os.path.split(relative)
        if directory not in self._listed:
            try:
                self._listed[directory] = frozenset(os.listdir(self.root / directory))
            except OSError:
                self._listed[directory] = frozenset()
        return name in self._listed[directory]

    def first(self, *relative: str) -> str:
        """The first of these paths (relative to the folder) that exists; the first one named if none does."""
        found = next((name for name in relative if self._has(name)), relative[0])
        return str(self.root / found)

    def find(self, *relative: str) -> str | None:
        """Like `first`, but None when none of them exists."""
        found = next((name for name in relative if self._has(name)), None)
        return None if found is None else str(self.root / found)
