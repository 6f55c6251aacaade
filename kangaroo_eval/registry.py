"""Names of tasks and models, and what they stand for. Bundled ones arrive by entry point, as a third party's
do; nothing is imported before its name is asked for.

A plug-in that does not load costs only itself: it is named when names are listed, and by an error when it is
asked for.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import inspect
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

from kangaroo_eval.errors import UserError, cannot_import, one_line
from kangaroo_eval.protocols import ABILITIES, Model
from kangaroo_eval.task import Task

log = logging.getLogger(__name__)

TASK_GROUP = "kangaroo_eval.tasks"
ALIAS_GROUP = "kangaroo_eval.task_aliases"
FAMILY_GROUP = "kangaroo_eval.task_families"
"""Of mappings of the word before a task's colon to the "module:function" that makes a task of what stands behind it."""
MODEL_GROUP = "kangaroo_eval.models"
EXTRAS = ("hf", "openai")
"""Models with an extra of their own; our others need the extra `model`."""
OURS = "kangaroo-eval"
"""The distribution whose names no plug-in takes away."""


class Broken(NamedTuple):
    """A plug-in, or one name of it, that cannot be used: the names it was to bring, as far as they are known, and
    what is wrong, as one line."""

    names: tuple[str, ...]
    reason: str


class _Table(NamedTuple):
    """Name -> what it stands for, of one kind of plug-in, and the plug-ins that do not load."""

    found: Mapping[str, Any]
    broken: tuple[Broken, ...]


def normal(name: str) -> str:
    """Task names compare after lower-casing and removing `-`, `_` and spaces."""
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def resolve(reference: str) -> Any:
    """The object that "module:attribute" names."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _read(group: str, of_payload: Callable[[str, str, Any], Mapping[str, Any]]) -> _Table:
    """Every entry point of a group, our own first. `of_payload(entry name, value, payload)` gives what it brings,
    and raises `TypeError` where that is no plug-in's payload."""
    found: dict[str, Any] = {}
    owner: dict[str, str] = {}
    broken: list[Broken] = []
    contested: set[str] = set()
    for entry, package in _entries(group):
        called = f"plug-in {entry.name} = {entry.value} (package {package})"
        try:
            named = of_payload(entry.name, entry.value, entry.load())
        except BaseException as error:  # noqa: BLE001 - what is ours is passed on
            # Importing foreign code may raise anything; a panic of Rust is no Exception.
            _pass_on(error)
            broken.append(Broken((entry.name,), f"{called} cannot be loaded: {one_line(error)}"))
            continue
        for name, payload in named.items():
            before = next((known for known in found if normal(known) == normal(name)), None)
            if before is None:
                found[name], owner[name] = payload, package
            elif found[before] != payload:
                both = f"{called} and package {owner[before]} both bring {name!r}: rename or uninstall one"
                broken.append(Broken((name,), both))
                if owner[before] != OURS:
                    contested.add(before)
    # Which of two strangers comes first is chance: a name means one thing or nothing.
    return _Table({name: found[name] for name in found if name not in contested}, tuple(broken))


def _pass_on(error: BaseException) -> None:
    """Raise again what concerns this process and not the plug-in."""
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        raise error


def _entries(group: str) -> Iterator[tuple[importlib.metadata.EntryPoint, str]]:
    """The group's entry points with the names of their packages; ours first, then by package."""
    entries = importlib.metadata.entry_points(group=group)
    pairs = [(entry, entry.dist.name if entry.dist else "unknown") for entry in entries]
    return iter(sorted(pairs, key=lambda pair: (pair[1] != OURS, pair[1], pair[0].name)))


@cache
def _tasks() -> _Table:
    """Name -> task or "module:ATTR"."""

    def of_payload(name: str, value: str, payload: Any) -> Mapping[str, Task | str]:
        named = {payload.name: payload} if isinstance(payload, Task) else payload
        if not _maps_names(named, (Task, str)):
            raise TypeError(
                f"expected a Task, or a mapping of names to tasks or 'module:ATTR', not {payload!r:.80}"
            )
        return cast(Mapping[str, Task | str], named)

    return _read(TASK_GROUP, of_payload)


@cache
def _aliases() -> _Table:
    """Other name of a task -> its name."""

    def of_payload(name: str, value: str, payload: Any) -> Mapping[str, str]:
        if not _maps_names(payload, (str,)):
            raise TypeError(f"expected a mapping of names to names, not {payload!r:.80}")
        return cast(Mapping[str, str], payload)

    return _read(ALIAS_GROUP, of_payload)


@cache
def _families() -> _Table:
    """Beginning of a task's name -> "module:function"."""

    def of_payload(name: str, value: str, payload: Any) -> Mapping[str, str]:
        if not _maps_names(payload, (str,)):
            raise TypeError(f"expected a mapping of words to 'module:function', not {payload!r:.80}")
        return cast(Mapping[str, str], payload)

    return _read(FAMILY_GROUP, of_payload)


@cache
def _models() -> _Table:
    """Name -> "module:function"; the function makes the model."""

    def of_payload(name: str, value: str, payload: Any) -> Mapping[str, str]:
        named = {name: value} if callable(payload) else payload
        if not _maps_names(named, (str,)):
            raise TypeError(
                "expected a function that makes the model, or a mapping of names to 'module:function', not "
                f"{payload!r:.80}"
            )
        return cast(Mapping[str, str], named)

    return _read(MODEL_GROUP, of_payload)


def _maps_names(payload: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(payload, Mapping) and all(
        isinstance(name, str) and isinstance(item, kinds) for name, item in payload.items()
    )


@cache
def _warn(broken: tuple[Broken, ...]) -> None:
    """Say once what does not load."""
    for each in broken:
        log.warning("%s", each.reason)


def _warn_of(wanted: str, table: _Table) -> None:
    """Say where a plug-in would have brought what is asked for too."""
    _warn(tuple(each for each in table.broken if wanted in map(normal, each.names)))


def task_names() -> tuple[str, ...]:
    """Every known task, sorted. Plug-ins that do not load are named in the log."""
    _warn(_tasks().broken + _aliases().broken)
    return tuple(sorted(_tasks().found))


def model_names() -> tuple[str, ...]:
    """Every known model, sorted. Plug-ins that do not load are named in the log."""
    _warn(_models().broken)
    return tuple(sorted(_models().found))


def model_references() -> Mapping[str, str]:
    """Name -> "module:function" of every known model."""
    return _models().found


def _unknown(kind: str, name: str, table: _Table) -> UserError:
    """What to tell who asked for a name that is not there."""
    for each in table.broken:
        if normal(name) in map(normal, each.names):
            return UserError(each.reason)
    choices = tuple(sorted(table.found))
    near = difflib.get_close_matches(normal(name), [normal(choice) for choice in choices], n=1, cutoff=0.5)
    hint = ""
    if near:
        hint = " Did you mean " + next(choice for choice in choices if normal(choice) == near[0]) + "?"
    failed = "".join(f"; {each.reason}" for each in table.broken)
    return UserError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(choices)}{failed}")


def get_task(name: str) -> Task:
    """The task of that name or alias (`-`, `_`, case and spaces do not matter), or of that family (`lmms:NAME`). Raises
    `UserError` with a suggestion."""
    family, colon, member = name.partition(":")
    if colon and family in _families().found:
        made = _resolved("task", name, _families().found[family])(member)
        assert isinstance(made, Task), name
        return made
    aliases = {normal(alias): known for alias, known in _aliases().found.items()}
    wanted = normal(aliases.get(normal(name), name))
    for known, task in _tasks().found.items():
        if normal(known) == wanted:
            _warn_of(wanted, _tasks())
            found = _resolved("task", known, task) if isinstance(task, str) else task
            if not isinstance(found, Task):
                raise UserError(f"task {known!r}: {task} is no Task but {found!r:.80}")
            return found
    raise _unknown("task", name, _tasks())


def _meant(name: str) -> str:
    """What a model's name may stand for, by its looks: a folder, a checkpoint of the hub, a server's model."""
    if Path(name).is_dir():
        return f". It is a folder: kangaroo:{name}, or hf:{name}"
    if re.match(r"(?:gpt|o\d|claude|gemini)[-\d]", name, re.IGNORECASE):
        return f". A server's model is openai:{name}"
    return f". A checkpoint of the hub is hf:{name}" if re.fullmatch(r"[\w.-]+/[\w.-]+", name) else ""


def check_model(name: str) -> None:
    """Raise `UserError` for a model name that is not known, before anything is made or loaded for it."""
    if name.partition(":")[0] not in _models().found:
        raise UserError(f"{_unknown('model', name.partition(':')[0], _models())}{_meant(name)}")


def load_model(name: str, **options: Any) -> Model:
    """The model `NAME` or `NAME:ARG`, made by its loader as `loader(arg, **options)`.

    Raises `UserError` for an unknown name, for options that the loader does not take, and whatever clear error the
    loader has for its argument.
    """
    loader = model_loader(name)
    kind, _, argument = name.partition(":")
    try:
        bound = inspect.signature(loader).bind(argument or None, **options)
    except TypeError as error:
        raise UserError(
            f"model {kind!r} does not take what it is given ({error}): a loader is called with the text after the "
            f"colon, and with {', '.join(sorted(options))}"
        ) from None
    try:
        model = loader(*bound.args, **bound.kwargs)
    except UserError:
        raise
    except ImportError as error:
        raise cannot_import(f"model {kind!r}", error, f"pip install it for {name}") from error
    except BaseException as error:
        _pass_on(error)
        # Foreign code may raise anything, and an exit of its own must not pass for ours.
        raise UserError(f"model {name!r} cannot be loaded: {one_line(error)}") from error
    return checked_model(model, f"model {kind!r}: what its loader gave")


def checked_model(model: object, what: str) -> Model:
    """The object, if it has what every model has, and can be asked what else it has. `UserError` with what it lacks."""
    try:
        fits = isinstance(getattr(model, "name", None), str) and callable(getattr(model, "respond", None))
        for ability in ABILITIES:
            isinstance(model, ability)  # reads its attributes, which are foreign code too
    except Exception as error:
        raise UserError(
            f"{what}, {type(model).__name__}, has an attribute that cannot be read: {one_line(error)}"
        ) from error
    if not fits:
        raise UserError(f"{what}, {model!r:.80}, lacks a name or respond()")
    return cast(Model, model)


def model_loader(name: str) -> Callable[..., Any]:
    """The function that makes the model of that name. `UserError` where it is unknown, or lacks a package."""
    check_model(name)
    kind = name.partition(":")[0]
    _warn_of(normal(kind), _models())
    loader = _resolved("model", kind, _models().found[kind])
    if not callable(loader):
        raise UserError(
            f"model {kind!r}: {_models().found[kind]} is no function that makes a model but {loader!r:.80}"
        )
    return cast(Callable[..., Any], loader)


def _resolved(what: str, name: str, reference: str) -> Any:
    """What the reference of a task or model names. `UserError` where it cannot be had."""
    try:
        return resolve(reference)
    except ModuleNotFoundError as error:
        ours = reference.startswith("kangaroo_eval.")
        extra = name if name in EXTRAS else "model"
        mend = f"pip install 'kangaroo-eval[{extra}]'" if ours else f"pip install it for {reference}"
        raise cannot_import(f"{what} {name!r}", error, mend) from error
    except BaseException as error:
        _pass_on(error)
        raise UserError(f"{what} {name!r} = {reference} cannot be loaded: {one_line(error)}") from error
