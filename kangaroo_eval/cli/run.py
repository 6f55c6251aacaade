"""`kangaroo-eval [run]`: a thin layer over `kangaroo_eval.evaluate`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kangaroo_eval.cli.common import cache_dir, columns, data_root, judge, pairs, split
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.plan import RunConfig, frames_of, make_plan, missing_hints

if TYPE_CHECKING:
    from kangaroo_eval.answering import Progress


def command(options: argparse.Namespace) -> int:
    """Run, print the tables, return the exit code."""
    if options.dry_run and options.dry_run not in ("list", "measure"):
        raise UserError(f"--dry-run {options.dry_run!r}: give nothing, or measure")
    if options.checkpoints:
        from kangaroo_eval.cli import series

        return series.command(options)
    if len(options.frames or ()) > 1:
        from kangaroo_eval.cli import sweep

        return sweep.command(options)
    config = make_config(options)
    if options.dry_run:
        return _dry_run(config, options)
    from kangaroo_eval.report import terminal
    from kangaroo_eval.report.controls import troubles as control_troubles
    from kangaroo_eval.report.tables import troubles
    from kangaroo_eval.results import summary
    from kangaroo_eval.runner import run

    show = not options.quiet
    options.exit_code = RunFailed.exit_code
    with Bars(options) as tell:
        results = run(config, progress=tell)
    options.exit_code = results.exit_code
    if show:
        print(terminal(results.data, columns=columns()))
        print(f"\nrun directory: {results.path}")
    elif results.exit_code:
        # Quiet is for runs that went well: a script must not be left with a bare exit code.
        for line in (*troubles(results.data), *control_troubles(results.data)):
            print(f"kangaroo-eval: {line}", file=sys.stderr)
    if options.json:
        print(json.dumps(summary(results.path, results.data)))
    return results.exit_code


def make_config(options: argparse.Namespace) -> RunConfig:
    """The run that these flags ask for."""
    return RunConfig(
        tasks=split(options.tasks),
        model=options.model,
        model_args=pairs(options.model_args),
        frames=one_count(options),
        fps=options.fps,
        max_frames=options.max_frames,
        sampler=options.sampler,
        decoder=options.decoder,
        data=options.data,
        data_root=data_root(options),
        cache=cache_dir(),
        limit=options.limit,
        samples=ids(options.samples),
        subset=subset(options.subset),
        batch_size=_batch(options.batch_size),
        device=options.device,
        dtype=options.dtype,
        workers=options.workers,
        output=Path(options.output) if options.output else None,
        fresh=options.fresh,
        on_missing=options.on_missing,
        min_coverage=options.min_coverage,
        decode_timeout=options.decode_timeout,
        seed=options.seed,
        full_hash=options.full_hash,
        trust_remote_code=options.trust_remote_code,
        controls=_controls(options.controls),
        judge=judge(options),
        ray=options.ray,
        gpus=options.gpus,
        gpus_per_model=options.gpus_per_model,
        frame_store=options.frame_store or "off",
        frame_store_size=options.frame_store_size,
        command=tuple(options.command_line),
    )


def one_count(options: argparse.Namespace) -> int | None:
    """The number of frames asked for. UserError for several, where these are no sweep."""
    if len(options.frames or ()) > 1:
        raise UserError(
            f"--frames {','.join(map(str, options.frames))}: several numbers are a sweep of one model; give one here"
        )
    return options.frames[0] if options.frames else None


def _controls(names: list[str] | None) -> tuple[str, ...]:
    """The controls asked for, each once; "all" for every one."""
    from kangaroo_eval.controls import CONTROLS

    asked = split(names or [])
    return tuple(CONTROLS) if "all" in asked else tuple(dict.fromkeys(asked))


def ids(text: str | None) -> tuple[str, ...] | None:
    """The ids that --samples names, or those in the file that it names. UserError for a file that is no text."""
    if text is None:
        return None
    file = Path(text)
    try:
        there = file.is_file()
    except (OSError, ValueError):
        # Many ids are longer than a file's name may be.
        there = False
    if not there:
        return split([text])
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--samples {text}: cannot be read as UTF-8 text ({error})") from error
    return tuple(line.strip() for line in lines if line.strip())


def subset(text: str | None) -> tuple[int, int] | None:
    """Seed and number of --subset SEED:N. UserError for anything else."""
    if text is None:
        return None
    seed, _, count = text.partition(":")
    if not (seed.isdecimal() and count.isdecimal() and int(count) > 0):
        raise UserError(f"--subset {text!r}: give SEED:N, for example 0:300")
    return int(seed), int(count)


def _batch(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal():
        raise UserError(f"--batch-size {text!r}: give a whole number, or auto")
    return int(text)


def _dry_run(config: RunConfig, options: argparse.Namespace) -> int:
    """What the run would do and, if asked, what it would take, which is also left in its directory."""
    print(dry_run(config), flush=True)
    if options.dry_run == "measure":
        from kangaroo_eval.forecast import forecast
        from kangaroo_eval.journal import write_json
        from kangaroo_eval.runner import default_output
        from kangaroo_eval.timing import FORECAST

        found = forecast(config)
        print(f"\n{found}")
        folder = config.output or default_output(config, make_plan(config))
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FORECAST, found.as_json())
        if options.json:
            print(json.dumps({"exit": 0, **found.as_json()}))
    return 0


def dry_run(config: RunConfig) -> str:
    """What a run would do: a line a task, and what is missing."""
    lines = []
    for plan in make_plan(config):
        videos = {sample.video for sample in plan.samples}
        frames = frames_of(config, plan.task)
        asked = (
            f"{frames} frames a video, {frames * len(videos)} in all"
            if frames
            else f"{config.fps:g} frames a second"
        )
        lines.append(
            f"{plan.label}: {len(plan.samples)} samples, {len(videos)} videos, {asked}; from {plan.root}"
        )
        lines += [f"  missing: {path}" for path in plan.missing]
        lines += [f"  {hint}" for hint in missing_hints(plan)]
    return "\n".join(lines)


class Bars:
    """One progress bar a task: rate, time left, and the running coverage; none where the user wants quiet. Entering gives
    what is to be called for each sample, where an interruption takes effect too."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._bar: Any = None
        self._task = ""
        self._done = 0
        self._read = True

    def __enter__(self) -> Callable[[Progress], None]:
        return self._told

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.close()

    def _told(self, progress: Progress) -> None:
        self._options.interruption.check()
        if not self._options.quiet and self._read:
            try:
                self._draw(progress)
            except OSError:
                # Nobody reads the bar any more, and it would pass for the model's failure.
                self._read = False

    def _draw(self, progress: Progress) -> None:
        from tqdm import tqdm

        # A sweep has the same task again, from its beginning.
        if progress.task != self._task or progress.done <= self._done:
            if self._bar is not None:
                self._bar.close()
            first = progress.done - 1
            # A log file gets a line every ten seconds, a terminal ten a second.
            wait = 0.1 if sys.stderr.isatty() else 10.0
            self._bar = tqdm(
                total=progress.total,
                initial=first,
                desc=progress.task,
                unit="q",
                file=sys.stderr,
                mininterval=wait,
            )
            self._task = progress.task
        self._done = progress.done
        self._bar.set_postfix(coverage=f"{100 * progress.answered / progress.done:.1f}%", refresh=False)
        self._bar.update(1)
