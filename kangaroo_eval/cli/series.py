"""`kangaroo-eval run --checkpoints 'out/step_*'` and `kangaroo-eval watch DIR`: a series of checkpoints."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from kangaroo_eval.cli.common import columns, user_path
from kangaroo_eval.errors import UserError
from kangaroo_eval.plan import RunConfig, make_plan

BUNDLED = "kangaroo-tiny"


def command(options: argparse.Namespace) -> int:
    """Every checkpoint of the pattern, then one table."""
    from kangaroo_eval.series import checkpoints

    folders = checkpoints(options.checkpoints)
    if options.dry_run:
        from kangaroo_eval.cli.run import dry_run

        print("\n".join(map(str, folders)))
        print(dry_run(_config(options)))
        return 0
    return _run(options, [folders], folders[0].resolve().parent, show_each=False)


def watch(options: argparse.Namespace) -> int:
    """Every checkpoint of a folder as it appears, until --last or for ever (Ctrl-C ends it)."""
    from kangaroo_eval.series import appearing

    folder = _watched(options)
    seen: set[Path] = set()
    told: list[str] = []

    def pause(seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            options.interruption.check()
            time.sleep(min(0.5, left))

    def batches() -> Iterable[list[Path]]:
        for found in appearing(folder, options.pattern, seen, every=options.every, pause=pause):
            options.interruption.check()
            if not found and not seen and not told and not options.once:
                told.append(_none_yet(folder, options.pattern))
                print(told[0], file=sys.stderr, flush=True)
            yield found
            seen.update(found)
            if options.once and not seen:
                raise UserError(
                    f"watch --once: nothing to evaluate in {folder}: {_why_none(folder, options.pattern)}"
                )
            if options.once or (options.last and any(path.name == options.last for path in seen)):
                return

    return _run(options, batches(), folder.resolve(), show_each=True)


def _watched(options: argparse.Namespace) -> Path:
    """The folder to watch. UserError for what is wrong with any of the flags, before the first checkpoint is waited for."""
    folder = user_path(options.folder)
    if not folder.is_dir():
        raise UserError(f"watch {options.folder}: no such folder")
    if not options.every > 0:
        raise UserError(f"--every {options.every}: give seconds above 0")
    for flag, given in (("--dry-run", options.dry_run), ("--checkpoints", options.checkpoints)):
        if given:
            raise UserError(f"watch takes no {flag}: it evaluates what is in {folder}; that is for run")
    # What is wrong with tasks and data is so of every checkpoint: before the first is waited for.
    make_plan(_config(options))
    return folder


def _none_yet(folder: Path, pattern: str) -> str:
    """Why there is nothing to evaluate: nobody should wait for folders that will never be checkpoints."""
    return f"kangaroo-eval: no checkpoint {pattern} in {folder} yet{_lacking(folder, pattern)}"


def _why_none(folder: Path, pattern: str) -> str:
    if (folder / "config.json").is_file():
        return f"it is a checkpoint itself: give the folder above it, {folder.parent}"
    return f"no checkpoint {pattern}{_lacking(folder, pattern)}"


def _lacking(folder: Path, pattern: str) -> str:
    there = sorted(path.name for path in folder.glob(pattern) if path.is_dir())
    return (
        f"; {', '.join(there[:3])} lack a config.json or weights as save_pretrained writes them"
        if there
        else ""
    )


def _config(options: argparse.Namespace) -> RunConfig:
    from kangaroo_eval.cli.run import make_config

    return make_config(options)


def _run(options: argparse.Namespace, batches: Iterable[list[Path]], parent: Path, *, show_each: bool) -> int:
    from kangaroo_eval.cli.run import Bars
    from kangaroo_eval.report import text_tables
    from kangaroo_eval.report.series import table
    from kangaroo_eval.series import Series, evaluate
    from kangaroo_eval.sweep import own_store

    if ":" in options.model:
        raise UserError(
            f"--model {options.model}: with a series of checkpoints give the kind alone, such as kangaroo or hf; the folder "
            "comes from the pattern"
        )
    kind = "kangaroo" if options.model == BUNDLED else options.model
    output = (
        Path(options.output) if options.output else Path("results/runs").absolute() / f"{parent.name}-series"
    )
    config = _config(options)
    series = Series(output)
    # Whoever watches ends it by Ctrl-C, and would not expect to find frames there.
    own = own_store(config, output, wanted=options.frame_store is None, keep_broken=not show_each)
    with own as config, Bars(options) as tell:
        for folders in batches:
            for folder in evaluate(series, folders, config, kind, tell):
                if show_each and folder in series.results and not options.quiet:
                    print(
                        text_tables([table([(folder.name, series.results[folder])])], columns=columns()),
                        flush=True,
                    )
    if not options.quiet and series.results:
        print(text_tables([table(series.ordered)], columns=columns()))
        print(f"\nseries: {output}")
    if options.json:
        told = {
            "exit": series.exit_code,
            "series": str(output),
            "failed": {path.name: str(error) for path, error in series.failed.items()},
            "checkpoints": {
                name: {task: found["careful"]["value"] for task, found in run["tasks"].items()}
                for name, run in series.ordered
            },
        }
        print(json.dumps(told))
    options.exit_code = series.exit_code
    return series.exit_code
