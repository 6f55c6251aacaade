"""A sweep over numbers of frames: each a run of its own by the same loaded model, and every video decoded once for all."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kangaroo_eval.errors import UserError
from kangaroo_eval.journal import write_text
from kangaroo_eval.plan import RunConfig, make_plan
from kangaroo_eval.protocols import Model
from kangaroo_eval.report import markdown_tables
from kangaroo_eval.report.series import table
from kangaroo_eval.report.tables import Table
from kangaroo_eval.runner import Results, default_output, loaded, run

if TYPE_CHECKING:
    from kangaroo_eval.answering import Progress

OWN_STORE = ".frames"
"""Where a sweep or a series keeps frames while it lasts, in its own folder, if the user names no store."""


def evaluate(
    counts: Sequence[int],
    config: RunConfig,
    *,
    model: Model | None = None,
    progress: Callable[[Progress], None] | None = None,
    keep_frames: bool = True,
) -> Iterator[tuple[int, Results]]:
    """Run `config` with each number of frames into `<output>/<N>f`; yields each as it is done, the largest first, for while the
    model answers it the frames of the others are decoded in the same pass. At the end `sweep.md` has all of them.

    The same call again resumes. `keep_frames` False keeps no frames on disk, where the configuration names no store: each run
    decodes for itself then. UserError for what is no sweep.
    """
    if len(set(counts)) < 2 or config.fps is not None:
        raise UserError(
            f"a sweep is over two numbers of frames or more, not {list(counts)}, and not with --fps"
        )
    largest, *others = sorted(set(counts), reverse=True)
    for count in (largest, *others):
        dataclasses.replace(config, frames=count)
    output = config.output or sweep_output(config)
    # On a cluster each run has its workers, who load it themselves.
    one = contextlib.nullcontext(model) if config.on_cluster else loaded(config, model)
    with own_store(config, output, wanted=keep_frames) as stored, one as shared:
        results = {}
        for count in (largest, *others):
            own = dataclasses.replace(
                stored,
                frames=count,
                output=output / f"{count}f",
                also_frames=tuple(others) if count == largest and stored.frame_store != "off" else (),
            )
            results[count] = run(own, model=shared, progress=progress)
            yield count, results[count]
        write_text(output / "sweep.md", markdown_tables([sweep_table(results)]) + "\n")


def sweep_table(results: dict[int, Results]) -> Table:
    """One line a number of frames, in their order."""
    return table([(str(count), results[count].data) for count in sorted(results)], "frames")


def sweep_output(config: RunConfig) -> Path:
    """`results/runs/<model>-sweep[-mini]` under the current folder."""
    single = default_output(dataclasses.replace(config, frames=1, controls=()), make_plan(config))
    return single.with_name(single.name.replace("-1f", "-sweep"))


@contextlib.contextmanager
def own_store(
    config: RunConfig, output: Path, *, wanted: bool = True, keep_broken: bool = True
) -> Iterator[RunConfig]:
    """The configuration with a frame store: the one that it names, or (`wanted`) one in `output`, which is gone when all went
    well. What was interrupted goes on with it (`keep_broken`)."""
    if config.frame_store != "off" or not wanted:
        yield config
        return
    folder = output.resolve() / OWN_STORE
    try:
        yield dataclasses.replace(config, frame_store="exact", frame_store_folder=folder)
    except BaseException:
        if not keep_broken:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
