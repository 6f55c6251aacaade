"""Rows of annotation files (JSON, JSON lines, TSV, parquet), checked field by field: what is wrong is named with
its file, row and field."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kangaroo_eval.errors import DataError, shown


def said(error: BaseException) -> str:
    """Why a file cannot be read, in a line."""
    if isinstance(error, MemoryError):
        return "it does not fit into the memory that this process may have"
    return shown((str(error).splitlines() or [type(error).__name__])[0], 300)


class Row:
    """One row of an annotation file. Every getter raises `DataError` naming the file, row and field."""

    __slots__ = ("_file", "_values", "number")

    def __init__(self, file: Path, number: int, values: Mapping[str, Any]) -> None:
        self._file = file
        self._values = values
        self.number = number

    @property
    def file(self) -> Path:
        """The file that the row is from."""
        return self._file

    def wrong(self, field: str, want: str) -> DataError:
        """The error that names what was found in `field` instead of `want`."""
        if field not in self._values:
            have = shown(", ".join(map(str, self._values)) or "none", 300)
            return DataError(f"{self._file}, row {self.number}: field {field!r} is missing (fields: {have})")
        found = shown(repr(self._values[field]))
        return DataError(f"{self._file}, row {self.number}, field {field!r}: expected {want}, found {found}")

    @property
    def values(self) -> Mapping[str, Any]:
        """All of it as it was read, unchecked."""
        return self._values

    def text(self, field: str, *, empty: bool = False) -> str:
        """A string; blank ones only if `empty`."""
        value = self._values.get(field)
        if not isinstance(value, str) or not (empty or value.strip()):
            raise self.wrong(field, "text")
        return value

    def number_of(self, field: str) -> float:
        """An int or float that is not infinite or NaN."""
        value = self._values.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool):
            # A whole number of JSON may be larger than any float.
            with contextlib.suppress(OverflowError):
                if math.isfinite(value):
                    return float(value)
        raise self.wrong(field, "a number")

    def seconds(self, field: str) -> float:
        """A number of at least 0."""
        value = self.number_of(field)
        if value < 0:
            raise self.wrong(field, "a number of seconds, 0 or more")
        return value

    def whole(self, field: str, below: int | None = None) -> int:
        """A whole number of at least 0, and smaller than `below`."""
        value: Any = self._values.get(field)
        good = isinstance(value, int) and not isinstance(value, bool)
        if good and value >= 0 and (below is None or value < below):
            return int(value)
        raise self.wrong(field, "a whole number" + ("" if below is None else f" from 0 to {below - 1}"))

    def name(self, field: str) -> str:
        """An id: text, or a whole number, which becomes text."""
        value = self._values.get(field)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(field)

    def is_null(self, field: str) -> bool:
        """Whether the field is there and null."""
        return field in self._values and self._values[field] is None

    def mapping(self, field: str) -> Mapping[str, Any]:
        """An object."""
        value = self._values.get(field)
        if not isinstance(value, dict):
            raise self.wrong(field, "an object")
        return value

    def rows(self, field: str) -> Iterator[Row]:
        """The objects of a list; they are numbered, and their file is named, as this row is."""
        value = self._values.get(field)
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self.wrong(field, "a list of objects")
        return (Row(self._file, self.number, each) for each in value)

    def texts(self, field: str, *, least: int = 1, most: int = 26) -> tuple[str, ...]:
        """A list of `least` to `most` strings; blank ones are kept, for benchmarks have them."""
        value = self._values.get(field)
        want = f"a list of {least} texts" if least == most else f"a list of {least} to {most} texts"
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            raise self.wrong(field, want)
        if not all(isinstance(item, str) for item in value):
            raise self.wrong(field, want)
        return tuple(value)

    def one_of(self, field: str, allowed: tuple[str, ...]) -> str:
        """One of the given strings."""
        value = self._values.get(field)
        if value not in allowed:
            raise self.wrong(field, "one of " + ", ".join(allowed))
        return sys.intern(str(value))

    def tag(self, field: str) -> str:
        """A string that many rows share, kept once."""
        return sys.intern(self.text(field))

    def __contains__(self, field: str) -> bool:
        return field in self._values


def read_rows(file: Path, inside: str | None = None) -> Iterator[Row]:
    """The rows of a .json (a list of objects, or an object that has the list under `inside`), .jsonl, .tsv (with
    a heading) or .parquet file, numbered from 0.

    Raises `DataError` when the file is absent, is not of its format, or a row is not an object.
    """
    if not file.is_file():
        raise DataError(f"annotation file not found: {file}")
    readers = {".jsonl": _jsonl_rows, ".tsv": _tsv_rows, ".parquet": _parquet_rows}
    if file.suffix == ".json":
        found: Iterator[Any] = iter(_json_rows(file, inside))
    elif file.suffix in readers:
        found = iter(readers[file.suffix](file))
    else:
        raise DataError(
            f"{file}: unknown format {file.suffix!r}; expected one of .json, {', '.join(readers)}"
        )
    number = -1
    for number, values in enumerate(found):
        if not isinstance(values, dict):
            raise DataError(f"{file}, row {number}: expected an object, found {type(values).__name__}")
        yield Row(file, number, values)
    if number < 0:
        raise DataError(f"{file} holds no rows")


def read_object(file: Path) -> dict[str, Any]:
    """A .json file that is one object. Raises `DataError` when it is absent or anything else."""
    if not file.is_file():
        raise DataError(f"annotation file not found: {file}")
    found = _json(file)
    if not isinstance(found, dict):
        raise DataError(f"{file}: expected an object, found {type(found).__name__}")
    return found


def read_keyed(file: Path) -> Iterator[tuple[str, Row]]:
    """The rows of a .json file of the shape {key: row}, with their keys."""
    for number, (key, values) in enumerate(read_object(file).items()):
        if not isinstance(values, dict):
            raise DataError(f"{file}, {shown(key)!r}: expected an object, found {type(values).__name__}")
        yield key, Row(file, number, values)


def read_nested(file: Path) -> Iterator[tuple[tuple[str, str], Row]]:
    """The rows of a .json file of the shape {first key: {second key: [row, ...]}}, with their keys; a row's number
    counts within its list."""
    for first, groups in read_object(file).items():
        lists = groups.values() if isinstance(groups, dict) else [None]
        if not all(isinstance(rows, list) for rows in lists):
            raise DataError(f"{file}, {shown(first)!r}: expected an object of lists of objects")
        for second, rows in groups.items():
            for number, values in enumerate(rows):
                if not isinstance(values, dict):
                    raise DataError(
                        f"{file}, {shown(first)!r}, {shown(second)!r}, row {number}: expected an object"
                    )
                yield (first, second), Row(file, number, values)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError, MemoryError) as error:
        raise DataError(f"{file} cannot be read as JSON: {said(error)}") from error


def _json_rows(file: Path, inside: str | None) -> list[Any]:
    rows = _json(file)
    if inside is not None:
        if not isinstance(rows, dict) or inside not in rows:
            raise DataError(f"{file}: expected an object with a list {inside!r}")
        rows = rows[inside]
    if not isinstance(rows, list):
        raise DataError(f"{file}: expected a list of objects, found {type(rows).__name__}")
    return rows


def _tsv_rows(file: Path) -> list[Any]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t", strict=True))
    except (ValueError, OSError, csv.Error, MemoryError) as error:
        raise DataError(f"{file} cannot be read as TSV: {said(error)}") from error
    for number, row in enumerate(rows):
        if None in row or None in row.values():
            raise DataError(f"{file}, row {number}: not as many columns as the heading has")
    return rows


def _jsonl_rows(file: Path) -> list[Any]:
    rows = []
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (ValueError, OSError, MemoryError) as error:
        raise DataError(f"{file} cannot be read as text: {said(error)}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError, MemoryError) as error:
                raise DataError(f"{file}, line {number} cannot be read as JSON: {said(error)}") from error
    return rows


def _parquet_rows(file: Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        # By batches: the whole table as Python objects is many times its text.
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(1024, use_threads=False):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        # A ValueError: a column of texts may hold bytes that are none.
        raise DataError(f"{file} cannot be read as parquet: {said(error)}") from error
