"""What a stage of the curation is: rows in, rows out, and one bad video is a row with an error."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar, Protocol

from kangaroo_eval.errors import UserError, one_line

Row = dict[str, Any]
"""A video or a clip: JSON values by name. `id` and `path` always; `error` where a stage failed for it; `spent`, the CPU-seconds
of each stage."""


class Stage(Protocol):
    """A step that adds to rows. Stages are dataclasses of plain settings: these, with name and version, are what a result is
    known by. `version` is raised whenever the same settings give something else. A stage with `threads` has so many rows in
    work at a time."""

    name: ClassVar[str]
    version: ClassVar[int]

    def setup(self) -> None:
        """Load what is heavy (models), once in each worker and never before."""
        ...

    def one(self, row: Row) -> list[Row]:
        """What becomes of a row: usually itself with more in it, several for a video that is cut. May raise anything."""
        ...


def identity(stage: Stage) -> dict[str, Any]:
    """Name, version and settings, as JSON."""
    return {"name": stage.name, "version": stage.version, "settings": _settings(stage)}


def _settings(value: Any) -> Any:
    """Dataclasses as plain values, without fields that are marked secret: keys, and folders that change nothing."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            each.name: _settings(getattr(value, each.name))
            for each in dataclasses.fields(value)
            if not each.metadata.get("secret")
        }
    return [_settings(each) for each in value] if isinstance(value, tuple | list) else value


def config_hash(stages: Sequence[Stage]) -> str:
    """A hash of what the stages are."""
    told = json.dumps([identity(stage) for stage in stages], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def process(stages: Iterable[Stage], rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The rows through the stages. What a stage raises for a row becomes the row's `error` (stage, type, message), and
    later stages leave it alone; a UserError is of the settings and not of the row, and is raised."""
    found: list[Row] = [dict(row) for row in rows]
    for stage in stages:
        threads = getattr(stage, "threads", 1)
        step = partial(_guarded, stage)
        if threads > 1:
            # A stage that waits for a server and not for this processor.
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(step, found))
        else:
            parts = list(map(step, found))
        found = [row for part in parts for row in part]
    return found


def _guarded(stage: Stage, row: Row) -> list[Row]:
    if row.get("error"):
        return [row]
    started = time.thread_time()
    try:
        found = stage.one(row)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001  (decoders and detectors raise whatever they like)
        told = {"stage": stage.name, "type": type(error).__name__, "message": one_line(error)}
        found = [{**row, "error": told}]
    # What a stage spends on a file is shared among the clips that come of it, what came before them too.
    spent = {**row.get("spent", {}), stage.name: time.thread_time() - started}
    shared = {name: round(value / len(found), 5) for name, value in spent.items()} if found else {}
    return [{**each, "spent": shared} for each in found]
