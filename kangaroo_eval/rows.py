"""Rows of annotation files (JSON, JSON lines, parquet), checked field by field: what is wrong is named with
its file, row and field."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kangaroo_eval.errors import DataError


class Row:
    """One row of an annotation file. Every getter raises `DataError` naming the file, row and field."""

    __slots__ = ("_file", "_values", "number")

    def __init__(self, file: Path, number: int, values: Mapping[str, Any]) -> None:
        self._file = file
        self._values = values
        self.number = number

    def _wrong(self, field: str, want: str) -> DataError:
        if field not in self._values:
            have = ", ".join(self._values) or "none"
            return DataError(f"{self._file}, row {self.number}: field {field!r} is missing (fields: {have})")
        found = repr(self._values[field])
        shown = found if len(found) <= 80 else found[:77] + "..."
        return DataError(f"{self._file}, row {self.number}, field {field!r}: expected {want}, found {shown}")

    def text(self, field: str, *, empty: bool = False) -> str:
        """A string; blank ones only if `empty`."""
        value = self._values.get(field)
        if not isinstance(value, str) or not (empty or value.strip()):
            raise self._wrong(field, "text")
        return value

    def number_of(self, field: str) -> float:
        """An int or float."""
        value = self._values.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(field, "a number")
        return float(value)

    def texts(self, field: str, *, least: int = 1, most: int = 26) -> tuple[str, ...]:
        """A list of `least` to `most` strings; blank ones are kept, for benchmarks have them."""
        value = self._values.get(field)
        want = f"a list of {least} texts" if least == most else f"a list of {least} to {most} texts"
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            raise self._wrong(field, want)
        if not all(isinstance(item, str) for item in value):
            raise self._wrong(field, want)
        return tuple(value)

    def one_of(self, field: str, allowed: tuple[str, ...]) -> str:
        """One of the given strings."""
        value = self._values.get(field)
        if value not in allowed:
            raise self._wrong(field, "one of " + ", ".join(allowed))
        return sys.intern(str(value))

    def tag(self, field: str) -> str:
        """A string that many rows share, kept once."""
        return sys.intern(self.text(field))

    def __contains__(self, field: str) -> bool:
        return field in self._values


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of a .json (a list of objects), .jsonl or .parquet file, numbered from 0.

    Raises `DataError` when the file is absent, is not of its format, or a row is not an object.
    """
    if not file.is_file():
        raise DataError(f"annotation file not found: {file}")
    readers = {".json": _json_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
    if file.suffix not in readers:
        raise DataError(f"{file}: unknown format {file.suffix!r}; expected one of {', '.join(readers)}")
    number = -1
    for number, values in enumerate(readers[file.suffix](file)):
        if not isinstance(values, dict):
            raise DataError(f"{file}, row {number}: expected an object, found {type(values).__name__}")
        yield Row(file, number, values)
    if number < 0:
        raise DataError(f"{file} holds no rows")


def _json_rows(file: Path) -> list[Any]:
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(rows, list):
        raise DataError(f"{file}: expected a list of objects, found {type(rows).__name__}")
    return rows


def _jsonl_rows(file: Path) -> list[Any]:
    rows = []
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (ValueError, OSError) as error:
        raise DataError(f"{file} cannot be read as text: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{file}, line {number} cannot be read as JSON: {error}") from error
    return rows


def _parquet_rows(file: Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        # By batches: the whole table as Python objects is many times its text.
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(1024, use_threads=False):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{file} cannot be read as parquet: {reason}") from error
