"""Annotation files as their publishers leave them, record by record: a bad one is told of and costs no other."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from kangaroo_eval.errors import DataError
from kangaroo_eval.rows import Row as Fields
from kangaroo_eval.rows import read_rows


def records(file: Path) -> Iterator[Fields | DataError]:
    """The records of a file, or what is wrong with one."""
    if file.is_dir():
        for each in sorted(file.glob("*.json")):
            yield from records(each)
        return
    readers = {".json": _json, ".jsonl": _lines, ".txt": _lines, ".csv": _csv, ".parquet": read_rows}
    if file.suffix.lower() not in readers:
        raise DataError(
            f"{file}: unknown format {file.suffix!r}; expected one of {', '.join(readers)}, or a folder"
        )
    if not file.is_file():
        raise DataError(f"annotation file not found: {file}")
    try:
        yield from readers[file.suffix.lower()](file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def _json(file: Path) -> Iterator[Fields | DataError]:
    """Those of a list; of an object of objects by key (of the one under "database" in YouCook2's), with their `key`; or the
    object itself."""
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read as JSON: {error}") from error
    if isinstance(found, dict):
        keyed = found.get("database", {})
        found = [{"key": key, **each} for key, each in keyed.items() if isinstance(each, dict)] or [found]
    if not isinstance(found, list):
        raise DataError(f"{file}: expected a list or an object, found {type(found).__name__}")
    for number, each in enumerate(found):
        yield _fields(file, number, each)


def _lines(file: Path) -> Iterator[Fields | DataError]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(line for line in lines if line.strip()):
            try:
                yield _fields(file, number, {"line": line} if file.suffix == ".txt" else json.loads(line))
            except (ValueError, RecursionError):
                yield DataError(f"{file}, row {number}: a line that is no JSON")


def _csv(file: Path) -> Iterator[Fields | DataError]:
    """With commas, or with tabs where the heading has one, as TGIF-QA's."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        tabs = "\t" in lines.readline()
        lines.seek(0)
        for number, each in enumerate(csv.DictReader(lines, delimiter="\t" if tabs else ",")):
            if None in each or None in each.values():
                yield DataError(f"{file}, row {number}: not as many columns as the heading has")
            else:
                yield Fields(file, number, each)


def _fields(file: Path, number: int, found: object) -> Fields | DataError:
    if isinstance(found, dict):
        return Fields(file, number, found)
    return DataError(f"{file}, row {number}: no object")
