"""Results of other harnesses into a run directory of ours: their answers read by our readers, their numbers kept
beside ours."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kangaroo_eval import journal, labels
from kangaroo_eval.data import fingerprint, locate, read_samples, video_key
from kangaroo_eval.errors import UserError
from kangaroo_eval.integrations import benchmarks, joining, lmms_logs, vlmeval_files
from kangaroo_eval.integrations.theirs import Log, Part, Row, failure_of
from kangaroo_eval.registry import get_task, normal
from kangaroo_eval.rescore import Annotated, Made, Scoring, asked_lines, has_annotations, write_answers
from kangaroo_eval.task import Task
from kangaroo_eval.types import Sample

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An imported run: where it is, and its results.json."""

    path: Path
    results: Mapping[str, Any]


def import_results(
    path: Path,
    asked: Scoring,
    *,
    output: Path | None = None,
    task: str | None = None,
    ignore_unknown: bool = False,
) -> Imported:
    """Import the log of lmms-eval or the result file of VLMEvalKit at `path`.

    `task` is the benchmark that the answers are to, where the log's own name does not tell, or one of several in it.
    `output`: default `results/runs/<model>-<harness>-<date>`. Failures that stand in an answer's place become samples
    without an answer. Without annotations the log's own labels are used. Raises `UserError` for files that are no
    result, are damaged or are another task's, and `DataError` where annotations are needed.
    """
    if not path.exists():
        raise UserError(f"{path} not found: give a log of lmms-eval or a result file of VLMEvalKit")
    found = _read(path, task)
    groups = _groups(found, task)
    made, entries = [], {}
    for name, parts in groups.items():
        one, entry = _made(get_task(name), found, parts, asked, ignore_unknown)
        made.append(one)
        entries[one.task.name] = entry
    output = output or _default_output(found)
    results = write_answers(output, _record(found, entries, groups), made, asked)
    return Imported(path=output, results=results)


def _read(path: Path, task: str | None) -> Log:
    try:
        if lmms_logs.is_log(path):
            return lmms_logs.read(path)
        family, _, dataset = (task or "").partition(":")
        named = dataset if family == "vlmeval" and dataset else None
        return vlmeval_files.read(path, named or (_dataset_of(path, task) if task else None))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _dataset_of(path: Path, task: str | None) -> str | None:
    """With --task the name of the file need not tell the data set; where it does, it is believed."""
    try:
        vlmeval_files.names(path)
    except UserError:
        return task
    return None


def _groups(found: Log, task: str | None) -> dict[str, list[Part]]:
    """Our task -> their tasks that make it up. With `task`, those of it: a name that tells nothing is taken for it."""
    groups: dict[str, list[Part]] = defaultdict(list)
    wanted = None if task is None else get_task(task).name
    for part in found.parts:
        name = benchmarks.ours(found.family, part.name)
        if wanted is None or name == wanted or normal(part.name) == normal(wanted):
            groups[wanted or name].append(part)
    if wanted is not None and not groups:
        # A name that we know is another benchmark; any other may be a variant of the one that is asked for.
        open_ones = [part for part in found.parts if ":" in benchmarks.ours(found.family, part.name)]
        if len(open_ones) != 1 or ":" in wanted:
            held = ", ".join(
                f"{part.name} ({benchmarks.ours(found.family, part.name)})" for part in found.parts
            )
            raise UserError(f"--task {task}: the log holds {held}")
        groups[wanted] = open_ones
    return dict(groups)


def _made(
    task: Task, found: Log, parts: Sequence[Part], asked: Scoring, ignore_unknown: bool
) -> tuple[Made, dict[str, Any]]:
    """One task's lines, and its entry in the run record."""
    for part in parts:
        _refuse_twice(part)
    entry: dict[str, Any] = {
        "version": task.version,
        "prompt_hash": None,
        "frames": found.frames,
        "recorded": {
            "by": " ".join(filter(None, (found.harness, found.version))),
            "metrics": {part.name: dict(part.metrics) for part in parts},
        },
    }
    text = None
    if ":" in task.name or not has_annotations(task, asked):
        _refuse_strangers(task, found, parts)
        own = joining.carried(task, parts)
        rows = {name: row for name, (_, row) in own.items()}
        annotated = Annotated([sample for sample, _ in own.values()], Path())
        text = labels.text_of(annotated.samples)
        entry |= {
            "data": "real",
            "data_fingerprint": labels.fingerprint(text),
            "questions": labels.questions_of(annotated.samples),
            "format": labels.FORM,
        }
        _say_what_is_carried(task, found, annotated.samples)
    else:
        annotated, rows = _annotated(task, parts, asked, ignore_unknown, entry)
    absent = [f"{part.name} document {number}" for part in parts for number in _absent(part)]
    if absent:
        log.warning("%s: %d documents that were asked have no line in the log", task.name, len(absent))
    answers = [
        _answer(sample, rows[sample.id], annotated.root) for sample in annotated.samples if sample.id in rows
    ]
    _count_failures(task, answers)
    group = next(iter({task.group(sample) for sample in annotated.samples}), None)
    lines = [*_asked(task, annotated, rows), *(journal.asked_line(name, "", group) for name in absent)]
    return Made(task, annotated, lines, answers, text), entry


def _refuse_strangers(task: Task, found: Log, parts: Sequence[Part]) -> None:
    """Without annotations to hold it against, a log that neither its name nor its ids tell to be of the task that was
    asked for may be of any."""
    for part in parts:
        strange = benchmarks.ours(found.family, part.name) != task.name
        if strange and any(benchmarks.own_id(task.name, part.name, row) is None for row in part.rows):
            raise UserError(
                f"{part.file}: neither the name {part.name!r} nor its ids tell that it is of {task.name}: another task? Give "
                "the annotations with --data-root to bind its answers to their questions"
            )


def _refuse_twice(part: Part) -> None:
    first: dict[int | str, Row] = {}
    for row in part.rows:
        if (before := first.setdefault(row.number, row)) != row:
            what = "answered" if before.text != row.text else "labelled"
            raise UserError(f"{part.file}: document {row.number} is {what} twice, differently")


def _annotated(
    task: Task, parts: Sequence[Part], asked: Scoring, ignore_unknown: bool, entry: dict[str, Any]
) -> tuple[Annotated, dict[str, Row]]:
    """The benchmark's samples and the rows that answer them."""
    place = locate(task, "mini" if asked.data == "mini" else "real", asked.data_root, asked.cache)
    samples = read_samples(task, place.root)
    once = [part._replace(rows=list({row.number: row for row in part.rows}.values())) for part in parts]
    joined = joining.join(task, once, samples)
    if joined.others:
        log.warning("%s: %d answers to other parts of the benchmark are left out", task.name, joined.others)
    files = ", ".join(str(part.file) for part in parts[:3])
    if joined.unknown and not (ignore_unknown and joined.rows):
        raise UserError(
            f"{files}: {len(joined.unknown)} answers to questions that are not the annotations' under {place.root} "
            f"({', '.join(joined.unknown[:5])}); another task? Leave them out with --ignore-unknown"
        )
    entry |= {
        "data": place.kind,
        "data_fingerprint": fingerprint(task, place.root),
        "data_root": str(place.root),
        "samples": len(samples),
    }
    return Annotated(samples, place.root), joined.rows


def _asked(task: Task, annotated: Annotated, rows: Mapping[str, Row]) -> list[dict[str, str | None]]:
    """Asked was what the log has: an evaluation with a limit asked no more."""
    return [line for line in asked_lines(task, annotated) if line["id"] in rows]


def _absent(part: Part) -> Iterable[int]:
    """Documents that the log counts and has no line of, by number, as far as numbers tell."""
    known = {row.number for row in part.rows}
    lacking = (part.asked or 0) - len(known)
    numbers = (number for number in range((part.asked or 0) + len(known)) if number not in known)
    return [number for _, number in zip(range(lacking), numbers, strict=False)]


def _answer(sample: Sample, row: Row, root: Path) -> dict[str, Any]:
    line: dict[str, Any] = {"id": sample.id, "video": video_key(sample, root)}
    failure = failure_of(row.text)
    if failure is None:
        line |= {"status": "ok", "text": row.text}
    else:
        line |= {
            "status": "request_failed",
            "text": None,
            "error": {"type": failure.kind, "message": failure.message},
        }
    return line | {
        "prompt": row.prompt,
        "recorded": {"document": row.number, "answer": row.answer, "score": row.score},
    }


def _count_failures(task: Task, answers: Sequence[Mapping[str, Any]]) -> None:
    kinds = Counter(line["error"]["type"] for line in answers if line["status"] != "ok")
    if kinds:
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        log.warning(
            "%s: %d of %d answers are failures and no answers (%s): they are counted as not answered",
            task.name,
            sum(kinds.values()),
            len(answers),
            told,
        )


def _say_what_is_carried(task: Task, found: Log, samples: Sequence[Sample]) -> None:
    if all(sample.video.path == sample.id for sample in samples):
        log.warning(
            "%s: the log does not tell which questions share a video: the standard errors take each for one of its own",
            task.name,
        )
    if ":" in task.name:
        log.warning(
            "%s is no benchmark of ours: official is the score that %s recorded, careful what our reader makes of the log's "
            "own labels",
            task.name,
            found.harness,
        )
        open_ones = sum(not sample.choices for sample in samples)
        if open_ones:
            log.warning(
                "%s: %d of %d labels are no option's letter: those answers cannot be scored again",
                task.name,
                open_ones,
                len(samples),
            )
        return
    log.warning("%s: no annotations; the labels are those that the log carries", task.name)
    lacking = [tag for tag in task.breakdown if not any(tag in sample.tags for sample in samples)]
    if lacking:
        log.warning("%s: the log does not tell %s: no breakdown by it", task.name, ", ".join(lacking))


def _default_output(found: Log) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(Path(found.model).parts[-2:]))
    parts = (name, found.harness, found.date)
    return Path("results/runs").absolute() / "-".join(part for part in parts if part).strip("-")


def _record(found: Log, entries: Mapping[str, Any], groups: Mapping[str, Sequence[Part]]) -> dict[str, Any]:
    kinds = sorted({entry["data"] for entry in entries.values()})
    files = sorted({part.file for parts in groups.values() for part in parts})
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    by = " ".join(filter(None, (found.harness, found.version)))
    return {
        "schema": journal.SCHEMA,
        "id": secrets.token_hex(8),
        "model": {
            "name": found.model,
            "hash": None,
            "notes": [f"answers imported from {by}"],
            "settings": {"sha256": digest.hexdigest(), "imported": {**found.settings, "date": found.date}},
        },
        "frames": found.frames,
        "data": "+".join(kinds),
        "imported": {"from": by, "files": [str(file.resolve()) for file in files]},
        "protocol": {"sampler": None, "tasks": {name: dict(entry) for name, entry in entries.items()}},
        "tasks": {name: dict(entry) for name, entry in entries.items()},
        "started": journal.now(),
        "finished": journal.now(),
    }
