"""Answers to scores: both readers over every answer, and the scores file of a task."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kangaroo_eval.data import video_key
from kangaroo_eval.errors import UserError
from kangaroo_eval.journal import read_lines, write_lines
from kangaroo_eval.task import Task
from kangaroo_eval.types import Sample, Score, ScoredSample, Tags


class Verdicts(NamedTuple):
    """A judge (None: there is none), its replies by id, the ids it gave none about, and how many replies of it the
    run has by id, whatever they are about."""

    judged_by: str | None
    replies: Mapping[str, str]
    failed: Collection[str]
    counts: Mapping[str, int]


NO_JUDGE = Verdicts(None, {}, (), {})


def score_answers(
    task: Task,
    samples: Iterable[Sample],
    answers: Mapping[str, Mapping[str, Any]],
    root: Path,
    verdicts: Verdicts = NO_JUDGE,
) -> Iterator[ScoredSample]:
    """Both readers over every sample that has an `ok` answer, in the benchmark's order."""
    for sample in samples:
        answer = answers.get(sample.id)
        if answer is None or answer["status"] != "ok":
            continue
        careful, official = rule_scores(task, sample, answer)
        state = None
        if careful is None or official is None:
            assert task.judge is not None, f"{task.name} leaves {sample.id} undecided and has no judge"
            reply = verdicts.replies.get(sample.id)
            if reply is not None:
                state = "ok"
                careful = careful or task.judge.careful(sample, reply)
                official = official or task.judge.official(sample, reply)
            else:
                state = "judge_failed" if sample.id in verdicts.failed else "not_judged"
        yield ScoredSample(
            id=sample.id,
            video=video_key(sample, root),
            target=sample.target,
            careful=careful,
            official=official,
            tags=sample.tags,
            judge=state,
            options=len(sample.choices),
        )


def rule_scores(task: Task, sample: Sample, answer: Mapping[str, Any]) -> tuple[Score | None, Score | None]:
    """What the careful and the official reader make of an answer without a judge."""
    if answer.get("refused"):
        return Score(0.0, None, "refused"), Score(0.0, None, "refused")
    if answer.get("guess"):
        guess = Score(1 / answer["guess"], f"1 of {answer['guess']}", "expected value of a guess")
        return guess, guess
    text, losses = answer["text"], answer.get("losses")
    if losses and len(losses) != len(sample.choices):
        raise UserError(f"{task.name} {sample.id}: {len(losses)} losses for {len(sample.choices)} choices")
    if losses and task.ranking:
        return task.scorer(sample, text), task.ranking.score(sample, losses)
    return task.scorer(sample, text), task.official(sample, text)


def write_scores(
    path: Path, task: Task, scored: Iterable[ScoredSample], verdicts: Verdicts = NO_JUDGE
) -> None:
    """Write `<task>.scores.jsonl`. What a judge is needed for says by whose verdicts it was scored."""
    write_lines(
        path / f"{task.name}.scores.jsonl",
        (
            {
                "id": each.id,
                "video": each.video,
                "target": each.target,
                "careful": each.careful
                and {
                    "answer": each.careful.answer,
                    "score": each.careful.value,
                    "rule": each.careful.rule,
                    "span": each.careful.span,
                },
                "official": each.official and {"answer": each.official.answer, "score": each.official.value},
                "tags": dict(each.tags),
                "options": each.options,
                **(_judged(each, verdicts) if each.judge else {}),
            }
            for each in scored
        ),
    )


def _judged(each: ScoredSample, verdicts: Verdicts) -> dict[str, Any]:
    count = verdicts.counts.get(each.id, 0)
    return {"judge": each.judge, "judged_by": verdicts.judged_by, "verdicts": count}


def read_scores(path: Path, task: str) -> list[ScoredSample]:
    """Read `<task>.scores.jsonl` back. Texts that many samples share are kept once."""
    try:
        return _scores(path, task)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}/{task}.scores.jsonl is damaged: kangaroo-eval score {path} makes it anew"
        ) from error


def _scores(path: Path, task: str) -> list[ScoredSample]:
    return [
        ScoredSample(
            id=sys.intern(line["id"]),
            video=sys.intern(line["video"]),
            target=_shared(line["target"]),
            careful=_score(line["careful"]),
            official=_score(line["official"]),
            tags=_shared_tags(line["tags"]),
            judge=_shared(line.get("judge")),
            options=line.get("options", 0),
        )
        for line in read_lines(path / f"{task}.scores.jsonl")
    ]


def _score(entry: Mapping[str, Any] | None) -> Score | None:
    if entry is None:
        return None
    span, value = entry.get("span"), entry["score"]
    if value is not None and (not isinstance(value, int | float) or not math.isfinite(value)):
        raise TypeError(f"a score of {value!r}")
    return Score(
        entry["score"], _shared(entry["answer"]), _shared(entry.get("rule")), tuple(span) if span else None
    )


def _shared(text: str | None) -> str | None:
    return None if text is None else sys.intern(text)


def _shared_tags(tags: Mapping[str, Any]) -> Tags:
    return {
        sys.intern(key): sys.intern(value) if isinstance(value, str) else tuple(map(sys.intern, value))
        for key, value in tags.items()
    }
