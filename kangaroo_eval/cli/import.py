"""`kangaroo-eval import PATH`: results of lmms-eval or VLMEvalKit as a run directory. Never a video, never torch."""

from __future__ import annotations

import argparse
import json

from kangaroo_eval.cli.common import cache_dir, columns, data_root, judge, user_path


def command(options: argparse.Namespace) -> int:
    """Import, show both numbers, and say where the run is."""
    from kangaroo_eval.integrations.importing import import_results
    from kangaroo_eval.report import terminal
    from kangaroo_eval.rescore import Scoring
    from kangaroo_eval.results import exit_code, summary

    asked = Scoring(
        data=options.data,
        data_root=data_root(options),
        cache=cache_dir(),
        min_coverage=options.min_coverage,
        judge=judge(options),
    )
    found = import_results(
        user_path(options.path),
        asked,
        output=user_path(options.output) if options.output else None,
        task=options.task,
        ignore_unknown=options.ignore_unknown,
    )
    options.exit_code = exit_code(found.results)
    if not options.quiet:
        print(terminal(found.results, columns=columns()))
        print(f"\nrun directory: {found.path}")
    if options.json:
        print(json.dumps(summary(found.path, found.results)))
    return int(options.exit_code)
