"""Names of tasks and models, and what they stand for. Bundled ones arrive by entry point, as a third party's
do; nothing is imported before its name is asked for."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, cast

from kangaroo_eval.errors import UserError
from kangaroo_eval.protocols import Model
from kangaroo_eval.task import Task

TASK_GROUP = "kangaroo_eval.tasks"
ALIAS_GROUP = "kangaroo_eval.task_aliases"
MODEL_GROUP = "kangaroo_eval.models"


def normal(name: str) -> str:
    """Task names compare after lower-casing and removing `-`, `_` and spaces."""
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def resolve(reference: str) -> Any:
    """The object that "module:attribute" names."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _entries(group: str) -> Iterable[importlib.metadata.EntryPoint]:
    return importlib.metadata.entry_points(group=group)


def _load(entry: importlib.metadata.EntryPoint) -> Any:
    """A plug-in's payload; a broken one is named rather than dropped."""
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise UserError(f"plug-in {entry.name} = {entry.value} cannot be loaded: {error}") from error


@cache
def _task_table() -> Mapping[str, Task | str]:
    """Name -> task or "module:ATTR" of every installed plug-in. A name given twice is refused."""
    table: dict[str, Task | str] = {}
    for entry in _entries(TASK_GROUP):
        payload = _load(entry)
        named = payload if isinstance(payload, Mapping) else {payload.name: payload}
        for name, task in named.items():
            if table.get(name, task) != task:
                raise UserError(f"two plug-ins bring a task named {name!r}: rename or uninstall one")
            table[name] = task
    return table


@cache
def _aliases() -> Mapping[str, str]:
    """Other name of a task, normalised -> its name."""
    return {normal(alias): name for entry in _entries(ALIAS_GROUP) for alias, name in _load(entry).items()}


@cache
def _model_table() -> Mapping[str, str]:
    """Name -> "module:function" of every installed plug-in; the function makes the model."""
    table: dict[str, str] = {}
    for entry in _entries(MODEL_GROUP):
        payload = _load(entry)
        table.update(payload if isinstance(payload, Mapping) else {entry.name: entry.value})
    return table


def task_names() -> tuple[str, ...]:
    """Every known task, sorted."""
    return tuple(sorted(_task_table()))


def model_names() -> tuple[str, ...]:
    """Every known model, sorted."""
    return tuple(sorted(_model_table()))


def _unknown(kind: str, name: str, choices: tuple[str, ...]) -> UserError:
    near = difflib.get_close_matches(normal(name), [normal(choice) for choice in choices], n=1, cutoff=0.5)
    hint = ""
    if near:
        hint = " Did you mean " + next(choice for choice in choices if normal(choice) == near[0]) + "?"
    return UserError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(choices)}")


def get_task(name: str) -> Task:
    """The task of that name or alias (`-`, `_`, case and spaces do not matter). Raises `UserError` with a
    suggestion."""
    wanted = normal(_aliases().get(normal(name), name))
    for known, task in _task_table().items():
        if normal(known) == wanted:
            return cast(Task, resolve(task)) if isinstance(task, str) else task
    raise _unknown("task", name, task_names())


def check_model(name: str) -> None:
    """Raise `UserError` for a model name that is not known, before anything is made or loaded for it."""
    if name.partition(":")[0] not in _model_table():
        raise _unknown("model", name.partition(":")[0], model_names())


def load_model(name: str, **options: Any) -> Model:
    """The model `NAME` or `NAME:ARG`, made by its loader as `loader(arg, **options)`.

    Raises `UserError` for an unknown name, and whatever clear error the loader has for its argument.
    """
    loader = model_loader(name)
    return cast(Model, loader(name.partition(":")[2] or None, **options))


def model_loader(name: str) -> Callable[..., Any]:
    """The function that makes the model of that name. `UserError` where it is unknown, or lacks a package."""
    check_model(name)
    kind = name.partition(":")[0]
    try:
        return cast(Callable[..., Any], resolve(_model_table()[kind]))
    except ModuleNotFoundError as error:
        raise UserError(
            f"model {kind!r} needs the package {error.name!r}: pip install 'kangaroo-eval[model]'"
        ) from error
