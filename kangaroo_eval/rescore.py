"""Scoring without a model: a run again, or answers made elsewhere."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kangaroo_eval import journal, results
from kangaroo_eval.data import fingerprint, locate, read_samples, video_key
from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.journal import RunDir
from kangaroo_eval.registry import get_task
from kangaroo_eval.types import Sample


def score_run(path: Path, *, data_root: Path | None, min_coverage: float | None = None) -> dict[str, Any]:
    """Make scores and results.json of the run at `path` anew from its answers.

    Annotations come from `data_root`, else from where the run found them; `DataError` when they are gone or
    are not the ones that were asked.
    """
    record = journal.read_record(path)
    if record is None:
        raise UserError(f"{path} has no run.json: give a run directory")
    with RunDir(path):
        for name, entry in record["tasks"].items():
            task = get_task(name)
            root = data_root / task.source.folder if data_root else Path(entry["data_root"])
            if not root.is_dir():
                raise DataError(f"{name}: annotations not found under {root}: give --data-root")
            if fingerprint(task, root) != entry["data_fingerprint"]:
                raise DataError(
                    f"{name}: the annotations under {root} are not the ones this run was asked with"
                )
            answers = journal.last_answers(path, name)
            results.write_scores(
                path, task, results.score_answers(task, read_samples(task, root), answers, root)
            )
        if min_coverage is None:
            min_coverage = record.get("min_coverage", 0.99)
        return results.build(path, record, min_coverage)


def score_file(
    name: str,
    answers: Path,
    output: Path,
    *,
    data: tuple[str, Path | None, Path],
    ignore_unknown: bool = False,
    min_coverage: float = 0.99,
) -> dict[str, Any]:
    """Score a JSON-lines file of {"id", "text"} into the run directory `output`.

    `data` is --data, the data root and the cache. Without `--data mini` annotations come from the data root
    alone. The same answer twice counts once; two different answers to one id, or an unknown id, are refused.
    """
    task = get_task(name)
    kind, root, cache = data
    found = locate(task, "mini" if kind == "mini" else "real", root, cache)
    samples = read_samples(task, found.root)
    texts = _texts(answers, samples, ignore_unknown)
    with RunDir(output) as directory:
        if directory.record() is not None:
            raise UserError(f"{output} already holds a run: give another --output")
        record = _record(
            task.name, answers, found.root, found.kind, fingerprint(task, found.root), task.version
        )
        directory.write_record(record)
        directory.asked(task.name).append(
            [{"id": each.id, "video": video_key(each, found.root)} for each in samples]
        )
        directory.answers(task.name).append(
            [
                {"id": each.id, "video": video_key(each, found.root), "status": "ok", "text": texts[each.id]}
                for each in samples
                if each.id in texts
            ]
        )
        scored = results.score_answers(task, samples, journal.last_answers(output, task.name), found.root)
        results.write_scores(output, task, scored)
        return results.build(output, record, min_coverage)


def _texts(file: Path, samples: Iterable[Sample], ignore_unknown: bool) -> dict[str, str]:
    if not file.is_file():
        raise UserError(f"answers file not found: {file}")
    known = {sample.id for sample in samples}
    texts: dict[str, str] = {}
    unknown = []
    for number, line in enumerate(journal.read_lines(file), 1):
        if (
            not isinstance(line, dict)
            or not isinstance(line.get("id"), str)
            or not isinstance(line.get("text"), str)
        ):
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


def _record(
    task: str, file: Path, root: Path, kind: str, data_fingerprint: str, version: int
) -> dict[str, Any]:
    entry = {
        "version": version,
        "prompt_hash": None,
        "data_fingerprint": data_fingerprint,
        "data": kind,
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
        "data": kind,
        "protocol": {"sampler": None, "tasks": {task: entry}},
        "tasks": {task: {**entry, "data_root": str(root)}},
        "started": journal.now(),
        "finished": journal.now(),
    }
