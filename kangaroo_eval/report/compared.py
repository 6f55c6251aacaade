"""A comparison of two runs, and a gate's verdict, as tables, JUnit XML and lines that GitHub shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from urllib.parse import quote
from xml.etree import ElementTree

from kangaroo_eval.compare import Comparison, TaskComparison
from kangaroo_eval.gate import Check, Verdict
from kangaroo_eval.paired import Difference
from kangaroo_eval.report.tables import Table

FLIPS = 10
"""Samples of each way that are listed unless more are asked for."""
_HOW = "kangaroo-eval view {new} --compare {old} makes pages that show them with their frames."
OVERALL = "mean over tasks"


def comparison_tables(
    found: Comparison, *, alpha: float = 0.05, flips: int = FLIPS, page: str | None = None
) -> list[Table]:
    """The scores of both runs with the paired difference, then the samples that they answer differently (`flips` each way
    and task), with links into the pages of `kangaroo-eval view` at the URL `page`, where there are any."""
    tables = [_scores(found, alpha)]
    for task in found.tasks:
        for way, each in (("lost", task.lost), ("gained", task.gained)):
            if each and flips:
                rows = [
                    [flip.id, _said(flip.old), _said(flip.new), _said(flip.target)] for flip in each[:flips]
                ]
                more = len(each) - len(rows)
                notes = [f"{more} more: --flips {len(each)} lists them all."] if more else []
                title = f"{task.name}: {way}, {len(each)} of {task.careful.n} samples"
                header = ["sample", "before", "after", "key"]
                if page is not None:
                    header.append("with its frames")
                    for row, flip in zip(rows, each, strict=False):
                        row.append(f"{page}#sample={quote(f'{task.name}/{flip.id}')}")
                tables.append(Table(title, header, rows, notes))
    if page is None and flips and any(task.gained or task.lost for task in found.tasks):
        tables[-1].notes.append(_HOW.format(new=found.new.path or "B", old=found.old.path or "A"))
    return tables


def _scores(found: Comparison, alpha: float) -> Table:
    header = [
        "task",
        "before %",
        "after %",
        f"difference [{100 * (1 - alpha):g} %]",
        "p (Holm)",
        "gained/lost",
        "McNemar p",
        "official",
        "n",
        "videos",
    ]
    rows = [_row(task, alpha) for task in found.tasks]
    if len(found.tasks) > 1:
        overall = found.overall
        means = [_mean([task.scores("careful")[side] for task in found.tasks]) for side in (0, 1)]
        empty = ["", f"{overall.gained}/{overall.lost}", "", ""]
        rows.append(
            [OVERALL, *means, _interval(overall, alpha), *empty, str(overall.n), str(overall.clusters)]
        )
    notes = [
        "careful reader; difference over the samples that both answered, paired, clustered by video; p: two-sided, of that "
        "difference, corrected over tasks; McNemar: exact, over samples."
    ]
    notes += _notes(found)
    return Table(
        f"{found.old.name} ({found.old.model}) -> {found.new.name} ({found.new.model})", header, rows, notes
    )


def _row(task: TaskComparison, alpha: float) -> list[str]:
    before, after = task.scores("careful")
    official = "-" if task.official is None else f"{100 * task.official.value:+.1f}"
    return [
        task.name,
        _points(before),
        _points(after),
        _interval(task.careful, alpha),
        _p(task.p_holm),
        f"{len(task.gained)}/{len(task.lost)}",
        _p(task.p),
        official,
        str(task.careful.n),
        str(task.careful.clusters),
    ]


def _notes(found: Comparison) -> Iterator[str]:
    for line in found.differing:
        yield f"not the same protocol: {line}"
    for task in found.tasks:
        if task.only_new or task.only_old:
            yield (
                f"{task.name}: {task.only_old} samples answered only before and {task.only_new} only after are left out; "
                f"coverage {100 * task.old.coverage:.1f} % -> {100 * task.new.coverage:.1f} %."
            )
        if task.new.seconds and task.old.seconds:
            yield f"{task.name}: {task.new.seconds:.3g} s an answer, {task.new.seconds / task.old.seconds:.2f} times the time before."
    for names, which in ((found.only_old, "before"), (found.only_new, "after")):
        if names:
            yield f"only {which}: {', '.join(names)}."
    if found.unscored:
        yield f"not compared, for no sample has a score in both: {', '.join(found.unscored)}."


def verdict_table(verdict: Verdict, title: str) -> Table:
    """Every check of a gate, and what drop it could have found."""
    rows = []
    for check in verdict.checks:
        low, high = check.interval or (math.nan, math.nan)
        rows.append(
            [
                check.name,
                check.outcome.upper() if check.outcome != "pass" else "pass",
                "-" if check.points is None else f"{check.points:+.1f}",
                "-" if check.interval is None else f"[{low:+.1f}, {high:+.1f}]",
                "-" if check.detectable is None else f"{check.detectable:.1f}",
                check.why,
            ]
        )
    rule = verdict.rule
    level = 100 * (1 - 2 * rule.alpha)
    notes = [
        f"pass: the lower bound is above -{rule.margin:g} points; regression: the upper bound is below 0 and the difference "
        f"below -{rule.margin / 2:g}; bounds at {level:g} %, paired, clustered by video.",
        "finds: the true drop that this many samples, with these two runs' disagreement, would find in four of five "
        f"cases at alpha {rule.alpha:g}.",
    ]
    header = ["check", "outcome", "difference", f"{level:g} %", "finds", "why"]
    return Table(title, header, rows, notes)


def junit(verdict: Verdict, name: str) -> str:
    """The checks as JUnit XML: a failure for a regression, an error for what is undecided and counts."""
    undecided = verdict.rule.undecided
    failures = sum(check.outcome == "regression" for check in verdict.checks)
    open_ones = sum(check.outcome == "inconclusive" for check in verdict.checks)
    counts = {
        "tests": str(len(verdict.checks)),
        "failures": str(failures + (open_ones if undecided == "regression" else 0)),
        "errors": str(open_ones if undecided == "inconclusive" else 0),
    }
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, **counts})
    for check in verdict.checks:
        case = ElementTree.SubElement(suite, "testcase", {"classname": name, "name": check.name})
        outcome = undecided if check.outcome == "inconclusive" else check.outcome
        if outcome != "pass":
            kind = "failure" if outcome == "regression" else "error"
            ElementTree.SubElement(case, kind, {"message": check.why, "type": check.outcome})
        ElementTree.SubElement(case, "system-out").text = _line(check)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def github_lines(verdict: Verdict) -> list[str]:
    """Workflow commands that GitHub shows beside a change, one for each check that did not pass."""
    kinds = {"regression": "error", "inconclusive": "warning"}
    return [
        f"::{kinds[check.outcome]} title={_escaped(check.name, ',:')}::{_escaped(_line(check))}"
        for check in verdict.checks
        if check.outcome != "pass"
    ]


def _escaped(text: str, also: str = "") -> str:
    for sign in "%\r\n" + also:
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text


def _line(check: Check) -> str:
    interval = "" if check.interval is None else f" [{check.interval[0]:+.1f}, {check.interval[1]:+.1f}]"
    return f"{check.name}: {check.outcome}{interval}: {check.why}"


def _interval(found: Difference, alpha: float) -> str:
    low, high = found.interval(alpha)
    return f"{100 * found.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _points(sum(known) / len(known)) if len(known) == len(values) else "-"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _said(text: str | None) -> str:
    return "-" if text is None else text
