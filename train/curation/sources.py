"""The input of a curation: a folder of videos or of pictures, or a list of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kangaroo_eval.errors import DataError, first_line
from kangaroo_eval.rows import read_rows
from kangaroo_eval.train.curation.records import records
from kangaroo_eval.train.curation.stage import Row

ENDINGS = frozenset(
    {".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".gif", ".ts", ".flv", ".wmv", ".mpg", ".mpeg"}
)


class Kind(NamedTuple):
    """What is looked for: its name, the keys of a list's row that may hold its path, and how its files end."""

    name: str
    keys: tuple[str, ...]
    endings: frozenset[str]


VIDEOS = Kind("video", ("path", "video"), ENDINGS)
PICTURES = Kind("picture", ("path", "image"), frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"}))


def read_source(source: Path, root: Path | None = None, kind: Kind = VIDEOS) -> list[Row]:
    """Rows with `id` and `path`: every file of that kind below a folder (its id is its path within), or the rows of a .jsonl,
    .parquet or .csv file with a path each under one of the kind's keys, relative to `root` or else to the file's folder,
    and whatever else they have. DataError where there is nothing, or a row names no file."""
    if source.is_dir():
        found = [
            {"id": path.relative_to(source).as_posix(), "path": str(path)}
            for path in sorted(source.rglob("*"))
            if path.suffix.lower() in kind.endings and (path.is_file() or _leads_nowhere(path))
        ]
    elif source.is_file():
        found = list(_listed(source, root or source.parent, kind))
    else:
        raise DataError(
            f"{source}: no such folder or file; give a folder of {kind.name}s, or a .jsonl, .parquet or .csv list"
        )
    if not found:
        raise DataError(f"{source}: no {kind.name} in it (files ending in {', '.join(sorted(kind.endings))})")
    return found


def _leads_nowhere(path: Path) -> bool:
    """A link whose file is absent (not fetched, or lost) is a video that cannot be read, and not none."""
    return path.is_symlink() and not path.exists()


def _listed(source: Path, root: Path, kind: Kind) -> Iterator[Row]:
    for number, record in enumerate(_records(source), 1):
        _check(f"{source}, row {number}", record)
        name = next((found for key in kind.keys if (found := record.get(key))), None)
        if not isinstance(name, str):
            keys = " or ".join(map(repr, kind.keys[::-1]))
            raise DataError(f"{source}, row {number}: no {kind.name} (a path under the key {keys})")
        identity = record.get("id")
        yield {
            **{key: value for key, value in record.items() if value is not None},
            "id": str(identity) if identity not in (None, "") else name,
            "path": str(root / name),
        }


RESERVED = ("error", "spent", "scores", "details", "hashes", "captions")
"""Keys that annotating writes itself."""


def _check(where: str, record: Mapping[str, Any]) -> None:
    """DataError for a row that could not be kept as it is, before hours are spent on its video."""
    taken = [key for key in RESERVED if key in record]
    if taken:
        raise DataError(f"{where}: the key {taken[0]!r} is one that annotating writes: give it another name")
    for key in ("start", "end"):
        value = record.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise DataError(f"{where}: {key} {value!r} is no number of seconds")
    try:
        json.dumps(record)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{where}: {first_line(error)}: leave that column out of the list") from None


def _records(source: Path) -> Iterator[Mapping[str, Any]]:
    if source.suffix.lower() != ".csv":
        for row in read_rows(source):
            yield row.values
        return
    for found in records(source):
        if isinstance(found, DataError):
            raise found
        yield {
            key: _number(value) if key in ("start", "end") else value for key, value in found.values.items()
        }


def _number(text: object) -> object:
    """What a .csv file has as text; None for nothing."""
    if text == "":
        return None
    try:
        return float(str(text))
    except ValueError:
        return text
