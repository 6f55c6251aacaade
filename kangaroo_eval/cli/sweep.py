"""`kangaroo-eval --frames 8,16,32,64`: one model with several numbers of frames."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kangaroo_eval.cli.common import columns
from kangaroo_eval.errors import UserError
from kangaroo_eval.plan import RunConfig

if TYPE_CHECKING:
    from kangaroo_eval.runner import Results


def command(options: argparse.Namespace) -> int:
    """Every number of frames, then one table."""
    from kangaroo_eval.cli.run import Bars, dry_run, make_config

    counts = options.frames
    options.frames = None
    config = make_config(options)
    if options.dry_run == "measure":
        raise UserError(
            f"--dry-run measure measures one number of frames: give one of --frames {','.join(map(str, counts))}"
        )
    if options.dry_run:
        for count in counts:
            print(dry_run(dataclasses.replace(config, frames=count)))
        return 0
    from kangaroo_eval.sweep import evaluate, sweep_output

    # Here, so that it can be said where they are.
    config = dataclasses.replace(config, output=config.output or sweep_output(config))
    results: dict[int, Results] = {}
    with Bars(options) as tell:
        for count, found in evaluate(counts, config, progress=tell, keep_frames=options.frame_store is None):
            results[count] = found
            options.exit_code = options.exit_code or found.exit_code
    _tell(options, config, results)
    return int(options.exit_code)


def _tell(options: argparse.Namespace, config: RunConfig, results: dict[int, Results]) -> None:
    from kangaroo_eval.report import text_tables
    from kangaroo_eval.report.tables import troubles
    from kangaroo_eval.sweep import sweep_table

    if not options.quiet:
        print(text_tables([sweep_table(results)], columns=columns()))
        print(f"\nsweep: {config.output}")
    for count, found in results.items():
        if found.exit_code:
            for line in troubles(found.data):
                print(f"kangaroo-eval: {count} frames: {line}", file=sys.stderr)
    if options.json:
        told: Mapping[str, Any] = {
            "exit": options.exit_code,
            "sweep": str(config.output),
            "frames": {
                str(count): {task: entry["careful"]["value"] for task, entry in found.data["tasks"].items()}
                for count, found in sorted(results.items())
            },
        }
        print(json.dumps(told))
