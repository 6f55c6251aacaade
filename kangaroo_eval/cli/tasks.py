"""`kangaroo-eval tasks [ls|show NAME]`."""

from __future__ import annotations

import argparse

from kangaroo_eval.errors import UserError
from kangaroo_eval.predictions import forms
from kangaroo_eval.registry import get_task, task_names
from kangaroo_eval.task import Task


def command(options: argparse.Namespace) -> int:
    """List the tasks, or show one: source, licence, prompt parts, readers, frames, citation."""
    if options.action == "ls":
        width = max(map(len, task_names())) + 2
        for name in task_names():
            print(f"{name:{width}}{get_task(name).title}")
        return 0
    if options.action != "show" or not options.name:
        raise UserError(f"tasks {options.action!r}: give `tasks ls` or `tasks show NAME`")
    task = get_task(options.name)
    print(task.name)
    for key, value in facts(task).items():
        print(f"  {key:18}{value}")
    return 0


def facts(task: Task) -> dict[str, object]:
    """What `tasks show` says of a task, by name, in order; the pages of the documentation are held to it."""
    published = task.published
    told = {
        "title": task.title,
        "version": task.version,
        "homepage": task.source.homepage,
        "hub": task.source.hub,
        "licence": task.source.licence,
        "citation": task.source.citation,
        "folder": task.source.folder,
        "annotations": ", ".join(task.source.annotations),
        "metric": task.metric + (f" over {task.macro_over}" if task.macro_over else ""),
        "scale": f"0 to {task.scale}" if task.scale != 1 else None,
        "readers": f"careful, official ({task.official_rule})",
        "judge": task.judge
        and f"{task.judge.model} (the authors'), parameters {dict(task.judge.parameters)}",
        "likelihood": "ranked where the model can" if task.ranking else None,
        "predictions": "; ".join(f"{each.name}: {each.about}" for each in forms(task)),
        "breakdown": ", ".join(task.breakdown),
        "frames": task.frames,
        "official sampler": task.sampler,
        "new tokens": task.max_new_tokens,
        "system": task.system,
        "prefill": task.prefill,
        "published": f"Table {published.table}, {published.column}" if published else None,
        "shown as": f"every frame {task.repeat_frames} times" if task.repeat_frames > 1 else None,
        "mini copy": "yes" if task.source.mini else "no",
        "notes": "; ".join(task.notes) or None,
    }
    return {key: value for key, value in told.items() if value is not None}
