"""Answers to scores to results.json: pure, and repeatable at any time with a newer reader."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kangaroo_eval.data import video_key
from kangaroo_eval.errors import RunFailed
from kangaroo_eval.journal import SCHEMA, last_answers, read_asked, read_lines, write_json, write_lines
from kangaroo_eval.metrics import Point, estimate
from kangaroo_eval.registry import get_task
from kangaroo_eval.task import Task
from kangaroo_eval.types import Estimate, Sample, Score, ScoredSample

# The default of --min-coverage, and what a number beside published ones needs whatever the threshold asked for.
COMPARABLE_COVERAGE = 0.99
NOTHING = Estimate(None, None, 0, 0)


def score_answers(
    task: Task, samples: Iterable[Sample], answers: Mapping[str, Mapping[str, Any]], root: Path
) -> Iterator[ScoredSample]:
    """Both readers over every sample that has an `ok` answer, in the benchmark's order."""
    for sample in samples:
        answer = answers.get(sample.id)
        if answer is None or answer["status"] != "ok":
            continue
        text = answer["text"]
        yield ScoredSample(
            id=sample.id,
            video=video_key(sample, root),
            target=sample.target,
            careful=task.scorer(sample, text),
            official=task.official(sample, text),
            tags=sample.tags,
        )


def write_scores(path: Path, task: Task, scored: Iterable[ScoredSample]) -> None:
    """Write `<task>.scores.jsonl`."""
    write_lines(
        path / f"{task.name}.scores.jsonl",
        (
            {
                "id": each.id,
                "video": each.video,
                "target": each.target,
                "careful": {
                    "answer": each.careful.answer,
                    "score": each.careful.value,
                    "rule": each.careful.rule,
                    "span": each.careful.span,
                },
                "official": {"answer": each.official.answer, "score": each.official.value},
                "tags": dict(each.tags),
            }
            for each in scored
        ),
    )


def read_scores(path: Path, task: str) -> list[ScoredSample]:
    """Read `<task>.scores.jsonl` back. Texts that many samples share are kept once."""
    return [
        ScoredSample(
            id=line["id"],
            video=sys.intern(line["video"]),
            target=_shared(line["target"]),
            careful=Score(
                line["careful"]["score"],
                _shared(line["careful"]["answer"]),
                _shared(line["careful"]["rule"]),
                tuple(line["careful"]["span"]) if line["careful"]["span"] else None,
            ),
            official=Score(line["official"]["score"], _shared(line["official"]["answer"])),
            tags={sys.intern(key): sys.intern(value) for key, value in line["tags"].items()},
        )
        for line in read_lines(path / f"{task}.scores.jsonl")
    ]


def _shared(text: str | None) -> str | None:
    return None if text is None else sys.intern(text)


def _estimate(
    task: Task, scored: Sequence[ScoredSample], pick: Callable[[ScoredSample], Score], macro: bool
) -> Estimate:
    if not scored:
        return NOTHING
    return estimate(
        [
            Point(
                value=pick(each).value,
                cluster=task.cluster(each),
                group=each.tags[task.macro_over] if task.macro_over else "",
                readable=pick(each).answer is not None,
            )
            for each in scored
        ],
        macro=macro,
    )


def _careful(each: ScoredSample) -> Score:
    return each.careful


def _official(each: ScoredSample) -> Score:
    return each.official


def _hidden(value: Estimate) -> Estimate:
    """Below the coverage threshold there is no score to misread: the counts stay, the value goes."""
    return Estimate(None, None, value.n, value.unreadable)


def _pair(task: Task, scored: Sequence[ScoredSample], *, macro: bool, show: bool) -> dict[str, Any]:
    both = {"careful": _careful, "official": _official}
    found = {name: _estimate(task, scored, pick, macro) for name, pick in both.items()}
    return {name: asdict(value if show else _hidden(value)) for name, value in found.items()}


def task_result(
    task: Task,
    scored: Sequence[ScoredSample],
    statuses: Mapping[str, int],
    groups: Collection[str | None],
    asked_with: Mapping[str, Any],
) -> dict[str, Any]:
    """One task's part of results.json. `statuses` counts every sample asked, the unanswered included; `groups`
    are those of a macro mean that were asked; `asked_with` holds "data" (real or mini) and "min_coverage"."""
    kind, min_coverage = asked_with["data"], asked_with["min_coverage"]
    asked = sum(statuses.values())
    answered = statuses.get("ok", 0)
    coverage = answered / asked if asked else 0.0
    # A mean over the groups that happen to have answers would pass for the mean over all of them.
    unanswered = sorted(filter(None, set(groups) - {_group(task, each) for each in scored}))
    show = answered > 0 and coverage >= min_coverage and not unanswered
    breakdown = {
        tag: {
            value: _pair(
                task, [each for each in scored if each.tags.get(tag) == value], macro=False, show=show
            )
            for value in _values(scored, tag)
        }
        for tag in task.breakdown
    }
    status = "failed" if not answered else "ok" if show else "low_coverage"
    return {
        "label": f"{task.name}[mini]" if kind == "mini" else task.name,
        "title": task.title,
        "data": kind,
        "status": status,
        "metric": task.metric,
        "scale": 1,
        "official_rule": task.official_rule,
        "asked": asked,
        "answered": answered,
        "coverage": coverage,
        "statuses": dict(statuses),
        **_pair(task, scored, macro=task.macro_over is not None, show=show),
        "read_differently": sum(each.careful.answer != each.official.answer for each in scored),
        "videos": len({each.video for each in scored}),
        "groups_without_answers": unanswered,
        "breakdown": breakdown,
        "published": _published(task, kind, asked, (status, coverage)),
        "notes": list(task.notes),
    }


def _values(scored: Sequence[ScoredSample], tag: str) -> list[str]:
    """The values of a tag in order of first appearance, which is the benchmark's own order."""
    return list(dict.fromkeys(each.tags[tag] for each in scored if tag in each.tags))


def _group(task: Task, scored: ScoredSample) -> str | None:
    return scored.tags[task.macro_over] if task.macro_over else None


def _published(task: Task, kind: str, asked: int, state: tuple[str, float]) -> dict[str, Any] | None:
    if task.published is None:
        return None
    why = None
    status, coverage = state
    if kind == "mini":
        why = "mini data: made videos and questions, not the benchmark's"
    elif asked < task.published.samples:
        why = f"{asked} of the {task.published.samples} samples that the published number covers"
    elif status != "ok":
        why = f"status {status}"
    elif coverage < COMPARABLE_COVERAGE:
        why = f"{100 * coverage:.1f} % coverage"
    return {
        "table": task.published.table,
        "column": task.published.column,
        "columns": {name: list(where) for name, where in task.published.breakdown.items()},
        "comparable": why is None,
        "why": why,
        "note": task.published.note,
    }


def build(path: Path, record: Mapping[str, Any], min_coverage: float) -> dict[str, Any]:
    """results.json of the run at `path`, from its scores and journal alone; also written there."""
    tasks = {}
    for name, entry in record["tasks"].items():
        asked = read_asked(path, name)
        answers = last_answers(path, name)
        if is_stale(path, name):
            raise RunFailed(
                f"the scores of {name} are not of its answers: kangaroo-eval score {path} makes them anew"
            )
        statuses = Counter(answers[each]["status"] if each in answers else "unanswered" for each in asked)
        tasks[name] = {
            **task_result(
                get_task(name),
                read_scores(path, name),
                statuses,
                set(asked.values()),
                {"data": entry["data"], "min_coverage": min_coverage},
            ),
            **_damage(answers.values()),
        }
    model = record["model"]
    results = {
        "schema": SCHEMA,
        "run": {
            "id": record["id"],
            "model": model["name"],
            "model_hash": model["hash"],
            "notes": model["notes"],
            "frames": record["frames"],
            "sampler": record["protocol"]["sampler"],
            "data": record["data"],
            "started": record["started"],
            "finished": record["finished"],
            "complete": all(each["answered"] == each["asked"] for each in tasks.values()),
            "min_coverage": min_coverage,
        },
        "tasks": tasks,
    }
    write_json(path / "results.json", results)
    return results


def is_stale(path: Path, task: str) -> bool:
    """Whether the scores are not those of exactly the samples that have an `ok` answer."""
    answered = {name for name, line in last_answers(path, task).items() if line["status"] == "ok"}
    return answered != {line["id"] for line in read_lines(path / f"{task}.scores.jsonl")}


def _damage(answers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How many frames stand in for undecodable ones, and which answered videos are cut short, by video."""
    lines = [line for line in answers if line["status"] == "ok"]
    repeated = {line["video"]: line.get("frames_repeated", 0) for line in lines}
    cut = sorted({line["video"] for line in lines if line.get("frames_absent", 0)})
    return {"frames_repeated": sum(repeated.values()), "videos_cut_short": cut}


def exit_code(results: Mapping[str, Any]) -> int:
    """2 when a task has no answer at all, 3 when one is below the coverage threshold, else 0."""
    statuses = {each["status"] for each in results["tasks"].values()}
    return 2 if "failed" in statuses else 3 if "low_coverage" in statuses else 0


def summary(path: Path, results: Mapping[str, Any]) -> dict[str, Any]:
    """What `--json` prints as the last line."""
    return {
        "exit": exit_code(results),
        "run": str(path),
        "model": results["run"]["model"],
        "notes": results["run"]["notes"],
        "tasks": {
            name: {
                "label": each["label"],
                "data": each["data"],
                "careful": each["careful"]["value"],
                "official": each["official"]["value"],
                "n": each["careful"]["n"],
                "coverage": each["coverage"],
            }
            for name, each in results["tasks"].items()
        },
    }
