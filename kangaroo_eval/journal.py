"""The run directory: run.json, append-only answers, the lock, and resuming.

An answer costs GPU time, so it is on disk before the next question is asked, and never rewritten. A torn last
line (the machine lost power in the middle of a write) is cut off when the run is opened again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kangaroo_eval.errors import RunFailed, UserError, first_line, shown

SCHEMA = 1
RUN_FILES = (
    "run.json",
    "results.json",
    "report.*",
    "*.asked.jsonl",
    "*.answers.jsonl",
    "*.judged.jsonl",
    "*.labels.jsonl",
    "*.scores.jsonl",
    # Another model's controls must not stand beside this one's scores.
    "controls",
)


def asked_line(sample: str, video: str, group: str | None) -> dict[str, str | None]:
    """One sample that the run was asked for: its id, the video its standard error is clustered by, and the
    group it counts in where the metric is a mean over groups."""
    return {"id": sample, "video": video, "group": group}


class AppendOnly:
    """A JSON-lines file that only grows. `append` returns when the line is with the operating system, so a
    killed process loses nothing that was appended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise RunFailed(f"cannot write {path}: {error.strerror}") from error
        self.end = self._repair()

    def _repair(self) -> int:
        """Cut off a last line that has no newline: the write that a kill or a power cut tore."""
        end = os.fstat(self._file).st_size
        keep = end
        while keep:
            start = max(0, keep - (1 << 20))
            tail = os.pread(self._file, keep - start, start)
            cut = tail.rfind(b"\n")
            if cut < 0 and start:
                keep = start
                continue
            keep = start + cut + 1
            break
        if keep != end:
            os.ftruncate(self._file, keep)
        return keep

    def append(self, records: Sequence[Mapping[str, object]]) -> None:
        """Add one line a record. On a full disk what was there stays whole, and `RunFailed` says so."""
        # Half a sign (a lone surrogate) is written as its escape, which is JSON: UTF-8 cannot hold it.
        data = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode(
            "utf-8", errors="backslashreplace"
        )
        # A file that has no name any more still takes what is written, and is gone with this process.
        if not os.fstat(self._file).st_nlink:
            raise RunFailed(
                f"{self.path} was removed while it was written to: what was answered before is lost. Run the same command again"
            )
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.end)
            raise RunFailed(
                f"cannot write {self.path}: {error.strerror}. Nothing answered so far is lost; make room and run "
                "the same command again"
            ) from error
        self.end += len(data)

    def read(self) -> Iterator[dict[str, Any]]:
        """Every record, oldest first. Raises `UserError` naming the line when one is no JSON."""
        return read_lines(self.path, self.end)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


def read_lines(path: Path, end: int | None = None) -> Iterator[dict[str, Any]]:
    """The records of a JSON-lines file up to byte `end`; a torn last line is left out."""
    if end == 0 or not path.exists():
        return
    position = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            position += len(line)
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(
                    f"{path}, line {number} is damaged ({first_line(error)}): restore it or use --fresh"
                ) from error
            if not isinstance(record, dict):
                raise UserError(
                    f"{path}, line {number}: expected an object, found {type(record).__name__}: restore it or use --fresh"
                )
            yield record
            if end is not None and position >= end:
                return


def write_json(path: Path, value: object) -> None:
    """Replace a file in one step: readers see the old one or the new one, never half of it."""
    _replace(path, [json.dumps(value, ensure_ascii=False, indent=1), "\n"])


def write_lines(path: Path, records: Iterable[Mapping[str, object]]) -> None:
    """Replace a JSON-lines file in one step; the records are taken one by one."""
    _replace(path, (json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _replace(path: Path, texts: Iterable[str]) -> None:
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            for text in texts:
                file.write(text.encode("utf-8", errors="backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        beside = (
            "the answers are safe beside it" if path.parent.is_dir() else "its folder was removed or moved"
        )
        raise RunFailed(f"cannot write {path}: {error.strerror}; {beside}") from error


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step."""
    _replace(path, [text])


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunDir:
    """One run directory, locked while it is open for writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, AppendOnly] = {}
        self._lock: int | None = None

    def __enter__(self) -> RunDir:
        self.lock()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def lock(self) -> None:
        """Make the directory if need be and take its lock; `UserError` names the process that holds it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UserError(
                f"cannot write in {self.path}: {error.strerror}; give another folder with --output"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 64, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            self._lock = None
            raise UserError(
                f"{self.path} is in use by another run (process {holder}): wait for it, or give another --output"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def close(self) -> None:
        """Close every file and release the lock."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def set_aside(self) -> Path | None:
        """Move an earlier run's files into `<path>.old-N` (for --fresh); None when there was none. Files that
        are no run's stay where they are."""
        files = [file for pattern in RUN_FILES for file in sorted(self.path.glob(pattern))]
        if not files:
            return None
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.old-{number}")).exists():
            number += 1
        aside.mkdir()
        for file in files:
            file.rename(aside / file.name)
        return aside

    def record(self) -> dict[str, Any] | None:
        """run.json, or None in a new directory. `UserError` when it cannot be read, or is gone from beside
        answers: nobody could say by what protocol they were made."""
        record = read_record(self.path)
        if record is None and any(self.path.glob("*.answers.jsonl")):
            raise UserError(
                f"{self.path} holds answers but no run.json: restore it, or use --fresh or another --output"
            )
        return record

    def write_record(self, record: Mapping[str, object]) -> None:
        """Write run.json."""
        write_json(self.path / "run.json", record)

    def answers(self, task: str) -> AppendOnly:
        """The append-only answers of a task."""
        return self._open(f"{task}.answers.jsonl")

    def judged(self, task: str) -> AppendOnly:
        """The append-only replies of the judge about a task's answers."""
        return self._open(f"{task}.judged.jsonl")

    def asked(self, task: str) -> AppendOnly:
        """The append-only list of the samples the run was asked for: what coverage is a share of."""
        return self._open(f"{task}.asked.jsonl")

    def _open(self, name: str) -> AppendOnly:
        if name not in self._files:
            self._files[name] = AppendOnly(self.path / name)
        return self._files[name]


def read_record(path: Path) -> dict[str, Any] | None:
    """`path`/run.json, or None when there is none."""
    file = path / "run.json"
    if not file.exists():
        return None
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read: {first_line(error)}") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise UserError(
            f"{file}: schema {SCHEMA} expected; this run was made by another version of kangaroo-eval"
        )
    lacking = [key for key in ("id", "model", "protocol", "tasks", "started") if key not in record]
    whole = not lacking and isinstance(record["tasks"], dict) and isinstance(record["protocol"], dict)
    if not whole or not all(map(_is_entry, record["tasks"].values())) or not _is_told(record):
        raise UserError(
            f"{file} is no whole run record (without {', '.join(lacking) or 'its parts'}): use --fresh"
        )
    return record


_ENTRY_FIELDS: dict[str, Any] = {
    **dict.fromkeys(("data", "data_root", "gold", "format", "data_fingerprint"), str),
    **dict.fromkeys(("samples", "frames"), int),
    "judge": dict,
}


def read_results(path: Path) -> dict[str, Any]:
    """`path`/results.json. `UserError` where there is none, or it is damaged."""
    file, mend = path / "results.json", f"`kangaroo-eval score {path}` makes it"
    if not file.is_file():
        raise UserError(f"{path} has no results.json: give a run directory; {mend}")
    try:
        found = json.loads(file.read_text(encoding="utf-8"), parse_int=_count)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read: {first_line(error)}; {mend} anew") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise UserError(f"{file}: schema {SCHEMA} expected; {mend} anew")
    if not isinstance(found.get("run"), dict) or not isinstance(found.get("tasks"), dict):
        raise UserError(f"{file} is not whole; {mend} anew")
    return found


def _count(digits: str) -> int:
    """A number of samples, tokens or bytes; one of hundreds of digits fits no float, and is damage."""
    if len(digits) > 20:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


_TOLD: dict[tuple[str, ...], Any] = {
    ("frames",): int | None,
    ("data",): str,
    ("started",): str,
    ("finished",): str | None,
    ("model", "name"): str,
    ("model", "hash"): str | None,
    ("model", "notes"): list,
    ("protocol", "sampler"): str | None,
    ("protocol", "tasks"): dict,
}
"""What readers of a run record go by, and what it has to be."""


def _is_told(record: Mapping[str, Any]) -> bool:
    """Whether all of `_TOLD` is there, and the share of answers that was asked for is one."""
    for (*way, name), kind in _TOLD.items():
        holder: Any = record[way[0]] if way else record
        if not isinstance(holder, dict) or name not in holder or not isinstance(holder[name], kind):
            return False
    share, calls = record.get("min_coverage", 0.0), record.get("calls", [])
    return (
        isinstance(calls, list)
        and all(isinstance(each, dict) for each in record["protocol"]["tasks"].values())
        and all(isinstance(each, str) for each in record["model"]["notes"])
        and isinstance(share, int | float)
        and 0 <= share <= 1
    )


def _is_entry(entry: object) -> bool:
    """Whether this can be what a run record says of a task."""
    return (
        isinstance(entry, dict)
        and entry.get("data") is not None
        and all(isinstance(entry.get(name), kind | None) for name, kind in _ENTRY_FIELDS.items())
    )


def read_asked(path: Path, task: str) -> dict[str, str | None]:
    """Id -> group of every sample the run at `path` was asked for, in the order asked."""
    file = path / f"{task}.asked.jsonl"
    found: dict[str, str | None] = {}
    for line in read_lines(file):
        name, group = _field(file, line, "id"), line.get("group")
        if not isinstance(group, str | None):
            raise UserError(f"{file}: the group of {name[:80]!r} is damaged: restore it or use --fresh")
        found[name] = group
    return found


def _field(file: Path, line: Mapping[str, Any], name: str) -> str:
    value = line.get(name)
    if not isinstance(value, str):
        raise UserError(
            f"{file}: a line without {name!r} ({json.dumps(line)[:80]}): restore it or use --fresh"
        )
    return value


def answer_lines(file: Path, end: int | None = None) -> Iterator[dict[str, Any]]:
    """The lines of an answers file, each with an id, a status and, where that is ok, a text."""
    for line in read_lines(file, end):
        for name in ("id", "status", "text") if line.get("status") == "ok" else ("id", "status"):
            _field(file, line, name)
        for name, kind in _ANSWER_FIELDS.items():
            value = line.get(name)
            if value is not None and not (isinstance(value, kind) and _IS_SOUND.get(kind, _any)(value)):
                raise UserError(
                    f"{file}: the {name} of {line['id'][:80]!r} are damaged: restore it or use --fresh"
                )
        for name, inner in (("error", str), ("phases", _SECONDS)):
            values = (line.get(name) or {}).values()
            if not all(isinstance(each, inner) and _IS_SOUND.get(inner, _any)(each) for each in values):
                raise UserError(
                    f"{file}: the {name} of {line['id'][:80]!r} is damaged: restore it or use --fresh"
                )
        yield line


_SECONDS: Any = int | float
_ANSWER_FIELDS: dict[str, Any] = {
    **dict.fromkeys(("seconds", "decode_seconds", "wait_seconds"), _SECONDS),
    **dict.fromkeys(("prompt_tokens", "new_tokens", "video_bytes", "attempt", "guess"), int),
    **dict.fromkeys(("frames_repeated", "frames_absent", "subtitle_cues"), int),
    **dict.fromkeys(("video", "system", "prompt", "prefill"), str),
    **dict.fromkeys(("losses", "frame_times"), list),
    **dict.fromkeys(("error", "phases"), dict),
}
"""What the fields of an answer are where they are there and not null; a list is one of numbers."""


_LONGEST = 1e12
"""Seconds that nothing takes; what is beyond, or NaN, is damage that would spoil every sum."""


def _any(_value: object) -> bool:
    return True


def _all_numbers(values: Sequence[object]) -> bool:
    return all(isinstance(each, int | float) for each in values)


_IS_SOUND: dict[Any, Callable[[Any], bool]] = {
    list: _all_numbers,
    _SECONDS: lambda value: abs(value) < _LONGEST,
}


# What scoring and counting need of an answer. Prompts and frame times are most of a line, so memory would grow
# with them.
_KEPT = (
    "id",
    "video",
    "status",
    "text",
    "error",
    "guess",
    "refused",
    "losses",
    "frames_repeated",
    "frames_absent",
    "subtitle_cues",
)


def last_answers(path: Path, task: str) -> dict[str, dict[str, Any]]:
    """The latest answer of every sample, without its prompt: a retry stands below what it retried."""
    lines = answer_lines(path / f"{task}.answers.jsonl")
    return {line["id"]: {key: line[key] for key in _KEPT if key in line} for line in lines}


def identity_text(judge: Mapping[str, Any] | None) -> str | None:
    """A judge in one text: which model, and where."""
    return None if judge is None else f"{judge['model']} at {judge['base_url']}"


_NUMBERS = ("prompt_tokens", "completion_tokens", "cost")


def verdict_lines(path: Path, task: str) -> Iterator[dict[str, Any]]:
    """Every line of a task's judged file, oldest first. `status` is ok, retry (a reply that the authors would ask
    for again) or judge_failed."""
    file = path / f"{task}.judged.jsonl"
    for line in read_lines(file):
        for name in ("id", "key", "status", "judged_by"):
            _field(file, line, name)
        if line["status"] == "ok":
            _field(file, line, "reply")
        sound = all(isinstance(line.get(name), int | float | None) for name in _NUMBERS)
        if not sound or not isinstance(line.get("served_by"), str | None):
            raise UserError(f"{file}: a damaged line ({json.dumps(line)[:80]}): restore it or use --fresh")
        yield line


def difference(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two protocols, as "key: old -> new". Keys that only one of them has do not differ:
    tasks may be added to a run."""
    found = []
    for key in old.keys() & new.keys():
        if isinstance(old[key], dict) and isinstance(new[key], dict):
            found += difference(old[key], new[key], f"{prefix}{key}.")
        elif old[key] != new[key]:
            # Long enough for paths, whose ends are what differs.
            was, now = (shown(str(side[key]), 200) for side in (old, new))
            found.append(f"{shown(prefix + key)}: {was} -> {now}")
    return sorted(found)
