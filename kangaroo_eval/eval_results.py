"""A run's scores as the hub's `.eval_results/*.yaml`, which model pages and leaderboards are made of. Nothing is sent.

Format: https://huggingface.co/docs/hub/eval-results. A hub's number stands for the benchmark, so only a whole run on real
data has one.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kangaroo_eval import __version__, journal
from kangaroo_eval.errors import UserError
from kangaroo_eval.permutation import AS_GIVEN
from kangaroo_eval.registry import get_task, task_names
from kangaroo_eval.results import COMPARABLE_COVERAGE
from kangaroo_eval.task import Task

log = logging.getLogger(__name__)

FORM = "eval-results"
FOLDER = ".eval_results"
READERS = ("official", "careful")


def eval_results(
    path: Path, name: str | None, *, reader: str | None = None, source_url: str | None = None
) -> dict[str, str]:
    """File name -> content: one file for each task of the run at `path` that has a number for the hub.

    The value is what `reader` gives (None: the official one), in points, or on a judge's own scale. `source_url` is
    where the run can be seen. Tasks without such a number (mini data, a part of the benchmark, no score, not on the hub) are left out
    and named; `UserError` for the one that is asked for by `name`, and where none is left.
    """
    if reader not in (None, *READERS):
        raise UserError(f"--reader {reader!r}: choose one of {', '.join(READERS)}")
    _check_url(source_url)
    record = journal.read_record(path)
    if record is None:
        raise UserError(f"{path} has no run.json: give a run directory")
    results = journal.read_results(path)
    wanted = [get_task(name).name] if name is not None else list(results["tasks"])
    if name is not None and wanted[0] not in results["tasks"]:
        raise UserError(f"--task {name}: the run holds {', '.join(results['tasks'])}")
    files: dict[str, str] = {}
    refused: list[str] = []
    for each in wanted:
        task, found = get_task(each), results["tasks"][each]
        why = _no_number(task, found, record["tasks"].get(each, {}), reader or "official")
        if why is not None:
            refused.append(f"{each}: {why}")
            continue
        entry = _entry(task, found, results["run"], reader or "official", source_url)
        files[f"{FOLDER}/{each}.yaml"] = _yaml(entry)
    if not files:
        raise UserError(f"{path} has no number for the hub ({'; '.join(refused)})")
    for line in refused:
        log.warning("left out: %s", line)
    return files


def _check_url(url: str | None) -> None:
    if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
        raise UserError(f"--source-url {url!r}: give an address that begins with https://")


def _no_number(task: Task, found: Mapping[str, Any], entry: Mapping[str, Any], reader: str) -> str | None:
    """Why the task's score must not stand for the benchmark, or None."""
    if task.source.hub is None:
        return "its benchmark is not on the hub"
    if found["data"] != "real":
        return "mini data: made videos and questions, not the benchmark's"
    if (first := _variant_of(task)) is not None:
        return f"its dataset's own task is {first}: this asks the same questions in another way"
    published = task.published.samples if task.published else None
    whole = max(published or 0, entry.get("samples") or 0)
    if not whole:
        return "nothing tells how many samples the whole benchmark has"
    if found["asked"] < whole:
        return f"{found['asked']} of the benchmark's {whole} samples"
    if found["status"] != "ok" or found[reader]["value"] is None:
        return (
            f"it has no {reader} score (status {found['status']}, coverage {100 * found['coverage']:.1f} %)"
        )
    if found["coverage"] < COMPARABLE_COVERAGE:
        return f"{100 * found['coverage']:.1f} % coverage"
    if found.get("options", AS_GIVEN) != AS_GIVEN:
        return f"its options were {found['options']}"
    return None


def _variant_of(task: Task) -> str | None:
    """The task that this one asks the questions of in another way ("videomme" of "videomme_subtitles"); None for no other's."""
    for name in task_names():
        if task.name.startswith(f"{name}_"):
            with contextlib.suppress(UserError):  # a plug-in that does not load
                other = get_task(name).source
                if (other.hub, other.annotations) == (task.source.hub, task.source.annotations):
                    return name
    return None


def _entry(
    task: Task, found: Mapping[str, Any], run: Mapping[str, Any], reader: str, source_url: str | None
) -> dict[str, Any]:
    scale = 100 if found["scale"] == 1 else 1
    entry: dict[str, Any] = {
        "dataset": {"id": task.source.hub, "task_id": "default"},
        "value": round(scale * found[reader]["value"], 2),
    }
    if run["finished"]:
        entry["date"] = run["finished"]
    if source_url is not None:
        entry["source"] = {"url": source_url, "name": "kangaroo-eval"}
    return entry | {"notes": _notes(task, found, run, reader, scale)}


def _notes(task: Task, found: Mapping[str, Any], run: Mapping[str, Any], reader: str, scale: int) -> str:
    """What the value is to be read with: protocol, frames, error, coverage, and the other reader's value."""
    own, other = found[reader], next(each for each in READERS if each != reader)
    error = "" if own["stderr"] is None else f" (standard error {scale * own['stderr']:.2f})"
    parts = [
        f"kangaroo-eval {__version__}, {task.name}",
        f"{reader} reader{error}",
        f"n={own['n']}, coverage {100 * found['coverage']:.1f} %",
    ]
    if run["frames"]:
        parts.append(f"{run['frames']} frames")
    if found[other]["value"] is not None:
        parts.append(f"{other} reader {scale * found[other]['value']:.2f}")
    if found.get("judge"):
        parts.append(f"judged by {found['judge']['model']}")
    if scale == 1:
        parts.append(f"a judge's mean, 0 to {found['scale']}")
    return "; ".join([*parts, *run["notes"]])


def _yaml(entry: Mapping[str, Any]) -> str:
    """A list of the one entry. A JSON value is a YAML one, and needs no package to be written."""
    lines: list[str] = []
    for key, value in entry.items():
        if isinstance(value, dict):
            lines.append(f"{key}:")
            lines += [f"  {name}: {json.dumps(item)}" for name, item in value.items()]
        else:
            lines.append(f"{key}: {json.dumps(value)}")
    return "- " + "\n  ".join(lines) + "\n"
