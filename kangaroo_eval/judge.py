"""LLM-as-judge: what no rule decides is asked of a language model, and every reply is on disk before it counts.

A judge's reply is data: it is parsed, never run. A reply that cannot be had is `judge_failed` (not scored, asked
again on resume); one that cannot be parsed is scored as the benchmark's authors score it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kangaroo_eval import journal, scores
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
        and None in scores.rule_scores(task, sample, answer)
    ]


def verdicts(
    directory: RunDir, task: Task, samples: Sequence[Sample], identity: Mapping[str, Any]
) -> scores.Verdicts:
    """What this judge said of the run's answers, as far as the run has it: of each, the reply to exactly the
    question that is asked now."""
    path, said_by = directory.path, journal.identity_text(identity)
    by_question: dict[tuple[str, str], str] = {}
    failed: set[str] = set()
    counts: Counter[str] = Counter()
    for line in journal.verdict_lines(path, task.name):
        if line["judged_by"] != said_by:
            continue
        if line["status"] == "ok":
            by_question[line["id"], line["key"]] = line["reply"]
            counts[line["id"]] += 1
        elif line["status"] == "judge_failed":
            failed.add(line["id"])
    found = {}
    for sample, text in undecided(task, samples, journal.last_answers(path, task.name)):
        reply = by_question.get((sample.id, question_key(task, sample, text, identity)))
        if reply is not None:
            found[sample.id] = reply
    return scores.Verdicts(said_by, found, failed - found.keys(), counts)


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
    known = verdicts(directory, task, samples, endpoint.config.identity).replies
    todo = [each for each in undecided(task, samples, answers) if each[0].id not in known]
    file, done, attempt, total, gone = directory.judged(task.name), 0, 0, len(todo), 0
    while todo:
        waiting, open_again = dict(enumerate(todo)), []
        for index, outcome in _ask_all(task, todo, endpoint, attempt):
            sample, text = waiting.pop(index)
            again = _ask_again(task, sample, outcome, attempt)
            file.append([_line(task, (sample, text), endpoint, outcome, (attempt, again))])
            if again:
                open_again.append((sample, text))
                continue
            done += 1
            if progress:
                progress(done, total)
            unreachable = isinstance(outcome, Failed) and outcome.type in ("connection", "timeout")
            gone = gone + 1 if unreachable else 0
            if gone >= GONE_AFTER:
                log.warning("%s: the judge is gone; the same command goes on later", task.name)
                rest = [*waiting.values(), *open_again]
                file.append([_line(task, each, endpoint, outcome, (attempt, False)) for each in rest])
                return
        todo, attempt = open_again, attempt + 1


def _ask_all(
    task: Task, todo: Sequence[tuple[Sample, str]], endpoint: Endpoint, attempt: int
) -> Iterator[tuple[int, Reply | Failed]]:
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
    return endpoint.ask_all(asks)


def _ask_again(task: Task, sample: Sample, outcome: Reply | Failed, attempt: int) -> bool:
    judge = task.judge
    assert judge is not None
    return isinstance(outcome, Reply) and attempt + 1 < judge.attempts and judge.again(sample, outcome.text)


def _line(
    task: Task,
    asked: tuple[Sample, str],
    endpoint: Endpoint,
    outcome: Reply | Failed,
    tried: tuple[int, bool],
) -> dict[str, Any]:
    """One reply, or failure, for the journal; `tried` is the attempt and whether another one follows."""
    identity = endpoint.config.identity
    line: dict[str, Any] = {
        "id": asked[0].id,
        "key": question_key(task, *asked, identity),
        "judged_by": journal.identity_text(identity),
        "at": journal.now(),
        "attempt": tried[0] + 1,
    }
    if isinstance(outcome, Failed):
        error = {"type": outcome.type, "message": outcome.message}
        return {**line, "status": "judge_failed", "error": error}
    return {
        **line,
        "status": "retry" if tried[1] else "ok",
        "reply": outcome.text,
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "cost": endpoint.cost_of(outcome),
        "served_by": outcome.served_by,
        "finish_reason": outcome.finish_reason,
        "cached": outcome.cached,
        "error": None,
    }
