"""LLM-as-judge: what no rule decides is asked of a language model, and every reply is on disk before it counts.

A judge's reply is data: it is parsed, never run. A reply that cannot be had is `judge_failed` (not scored, asked
again on resume); one that cannot be parsed is scored as the benchmark's authors score it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kangaroo_eval import journal, results
from kangaroo_eval.endpoint import Ask, Endpoint, Failed, Message, Reply
from kangaroo_eval.journal import RunDir
from kangaroo_eval.task import Task
from kangaroo_eval.types import Sample

Progress = Callable[[int, int], None]
log = logging.getLogger(__name__)

# A server that is gone costs every further question its whole back-off.
GONE_AFTER = 20


def question_key(task: Task, sample: Sample, text: str, identity: Mapping[str, Any]) -> str:
    """What a verdict is about: the judge, its parameters and every word it was told. A verdict of another key
    is of another question."""
    assert task.judge is not None
    parts = [identity, dict(task.judge.parameters), [list(each) for each in task.judge.ask(sample, text)]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def undecided(
    task: Task, samples: Sequence[Sample], answers: Mapping[str, Mapping[str, Any]]
) -> list[tuple[Sample, str]]:
    """The answered samples that a rule leaves open, with their answers."""
    if task.judge is None:
        return []
    return [
        (sample, answer["text"])
        for sample in samples
        if (answer := answers.get(sample.id)) is not None
        and answer["status"] == "ok"
        and None in results.rule_scores(task, sample, answer)
    ]


def replies(
    directory: RunDir, task: Task, samples: Sequence[Sample], identity: Mapping[str, Any]
) -> dict[str, str]:
    """Id -> what this judge replied, as far as the run has it."""
    path = directory.path
    lines = journal.last_verdicts(path, task.name)
    found = {}
    for sample, text in undecided(task, samples, journal.last_answers(path, task.name)):
        line = lines.get(sample.id)
        if line and line["status"] == "ok" and line["key"] == question_key(task, sample, text, identity):
            found[sample.id] = line["reply"]
    return found


def judge_answers(
    directory: RunDir,
    task: Task,
    samples: Sequence[Sample],
    endpoint: Endpoint,
    progress: Progress | None = None,
) -> None:
    """Ask the judge about every undecided answer that it has not replied about; each reply goes to disk at once.

    Failures are journalled too, and asked again by the next call; a server that cannot be reached `GONE_AFTER`
    times in a row is asked no more. Raises `RunFailed` when the disk is full.
    """
    answers = journal.last_answers(directory.path, task.name)
    known = replies(directory, task, samples, endpoint.config.identity)
    todo = [each for each in undecided(task, samples, answers) if each[0].id not in known]
    file, done, attempt, total = directory.judged(task.name), 0, 0, len(todo)
    gone = 0
    while todo:
        open_again = []
        for (sample, text), outcome in _ask_all(task, todo, endpoint, attempt):
            gone = (
                gone + 1 if isinstance(outcome, Failed) and outcome.type in ("connection", "timeout") else 0
            )
            if gone >= GONE_AFTER:
                log.warning("%s: the judge is gone (%s); the same command goes on later", task.name, outcome)
                return
            if _ask_again(task, sample, outcome, attempt):
                open_again.append((sample, text))
                continue
            file.append([_line(task, sample, text, endpoint, outcome, attempt)])
            done += 1
            if progress:
                progress(done, total)
        todo, attempt = open_again, attempt + 1


def _ask_all(
    task: Task, todo: Sequence[tuple[Sample, str]], endpoint: Endpoint, attempt: int
) -> Iterator[tuple[tuple[Sample, str], Reply | Failed]]:
    judge = task.judge
    assert judge is not None
    asks = (
        Ask(
            tuple(Message(role, content) for role, content in judge.ask(sample, text)),
            judge.parameters,
            attempt,
        )
        for sample, text in todo
    )
    for index, outcome in endpoint.ask_all(asks):
        yield todo[index], outcome


def _ask_again(task: Task, sample: Sample, outcome: Reply | Failed, attempt: int) -> bool:
    judge = task.judge
    assert judge is not None
    return isinstance(outcome, Reply) and attempt + 1 < judge.attempts and judge.again(sample, outcome.text)


def _line(
    task: Task, sample: Sample, text: str, endpoint: Endpoint, outcome: Reply | Failed, attempt: int
) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": sample.id,
        "key": question_key(task, sample, text, endpoint.config.identity),
        "judge": endpoint.config.identity,
        "at": journal.now(),
        "attempt": attempt + 1,
    }
    if isinstance(outcome, Failed):
        return {
            **line,
            "status": "judge_failed",
            "error": {"type": outcome.type, "message": outcome.message},
        }
    return {
        **line,
        "status": "ok",
        "reply": outcome.text,
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "cost": endpoint.cost_of(outcome),
        "served_by": outcome.served_by,
        "finish_reason": outcome.finish_reason,
        "cached": outcome.cached,
        "error": None,
    }
