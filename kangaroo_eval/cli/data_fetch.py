"""`kangaroo-eval data fetch TASK...`: download what a run needs of a benchmark."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from kangaroo_eval.cli.common import split
from kangaroo_eval.cli.run import ids, subset
from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.fetch import Asked, Fetched, fetch
from kangaroo_eval.fetch.hub import Hub
from kangaroo_eval.layouts import known_places, pieces_of
from kangaroo_eval.plan import RunConfig, choose
from kangaroo_eval.registry import get_task
from kangaroo_eval.task import Task
from kangaroo_eval.types import Sample

ON = ("1", "ON", "YES", "TRUE")


def command(options: argparse.Namespace, root: Path | None) -> int:
    """Fetch the tasks' data below `root`; exit 6 where something cannot be had."""
    names = split(options.task)
    if not names or root is None:
        raise UserError(
            "data fetch: name tasks and the folder to fill: kangaroo-eval data fetch videomme --data-root DIR"
        )
    tasks = [get_task(name) for name in names]
    if not options.yes and not sys.stdin.isatty():
        raise UserError(
            "data fetch asks before it downloads, and there is no terminal to ask on: read the licence "
            f"({', '.join(task.source.homepage for task in tasks)}) and give --yes"
        )
    options.interrupted = "kangaroo-eval: interrupted. What has come is kept; the same command goes on"
    _quiet_client(options)
    hub = Hub(
        endpoint=(os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/"),
        offline=os.environ.get("HF_HUB_OFFLINE", "").upper() in ON,
    )
    told, lacking = {}, 0
    for task in tasks:
        for place in known_places(os.environ).values():
            for piece in pieces_of(task.source, place) if place != root else ():
                print(f"{piece.path} is there already: --data-root {place} reads it", file=sys.stderr)
        done = fetch(_asked(task, root, options), hub)
        told[task.name] = {"samples": done.samples, "bytes": done.bytes, "missing": list(done.missing)}
        lacking += len(done.missing)
        if not options.json:
            print("\n".join(_lines(task, done)))
    if options.json:
        print(json.dumps({"exit": DataError.exit_code if lacking else 0, "tasks": told}))
    if lacking:
        raise DataError(f"{lacking} file{'s' if lacking > 1 else ''} could not be had, see above")
    return 0


def _asked(task: Task, root: Path, options: argparse.Namespace) -> Asked:
    config = RunConfig(
        tasks=(task.name,),
        limit=options.limit,
        samples=ids(options.samples),
        subset=subset(options.subset),
    )

    def chosen(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        found = choose(samples, config)
        if not found:
            raise UserError(f"--samples names none of {task.name}'s {len(samples)} samples")
        return found

    def confirm(text: str) -> None:
        print(text, file=sys.stderr)
        if not options.yes and not _agreed():
            raise UserError("nothing further is fetched: you did not say yes")

    def tell(text: str) -> None:
        options.interruption.check()
        if not options.quiet:
            print(f"  {text}", file=sys.stderr)

    return Asked(task=task, root=root, choose=chosen, confirm=confirm, tell=tell)


def _agreed() -> bool:
    try:
        return input("Go on? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        return False


def _lines(task: Task, done: Fetched) -> list[str]:
    """What is told at the end, with where to get what the hub lacks."""
    lines = [
        f"{task.name:26}{done.samples} samples, {done.bytes / 1e9:.2f} GB fetched, {len(done.missing)} files not to be had"
    ]
    lines += [f"  {path}: not in the repository" for path in done.missing[:20]]
    for beginning, hint in task.source.hints.items():
        count = sum(path.startswith(beginning) for path in done.missing)
        lines += [f"  {count} of {beginning}: {hint}"] if count else []
    return lines


def _quiet_client(options: argparse.Namespace) -> None:
    """The client's bars only where somebody sees them."""
    if options.quiet or options.json or not sys.stderr.isatty():
        import importlib.util

        if importlib.util.find_spec("huggingface_hub"):
            from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

            disable_progress_bars()
