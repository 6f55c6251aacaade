"""`kangaroo-eval score`: scores from answers, offline; never a video, never torch."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from kangaroo_eval.cli.common import cache_dir, columns, data_root, judge
from kangaroo_eval.errors import UserError


def command(options: argparse.Namespace) -> int:
    """Score a run again, or answers made elsewhere."""
    from kangaroo_eval.report import terminal
    from kangaroo_eval.rescore import Scoring, score_file, score_run
    from kangaroo_eval.results import exit_code, summary

    if bool(options.run) == bool(options.answers):
        raise UserError("score needs a RUN directory, or --task T --answers FILE --output DIR")
    bar = _Bar()
    asked = Scoring(
        progress=None if options.quiet else bar.update,
        data=options.data,
        data_root=data_root(options),
        cache=cache_dir(),
        min_coverage=options.min_coverage,
        judge=judge(options),
    )
    if options.run:
        path = Path(options.run)
        results = score_run(path, asked)
    else:
        if not options.task or not options.output:
            raise UserError("--answers goes with --task T and --output DIR")
        path = Path(options.output)
        results = score_file(
            options.task,
            Path(options.answers),
            path,
            asked,
            form=options.format,
            ignore_unknown=options.ignore_unknown,
        )
    options.exit_code = exit_code(results)
    if not options.quiet:
        print(terminal(results, columns=columns()))
    if options.show_differences:
        _differences(path, results["tasks"])
    if options.json:
        print(json.dumps(summary(path, results)))
    return int(options.exit_code)


class _Bar:
    """The judge's progress, from its first reply on."""

    def __init__(self) -> None:
        self._bar: Any = None

    def update(self, done: int, total: int) -> None:
        """Draw one more reply."""
        from tqdm import tqdm

        if self._bar is None or self._bar.total != total:
            wait = 0.1 if sys.stderr.isatty() else 10.0
            self._bar = tqdm(total=total, desc="judge", unit="q", file=sys.stderr, mininterval=wait)
        self._bar.update(1)
        if done == total:
            self._bar.close()


def _differences(path: Path, tasks: dict[str, object]) -> None:
    from kangaroo_eval.journal import last_answers
    from kangaroo_eval.results import read_differently
    from kangaroo_eval.scores import read_scores

    for task in tasks:
        answers = last_answers(path, task)
        for each in read_scores(path, task):
            if read_differently(each):
                assert each.careful is not None and each.official is not None
                print(
                    f"{task} {each.id}: careful {each.careful.answer} ({each.careful.rule}), official "
                    f"{each.official.answer}, target {each.target}: {answers[each.id]['text']!r}"
                )
