"""`kangaroo-eval data [ls|verify|mini|exam|frames] [TASK...]`: before any model loads."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from kangaroo_eval.cli.common import cache_dir, data_root, split
from kangaroo_eval.data import Located, folder_of, locate, read_samples
from kangaroo_eval.errors import DataError, MediaError, UserError
from kangaroo_eval.registry import get_task, task_names
from kangaroo_eval.task import Task
from kangaroo_eval.types import Video

ACTIONS = ("ls", "verify", "mini", "exam", "frames")


def command(options: argparse.Namespace) -> int:
    """Say where each task's data is, check it (exit 6 when something is wrong), or make the mini copies or the exam."""
    if options.action not in ACTIONS:
        raise UserError(f"data {options.action!r}: choose one of {', '.join(ACTIONS)}")
    root = data_root(options)
    if options.action == "exam":
        return _exam(root, split(options.task), quiet=options.quiet)
    if options.action == "frames":
        return _frames(options)
    broken = 0
    for name in split(options.task) or task_names():
        task = get_task(name)
        if options.action == "ls":
            print(f"{task.name:26}{folder_of(task, root) or 'not there'}")
            continue
        kind = options.data
        if options.action == "mini" or (kind == "auto" and root is not None):
            # Who names a folder wants that checked, not a made copy in its place.
            kind = "mini" if options.action == "mini" else "real"
        found = locate(task, kind, root, cache_dir())
        if options.action == "mini":
            print(f"{task.name:26}{found.root}")
        else:
            broken += _verify(task, found)
    if broken:
        raise DataError(f"{broken} tasks have missing or unreadable videos")
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


def _verify(task: Task, found: Located) -> bool:
    samples = read_samples(task, found.root)
    videos = {sample.video.path: sample.video for sample in samples}
    faults = {path: fault for path, video in sorted(videos.items()) if (fault := _fault(video))}
    missing = sum(fault == "missing" for fault in faults.values())
    print(
        f"{task.name:26}{found.kind}: {len(samples)} samples, {len(videos)} videos, {missing} missing, "
        f"{len(faults) - missing} unreadable"
    )
    for path, fault in list(faults.items())[:20]:
        print(f"  {path}: {fault}")
    return bool(faults)


def _fault(video: Video) -> str | None:
    """What keeps a video from being decoded, as far as its index tells (no frame is decoded in full)."""
    from kangaroo_eval.media import probe

    if not os.path.exists(video.path):
        return "missing"
    try:
        absent = probe(
            Video(video.path, frames_dir=video.frames_dir, fps=video.fps, pictures=video.pictures)
        ).absent
    except MediaError as error:
        return str(error).removeprefix(f"{video.path}: ")
    return f"cut short, {absent} frames are not in the file" if absent else None
