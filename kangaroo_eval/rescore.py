"""Scoring without a model: a run again, or answers made elsewhere."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kangaroo_eval import journal, judge, labels, predictions, results, scores
from kangaroo_eval.controls import CONTROLS, FOLDER
from kangaroo_eval.data import CHOICES, annotation_files, fingerprint, locate, read_samples, video_key
from kangaroo_eval.endpoint import Endpoint, EndpointConfig
from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.journal import RunDir
from kangaroo_eval.permutation import SHUFFLED, all_turned
from kangaroo_eval.plan import check_share, judge_of
from kangaroo_eval.registry import get_task
from kangaroo_eval.report import markdown
from kangaroo_eval.task import Predicted, Task
from kangaroo_eval.types import Sample

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """What scoring is asked with: where annotations are (`data` as for a run), the cache of mini data and judges'
    replies, the coverage threshold (None: the run's own, else 0.99), the judge, if any, and what is told of its progress."""

    data: str = "auto"
    data_root: Path | None = None
    cache: Path = field(default_factory=lambda: Path.home() / ".cache" / "kangaroo-eval")
    min_coverage: float | None = None
    judge: EndpointConfig | None = None
    progress: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        if self.min_coverage is not None:
            check_share(self.min_coverage)
        if self.data not in CHOICES:
            raise UserError(f"--data {self.data!r}: choose one of {', '.join(CHOICES)}")


def score_run(path: Path, asked: Scoring) -> dict[str, Any]:
    """Make scores, results.json and report.md of the run at `path` anew from its answers.

    Annotations come from the data root, else from where the run found them; `DataError` when they are gone or
    are not the ones that were asked. With a judge, what it has not replied about yet is asked first.
    """
    record = journal.read_record(path)
    if record is None:
        raise UserError(f"{path} has no run.json: give a run directory")
    with RunDir(path) as directory:
        for name in record["tasks"]:
            task = get_task(name)
            samples, root = load_annotated(record, name, asked.data_root, path)
            _judge(directory, task, samples, record, asked)
            write_scores(directory, task, samples, root, record)
        # What the run's scores lose in them is a difference of two scores by one reader.
        for name in CONTROLS:
            if journal.read_record(path / FOLDER / name) is not None:
                score_run(path / FOLDER / name, asked)
        share = record.get("min_coverage", results.COMPARABLE_COVERAGE)
        return _build(path, record, share if asked.min_coverage is None else asked.min_coverage)


def _judge(
    directory: RunDir, task: Task, samples: Sequence[Sample], record: dict[str, Any], asked: Scoring
) -> None:
    """Ask the judge, and note in the run record whose verdicts now count."""
    config = judge_of(asked.judge, task)
    if config is None:
        return
    with contextlib.closing(Endpoint(config, asked.cache / "judge")) as endpoint:
        endpoint.check()
        judge.judge_answers(directory, task, samples, endpoint, asked.progress)
        # Only now: until all is asked, the run's scores are those of its earlier judge.
        for place in (record["tasks"], record["protocol"]["tasks"]):
            place[task.name]["judge"] = dict(config.identity)
        directory.write_record(record)


def _build(path: Path, record: Mapping[str, Any], min_coverage: float) -> dict[str, Any]:
    found = results.build(path, record, min_coverage)
    journal.write_text(path / "report.md", markdown(found))
    return found


def write_scores(
    directory: RunDir, task: Task, samples: Sequence[Sample], root: Path, record: dict[str, Any]
) -> None:
    """Make `<task>.scores.jsonl` of a run anew from its answers and its judge's replies; and, in its record, what the harness
    that a task comes from makes of them."""
    identity = record["tasks"][task.name].get("judge")
    verdicts = judge.verdicts(directory, task, samples, identity) if identity else scores.NO_JUDGE
    answers = journal.last_answers(directory.path, task.name)
    given = [
        (sample, answers[sample.id]["text"])
        for sample in samples
        if sample.id in answers and answers[sample.id]["status"] == "ok"
    ]
    if task.reader:
        task = dataclasses.replace(task, official=task.reader(given))
    scored = scores.score_answers(task, samples, answers, root, verdicts)
    scores.write_scores(directory.path, task, scored, verdicts)
    if task.totals:
        recorded = task.totals(given)
        if recorded is not None:
            record["tasks"][task.name]["recorded"] = dict(recorded)
            directory.write_record(record)


def refresh_stale(directory: RunDir, record: dict[str, Any]) -> None:
    """Score those tasks of earlier calls again whose scores are not of all their answers: such a call was
    killed between its last answer and its scores."""
    for name in record["tasks"]:
        if results.is_stale(directory.path, name, record["tasks"][name].get("judge")):
            samples, root = load_annotated(record, name, None, directory.path)
            write_scores(directory, get_task(name), samples, root, record)


class Annotated(NamedTuple):
    """Samples, and the folder that their videos are named relative to."""

    samples: Sequence[Sample]
    root: Path


def load_annotated(record: Mapping[str, Any], name: str, data_root: Path | None, path: Path) -> Annotated:
    """The samples that the run at `path` was asked with, from where it found them or from `data_root`. `DataError`
    when they are gone, or others."""
    task, entry = get_task(name), record["tasks"][name]
    if entry.get("format") == labels.FORM:
        return Annotated(labels.read(path, name, entry["data_fingerprint"]), Path())
    if entry.get("gold"):
        return _own_gold(task, Path(entry["gold"]), entry)
    elsewhere = data_root and not task.source.gather
    there = entry.get("data_root")
    root = data_root / task.source.folder if data_root and elsewhere else Path(there) if there else None
    if root is None or not root.is_dir():
        raise DataError(
            f"{name}: annotations not found under {root or 'any folder that is known'}: give --data-root"
        )
    samples = read_samples(task, root)
    if fingerprint(task, root) != entry["data_fingerprint"]:
        raise DataError(f"{name}: the annotations under {root} are not the ones this run was asked with")
    if record["protocol"].get("options") == SHUFFLED:
        samples = all_turned(name, samples, task.prompt)
    return Annotated(samples, root)


def _own_gold(task: Task, file: Path, entry: Mapping[str, Any]) -> Annotated:
    """The samples that a file of predictions carries itself."""
    if not file.exists():
        raise DataError(f"{task.name}: the labels came with {file}, which is gone: score it anew")
    if _hash(file) != entry["data_fingerprint"]:
        raise DataError(f"{task.name}: {file} has changed since it was scored: score it anew")
    found = predictions.read_predictions(task, file, entry["format"])
    mine = predictions.own(task, file, found.answers).answers.values()
    return Annotated([each.sample for each in mine if each.sample is not None], Path())


def _hash(file: Path) -> str:
    digest = hashlib.sha256()
    for each in sorted(file.rglob("*.json")) if file.is_dir() else [file]:
        digest.update(os.fsencode(each.name) + b"\0" + hashlib.sha256(each.read_bytes()).digest())
    return digest.hexdigest()


def score_file(
    name: str,
    answers: Path,
    output: Path,
    asked: Scoring,
    *,
    form: str | None = None,
    ignore_unknown: bool = False,
) -> dict[str, Any]:
    """Score a file (or folder) of predictions into the run directory `output`.

    Its form is `form`, else found out. Without `--data mini` annotations come from the data root alone, or from
    the file where it carries its own. The same answer twice counts once; two different answers to one id, or an
    unknown id, are refused; ids of the benchmark's other parts are skipped and counted.
    """
    task = get_task(name)
    found = predictions.read_predictions(task, answers, form)
    given, others = predictions.own(task, answers, found.answers)
    annotated, entry = _annotated(task, answers, found.form.name, given, asked)
    samples, root = annotated
    if others:
        log.warning("%s: %d answers to other parts of the benchmark are left out", task.name, others)
    texts = _texts(answers, given, samples, ignore_unknown)
    lines = [
        {
            "id": each.id,
            "video": video_key(each, root),
            "status": "ok",
            "text": texts[each.id],
            **({"refused": True} if given[each.id].refused else {}),
        }
        for each in samples
        if each.id in texts
    ]
    record = _record(task, answers, found.form.name, entry)
    return write_answers(output, record, [Made(task, annotated, asked_lines(task, annotated), lines)], asked)


class Made(NamedTuple):
    """Answers made elsewhere to one task, as a run directory holds them: the lines of what was asked and of the
    answers, and the text of the labels' file where the labels came with the answers."""

    task: Task
    annotated: Annotated
    asked: Sequence[Mapping[str, Any]]
    answers: Sequence[Mapping[str, Any]]
    labels: str | None = None


def asked_lines(task: Task, annotated: Annotated) -> list[dict[str, str | None]]:
    """What a run that was asked for all these samples says so with."""
    samples, root = annotated
    return [journal.asked_line(each.id, video_key(each, root), task.group(each)) for each in samples]


def write_answers(
    output: Path, record: dict[str, Any], made: Sequence[Made], asked: Scoring
) -> dict[str, Any]:
    """Make the run directory `output` of answers made elsewhere, score it, and give its results.json. The same call
    again goes on where it was interrupted; `UserError` where the directory holds anything else."""
    with RunDir(output) as directory:
        old = directory.record()
        if old is not None and not all(_same_file(old, record, each.task.name) for each in made):
            raise UserError(f"{output} already holds a run: give another --output")
        record = old or record
        directory.write_record(record)
        for each in made:
            task, (samples, root) = each.task, each.annotated
            if each.labels is not None:
                journal.write_text(labels.file_of(output, task.name), each.labels)
            asked_before = journal.read_asked(output, task.name)
            answered_before = journal.last_answers(output, task.name)
            directory.asked(task.name).append([line for line in each.asked if line["id"] not in asked_before])
            directory.answers(task.name).append(
                [line for line in each.answers if line["id"] not in answered_before]
            )
            _judge(directory, task, samples, record, asked)
            write_scores(directory, task, samples, root, record)
        share = asked.min_coverage
        return _build(output, record, results.COMPARABLE_COVERAGE if share is None else share)


def _same_file(old: Mapping[str, Any], new: Mapping[str, Any], task: str) -> bool:
    """Whether an earlier, interrupted call scored the same answers by the same annotations."""
    before, now = old["tasks"].get(task, {}), new["tasks"][task]
    same_answers = old["model"].get("settings") == new["model"]["settings"]
    return bool(same_answers and before.get("data_fingerprint") == now["data_fingerprint"])


def _annotated(
    task: Task, answers: Path, form: str, given: Mapping[str, Predicted], asked: Scoring
) -> tuple[Annotated, dict[str, Any]]:
    """Samples from the annotations, else from the file itself, and what the record says of them."""
    base = {"version": task.version, "prompt_hash": None, "frames": None}
    own = [each.sample for each in given.values() if each.sample is not None]
    if own and len(own) == len(given) and not has_annotations(task, asked):
        log.warning("%s: no annotations; the labels are those that %s carries", task.name, answers)
        gold = str(answers.resolve())
        entry = {
            **base,
            "data": "real",
            "data_fingerprint": _hash(answers),
            "questions": labels.questions_of(own),
            "gold": gold,
            "format": form,
        }
        return Annotated(own, Path()), entry
    kind = "mini" if asked.data == "mini" else "real"
    found = locate(task, kind, asked.data_root, asked.cache)
    samples = read_samples(task, found.root)
    return Annotated(samples, found.root), {
        **base,
        "data": found.kind,
        "data_fingerprint": fingerprint(task, found.root),
        "data_root": str(found.root),
        "samples": len(samples),
    }


def has_annotations(task: Task, asked: Scoring) -> bool:
    """Whether there is anything to read labels from; damaged annotations are there, and a mistyped folder is for
    `locate` to refuse."""
    if asked.data == "mini" or (asked.data_root is not None and not asked.data_root.is_dir()):
        return True
    return asked.data_root is not None and bool(
        annotation_files(task.source.annotations, asked.data_root / task.source.folder)
    )


def _texts(
    file: Path, given: Mapping[str, Predicted], samples: Sequence[Sample], ignore_unknown: bool
) -> dict[str, str]:
    known = {sample.id: sample for sample in samples}
    unknown = [name for name in given if name not in known]
    others = [name for name, each in given.items() if name in known and _is_other(each.sample, known[name])]
    for what, names in (("unknown ids", unknown), ("answers to other questions or labels than", others)):
        if names and not ignore_unknown:
            where = "" if names is unknown else "the annotations' "
            raise UserError(
                f"{file}: {len(names)} {what} {where}({', '.join(names[:20])}); leave them out with --ignore-unknown"
            )
    left_out = {*unknown, *others}
    return {name: each.text for name, each in given.items() if name not in left_out and each.text is not None}


def _is_other(own: Sample | None, annotated: Sample) -> bool:
    """Whether the file's own question or label is not the annotations': another version of the benchmark, whose
    answers must not be scored by these labels."""
    if own is None:
        return False
    differs = own.question != "" and own.question.split() != annotated.question.split()
    reordered = any(own.choices) and own.choices != annotated.choices
    return differs or reordered or own.target != annotated.target


def _record(task: Task, file: Path, form: str, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": journal.SCHEMA,
        "id": secrets.token_hex(8),
        "model": {
            "name": f"answers:{file.name}",
            "hash": None,
            "notes": ["answers made elsewhere"],
            "settings": {"format": form, "sha256": _hash(file)},
        },
        "frames": None,
        "data": entry["data"],
        "protocol": {"sampler": None, "tasks": {task.name: dict(entry)}},
        "tasks": {task.name: dict(entry)},
        "started": journal.now(),
        "finished": journal.now(),
    }
