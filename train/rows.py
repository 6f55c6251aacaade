"""Training manifests: conversations about a video, a picture or nothing, one a row, checked before any is used.

A manifest is a .jsonl or a .parquet file with the fields `id`, `messages` and, each of them optional, `video` or
`image` (a path), `start`, `end` and `duration` (seconds), `source`, `task`, `lang` and `mc`. Null is absent.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kangaroo_eval.errors import DataError
from kangaroo_eval.rows import Row as Fields
from kangaroo_eval.rows import read_rows

log = logging.getLogger(__name__)

Role = Literal["system", "user", "assistant"]
Policy = Literal["fail", "skip"]
"""What is done about a bad row or file: end with an error that names it, or leave it out, counted and logged."""

SHOWN = 5
"""Bad rows that a message tells of one by one."""
_KNOWN = frozenset(
    ["id", "messages", "video", "image", "start", "end", "duration", "source", "task", "lang", "mc"]
)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `content` is text without the chat format. `prefill`: what an answer is begun with by
    whoever asks, such as "Best Option: (". It is not learnt, and its tokens end with it, as they do in an evaluation:
    "(A)" may be one token in a text, and is none behind a prefill that ends in "("."""

    role: Role
    content: str
    prefill: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One conversation to train on: an optional system message, then user and assistant in turn.

    `video` is the file of its video, or of a picture where `image` is true; None for text alone. `start` and `end`
    bound the clip in seconds from the file's first visible frame; `duration` is that of the whole file, in
    seconds; `total` is the number of frames of the clip. None where not given, or not known. `apart`: its rounds are no
    conversation, but each a question about the video as if it were the only one.
    """

    id: str
    messages: tuple[Message, ...]
    video: Path | None = None
    image: bool = False
    start: float | None = None
    end: float | None = None
    duration: float | None = None
    total: int | None = None
    source: str = ""
    task: str = ""
    apart: bool = False

    @property
    def begin(self) -> float:
        """Where the clip begins, in seconds."""
        return self.start or 0.0

    @property
    def seconds(self) -> float | None:
        """How long the clip is; None for a picture and for text, and for a video of unknown length."""
        ends = [bound for bound in (self.end, self.duration) if bound is not None]
        return min(ends) - self.begin if ends and self.video is not None and not self.image else None


class _Record(NamedTuple):
    fields: Fields
    names: frozenset[str]


class BadRow(NamedTuple):
    """A row that cannot be trained on: which it is ("row 3 (id 'x')"), and why."""

    where: str
    reason: str


class Manifest(NamedTuple):
    """The good rows of a file, in its order, and the bad ones."""

    rows: list[Row]
    bad: list[BadRow]


def read_manifest(path: Path, root: Path | None = None, bad: Policy = "fail") -> list[Row]:
    """The rows of a manifest, in its order; paths in it are relative to `root`, or else to its own folder.

    DataError, one line that names file and rows, where rows are bad, or where `bad` is "skip" and none is good.
    Skipped rows are logged; `scan` gives them too.
    """
    found = scan(path, root)
    if found.bad:
        told = told_of(path, found.bad, len(found.rows) + len(found.bad))
        if bad == "fail" or not found.rows:
            raise DataError(f"{told}; mend or remove them, or have them left out with --on-bad skip")
        log.warning("%s; left out", told)
    return found.rows


def scan(path: Path, root: Path | None = None) -> Manifest:
    """Every row of a manifest, good or bad. DataError where the file itself cannot be read, or holds no row."""
    found = Manifest([], [])
    ids: set[str] = set()
    files: dict[Path, bool] = {}
    for number, record in enumerate(_records(path)):
        where = f"row {number}"
        try:
            if isinstance(record, DataError):
                raise record
            name = record.fields.name("id")
            where += f" (id {name!r})"
            if name in ids:
                raise DataError("another row has the same id: rename or remove one")
            ids.add(name)
            row = _row(record, name, path.parent if root is None else root)
            if row.video is not None and not _is_file(row.video, files):
                raise DataError(f"no file {row.video}: check the path and the root folder")
        except DataError as error:
            reason = (
                str(error).removeprefix(f"{path}, row {number}, ").removeprefix(f"{path}, row {number}: ")
            )
            found.bad.append(BadRow(where, reason))
        else:
            found.rows.append(row)
    if not found.rows and not found.bad:
        raise DataError(f"{path} holds no rows")
    return found


def _is_file(path: Path, known: dict[Path, bool]) -> bool:
    """Whether it is one; many rows share a video, and the disk is asked once."""
    if path not in known:
        known[path] = path.is_file()
    return known[path]


def told_of(path: Path, bad: list[BadRow], total: int) -> str:
    """Bad rows in one line: how many of `total`, and the first few with their reasons."""
    shown = "; ".join(f"{each.where}: {' '.join(each.reason.split())}" for each in bad[:SHOWN])
    more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    return f"{path}: {len(bad)} of {total} rows cannot be trained on: {shown}{more}"


def _records(path: Path) -> Iterator[_Record | DataError]:
    """The rows, or what is wrong with a line: unlike `rows.read_rows`, one bad line does not hide the others."""
    if path.suffix != ".jsonl":
        if path.suffix != ".parquet":
            raise DataError(f"{path}: a training manifest ends in .jsonl or .parquet, not {path.suffix!r}")
        yield from _parquet_records(path)
        return
    if not path.is_file():
        raise DataError(f"training manifest not found: {path}")
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for place, line in enumerate(lines, 1):
                if line.strip():
                    yield _record(path, number, place, line)
                    number += 1
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error


def _record(path: Path, number: int, place: int, line: str) -> _Record | DataError:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        return DataError(f"line {place} cannot be read as JSON ({error})")
    if not isinstance(values, dict):
        return DataError(f"line {place} must be an object, not {type(values).__name__}")
    return _Record(Fields(path, number, values), frozenset(values))


def _parquet_records(path: Path) -> Iterator[_Record]:
    import pyarrow.parquet

    names: frozenset[str] | None = None
    for fields in read_rows(path):
        if names is None:
            names = frozenset(pyarrow.parquet.read_schema(path).names)
        yield _Record(fields, names)


def _row(record: _Record, name: str, root: Path) -> Row:
    fields = record.fields
    kinds = [kind for kind in ("video", "image") if _given(fields, kind)]
    if len(kinds) == 2:
        raise DataError("it has both a video and an image: keep one")
    if not kinds:
        _refuse_misspelt(record.names)
    start, end, duration = (_seconds(fields, key) for key in ("start", "end", "duration"))
    if kinds != ["video"] and (start is not None or end is not None):
        raise DataError("'start' and 'end' are for videos: remove them")
    _check_bounds(start, end, duration)
    return Row(
        id=name,
        messages=_messages(fields),
        video=root / fields.text(kinds[0]) if kinds else None,
        image=kinds == ["image"],
        start=start,
        end=end,
        duration=duration if kinds == ["video"] else None,
        source=fields.tag("source") if _given(fields, "source") else "",
        task=fields.tag("task") if _given(fields, "task") else "",
    )


def _given(fields: Fields, key: str) -> bool:
    return key in fields and not fields.is_null(key)


def _refuse_misspelt(names: frozenset[str]) -> None:
    """A row with "vidoe" would train blind on a question about a video."""
    unknown = sorted(names - _KNOWN)
    if unknown:
        raise DataError(
            f"no 'video' and no 'image', and unknown fields {', '.join(map(repr, unknown))}: rename or remove these"
        )


def _seconds(fields: Fields, key: str) -> float | None:
    return fields.seconds(key) if _given(fields, key) else None


def _check_bounds(start: float | None, end: float | None, duration: float | None) -> None:
    if duration == 0:
        raise DataError("'duration' is 0: give the video's seconds, or leave it out")
    begin = start or 0.0
    if end is not None and begin >= end:
        raise DataError(f"the clip {begin:g}-{end:g} s ends before it begins: 'start' must be below 'end'")
    if duration is not None and begin >= duration:
        raise DataError(f"'start' {begin:g} s is past the end of the video, which is {duration:g} s long")


def _messages(fields: Fields) -> tuple[Message, ...]:
    found = tuple(_message(place, each) for place, each in enumerate(fields.rows("messages")))
    turns = found[1:] if found and found[0].role == "system" else found
    for place, message in enumerate(turns, len(found) - len(turns)):
        wanted = ("user", "assistant")[(place - len(found) + len(turns)) % 2]
        if message.role != wanted:
            raise DataError(
                f"message {place} is from {message.role!r} where {wanted!r} must speak: an optional system message, "
                "then user and assistant in turn"
            )
    if not turns or turns[-1].role != "assistant":
        raise DataError("the messages must end with one from 'assistant', which is what is learnt")
    return found


def _message(place: int, fields: Fields) -> Message:
    role: Any = fields.one_of("role", ("system", "user", "assistant"))
    content = fields.text("content", empty=True)
    if not content.strip():
        raise DataError(f"message {place}, from {role!r}, is empty: fill or remove it")
    prefill = fields.text("prefill", empty=True) if _given(fields, "prefill") else ""
    if prefill and role != "assistant":
        raise DataError(
            f"message {place}, from {role!r}, has a 'prefill': only the assistant's answers are begun"
        )
    try:
        (prefill + content).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"message {place} is not valid Unicode ({error.reason}): mend its text") from error
    return Message(role, content, prefill)
