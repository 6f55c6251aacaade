"""Scoring without a model: a run again, or answers made elsewhere."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kangaroo_eval import journal, results
from kangaroo_eval.data import Located, fingerprint, locate, read_samples, video_key
from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.journal import RunDir
from kangaroo_eval.plan import check_share
from kangaroo_eval.registry import get_task
from kangaroo_eval.report import markdown
from kangaroo_eval.task import Task
from kangaroo_eval.types import Sample


def score_run(path: Path, *, data_root: Path | None, min_coverage: float | None = None) -> dict[str, Any]:
    """Make scores, results.json and report.md of the run at `path` anew from its answers.

    Annotations come from `data_root`, else from where the run found them; `DataError` when they are gone or
    are not the ones that were asked.
    """
    record = journal.read_record(path)
    if record is None:
        raise UserError(f"{path} has no run.json: give a run directory")
    with RunDir(path):
        for name in record["tasks"]:
            _refresh(path, record, name, data_root)
        share = (
            record.get("min_coverage", results.COMPARABLE_COVERAGE) if min_coverage is None else min_coverage
        )
        return _build(path, record, check_share(share))


def _build(path: Path, record: Mapping[str, Any], min_coverage: float) -> dict[str, Any]:
    found = results.build(path, record, min_coverage)
    journal.write_text(path / "report.md", markdown(found))
    return found


def write_scores(path: Path, task: Task, samples: Sequence[Sample], root: Path) -> None:
    """Make `<task>.scores.jsonl` of the run at `path` anew from its answers."""
    answers = journal.last_answers(path, task.name)
    results.write_scores(path, task, results.score_answers(task, samples, answers, root))


def refresh_stale(path: Path, record: Mapping[str, Any]) -> None:
    """Score those tasks of earlier calls again whose scores are not of all their answers: such a call was
    killed between its last answer and its scores."""
    for name in record["tasks"]:
        if results.is_stale(path, name):
            _refresh(path, record, name, None)


def _refresh(path: Path, record: Mapping[str, Any], name: str, data_root: Path | None) -> None:
    task, entry = get_task(name), record["tasks"][name]
    root = data_root / task.source.folder if data_root else Path(entry["data_root"])
    if not root.is_dir():
        raise DataError(f"{name}: annotations not found under {root}: give --data-root")
    samples = read_samples(task, root)
    if fingerprint(task, root) != entry["data_fingerprint"]:
        raise DataError(f"{name}: the annotations under {root} are not the ones this run was asked with")
    write_scores(path, task, samples, root)


def score_file(
    name: str,
    answers: Path,
    output: Path,
    *,
    data: tuple[str, Path | None, Path],
    ignore_unknown: bool = False,
    min_coverage: float = results.COMPARABLE_COVERAGE,
) -> dict[str, Any]:
    """Score a JSON-lines file of {"id", "text"} into the run directory `output`.

    `data` is --data, the data root and the cache. Without `--data mini` annotations come from the data root
    alone. The same answer twice counts once; two different answers to one id, or an unknown id, are refused.
    """
    task = get_task(name)
    check_share(min_coverage)
    kind, data_root, cache = data
    found = locate(task, "mini" if kind == "mini" else "real", data_root, cache)
    samples = read_samples(task, found.root)
    texts = _texts(answers, samples, ignore_unknown)
    with RunDir(output) as directory:
        if directory.record() is not None:
            raise UserError(f"{output} already holds a run: give another --output")
        record = _record(task, answers, found)
        directory.write_record(record)
        videos = {each.id: video_key(each, found.root) for each in samples}
        directory.asked(task.name).append(
            [journal.asked_line(each.id, videos[each.id], task.group(each)) for each in samples]
        )
        directory.answers(task.name).append(
            [
                {"id": each.id, "video": videos[each.id], "status": "ok", "text": texts[each.id]}
                for each in samples
                if each.id in texts
            ]
        )
        write_scores(output, task, samples, found.root)
        return _build(output, record, min_coverage)


def _texts(file: Path, samples: Iterable[Sample], ignore_unknown: bool) -> dict[str, str]:
    known = {sample.id for sample in samples}
    texts: dict[str, str] = {}
    unknown = []
    for number, line in _lines(file):
        good = (
            isinstance(line, dict) and isinstance(line.get("id"), str) and isinstance(line.get("text"), str)
        )
        if not good:
            raise UserError(f'{file}, line {number}: expected {{"id": text, "text": text}}')
        if line["id"] not in known:
            unknown.append(line["id"])
        elif texts.setdefault(line["id"], line["text"]) != line["text"]:
            raise UserError(f"{file}, line {number}: id {line['id']!r} is answered twice, differently")
    if unknown and not ignore_unknown:
        raise UserError(
            f"{file}: {len(unknown)} unknown ids ({', '.join(unknown[:5])}); leave them out with --ignore-unknown"
        )
    return texts


def _lines(file: Path) -> Iterator[tuple[int, Any]]:
    """The lines of somebody's JSON-lines file. Unlike a journal's, its last line is whole without a newline."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"answers file not found: {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as UTF-8 text: {error}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{file}, line {number}: not JSON lines ({error})") from error


def _record(task: Task, file: Path, found: Located) -> dict[str, Any]:
    entry = {
        "version": task.version,
        "prompt_hash": None,
        "data_fingerprint": fingerprint(task, found.root),
        "data": found.kind,
        "frames": None,
    }
    return {
        "schema": journal.SCHEMA,
        "id": secrets.token_hex(8),
        "model": {
            "name": f"answers:{file.name}",
            "hash": None,
            "notes": ["answers made elsewhere"],
            "settings": {},
        },
        "frames": None,
        "data": found.kind,
        "protocol": {"sampler": None, "tasks": {task.name: entry}},
        "tasks": {task.name: {**entry, "data_root": str(found.root)}},
        "started": journal.now(),
        "finished": journal.now(),
    }
