"""VLMEvalKit's result files: `{model}_{dataset}.xlsx`, `.tsv` or `.json`, and what its scoring left beside them.

Format: vlmeval/smp/file.py and vlmeval/dataset/videomme.py. Its pickles are never read: reading one runs whatever code
is in it.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kangaroo_eval.errors import UserError, cannot_import, first_line
from kangaroo_eval.integrations.theirs import Log, Part, Row

log = logging.getLogger(__name__)

LONGEST_CELL = 32_767
"""Characters that a cell of xlsx holds: what is longer was cut when the file was written."""
SUFFIXES = (".xlsx", ".tsv", ".json")
_DERIVED = re.compile(r"_(?:score|rating|acc|judge|result|tmp|structs|checkpoint|PREV)(?:_\w+)?\Z")
DATASETS = (
    ("video-?mme", "Video-MME"),
    ("longvideobench", "LongVideoBench"),
    ("lvbench", "LVBench"),
    ("mlvu", "MLVU"),
    ("mvbench", "MVBench"),
    ("egoschema", "EgoSchema"),
    ("tempcompass", "TempCompass"),
    ("mmbench-?video", "MMBench-Video"),
)
_DATASET = re.compile(rf"(?i)(?:\A|_)((?:{'|'.join(pattern for pattern, _ in DATASETS)})(?:[_-].*)?)\Z")


def read(path: Path, dataset: str | None) -> Log:
    """The result file at `path`, or the one in this folder. `dataset` is its data set where the file's name does not
    tell. `UserError` for what is no result file."""
    file = _file(path)
    model, name = names(file, dataset)
    table = _table(file)
    rows = [_row(file, number, each) for number, each in enumerate(table)]
    cut = sum(len(row.text or "") >= LONGEST_CELL for row in rows)
    if cut and file.suffix.lower() == ".xlsx":
        log.warning(
            "%s: %d predictions have the %d characters of a full cell: they were cut", file, cut, LONGEST_CELL
        )
    status = _status(file, name)
    return Log(
        family="vlmeval",
        harness="VLMEvalKit",
        version=str(status["commit"]) if status.get("commit") else None,
        model=str(status.get("model_name") or model),
        frames=_frames(name),
        date=str(status["eval_id"]) if status.get("eval_id") else None,
        settings={"dataset": name},
        parts=[Part(name, file, rows, None, _metrics(file, status, name))],
    )


def _file(path: Path) -> Path:
    if path.suffix == ".pkl":
        raise UserError(
            f"{path} is a pickle, which runs code when it is read: give the .xlsx, .tsv or .json of the same run"
        )
    if not path.is_dir():
        if path.suffix.lower() not in SUFFIXES:
            raise UserError(
                f"{path} is neither a log of lmms-eval (*_results.json, *_samples_TASK.jsonl) nor a result file of "
                f"VLMEvalKit ({', '.join(SUFFIXES)})"
            )
        return path
    found = [
        file
        for file in sorted(path.iterdir())
        if file.suffix.lower() in SUFFIXES and file.name != "status.json" and not _DERIVED.search(file.stem)
    ]
    named = [file for file in found if _DATASET.search(file.stem)]
    if len(named) != 1:
        told = (
            f"several result files ({', '.join(file.name for file in named)})" if named else "no result file"
        )
        raise UserError(f"{path} holds {told} of lmms-eval or VLMEvalKit: give one file")
    return named[0]


def names(file: Path, dataset: str | None = None) -> tuple[str, str]:
    """Model and data set, which the file's name joins with a line. `UserError` where it tells none that is known."""
    if dataset is not None:
        return file.stem.removesuffix(dataset).rstrip("_") or "unknown model", dataset
    match = _DATASET.search(file.stem)
    if match is None:
        known = ", ".join(name for _, name in DATASETS)
        raise UserError(
            f"{file}: its name tells no data set that is known ({known}): give --task, or --task vlmeval:NAME for any other"
        )
    return file.stem[: match.start()] or "unknown model", match[1]


def _frames(dataset: str) -> int | None:
    match = re.search(r"(\d+)frame", dataset)
    return int(match[1]) if match else None


def _table(file: Path) -> list[Mapping[str, Any]]:
    readers = {".xlsx": _xlsx, ".tsv": _tsv, ".json": _json}
    rows = readers[file.suffix.lower()](file)
    if not rows:
        raise UserError(f"{file} holds no rows")
    for column in ("index", "prediction"):
        if column not in rows[0]:
            have = ", ".join(map(str, rows[0])) or "none"
            raise UserError(
                f"{file}: column {column!r} is missing (columns: {have}): is it a result file of VLMEvalKit?"
            )
    return rows


def _xlsx(file: Path) -> list[Mapping[str, Any]]:
    try:
        import openpyxl
    except ImportError as error:
        raise cannot_import(f"{file}", error, "pip install 'kangaroo-eval[import]'") from error
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        lines = book.active.iter_rows(values_only=True)
        heading = [str(name) for name in next(lines, ())]
        return [
            dict(zip(heading, line, strict=False)) for line in lines if any(cell is not None for cell in line)
        ]
    except Exception as error:
        raise UserError(f"{file} cannot be read as xlsx: {first_line(error)}") from error


def _tsv(file: Path) -> list[Mapping[str, Any]]:
    csv.field_size_limit(1 << 24)
    try:
        rows = list(csv.DictReader(io.StringIO(_text(file)), delimiter="\t", strict=True))
    except csv.Error as error:
        raise UserError(f"{file} cannot be read as TSV: {error}") from error
    for number, row in enumerate(rows):
        if None in row or None in row.values():
            raise UserError(f"{file}, row {number}: not as many columns as the heading has")
    return list(rows)


def _json(file: Path) -> list[Mapping[str, Any]]:
    """A list of rows, or pandas' {column: {number: value}}."""
    try:
        found = json.loads(_text(file))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is damaged ({error}): restore the file") from error
    if isinstance(found, dict) and found and all(isinstance(each, dict) for each in found.values()):
        numbers = list(next(iter(found.values())))
        found = [{name: column.get(number) for name, column in found.items()} for number in numbers]
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise UserError(f"{file} is no result file of VLMEvalKit: expected a list of rows")
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as UTF-8 text: {error}") from error


def _row(file: Path, number: int, row: Mapping[str, Any]) -> Row:
    index = _cell(row.get("index"))
    if index is None:
        raise UserError(f"{file}, row {number}, column 'index': empty")
    score = row.get("score", row.get("hit"))
    name = row.get("question_id", row.get("q_uid"))
    return Row(
        number=index,
        id=_cell(name),
        text=_cell(row["prediction"]),
        question=_cell(row.get("question")),
        choices=_candidates(row),
        target=_cell(row.get("answer")),
        video=_cell(row.get("video")),
        score=None if _cell(score) is None else _number(score),
        details={str(key): value for key, value in row.items()},
    )


def _cell(value: object) -> str | None:
    """A cell as text; None for an empty one, which pandas also writes as nan."""
    if value is None or value != value or value in ("", "nan"):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _number(value: object) -> float | None:
    """A score of 0 or more: -1 stands for one that could not be judged."""
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= 0 else None


def _candidates(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The options: a Python list written as text, or columns A, B, C, ..."""
    value = row.get("candidates")
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = None
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    lettered = []
    for letter in "ABCDEFGH":
        text = _cell(row.get(letter))
        if text is None:
            break
        lettered.append(text)
    return tuple(lettered)


def _status(file: Path, dataset: str) -> dict[str, Any]:
    """What status.json beside the file says of the run, with this data set's entry under "entry"."""
    try:
        found = json.loads((file.parent / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    entries = found.get("datasets")
    entry = entries.get(dataset) if isinstance(entries, dict) else None
    return {**found, "entry": entry if isinstance(entry, dict) else {}}


def _metrics(file: Path, status: Mapping[str, Any], dataset: str) -> dict[str, float]:
    """The recorded metrics: the main one of status.json first, else what a rating or accuracy table says."""
    entry = status.get("entry", {})
    metrics = entry.get("metrics")
    if isinstance(metrics, dict) and metrics:
        main = entry.get("primary_metric")
        ordered: Sequence[str] = sorted(metrics, key=lambda name: name != main)
        found = {name: _float(metrics[name]) for name in ordered}
        return {name: value for name, value in found.items() if value is not None}
    for rating in sorted(file.parent.glob(f"{_escaped(file.stem)}*_rating.json")):
        value = _overall(rating)
        if value is not None:
            return {"overall": value}
    return {}


def _escaped(text: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", text)


def _overall(rating: Path) -> float | None:
    """Video-MME's table of ratings: {overall: {overall: "0.567"}}."""
    try:
        found = json.loads(rating.read_text(encoding="utf-8"))
        value = found["overall"]
        return _float(value["overall"] if isinstance(value, dict) else value)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _float(value: object) -> float | None:
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None
