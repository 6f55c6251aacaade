"""A benchmark as one value: where its files are, how a row becomes a sample, its prompt, readers and metric."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.types import Cue, Sample, Score, ScoredSample, View

METRICS = ("accuracy", "macro_accuracy", "judge_mean")
TABLES = ("III", "IV", "V")


class Pack(NamedTuple):
    """Archives in a benchmark's repository: the files that match `pattern`.

    `parts`: all of them together are one archive that was cut in pieces. `under` is where below the benchmark's folder
    its files belong, "" for anywhere; `drop` the beginning of the names in it that is no part of that. A file goes by the
    first pack whose pattern fits. `named`: a file is known by its name, whatever folder of the archive it is in.
    `subtitles`: taken whole, for tasks that show them. `pickled`: Python pickles of {name: bytes of an MP4 file}.
    """

    pattern: str
    parts: bool = False
    under: str = ""
    drop: str = ""
    named: bool = False
    subtitles: bool = False
    pickled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a benchmark comes from.

    `folder` is its folder under the data root, `annotations` the files (patterns relative to it) that the
    data fingerprint is made of. `mini` is "module:function", called as `make(folder, parent)`, that makes a
    small copy in the same layout, or None. `hints` say how to get videos that are not in the usual download:
    the beginning of their path below the folder -> what to do.

    For downloads: `hub` is the repository on the Hugging Face hub (at `revision`, None: the newest), `videos_hub` the one
    with the videos where that is another, `packs` its archives; single files are found by their paths. `access` is what
    has to be done before they are given out. `elsewhere` tells where annotation files are that no repository has: name ->
    address. `gather` is "module:function", called as `gather(task's name, cache)`, that makes the folder where the questions
    come from another program and lie under no data root. `kept` are the folders below $HF_HOME in which lmms-eval keeps the videos, `copies` further repositories whose
    snapshots have the videos too.
    """

    folder: str
    annotations: tuple[str, ...]
    homepage: str
    hub: str | None
    licence: str
    citation: str
    mini: str | None = None
    hints: Mapping[str, str] = field(default_factory=dict)
    revision: str | None = None
    videos_hub: str | None = None
    packs: tuple[Pack, ...] = ()
    access: str | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    gather: str | None = None


class Elsewhere(NamedTuple):
    """A value published outside the paper's tables, in points (a judge's mean: on its own scale)."""

    model: str
    value: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The published column this task compares with: `table` and `column` of the paper. `breakdown` gives
    further columns: column name -> (tag, value). `samples` is how many samples the published number covers (None:
    not published); a run over fewer, or not over the whole benchmark, is not comparable. `other` says why the column is not this task's (another split):
    then nothing is put into it. `elsewhere` are values of this very task from other sources."""

    table: str
    column: str
    samples: int | None
    breakdown: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    other: str | None = None
    elsewhere: tuple[Elsewhere, ...] = ()

    def __post_init__(self) -> None:
        if self.table not in TABLES:
            raise UserError(f"published table {self.table!r} is not one of {', '.join(TABLES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How a language model judges what no rule decides.

    `model` is the authors' judge and `parameters` its sampling (fields of a chat completion). `ask(sample,
    text)` gives the messages as (role, content). `official` and `careful` read the judge's reply; one that
    cannot be parsed gives the authors' failure value, and is unreadable (0) for the careful reader. Where
    `again(sample, reply)` holds the authors ask once more, `attempts` times in all.
    """

    model: str
    parameters: Mapping[str, float]
    ask: Callable[[Sample, str], Sequence[tuple[str, str]]]
    official: Callable[[Sample, str], Score]
    careful: Callable[[Sample, str], Score]
    again: Callable[[Sample, str], bool] = lambda sample, reply: False
    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The official way of benchmarks that ask for no letter: the choice that the model finds most likely as the
    reply to `prompt(sample)`. `score(sample, losses)` reads one mean token loss a choice."""

    prompt: Callable[[Sample], str]
    score: Callable[[Sample, Sequence[float]], Score]


class Predicted(NamedTuple):
    """One answer of a file of predictions, None where the file has the question but no answer to it; `sample`
    where the file carries the question and its label too. `refused`: the model gave no reply at all, which is
    wrong under both readers."""

    id: str
    text: str | None
    sample: Sample | None = None
    refused: bool = False


class Exported(NamedTuple):
    """One answer on its way into a file: `text` as the model gave it (None: it refused), and the answer that was
    read (None: unreadable)."""

    sample: Sample
    text: str | None
    answer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """A benchmark's own form of predictions.

    `read(path)` yields what the file (or folder) holds, and raises `ValueError` for any other; `write(rows)`
    gives file name -> content, or is None where nobody takes such a file. `complete`: a submission that lacks a
    sample is refused; `count` is how many the whole benchmark has. `suffixes` are the endings such a file may have ("" for a folder).
    """

    name: str
    about: str
    read: Callable[[Path], Iterable[Predicted]]
    write: Callable[[Sequence[Exported]], Mapping[str, str]] | None = None
    complete: bool = False
    count: int | None = None
    suffixes: tuple[str, ...] = (".json",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One benchmark, or one named variant of it: the name is the protocol.

    `read(root)` yields the samples from the annotation files under `root`, the benchmark's folder, without
    touching the videos; it raises `DataError` naming file, row and field. A sample's tag "fault" says what is
    wrong with its annotation; results count them. `prompt(sample, view)` is the user turn, `timed_text` gives
    the subtitles that a model may place between the frames. `scorer` is the careful reader, `official` the
    benchmark's own rule; both get the text after the prefill, and give None where only the `judge` can tell.
    `metric` is one of `METRICS`; a mean is taken over the values of the tag `macro_over` where there is one.
    `scale` is the best value of a judge's mean; `valid` asks for the official mean over readable verdicts too.
    `sampler` is the authors' own formula, used for `--sampler official`; every frame is shown `repeat_frames`
    times. `subtitles` says that the protocol shows them, so that a run without a single subtitle file is
    refused. `settle(root)` gives those fields that only a gathered folder tells, `totals(answers)` what another harness makes of
    all answers (as the run record's "recorded"; None: nothing), and `reader(answers)` the official reader where it takes all answers
    to find it. `other_ids(id)` tells ids of the benchmark's other parts in files of predictions.
    """

    name: str
    version: int
    title: str
    source: Source
    read: Callable[[Path], Iterable[Sample]]
    prompt: Callable[[Sample, View], str]
    scorer: Callable[[Sample, str], Score | None]
    official: Callable[[Sample, str], Score | None]
    official_rule: str
    breakdown: tuple[str, ...]
    metric: str = "accuracy"
    macro_over: str | None = None
    scale: int = 1
    valid: bool = False
    judge: Judging | None = None
    ranking: Ranking | None = None
    timed_text: Callable[[Sample, View], tuple[Cue, ...]] | None = None
    repeat_frames: int = 1
    predictions: tuple[Predictions, ...] = ()
    other_ids: Callable[[str], bool] | None = None
    system: str | None = None
    prefill: str | None = None
    cluster_by: str = "video"
    max_new_tokens: int = 64
    frames: int = 64
    sampler: str = "uniform"
    published: Published | None = None
    subtitles: bool = False
    notes: tuple[str, ...] = ()
    settle: Callable[[Path], Mapping[str, Any]] | None = None
    totals: Callable[[Sequence[tuple[Sample, str]]], Mapping[str, Any] | None] | None = None
    reader: Callable[[Sequence[tuple[Sample, str]]], Callable[[Sample, str], Score | None]] | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise UserError(f"task {self.name}: metric {self.metric!r} is not one of {', '.join(METRICS)}")
        if self.macro_over is None and self.metric == "macro_accuracy":
            raise UserError(f"task {self.name}: metric 'macro_accuracy' needs macro_over")
        if self.macro_over is not None and self.metric == "accuracy":
            raise UserError(f"task {self.name}: macro_over does not go with metric 'accuracy'")
        if (self.metric == "judge_mean") != (self.scale != 1) or (self.scale != 1 and self.judge is None):
            raise UserError(f"task {self.name}: judge_mean, scale and judge go together")
        if min(self.max_new_tokens, self.frames, self.repeat_frames) < 1:
            raise UserError(f"task {self.name}: max_new_tokens, frames and repeat_frames must be at least 1")

    def group(self, each: Sample | ScoredSample) -> str | None:
        """The group that the sample counts in where the metric is a mean over groups."""
        return one(each.tags[self.macro_over]) if self.macro_over else None

    def cluster(self, scored: ScoredSample) -> str:
        """What this sample's standard error is clustered by: its video file, or one of its tags."""
        return scored.video if self.cluster_by == "video" else one(scored.tags[self.cluster_by])


def judge_alone(sample: Sample, text: str) -> None:
    """The reader of open answers: nothing but a judge can tell."""
    return


def one(value: str | tuple[str, ...]) -> str:
    """A tag that has one value."""
    assert isinstance(value, str), value
    return value


def several(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """A tag's values, of which there may be one."""
    return (value,) if isinstance(value, str) else value


def _can_be(name: str) -> bool:
    """Whether a file can have this name: without NUL, and without half of a surrogate pair."""
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


class Folder:
    """Looks files up under a benchmark's folder; each directory is listed once, so thousands of look-ups
    cost a handful of system calls.

    Names come out of annotation files that others wrote. One that leads out of the folder (absolute, or with a "..")
    or that no file can have raises `DataError`: nothing outside is looked at, let alone decoded. What lies behind a
    link within the folder is the user's own doing, and is followed.
    """

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

    def _inside(self, relative: str) -> str:
        """The name, or `DataError` where it leads out of the folder."""
        leaves = relative.startswith("/") or (".." in relative and ".." in relative.split("/"))
        if leaves or not _can_be(relative):
            shown = repr(relative if len(relative) <= 80 else relative[:77] + "...")
            raise DataError(
                f"the annotations under {self.root} name the file {shown}, which is not in that folder: mend the name"
            )
        return relative

    def first(self, *relative: str) -> str:
        """The first of these paths (relative to the folder) that exists; the first one named if none does."""
        return self.find(*relative) or str(self.root / relative[0])

    def find(self, *relative: str) -> str | None:
        """Like `first`, but None when none of them exists."""
        # All of them before any is looked for: whether a name is refused must not hang on what is there.
        names = [self._inside(name) for name in relative]
        found = next((name for name in names if self._has(name)), None)
        return None if found is None else str(self.root / found)
