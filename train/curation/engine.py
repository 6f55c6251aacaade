"""Shards through stages, in this process, in a pool of processes (`workers`), or on a Ray cluster (`on_ray`).

The unit is an input shard. Its result appears by an atomic rename, with a hash of the stages and of the shard's rows in its
metadata; a run does those shards whose result is not there with the right hash, whichever executor made the others. So a
run that was killed goes on where it was, and a shard that was edited, or other settings, are done anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from kangaroo_eval.errors import DataError, RunFailed, UserError, first_line
from kangaroo_eval.train.curation.stage import Row, Stage, config_hash, process

log = logging.getLogger(__name__)

_KEY = b"kangaroo_curate"
SHARD = 100
"""Videos of a shard, unless something else is asked for."""


class Shard(NamedTuple):
    """Some rows of the input, under a name that is that of their file."""

    name: str
    rows: tuple[Row, ...]

    @property
    def hash(self) -> str:
        """Of the rows and of the size of the files that they name: a file that was exchanged is another row."""
        digest = hashlib.sha256()
        for row in self.rows:
            with contextlib.suppress(OSError):
                state = os.stat(row["path"])
                digest.update(f"{state.st_size}/{state.st_mtime_ns}".encode())
            digest.update(json.dumps(row, sort_keys=True, default=str).encode() + b"\n")
        return digest.hexdigest()


def shards(rows: Sequence[Mapping[str, Any]], size: int = SHARD) -> list[Shard]:
    """The rows in shards of `size`, in their order. UserError for a size below 1, and for two rows of the same id."""
    if size < 1:
        raise UserError(f"shards of {size} videos: give 1 or more")
    ids: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if row["id"] in ids:
            raise DataError(
                f"rows {ids[row['id']]} and {number} have the same id {row['id']!r}: ids name clips, so change one"
            )
        ids[row["id"]] = number
    width = max(5, len(str(len(rows) // size)))
    return [
        Shard(f"{place // size:0{width}d}", tuple(dict(row) for row in rows[place : place + size]))
        for place in range(0, len(rows), size)
    ]


class Executor(Protocol):
    """Runs a picklable job over shards in any order, and tells each one's name as it is done. Closed before that, it ends what
    it began."""

    def run(self, job: Job, todo: Sequence[Shard]) -> Generator[str, None, None]: ...


@dataclass(frozen=True)
class Job:
    """The stages, and the folder of their results."""

    stages: tuple[Stage, ...]
    out: Path

    def path(self, shard: Shard) -> Path:
        """The file of a shard's result."""
        return self.out / f"{shard.name}.parquet"

    def metadata(self, shard: Shard) -> dict[str, str]:
        """What a result is known by."""
        return {"stages": config_hash(self.stages), "rows": shard.hash}

    def is_done(self, shard: Shard) -> bool:
        """Whether the result is there, whole, and of these stages and rows."""
        import pyarrow.parquet as pq
        from pyarrow import ArrowException

        try:
            found = pq.read_schema(self.path(shard)).metadata or {}
        except (OSError, ArrowException):
            return False
        known: Any = json.loads(found.get(_KEY, b"null"))
        return bool(known == self.metadata(shard))

    def __call__(self, shard: Shard) -> str:
        """Do a shard and write its result."""
        set_up(self.stages)
        # Before any of it is read: a file that is exchanged meanwhile is to be done again.
        known = self.metadata(shard)
        write(self.path(shard), process(self.stages, shard.rows), known)
        return shard.name


def write(path: Path, rows: Sequence[Row], metadata: Mapping[str, str]) -> None:
    """Rows as a parquet file that appears whole or not at all. RunFailed where it cannot be written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Each row is one JSON text beside its id: what stages write is free in form, and a column whose type follows from
    # the shard's values would differ from shard to shard.
    table = pa.table(
        {
            "id": pa.array([_utf8(str(row["id"])) for row in rows], pa.string()),
            "row": pa.array([_utf8(json.dumps(row, ensure_ascii=False)) for row in rows], pa.string()),
        }
    ).replace_schema_metadata({_KEY: json.dumps(dict(metadata))})
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    # Through memory, which a shard takes little of: pyarrow's own errors of a disk are long and name the part.
    whole = pa.BufferOutputStream()
    pq.write_table(table, whole, compression="zstd")
    try:
        part.write_bytes(whole.getvalue())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise RunFailed(
            f"{path} cannot be written: {error.strerror or error}; what is done stays, and the same command goes on"
        ) from error


def _utf8(text: str) -> str:
    """The text with half a sign (of a file's name that is not UTF-8) as its escape, which in JSON is that half again."""
    return text.encode("utf-8", errors="backslashreplace").decode()


def is_ours(path: Path) -> bool:
    """Whether a file is a shard's result, or a damaged one, and not a table of somebody's own."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        return _KEY in (pq.read_schema(path).metadata or {})
    except (OSError, ArrowException):
        return True


def read(path: Path) -> list[Row]:
    """The rows of a result. DataError for what is none."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        return [json.loads(text) for text in pq.read_table(path, columns=["row"])["row"].to_pylist()]
    except (OSError, ArrowException, ValueError, KeyError) as error:
        raise DataError(f"{path} is no result of a curation: {first_line(error)}") from error


def read_all(folder: Path) -> Iterator[Row]:
    """The rows of all results in a folder, in the order of the shards. DataError where there are none."""
    files = sorted(folder.glob("[0-9]*.parquet"))
    if not files:
        raise DataError(f"{folder} has no results: run kangaroo-curate annotate first")
    for file in files:
        yield from read(file)


def run(
    stages: Sequence[Stage],
    rows: Sequence[Mapping[str, Any]],
    out: Path,
    executor: Executor,
    *,
    size: int = SHARD,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """All shards' results, of which only those are made that are not there yet. Results of shards that the input has no
    more are removed. RunFailed for a disk that is full or read-only."""
    job = Job(tuple(stages), out)
    parts = shards(rows, size)
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = set(out.glob("[0-9]*.parquet"))
        for found in sorted(there):
            if not is_ours(found):
                raise UserError(f"{found} was not made by a curation, and would be lost: give another --out")
        for stale in there - {job.path(part) for part in parts}:
            stale.unlink()
        for half in out.glob(".*.part"):
            half.unlink()
    except OSError as error:
        raise RunFailed(f"{out} cannot be written to: {error.strerror or error}") from error
    todo = [part for part in parts if not job.is_done(part)]
    done = len(parts) - len(todo)
    if done:
        log.info("%d of %d shards are done", done, len(parts))
    with contextlib.closing(executor.run(job, todo)) as names:
        for _ in names:
            done += 1
            if progress is not None:
                progress(done, len(parts))
    return [job.path(part) for part in parts]


class InProcess:
    """One shard after the other, here."""

    def run(self, job: Job, todo: Sequence[Shard]) -> Generator[str, None, None]:
        """See `Executor`."""
        for shard in todo:
            yield job(shard)


_ready: set[str] = set()


def set_up(stages: Sequence[Stage]) -> None:
    """Load what the stages need, once in this process."""
    known = config_hash(stages)
    if known not in _ready:
        for stage in stages:
            stage.setup()
        _ready.add(known)


def one_thread() -> None:
    """This process and its libraries on one thread each: workers are as many as there are cores."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    with contextlib.suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)
