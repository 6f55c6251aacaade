"""Finding a benchmark's files: the real ones under the data root, or the mini copy."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import string
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.layouts import has_annotations, known_places, one_folder, pieces_of
from kangaroo_eval.registry import resolve
from kangaroo_eval.task import Task
from kangaroo_eval.types import Sample

log = logging.getLogger(__name__)

Kind = Literal["real", "mini"]
CHOICES = ("auto", "real", "mini")


class Located(NamedTuple):
    """A benchmark's folder on disk, and whether it holds the real benchmark or the mini copy."""

    root: Path
    kind: Kind


def folder_of(task: Task, data_root: Path | None, cache: Path | None = None) -> Path | None:
    """The benchmark's folder under the data root, or where another harness left it there, where it is there. One in several
    pieces is one folder of links in `cache`; without `cache`, the piece with its annotations."""
    pieces = () if data_root is None else pieces_of(task.source, data_root)
    if not pieces:
        return None
    return pieces[0].path if cache is None else one_folder(pieces, cache, task.source.folder)


def locate(task: Task, data: str, data_root: Path | None, cache: Path) -> Located:
    """Where `task` is to be read from. `data` is "real", "mini", or "auto": real if it is there, else mini.

    The mini copy is made under `cache` on first use. Raises `DataError` naming the folder looked for.
    """
    if data not in CHOICES:
        raise UserError(f"--data {data!r}: choose one of {', '.join(CHOICES)}")
    if ":" in task.name and not task.source.annotations:
        raise DataError(
            f"{task.name} has no data of its own: its questions come with a log (kangaroo-eval import)"
        )
    if data != "mini" and task.source.gather:
        gather: Callable[[str, Path], Path] = resolve(task.source.gather)
        return Located(gather(task.name, cache), "real")
    if data != "mini":
        if data_root is not None and not data_root.is_dir():
            raise DataError(
                f"data root {data_root} is not a readable folder: mend --data-root or KANGAROO_EVAL_DATA"
            )
        root = folder_of(task, data_root, cache)
        if root is not None:
            return Located(root, "mini" if (root / "mini.json").exists() else "real")
        if data == "real":
            where = (
                data_root / task.source.folder
                if data_root
                else "no data root (--data-root, KANGAROO_EVAL_DATA)"
            )
            raise DataError(
                f"{task.name}: real data asked for, but not found: {where}. Get it with data fetch {task.name} "
                f"--data-root DIR, or from {task.source.homepage}; --data mini takes the made copy"
            )
    if task.source.mini is None:
        raise DataError(f"{task.name} has no mini copy: give its real data with --data-root")
    log.warning(
        "%s: no real data %s; using the MINI copy, made videos and questions. Its scores say nothing about the benchmark",
        task.name,
        "asked for"
        if data == "mini"
        else (f"under {data_root}" if data_root else "(no --data-root)") + left_elsewhere(task),
    )
    make: Callable[[str, Path], Path] = resolve(task.source.mini)
    return Located(make(task.source.folder, cache), "mini")


def left_elsewhere(task: Task) -> str:
    """Where another harness has left this benchmark on this machine, and how to use that; "" where it is in none of the usual
    places."""
    for name, place in known_places(os.environ).items():
        pieces = pieces_of(task.source, place)
        if pieces and has_annotations(task.source, pieces[0].path):
            return f", but {name} has it: --data-root {place}"
    return ""


def _is_no_option(sample: Sample) -> bool:
    """Whether a label is a letter beyond the options'."""
    target = sample.target
    return bool(
        target
        and sample.choices
        and re.fullmatch("[A-Z]", target)
        and target not in string.ascii_uppercase[: len(sample.choices)]
    )


def read_samples(task: Task, root: Path) -> tuple[Sample, ...]:
    """Every sample of the benchmark, in its order. A duplicate id raises `DataError` naming both rows."""
    samples: list[Sample] = []
    seen: dict[str, int] = {}
    # As they are read: a few kilobytes of parquet can hold a row a billion times.
    for number, sample in enumerate(task.read(root)):
        if sample.id in seen:
            shown = sample.id if len(sample.id) <= 80 else sample.id[:77] + "..."
            raise DataError(
                f"{task.name}: id {shown!r} is given twice, by rows {seen[sample.id]} and {number} of the "
                f"annotations under {root}"
            )
        seen[sample.id] = number
        if _is_no_option(sample):
            raise DataError(
                f"{task.name}: the label of {sample.id!r} is {sample.target}, and it has {len(sample.choices)} options: nothing "
                f"could be right; mend the annotations under {root}"
            )
        samples.append(sample)
    if not samples:
        raise DataError(f"{task.name}: no samples in the annotations under {root}")
    return tuple(samples)


def fingerprint(task: Task, root: Path) -> str:
    """sha256 over the names and contents of the annotation files: two runs with the same one asked the same."""
    digest = hashlib.sha256()
    for file in annotation_files(task.source.annotations, root):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def annotation_files(patterns: Iterable[str], root: Path) -> list[Path]:
    """The benchmark's annotation files that are there."""
    return sorted({file for pattern in patterns for file in root.glob(pattern)})


def video_key(sample: Sample, root: Path) -> str:
    """The video's path below the benchmark's folder: the same on every machine with the same layout."""
    # By the text: tasks make paths of `root`, and pathlib would take longer than reading the answer does.
    return sample.video.path.removeprefix(f"{root}{os.sep}").replace(os.sep, "/")
