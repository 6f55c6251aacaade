"""The run: plan -> decode ahead -> greedy answers -> journal -> scores -> results."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kangaroo_eval import controls, journal, judge, results, scores
from kangaroo_eval.answering import Answering, Progress
from kangaroo_eval.endpoint import Endpoint
from kangaroo_eval.errors import UserError, one_line
from kangaroo_eval.foreign import facts_of
from kangaroo_eval.journal import RunDir
from kangaroo_eval.loading import load
from kangaroo_eval.plan import (
    RunConfig,
    TaskPlan,
    config_with_paths,
    frames_of,
    judge_of,
    make_plan,
    protocol,
)
from kangaroo_eval.protocols import Closable, Continuing, Informed, Model
from kangaroo_eval.record import make_record, model_protocol, recorded_protocol, told_by
from kangaroo_eval.registry import check_model, checked_model
from kangaroo_eval.rescore import refresh_stale, write_scores

if TYPE_CHECKING:
    import pandas

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Results:
    """A finished run: its directory, results.json as a mapping, and the exit code it stands for."""

    path: Path
    data: Mapping[str, Any]

    @property
    def exit_code(self) -> int:
        """0 done, 2 a task has no answer, 3 coverage below the threshold (a control's too)."""
        return results.exit_code(self.data)

    def __getitem__(self, task: str) -> Mapping[str, Any]:
        """One task's part of results.json."""
        found: Mapping[str, Any] = self.data["tasks"][task]
        return found

    def frame(self, task: str) -> pandas.DataFrame:
        """Every answered sample of a task as a pandas table: id, video, target, both readings and scores, one
        column a tag, and the answer's text."""
        import pandas as pd

        answers = journal.last_answers(self.path, task)
        return pd.DataFrame(
            {
                "id": each.id,
                "video": each.video,
                "target": each.target,
                "careful": each.careful and each.careful.answer,
                "careful_score": each.careful and each.careful.value,
                "official": each.official and each.official.answer,
                "official_score": each.official and each.official.value,
                **each.tags,
                # A text may hold half a surrogate pair, which tables of text cannot.
                "text": answers[each.id]["text"].encode("utf-8", "backslashreplace").decode(),
            }
            for each in scores.read_scores(self.path, task)
        )

    def __str__(self) -> str:
        """The tables, as the terminal shows them."""
        from kangaroo_eval.report import terminal

        return terminal(self.data)


def evaluate(
    tasks: Sequence[str] | str,
    model: str | Model = "kangaroo-tiny",
    frames: int | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Results:
    """Run `model` over `tasks` and score it; the same call again resumes.

    `model` is a name (`kangaroo-eval models`) or an object with `name` and `respond`. `options` are the fields
    of `RunConfig`. Raises `UserError`, `DataError` or `RunFailed`, whose message is one line for the user.
    """
    if not isinstance(model, str):
        checked_model(model, "the model")
    names = tuple(tasks.replace(",", " ").split()) if isinstance(tasks, str) else tuple(tasks)
    if strange := [each for each in names if not isinstance(each, str)]:
        raise UserError(
            f"tasks are given by name, and {strange[0]!r:.60} is none: a task of your own gets one by an entry point "
            "(docs/extending.md)"
        )
    name = model if isinstance(model, str) else model.name
    try:
        config = RunConfig(tasks=names, model=name, frames=frames, **options)
    except TypeError as error:
        known = ", ".join(field.name for field in dataclasses.fields(RunConfig))
        raise UserError(f"{error}. Known options: {known}") from None
    return run(config, model=None if isinstance(model, str) else model, progress=progress)


def run(
    config: RunConfig, *, model: Model | None = None, progress: Callable[[Progress], None] | None = None
) -> Results:
    """`evaluate` for a made `RunConfig`."""
    if model is None:
        check_model(config.model)
    config = config_with_paths(config)
    if config.controls:
        return _with_controls(config, model, progress)
    plans = make_plan(config)
    with RunDir(config.output or default_output(config, plans)) as directory, _settled():
        record = _answer_and_score(directory, config, plans, model, progress)
        # The questions are not needed any more, and of a large benchmark they are most of what is held.
        del plans
        refresh_stale(directory, record)
        found = Results(directory.path, results.build(directory.path, record, config.min_coverage))
        _write_report(found)
        return found


@contextlib.contextmanager
def _settled() -> Iterator[None]:
    """What is there now stays out of the garbage collector's rounds: of a large benchmark that is a million objects, which do not
    change and would be looked through again and again, the longer the run."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _with_controls(
    config: RunConfig, model: Model | None, progress: Callable[[Progress], None] | None
) -> Results:
    """The run, then each of its controls with the same loaded model, then the run's results with what they say."""
    # All that can be wrong with names and data is found before the model loads.
    plans = make_plan(config)
    tasks = controls.tasks_of(config.controls, plans)
    main = dataclasses.replace(config, controls=(), output=config.output or default_output(config, plans))
    assert main.output is not None
    del plans
    with loaded(main, model) as shared:
        wrapped = {name: controls.control_model(shared, main, name) for name in tasks}
        found = run(main, model=shared, progress=progress)
        for name, asked in tasks.items():
            log.info("control %s: %s", name, controls.CONTROLS[name].about)
            run(
                controls.control_config(main, name, asked, found.path), model=wrapped[name], progress=progress
            )
    with RunDir(found.path) as directory:
        record = journal.read_record(directory.path)
        assert record is not None
        found = Results(directory.path, results.build(directory.path, record, main.min_coverage))
        _write_report(found)
    return found


def _answer_and_score(
    directory: RunDir,
    config: RunConfig,
    plans: Sequence[TaskPlan],
    model: Model | None,
    progress: Callable[[Progress], None] | None,
) -> dict[str, Any]:
    """Check the protocol, load the model, answer what is left, score every answer; the run record."""
    old = None if config.fresh else directory.record()
    _refuse_other_protocol(directory.path, old, protocol(config, plans, None))
    judges = _judges(config, plans)
    with contextlib.ExitStack() as open_ones:
        for endpoint in judges.values():
            open_ones.callback(endpoint.close)
        return _answer_with(directory, config, plans, model, judges, old, progress)


def _answer_with(  # noqa: PLR0913
    directory: RunDir,
    config: RunConfig,
    plans: Sequence[TaskPlan],
    model: Model | None,
    judges: Mapping[str, Endpoint],
    old: Mapping[str, Any] | None,
    progress: Callable[[Progress], None] | None,
) -> dict[str, Any]:
    with loaded(config, model) as answers:
        record = _prepare(directory, config, plans, answers, old)
        try:
            for plan in plans:
                if isinstance(answers, Informed):
                    with _blamed(answers, "study"):
                        answers.study(plan.task.name, plan.everything)
                answering = _dispatch() if config.on_cluster else Answering
                answering(directory, plan, config, answers, progress).finish()
        finally:
            # What a model learns only by being used: tokens and cost of a server, the frames that were really seen.
            try:
                record["model"].update(told_by(answers, record))
            except UserError as error:
                log.warning("%s: what the run learned of it is not written down: %s", answers.name, error)
            _write_last(directory, record)
    for plan in plans:
        if plan.task.name in judges:
            endpoint = judges[plan.task.name]
            judge.judge_answers(directory, plan.task, plan.everything, endpoint, _bar(plan, progress))
    record["finished"] = journal.now()
    directory.write_record(record)
    for plan in plans:
        write_scores(directory, plan.task, plan.everything, plan.root, record)
    return record


def _write_last(directory: RunDir, record: Mapping[str, Any]) -> None:
    """Write run.json. Where the run is ending in an error already, that it cannot be written must not hide why."""
    ending = sys.exception() is not None
    try:
        directory.write_record(record)
    except UserError:
        if not ending:
            raise


def _prepare(
    directory: RunDir,
    config: RunConfig,
    plans: Sequence[TaskPlan],
    model: Model,
    old: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Refuse a directory that holds another model's run; else the run record, written."""
    if facts_of(model).model_hash is None:
        log.warning("%s has no model_hash: a resumed run cannot tell whether its weights changed", model.name)
    asked = protocol(config, plans, model_protocol(model, config))
    _refuse_other_protocol(directory.path, old, asked)
    if isinstance(model, Informed):
        _try_study(model, plans)
    if isinstance(model, Continuing):
        with _blamed(model, "earlier"):
            model.earlier(old["model"]["settings"] if old else {})
    aside = directory.set_aside() if config.fresh else None
    if aside:
        log.warning("the earlier run is kept in %s", aside)
    record = make_record(config, plans, model, asked, old)
    directory.write_record(record)
    return record


def _try_study(model: Informed, plans: Sequence[TaskPlan]) -> None:
    """Tell of every task that the baseline has no answer for, at once and before anything is asked."""
    refused: dict[str, UserError] = {}
    for plan in plans:
        try:
            with _blamed(model, "study"):
                model.study(plan.task.name, plan.everything)
        except UserError as error:
            refused[plan.task.name] = error
    if refused:
        told = "; ".join(map(str, refused.values()))
        raise UserError(f"leave {', '.join(refused)} out of --tasks: {told}") from next(
            iter(refused.values())
        )


@contextlib.contextmanager
def _blamed(model: object, method: str) -> Iterator[None]:
    """Whatever the model's method raises, as an error that names both: foreign code may raise anything."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{type(model).__name__}.{method}() failed: {one_line(error)}") from error


@contextlib.contextmanager
def loaded(config: RunConfig, model: Model | None) -> Iterator[Model]:
    """The model given, or the one that the configuration names: what is loaded here is closed here."""
    if config.on_cluster:
        if model is not None:
            raise UserError(
                "a model that is loaded here cannot be on a cluster: give its name, or leave --ray and --gpus out"
            )
        from kangaroo_eval.fleet import fleet

        with fleet(config) as model:
            yield model
        return
    if model is not None:
        yield model
        return
    model = load(config)
    try:
        yield model
    finally:
        if isinstance(model, Closable):
            try:
                model.close()
            except Exception as error:  # noqa: BLE001 - foreign code, and every answer is on disk
                log.warning("%s: closing it failed: %s", model.name, one_line(error))


def _dispatch() -> type[Answering]:
    from kangaroo_eval.fleet import Dispatch

    return Dispatch


def _judges(config: RunConfig, plans: Sequence[TaskPlan]) -> dict[str, Endpoint]:
    """The judge of every judged task, tried out before hours of answers are made that it cannot judge."""
    found: dict[str, Endpoint] = {}
    for plan in plans:
        asked = judge_of(config.judge, plan.task)
        if asked:
            found[plan.task.name] = Endpoint(asked, config.cache / "judge")
    tried = {endpoint.config.model: endpoint for endpoint in found.values()}
    for endpoint in tried.values():
        endpoint.check()
    return found


def _bar(plan: TaskPlan, progress: Callable[[Progress], None] | None) -> judge.Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(Progress(f"{plan.label} judge", done, total, done))


def _write_report(found: Results) -> None:
    from kangaroo_eval.report import markdown

    journal.write_text(found.path / "report.md", markdown(found.data))


def default_output(config: RunConfig, plans: Sequence[TaskPlan]) -> Path:
    """`results/runs/<model>-<frames>f[-mini]` under the current folder."""
    kind, _, argument = config.model.partition(":")
    parts = [part for part in Path(argument).parts if part.strip("/\\")]
    # A stage of a training is RUN/STAGE/model: what tells two of them apart is what stands before.
    kept = 3 if parts[-1:] == ["model"] else 2
    name = "-".join((kind, *parts[-kept:])) if argument else kind
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")
    counts = {frames_of(config, plan.task) for plan in plans}
    shown = f"{config.fps:g}fps" if config.fps else f"{counts.pop()}f" if len(counts) == 1 else "default-f"
    mini = "-mini" if any(plan.kind == "mini" for plan in plans) else ""
    return Path("results/runs").absolute() / f"{name}-{shown}{mini}"


def _refuse_other_protocol(path: Path, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> None:
    differs = journal.difference(recorded_protocol(old), new) if old else []
    if differs:
        raise UserError(
            f"{path} holds a run with another protocol ({'; '.join(differs)}). Give another --output, or --fresh "
            "to start anew"
        )
