"""Scores to results.json: pure, and repeatable at any time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kangaroo_eval import controls, recorded, sanity
from kangaroo_eval.errors import RunFailed
from kangaroo_eval.journal import (
    SCHEMA,
    answer_lines,
    identity_text,
    last_answers,
    read_asked,
    read_lines,
    verdict_lines,
    write_json,
)
from kangaroo_eval.metrics import Point, estimate
from kangaroo_eval.permutation import AS_GIVEN
from kangaroo_eval.registry import get_task
from kangaroo_eval.scores import read_scores
from kangaroo_eval.task import Task, one, several
from kangaroo_eval.timing import measure, read_forecast
from kangaroo_eval.types import Estimate, Score, ScoredSample

# The default of --min-coverage, and what a number beside published ones needs whatever the threshold asked for.
COMPARABLE_COVERAGE = 0.99
# Where the models live that benchmarks' authors judge with.
OFFICIAL_SERVER = "https://api.openai.com/v1"
NOTHING = Estimate(None, None, 0, 0)


Pick = Callable[[ScoredSample], Score | None]


def _estimate(task: Task, scored: Sequence[ScoredSample], pick: Pick, macro: bool) -> Estimate:
    points = [
        Point(
            value=score.value,
            cluster=task.cluster(each),
            group=(task.group(each) or "") if macro else "",
            readable=score.answer is not None,
        )
        for each in scored
        if (score := pick(each)) is not None
    ]
    undecided = len(scored) - len(points)
    found = estimate(points, macro=macro) if points else NOTHING
    # What is decided so far is not a mean over all: no value that could pass for one.
    return replace(_hidden(found), undecided=undecided) if undecided else found


def _careful(each: ScoredSample) -> Score | None:
    return each.careful


def _official(each: ScoredSample) -> Score | None:
    return each.official


def _readable_official(each: ScoredSample) -> Score | None:
    """For a mean over what the judge could be understood in."""
    assert each.official is not None
    return each.official if each.official.answer is not None else replace(each.official, value=None)


def _hidden(value: Estimate) -> Estimate:
    """Below the coverage threshold there is no score to misread: the counts stay, the value goes."""
    return replace(value, value=None, stderr=None)


def _plain(value: Estimate) -> dict[str, Any]:
    """An estimate as files have it; `undecided` only where a judge is waited for."""
    found = asdict(value)
    if not value.undecided:
        del found["undecided"]
    return found


def _pair(task: Task, scored: Sequence[ScoredSample], *, macro: bool, show: bool) -> dict[str, Any]:
    picks: dict[str, Pick] = {"careful": _careful, "official": _official}
    if task.valid and all(each.official is not None for each in scored):
        picks["official_valid"] = _readable_official
    found = {name: _estimate(task, scored, pick, macro) for name, pick in picks.items()}
    return {name: _plain(value if show else _hidden(value)) for name, value in found.items()}


def task_result(
    task: Task,
    scored: Sequence[ScoredSample],
    statuses: Mapping[str, int],
    groups: Collection[str | None],
    asked_with: Mapping[str, Any],
) -> dict[str, Any]:
    """One task's part of results.json. `statuses` counts every sample asked, the unanswered included; `groups`
    are those of a macro mean that were asked; `asked_with` holds "data" (real or mini), "min_coverage", and
    where known the "judge" and the "total" of the benchmark's samples."""
    statuses = _with_judge_failures(statuses, scored)
    scored = [each for each in scored if each.judge != "judge_failed"]
    asked = sum(statuses.values())
    answered = statuses.get("ok", 0)
    coverage = answered / asked if asked else 0.0
    # A mean over the groups that happen to have answers would pass for the mean over all of them, and so would one over
    # those that have labels.
    labelled = [each for each in scored if each.target is not None] or scored
    unanswered = sorted(filter(None, set(groups) - {task.group(each) for each in labelled}))
    show = answered > 0 and coverage >= asked_with["min_coverage"] and not unanswered
    status = _status(scored, answered, show)
    kind = asked_with["data"]
    return {
        "label": f"{task.name}[mini]" if kind == "mini" else task.name,
        "title": task.title,
        "data": kind,
        "status": status,
        "metric": task.metric,
        "scale": task.scale,
        "official_rule": task.official_rule,
        "judge": asked_with.get("judge"),
        **({"options": options} if (options := asked_with.get("options", AS_GIVEN)) != AS_GIVEN else {}),
        "asked": asked,
        "answered": answered,
        "coverage": coverage,
        "statuses": dict(statuses),
        **_pair(task, scored, macro=task.macro_over is not None, show=show),
        **({"decided": _decided(task, scored)} if task.judge else {}),
        "read_differently": sum(map(read_differently, scored)),
        "videos": len({each.video for each in scored}),
        "groups_without_answers": unanswered,
        "faults": dict(Counter(one(each.tags["fault"]) for each in scored if "fault" in each.tags)),
        "breakdown": _breakdown(task, scored, show),
        "published": _published(task, asked, (status, coverage), asked_with),
        "notes": list(task.notes),
    }


def _with_judge_failures(statuses: Mapping[str, int], scored: Sequence[ScoredSample]) -> dict[str, int]:
    """An answer that the judge did not reply about counts as `judge_failed`, not as `ok`."""
    failed = sum(each.judge == "judge_failed" for each in scored)
    if not failed:
        return dict(statuses)
    return {**statuses, "ok": statuses["ok"] - failed, "judge_failed": failed}


def _status(scored: Sequence[ScoredSample], answered: int, show: bool) -> str:
    if not answered:
        return "failed"
    if not show:
        return "low_coverage"
    # Another harness's verdict may need no label that we could read.
    if all(each.target is None and (each.official is None or each.official.value is None) for each in scored):
        return "no_labels"
    return "not_judged" if any(each.judge == "not_judged" for each in scored) else "ok"


def _decided(task: Task, scored: Sequence[ScoredSample]) -> dict[str, Any]:
    """What rules alone decide of a judged task: a part, under its own name, never the headline. `official` over
    all answers is what TempCompass calls its match success rate."""
    picks: dict[str, Pick] = {"careful": _careful, "official": _official}
    by_rule = [each for each in scored if each.judge != "ok"]
    return {
        name: _plain(_estimate(task, [each for each in by_rule if pick(each)], pick, macro=False))
        for name, pick in picks.items()
    }


def read_differently(each: ScoredSample) -> bool:
    """Whether the two readers made different things of an answer that both have decided."""
    careful, official = each.careful, each.official
    if careful is None or official is None:
        return False
    if official.answer in ("right", "wrong"):
        return careful.value != official.value
    return careful.answer != official.answer


def _breakdown(
    task: Task, scored: Sequence[ScoredSample], show: bool
) -> dict[str, dict[str, dict[str, Any]]]:
    """Tag -> value -> both readers, values in order of first appearance, which is the benchmark's own order. A
    sample with several values of a tag counts under each."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for tag in task.breakdown:
        groups: dict[str, list[ScoredSample]] = {}
        for each in scored:
            for value in dict.fromkeys(several(each.tags.get(tag, ()))):
                groups.setdefault(value, []).append(each)
        found[tag] = {value: _pair(task, group, macro=False, show=show) for value, group in groups.items()}
    return found


def _published(
    task: Task, asked: int, state: tuple[str, float], asked_with: Mapping[str, Any]
) -> dict[str, Any] | None:
    if task.published is None:
        return None
    why = _not_comparable(task, asked, state, asked_with)
    other = task.published.other
    return {
        "table": task.published.table,
        "column": task.published.column,
        "columns": {name: list(where) for name, where in task.published.breakdown.items()},
        "comparable": why is None and other is None,
        "why": why or other,
        "elsewhere": [each._asdict() for each in task.published.elsewhere],
        "elsewhere_comparable": why is None,
    }


def _not_comparable(
    task: Task, asked: int, state: tuple[str, float], asked_with: Mapping[str, Any]
) -> str | None:
    """Why this result must not stand beside published ones, or None."""
    assert task.published is not None
    status, coverage = state
    kind, total, judge = (asked_with.get(name) for name in ("data", "total", "judge"))
    if kind == "mini":
        return "mini data: made videos and questions, not the benchmark's"
    wanted = max(task.published.samples or 0, total or 0)
    if asked < wanted:
        return f"{asked} of the {wanted} samples that the published number covers"
    if status != "ok":
        return f"status {status}"
    if asked_with.get("options", AS_GIVEN) != AS_GIVEN:
        return f"options {asked_with['options']}"
    if coverage < COMPARABLE_COVERAGE:
        return f"{100 * coverage:.1f} % coverage"
    if task.judge and judge and identity_text(judge) != f"{task.judge.model} at {OFFICIAL_SERVER}":
        # A server of one's own may answer to any name.
        return f"judged by {identity_text(judge)}, the published numbers by {task.judge.model}"
    return None


def _errors(answers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Why samples have no answer: kinds of error, the commonest first, each with its count and one message."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for answer in answers:
        error = answer.get("error")
        if answer["status"] != "ok" and error:
            kind = {
                "status": answer["status"],
                "type": error["type"],
                "count": 0,
                "message": error["message"],
            }
            found.setdefault((answer["status"], error["type"]), kind)["count"] += 1
    return sorted(found.values(), key=lambda kind: -int(kind["count"]))


def build(path: Path, record: Mapping[str, Any], min_coverage: float) -> dict[str, Any]:
    """results.json of the run at `path`, from its scores and journal alone; also written there."""
    tasks = {}
    for name, entry in record["tasks"].items():
        asked = read_asked(path, name)
        answers = last_answers(path, name)
        if is_stale(path, name, entry.get("judge")):
            raise RunFailed(
                f"the scores of {name} are not of its answers: kangaroo-eval score {path} makes them anew"
            )
        statuses = Counter(answers[each]["status"] if each in answers else "unanswered" for each in asked)
        scored = read_scores(path, name)
        beside = controls.found(path, get_task(name), scored)
        tasks[name] = {
            **task_result(
                get_task(name),
                scored,
                statuses,
                set(asked.values()),
                {
                    "data": entry["data"],
                    "min_coverage": min_coverage,
                    "judge": entry.get("judge"),
                    "total": entry.get("samples"),
                    "options": record["protocol"].get("options", AS_GIVEN),
                },
            ),
            **_damage(answers.values()),
            "errors": _errors(answers[each] for each in asked if each in answers),
            **sanity.looked_at(scored, answers, beside.get("blind")),
            **({"controls": beside} if beside else {}),
            "ranked": any(answer.get("losses") for answer in answers.values()),
            **_judging(path, name, entry.get("judge")),
            **_recorded(path, name, entry.get("recorded"), scored),
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
        "time": {
            "tasks": {
                name: measure(answer_lines(path / f"{name}.answers.jsonl")).as_json() for name in tasks
            },
            "forecast": read_forecast(path),
        },
    }
    write_json(path / "results.json", results)
    return results


def is_stale(path: Path, task: str, judge: Mapping[str, Any] | None) -> bool:
    """Whether the scores are not those of exactly the samples that have an `ok` answer, or of another judge than
    the run's, or older than what it said."""
    asked = read_asked(path, task)
    # An answer to what was never asked (files of two runs thrown together) is nobody's, and never scored.
    answered = {
        name for name, line in last_answers(path, task).items() if line["status"] == "ok" and name in asked
    }
    # An id that is no text is damage, and nobody's: the scores are made anew.
    scored = {str(line.get("id")): line for line in read_lines(path / f"{task}.scores.jsonl")}
    if answered != scored.keys():
        return True
    said_by = identity_text(judge)
    counts = Counter(
        line["id"]
        for line in verdict_lines(path, task)
        if line["status"] == "ok" and line["judged_by"] == said_by
    )
    return any(
        (line.get("judged_by"), line.get("verdicts", 0)) != (said_by, counts[name])
        for name, line in scored.items()
        if line.get("judge")
    )


def _judging(path: Path, task: str, judge: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the run's judge was asked and used, over all calls; nothing where there was none."""
    said_by = identity_text(judge)
    lines = [line for line in verdict_lines(path, task) if line["judged_by"] == said_by]
    if not lines:
        return {}
    costs = [line["cost"] for line in lines if line.get("cost") is not None]
    counts = Counter(line["status"] for line in lines)
    return {
        "judging": {
            "replies": counts["ok"],
            "asked_again": counts["retry"],
            "failures": counts["judge_failed"],
            "from_cache": sum(bool(line.get("cached")) for line in lines),
            "prompt_tokens": sum(line.get("prompt_tokens") or 0 for line in lines),
            "completion_tokens": sum(line.get("completion_tokens") or 0 for line in lines),
            "cost_usd": sum(costs) if costs else None,
            "served_by": sorted({line["served_by"] for line in lines if line.get("served_by")}),
        }
    }


def _recorded(
    path: Path, task: str, entry: Mapping[str, Any] | None, scored: Sequence[ScoredSample]
) -> dict[str, Any]:
    """Another harness's numbers, where the run was imported."""
    lines = answer_lines(path / f"{task}.answers.jsonl") if entry else ()
    found = recorded.beside(entry, lines, scored)
    return {"recorded": found} if found else {}


def _damage(answers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How many frames stand in for undecodable ones, and which answered videos are cut short, by video."""
    lines = [line for line in answers if line["status"] == "ok"]
    repeated = {line.get("video"): line.get("frames_repeated", 0) for line in lines}
    cut = sorted({str(line.get("video")) for line in lines if line.get("frames_absent", 0)})
    return {"frames_repeated": sum(repeated.values()), "videos_cut_short": cut}


def exit_code(results: Mapping[str, Any]) -> int:
    """2 when a task has no answer at all, 3 when one, or a control of it, is below the coverage threshold, else 0."""
    statuses = {each["status"] for each in results["tasks"].values()}
    controls = {
        each["status"] for task in results["tasks"].values() for each in task.get("controls", {}).values()
    }
    short = "low_coverage" in statuses or not controls.isdisjoint(("low_coverage", "failed"))
    return 2 if "failed" in statuses else 3 if short else 0


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
