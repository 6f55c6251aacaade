"""Files of predictions: the benchmarks' own forms, JSON lines and CSV; reading them for `score`, writing them for
`export`. Shared parts of the forms live here, what is one benchmark's own in its task."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.task import Exported, Predicted, Predictions, Task


def read_text(path: Path) -> str:
    """A file's text; `UserError` when it is absent or no UTF-8 text."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"answers file not found: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. A key twice with two values would be an answer lost without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if found[key] != value:
                raise ValueError(f"{shown(key)} is given twice, differently")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=_unique)
# A text that never ends is one match too: tried anew at each of its quotes, a file of them would take its length squared.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*+"?)|,(\s*+[}\]])')


def load_json(path: Path) -> Any:
    """A JSON file. Commas before a closing bracket are forgiven: an official template has them."""
    text = read_text(path)
    try:
        try:
            return DECODER.decode(text)
        except json.JSONDecodeError:
            return DECODER.decode(_TRAILING_COMMA.sub(lambda found: found[1] or found[2], text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error


def shown(value: object) -> str:
    """A value of a file for an error line, cut short."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "a value nested too deep"
    return text if len(text) <= 80 else text[:77] + "..."


def field(entry: object, *names: str) -> str:
    """The first of these fields that the object has, as text. ValueError where it has none, or no text."""
    if isinstance(entry, Mapping):
        for name in names:
            if isinstance(entry.get(name), str):
                return str(entry[name])
    raise ValueError(f"an entry without a text {' or '.join(map(repr, names))}: {shown(entry)}")


def name_of(entry: Mapping[str, Any], key: str) -> str:
    """An id, as annotations have them: text, or a whole number, which becomes text."""
    value = entry.get(key)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else field(entry, key)


def objects(path: Path) -> list[Mapping[str, Any]]:
    """The objects of a JSON file that must be a list of them."""
    found = load_json(path)
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise ValueError("not a list of objects")
    return found


def as_text(value: object) -> str:
    """A value that must be a text."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no text")
    return value


_HALF_A_SIGN = re.compile("[\ud800-\udfff]")


def dump(value: object, indent: int | None = 1) -> str:
    """JSON as files of predictions have it. Half a sign, left where a reply was cut, is written as an escape: no
    UTF-8 has it."""
    text = json.dumps(value, ensure_ascii=False, indent=indent) + "\n"
    return _HALF_A_SIGN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def mapping(
    name: str,
    about: str,
    *,
    file: str,
    text: Callable[[object], str],
    value: Callable[[Exported], object],
    complete: bool = False,
) -> Predictions:
    """A JSON object of id -> value. `text` makes a reply of a value (ValueError for what is none), `value` the
    other way round; `file` is what `export` calls it."""

    def read(path: Path) -> Iterator[Predicted]:
        found = load_json(path)
        if not isinstance(found, dict) or not found:
            raise ValueError("not an object of id: value")
        return iter([Predicted(key, text(each)) for key, each in found.items()])

    def write(rows: Sequence[Exported]) -> dict[str, str]:
        return {file: dump({row.sample.id: value(row) for row in rows})}

    return Predictions(name=name, about=about, read=read, write=write, complete=complete)


def listing(
    name: str,
    about: str,
    *,
    file: str,
    keys: tuple[str, str],
    entry: Callable[[Exported], Mapping[str, object]],
    complete: bool = False,
) -> Predictions:
    """A JSON list of objects that have the id and the answer under `keys`; `entry` makes one."""

    def read(path: Path) -> Iterator[Predicted]:
        return iter([Predicted(name_of(each, keys[0]), field(each, keys[1])) for each in objects(path)])

    def write(rows: Sequence[Exported]) -> dict[str, str]:
        return {file: dump([entry(row) for row in rows])}

    return Predictions(name=name, about=about, read=read, write=write, complete=complete)


def _read_jsonl(path: Path) -> Iterator[Predicted]:
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}, line {number}: not JSON lines ({error})") from error
        good = (
            isinstance(entry, dict)
            and isinstance(entry.get("id"), str)
            and isinstance(entry.get("text"), str)
        )
        if not good:
            raise UserError(f'{path}, line {number}: expected {{"id": text, "text": text}}')
        yield Predicted(entry["id"], entry["text"], refused=entry.get("refused") is True)


def _write_jsonl(rows: Sequence[Exported]) -> dict[str, str]:
    return {"answers.jsonl": "".join(dump(_jsonl_entry(row), None) for row in rows)}


def _jsonl_entry(row: Exported) -> dict[str, object]:
    refused = {"refused": True} if row.text is None else {}
    return {"id": row.sample.id, "text": row.text or "", **refused}


def _not_read(path: Path) -> Iterator[Predicted]:
    raise ValueError("this form is written, not read")


def no_formula(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _write_csv(rows: Sequence[Exported]) -> dict[str, str]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("id", "target", "answer", "text"))
    for row in rows:
        cells = (row.sample.id, row.sample.target, row.answer, row.text)
        writer.writerow([None if each is None else no_formula(each) for each in cells])
    return {"answers.csv": out.getvalue()}


JSONL = Predictions(
    name="jsonl",
    about='JSON lines {"id", "text"}',
    read=_read_jsonl,
    write=_write_jsonl,
    suffixes=(".jsonl", ".json", ".txt"),
)
CSV = Predictions(
    name="csv", about="a table of ids, answers read and texts", read=_not_read, write=_write_csv, suffixes=()
)


def forms(task: Task) -> tuple[Predictions, ...]:
    """Every form of predictions that a task knows."""
    return (*task.predictions, JSONL, CSV)


def form(task: Task, name: str) -> Predictions:
    """The form of that name; `UserError` lists the names."""
    for each in forms(task):
        if each.name == name:
            return each
    known = ", ".join(each.name for each in forms(task))
    raise UserError(f"--format {name!r}: {task.name} knows {known}")


class Found(NamedTuple):
    """The answers of a file, and the form it has."""

    form: Predictions
    answers: tuple[Predicted, ...]


def read_predictions(task: Task, path: Path, name: str | None) -> Found:
    """What a file holds, in the form called `name`, else in the first that fits. `UserError` says why none does."""
    try:
        path.stat()
    except FileNotFoundError:
        raise UserError(f"answers file not found: {path}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    suffix = "" if path.is_dir() else path.suffix.lower() or ".json"
    tried = [form(task, name)] if name else [each for each in forms(task) if suffix in each.suffixes]
    if not tried and not path.is_dir():
        tried = [JSONL]
    reasons: list[tuple[str, ValueError]] = []
    for each in tried:
        try:
            answers = tuple(each.read(path))
            if not answers:
                raise ValueError("no answers in it")
            return Found(each, answers)
        except ValueError as error:
            reasons.append((each.name, error))
    if len(reasons) == 1 and isinstance(reasons[0][1], UserError):
        raise reasons[0][1]
    told = "; ".join(f"{name}: {error}" for name, error in reasons) or "no form of it is a folder"
    raise UserError(f"{path} has none of the forms of {task.name} ({told}); name one with --format")


class Mine(NamedTuple):
    """A task's answers by id, and how many more are of other parts of the benchmark."""

    answers: dict[str, Predicted]
    others: int


def own(task: Task, path: Path, answers: Iterable[Predicted]) -> Mine:
    """The answers that are this task's. The same answer twice counts once; two different ones to one id are
    refused."""
    found: dict[str, Predicted] = {}
    others = 0
    for each in answers:
        if task.other_ids and task.other_ids(each.id):
            others += 1
        elif (first := found.setdefault(each.id, each)) != each:
            what = "answered" if first.text != each.text else "labelled"
            raise UserError(f"{path}: id {each.id!r} is {what} twice, differently")
    return Mine(found, others)
