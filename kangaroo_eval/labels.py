"""Questions and labels that came with answers made elsewhere: `<task>.labels.jsonl` of a run directory, so that the
run can be scored again when their file is gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kangaroo_eval.errors import DataError
from kangaroo_eval.journal import read_lines
from kangaroo_eval.types import Sample, Tags, Video

FORM = "labels"


def file_of(path: Path, task: str) -> Path:
    """The labels' file in the run directory `path`."""
    return path / f"{task}.labels.jsonl"


def text_of(samples: Iterable[Sample]) -> str:
    """The samples as JSON lines."""
    return "".join(json.dumps(_line(each), ensure_ascii=False) + "\n" for each in samples)


def fingerprint(text: str) -> str:
    """sha256 of what `text_of` gives."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def questions_of(samples: Iterable[Sample]) -> str:
    """sha256 of what was asked and what is right, without what another harness recorded of the answers: two runs that were
    asked the same have the same one."""
    lines = (
        json.dumps([each.id, each.question, list(each.choices), each.target], ensure_ascii=False)
        for each in sorted(samples, key=lambda each: each.id)
    )
    return fingerprint("\n".join(lines))


def _line(sample: Sample) -> dict[str, Any]:
    return {
        "id": sample.id,
        "video": sample.video.path,
        "question": sample.question,
        "choices": list(sample.choices),
        "target": sample.target,
        "tags": dict(sample.tags),
        "facts": dict(sample.facts),
    }


def read(path: Path, task: str, expected: str) -> tuple[Sample, ...]:
    """The samples of the run directory `path`. `DataError` where their file is gone, or is not the one whose
    fingerprint the run has."""
    file = file_of(path, task)
    if not file.is_file():
        raise DataError(f"{task}: the labels came with the answers, and {file} is gone: restore it")
    if hashlib.sha256(file.read_bytes()).hexdigest() != expected:
        raise DataError(f"{task}: {file} is not the one that this run was imported with: restore it")
    return tuple(_sample(line) for line in read_lines(file))


def _sample(line: Mapping[str, Any]) -> Sample:
    return Sample(
        id=line["id"],
        video=Video(line["video"]),
        question=line["question"],
        choices=tuple(line["choices"]),
        target=line["target"],
        tags=_tags(line["tags"]),
        facts=_tags(line["facts"]),
    )


def _tags(found: Mapping[str, Any]) -> Tags:
    return {name: value if isinstance(value, str) else tuple(value) for name, value in found.items()}
