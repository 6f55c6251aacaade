"""A series of checkpoints: each one a run of its own, and one table over all of them."""

from __future__ import annotations

import dataclasses
import glob
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kangaroo_eval.errors import UserError, one_line
from kangaroo_eval.identity import read_header
from kangaroo_eval.journal import write_text
from kangaroo_eval.plan import RunConfig
from kangaroo_eval.report import markdown_tables
from kangaroo_eval.report.series import table
from kangaroo_eval.runner import run

if TYPE_CHECKING:
    from kangaroo_eval.answering import Progress

log = logging.getLogger(__name__)

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
SETTLED = 60.0
"""Seconds after which a checkpoint that is not whole is no longer being written."""


@dataclass
class Series:
    """The checkpoints evaluated so far: results.json of each by its folder, and those that failed with the reason and the
    exit code."""

    output: Path
    results: dict[Path, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[Path, UserError] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """That of the first checkpoint that failed, else of the first whose coverage is too low, else 0."""
        from kangaroo_eval.results import exit_code

        codes = [error.exit_code for error in self.failed.values()]
        codes += [exit_code(found) for found in self.results.values()]
        return next(filter(None, codes), 0)

    def write(self) -> None:
        """`series.md` in the output folder: one line a checkpoint."""
        if self.results:
            self.output.mkdir(parents=True, exist_ok=True)
            write_text(self.output / "series.md", markdown_tables([table(self.ordered)]) + "\n")

    @property
    def ordered(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Name and results of each checkpoint in the order of training."""
        return [(path.name, self.results[path]) for path in sorted(self.results, key=in_training)]


def in_training(path: Path) -> tuple[Any, ...]:
    """Sorts step_9 before step_10: numbers in names count as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def checkpoints(pattern: str) -> list[Path]:
    """The folders that a pattern names, in the order of training. UserError where none of them is a checkpoint; one that is half
    written costs the others nothing, and its own evaluation tells what it lacks."""
    found = [Path(each) for each in glob.glob(str(Path(pattern).expanduser()))]
    folders = sorted((each for each in found if each.is_dir()), key=in_training)
    if not folders:
        raise UserError(f"--checkpoints {pattern!r}: no such folder; quote the pattern, such as 'out/step_*'")
    # Each one's run is called after it.
    twice = [name for name, count in Counter(folder.name for folder in folders).items() if count > 1]
    if twice:
        raise UserError(
            f"--checkpoints {pattern!r}: several are called {twice[0]!r}; give a pattern of folders with different names"
        )
    if not any(map(is_whole, folders)):
        raise UserError(
            f"--checkpoints: {folders[0]} is no whole checkpoint: a config.json and all its weights are needed"
        )
    return folders


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a configuration and weights, and all those that an index names."""
    try:
        if not (folder / "config.json").is_file():
            return False
        for index in folder.glob("*.index.json"):
            named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            if not all((folder / name).is_file() for name in named):
                return False
        return any(any(folder.glob(pattern)) for pattern in WEIGHTS)
    except (OSError, ValueError, LookupError, AttributeError):
        # Half written: it is whole later, or never.
        return False


def is_ready(folder: Path) -> bool:
    """Whether a folder that may be being written is a whole checkpoint by now: shards come before the index that names them, and
    a file is there before all of it is. One that nobody has written to for a while is taken as it is, and its run tells what
    it lacks."""
    if not is_whole(folder):
        return False
    try:
        files = list(folder.glob("*.safetensors"))
        shards = any(re.search(r"-\d+-of-\d+\.", file.name) for file in files)
        if not (shards and not any(folder.glob("*.index.json"))):
            for file in files:
                read_header(file)
            return True
    except (UserError, OSError):
        pass
    try:
        return time.time() - max(file.stat().st_mtime for file in folder.iterdir()) > SETTLED
    except OSError:
        return False


def evaluate(
    series: Series,
    folders: Sequence[Path],
    config: RunConfig,
    kind: str,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[Path]:
    """Run each folder as model `kind:FOLDER` into `<output>/<its name>`; yields each as it is done, failed ones too: one bad
    checkpoint does not cost the others."""
    for folder in folders:
        own = dataclasses.replace(
            config, model=f"{kind}:{folder.resolve()}", output=series.output / folder.name
        )
        try:
            series.results[folder] = run(own, progress=progress).data
            series.failed.pop(folder, None)
        except UserError as error:
            log.warning("%s: %s", folder, one_line(error))
            # Not the error itself: its traceback holds the model, with all weights, for as long as the series goes on.
            series.failed[folder] = type(error)(str(error))
        series.write()
        yield folder


def appearing(
    folder: Path, pattern: str, known: set[Path], *, every: float, pause: Callable[[float], None] = time.sleep
) -> Iterator[list[Path]]:
    """Again and again the whole checkpoints of a folder that are not `known` yet, in the order of training; in between
    waits `every` seconds. Ends never."""
    while True:
        there = [path for path in folder.glob(pattern) if path.is_dir() and path not in known]
        yield sorted(filter(is_ready, there), key=in_training)
        pause(every)
