"""`kangaroo-eval data [ls|fetch|verify|mini|exam|frames] [TASK...]`: before any model loads."""

from __future__ import annotations

import argparse
import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from kangaroo_eval.cli.common import cache_dir, data_root, split
from kangaroo_eval.cli.run import ids, subset
from kangaroo_eval.data import locate
from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.layouts import known_places, pieces_of
from kangaroo_eval.registry import get_task, task_names

ACTIONS = ("ls", "fetch", "verify", "mini", "exam", "frames")
CHOOSING = ("fetch", "verify", "frames")
"""Those that `--limit`, `--samples` and `--subset` leave a part of a task to."""


def command(options: argparse.Namespace) -> int:
    """Say where each task's data is, fetch it, check it (exit 6 when something is wrong), or make the mini copies or the
    exam."""
    if options.action not in ACTIONS:
        raise UserError(f"data {options.action!r}: choose one of {', '.join(ACTIONS)}")
    if options.action not in CHOOSING and any(
        chosen is not None for chosen in (options.limit, options.samples, options.subset)
    ):
        raise UserError(
            f"data {options.action} takes all of a task: --limit, --samples and --subset are for {', '.join(CHOOSING)}"
        )
    root = data_root(options)
    if root is not None and options.action in ("ls", "frames") and not root.is_dir():
        raise DataError(f"data root {root} is not a readable folder: mend --data-root or KANGAROO_EVAL_DATA")
    if options.action == "exam":
        return _exam(root, split(options.task), quiet=options.quiet)
    if options.action == "frames":
        return _frames(options)
    if options.action == "fetch":
        from kangaroo_eval.cli import data_fetch

        return data_fetch.command(options, root)
    if options.action == "verify":
        return _verify(options, root)
    if options.action == "ls":
        return _list(options, root)
    for name in split(options.task) or [each for each in task_names() if get_task(each).source.mini]:
        print(f"{name:26}{locate(get_task(name), 'mini', root, cache_dir()).root}")
    return 0


def _list(options: argparse.Namespace, root: Path | None) -> int:
    """Where each benchmark is: under the data root, and in the folders that other harnesses use."""
    places = {} if root is None else {"--data-root": root}
    elsewhere = {name: place for name, place in known_places(os.environ).items() if place != root}
    told: dict[str, Any] = {}
    for name in split(options.task) or task_names():
        task = get_task(name)
        found = {
            place: [str(piece.path) for piece in pieces]
            for place, folder in {**places, **elsewhere}.items()
            if (pieces := pieces_of(task.source, folder))
        }
        told[task.name] = found
        if options.json:
            continue
        print(f"{task.name:26}{', '.join(found.get('--data-root', ())) or 'not there'}")
        for place, folder in elsewhere.items():
            if place in found:
                print(f"{'':26}there too: {', '.join(found[place])} (use --data-root {folder})")
    if options.json:
        print(json.dumps({"exit": 0, "tasks": told}))
    return 0


def _exam(root: Path | None, tasks: Sequence[str], *, quiet: bool) -> int:
    """Make the exam, which bundled models are measured on, as a Video-MME in `root`."""
    if root is None or tasks:
        raise UserError("the exam is made in a folder of its own: kangaroo-eval data exam --data-root DIR")
    from tqdm import tqdm

    from kangaroo_eval.miniworld.exam import make_exam

    with tqdm(desc="exam", unit="video", disable=True if quiet else None) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        print(make_exam(root, progress=tell))
    return 0


def _frames(options: argparse.Namespace) -> int:
    """Decode what a later run will want into the frame store; exit 3 where a video gives no frames, 6 where one is missing."""
    from tqdm import tqdm

    from kangaroo_eval.plan import RunConfig, make_plan
    from kangaroo_eval.runner import loaded
    from kangaroo_eval.stocking import stock

    names = split(options.task)
    if not names:
        raise UserError("data frames: name the tasks, such as data frames videomme --frames 64")
    config = RunConfig(
        tasks=names,
        model=options.model,
        frames=max(options.frames) if options.frames else None,
        sampler=options.sampler,
        data=options.data,
        data_root=data_root(options),
        cache=cache_dir(),
        workers=options.workers,
        frame_store="exact" if options.frame_store is None else options.frame_store,
        frame_store_size=options.frame_store_size,
        also_frames=tuple(count for count in options.frames or () if count != max(options.frames)),
        limit=options.limit,
        samples=ids(options.samples),
        subset=subset(options.subset),
    )
    if config.frame_store == "off":
        raise UserError("data frames --frame-store off: choose exact or near")
    plans = make_plan(config)
    with loaded(config, None) as model, tqdm(unit="video", disable=True if options.quiet else None) as bar:

        def tell(done: int, total: int) -> None:
            options.interruption.check()
            bar.total = total
            bar.update(done - bar.n)

        found = stock(plans, config, model, tell)
    print(found)
    return 3 if found.failed else 0


def _verify(options: argparse.Namespace, root: Path | None) -> int:
    """Decode both ends of every video; exit 6 where one is missing, broken, too short or another's double."""
    from tqdm import tqdm

    from kangaroo_eval.media import FrameSpec
    from kangaroo_eval.plan import RunConfig, choose
    from kangaroo_eval.verify import lines, verify

    wrong, told = 0, {}
    workers = os.cpu_count() or 1 if options.workers is None else options.workers
    for name in split(options.task) or task_names():
        task = get_task(name)
        # Who names a folder wants that checked, not a made copy in its place.
        kind = "real" if options.data == "auto" and root is not None else options.data
        found = locate(task, kind, root, cache_dir())
        spec = FrameSpec(
            frames=max(options.frames) if options.frames else task.frames,
            sampler=task.sampler if options.sampler == "official" else options.sampler,
        )
        part = RunConfig(
            tasks=(task.name,),
            limit=options.limit,
            samples=ids(options.samples),
            subset=subset(options.subset),
        )
        chosen = functools.partial(choose, config=part)
        hidden = True if options.quiet or options.json else None
        with tqdm(desc=task.name, unit="video", disable=hidden, leave=False) as bar:

            def tell(done: int, total: int, bar: tqdm[NoReturn] = bar) -> None:
                options.interruption.check()
                bar.total = total
                bar.update(done - bar.n)

            result = verify(task, found, spec, workers=workers, progress=tell, choose=chosen)
        if not result.samples:
            raise UserError(f"--samples names none of {task.name}'s samples")
        wrong += result.wrong
        told[task.name] = result.plain()
        if not options.json:
            print("\n".join(lines(result)))
    if options.json:
        print(json.dumps({"exit": DataError.exit_code if wrong else 0, "tasks": told}))
    if wrong:
        raise DataError(
            f"{wrong} task{'s have' if wrong > 1 else ' has'} videos that are missing or not as they should be"
        )
    return 0
