"""A run's answers as the files that benchmarks and their servers take. Nothing is ever sent anywhere."""

from __future__ import annotations

from pathlib import Path

from kangaroo_eval import journal, results, scores
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.predictions import form, forms
from kangaroo_eval.registry import get_task
from kangaroo_eval.rescore import load_annotated
from kangaroo_eval.task import Exported, Predictions, Task

READERS = ("careful", "official")


def export_run(
    path: Path, name: str | None, fmt: str, *, reader: str | None = None, data_root: Path | None = None
) -> dict[str, str]:
    """File name -> content of the run's answers to one task in the form `fmt`.

    `name` may be left out where one task of the run has that form. Forms of letters take what `reader` read
    (None: the careful one, or the choice ranked first where the model ranked them); an
    unreadable answer is written as the form writes none, never as a guess. A submission that lacks samples is
    refused, naming how many and which.
    """
    if reader not in (None, *READERS):
        raise UserError(f"--reader {reader!r}: choose one of {', '.join(READERS)}")
    record = journal.read_record(path)
    if record is None:
        raise UserError(f"{path} has no run.json: give a run directory")
    task = _task(record["tasks"], name, fmt)
    wanted = form(task, fmt)
    if wanted.write is None:
        raise UserError(f"--format {fmt}: it is read by score, not written")
    samples, _ = load_annotated(record, task.name, data_root, path)
    if results.is_stale(path, task.name, record["tasks"][task.name].get("judge")):
        raise RunFailed(
            f"the scores of {task.name} are not of its answers: kangaroo-eval score {path} makes them anew"
        )
    scored = {each.id: each for each in scores.read_scores(path, task.name)}
    answers = journal.last_answers(path, task.name)
    if any(answer.get("guess") for answer in answers.values()):
        raise UserError(
            f"{path}: its answers are guesses, which only have an expected score: nothing to export"
        )
    ranked = any(answer.get("losses") for answer in answers.values())
    rows = []
    for sample in samples:
        if sample.id in scored:
            score = getattr(scored[sample.id], reader or ("official" if ranked else "careful"))
            answer = answers[sample.id]
            text = None if answer.get("refused") else answer["text"]
            rows.append(Exported(sample, text, score.answer if score else None))
    _check_size(wanted, len(samples), record["tasks"][task.name]["data"])
    if wanted.complete and len(rows) < len(samples):
        lacking = [each.id for each in samples if each.id not in scored]
        raise UserError(
            f"{fmt}: {len(lacking)} of {len(samples)} samples have no answer ({', '.join(lacking[:3])}"
            f"{', ...' if len(lacking) > 3 else ''}); a submission must be complete: run them first"
        )
    if not rows:
        raise UserError(f"{path} has no answer to {task.name}: there is nothing to export")
    return dict(wanted.write(rows))


def _check_size(wanted: Predictions, samples: int, data: str) -> None:
    """Annotations that are themselves cut short must not pass for the whole benchmark."""
    if wanted.count is not None and data != "mini" and samples != wanted.count:
        raise UserError(
            f"{wanted.name}: a submission has {wanted.count} answers, and these annotations have {samples} questions: "
            "get the whole file"
        )


def _task(names: dict[str, object], name: str | None, fmt: str) -> Task:
    tasks = [get_task(each) for each in names]
    if name is not None:
        asked = get_task(name)
        if asked not in tasks:
            raise UserError(f"--task {name}: the run holds {', '.join(names)}")
        return asked
    fitting = [task for task in tasks if fmt in {each.name for each in forms(task)}]
    if not fitting:
        known = "; ".join(f"{task.name}: {', '.join(each.name for each in forms(task))}" for task in tasks)
        raise UserError(f"--format {fmt!r} is none of this run's tasks' ({known})")
    if len(fitting) > 1:
        raise UserError(f"{', '.join(task.name for task in fitting)} all take {fmt!r}: name one with --task")
    return fitting[0]
