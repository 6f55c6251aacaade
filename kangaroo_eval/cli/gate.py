"""`kangaroo-eval gate RUN --baseline B`: is this run worse than the baseline? The exit code says."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kangaroo_eval.cli.common import columns, user_path
from kangaroo_eval.errors import UserError

if TYPE_CHECKING:
    from kangaroo_eval.gate import Rule, Verdict
    from kangaroo_eval.sides import Side


def command(options: argparse.Namespace) -> int:
    """Gate, or with --accept make the run the baseline. 0 passed, 4 regression, 5 undecided or not comparable."""
    from kangaroo_eval.cli.compare import summary
    from kangaroo_eval.compare import compare
    from kangaroo_eval.gate import gate
    from kangaroo_eval.report import text_tables
    from kangaroo_eval.report.compared import verdict_table
    from kangaroo_eval.sides import read_side

    rule = _rule(options)
    new, baseline = read_side(user_path(options.run)), user_path(options.baseline)
    if options.accept:
        return _accept(new, baseline)
    if not baseline.exists():
        raise UserError(
            f"{baseline}: there is no baseline; kangaroo-eval gate {options.run} --baseline {baseline} --accept makes one"
        )
    found = compare(new, read_side(baseline), force=options.force)
    verdict = gate(found, rule)
    table = verdict_table(verdict, f"gate: {found.old.name} -> {found.new.name}: {verdict.outcome}")
    if not options.quiet:
        print(text_tables([table], columns=columns()))
    _files(options, verdict)
    if options.json:
        print(
            json.dumps(
                {**summary(found, verdict.exit_code, 2 * verdict.rule.alpha), "outcome": verdict.outcome}
            )
        )
    return verdict.exit_code


def _rule(options: argparse.Namespace) -> Rule:
    from kangaroo_eval.gate import Outcome, Rule

    undecided: dict[str | None, Outcome] = {None: "inconclusive", "pass": "pass", "fail": "regression"}
    return Rule(
        margin=options.margin,
        alpha=options.alpha,
        least_coverage=options.least_coverage,
        most_slower=options.most_slower,
        undecided=undecided[options.inconclusive],
    )


def _accept(new: Side, baseline: Path) -> int:
    from kangaroo_eval.gate import LEAST_VIDEOS
    from kangaroo_eval.results import COMPARABLE_COVERAGE
    from kangaroo_eval.sides import write_baseline

    if baseline.is_dir():
        raise UserError(f"--accept writes a file, and {baseline} is a folder: give --baseline FILE.json")
    if not baseline.parent.is_dir():
        raise UserError(f"--baseline {baseline}: there is no folder {baseline.parent}")
    write_baseline(baseline, new)
    count = sum(len(task.samples) for task in new.tasks.values())
    print(f"{baseline}: {new.model}, {', '.join(new.tasks)}, {count} samples")
    for name, task in new.tasks.items():
        videos = len({each.video for each in task.samples.values()})
        if videos < LEAST_VIDEOS:
            print(
                f"kangaroo-eval gate: {name}: {videos} videos: a gate on fewer than {LEAST_VIDEOS} decides nothing; run more "
                "samples",
                file=sys.stderr,
            )
        if task.coverage < COMPARABLE_COVERAGE:
            print(
                f"kangaroo-eval gate: {name}: {len(task.samples)} of {task.asked} answered; a gate on this baseline decides "
                "nothing, unless --least-coverage says how many do",
                file=sys.stderr,
            )
    return 0


def _files(options: argparse.Namespace, verdict: Verdict) -> None:
    """What CI systems read: JUnit XML, a Markdown summary, and annotations where GitHub runs this."""
    from kangaroo_eval.journal import write_text
    from kangaroo_eval.report import markdown_tables
    from kangaroo_eval.report.compared import github_lines, junit, verdict_table

    if options.junit:
        write_text(user_path(options.junit), junit(verdict, "kangaroo-eval gate"))
    if options.github or os.environ.get("GITHUB_ACTIONS") == "true":
        for line in github_lines(verdict):
            print(line)
    summary = options.summary or os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        text = markdown_tables([verdict_table(verdict, f"kangaroo-eval gate: {verdict.outcome}")])
        with user_path(summary).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
