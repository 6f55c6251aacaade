"""Checkpoints of a run: to go on from one gives the same weights, to the bit, as never having stopped.

A checkpoint is a folder `step-00000123` with the weights and the optimizer's state in torch's distributed format (any
number of ranks reads what any other wrote), and beside it in JSON the progress, the recipe, the optimizer's options,
each rank's random state, and a manifest of all files, written last. It is made under the name `.part` and renamed when
whole, so a kill at any moment leaves the one before. Two text files point at the latest and at the best.

torch's distributed format keeps an index that is a pickle: load only checkpoints of your own.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException

from kangaroo_eval.errors import RunFailed, UserError, first_line
from kangaroo_eval.train.parallel import gather, raise_together
from kangaroo_eval.train.state import (
    JSON,
    check_optimizer,
    check_weights,
    named_parameters,
    optimizer_options,
    optimizer_room,
    optimizer_tensors,
    put_optimizer,
    put_weights,
    random_state,
    read_index,
    read_tensors,
    reseed,
    restore_random,
    weights,
    write_tensors,
)

log = logging.getLogger(__name__)

Recipe: TypeAlias = Mapping[str, JSON]
Result = TypeVar("Result")

_NAME = re.compile(r"step-(\d{8,})")
_STATE = "state"
_MANIFEST, _PROGRESS, _RECIPE, _OPTIMIZER = "manifest.json", "progress.json", "recipe.json", "optimizer.json"
_LATEST, _BEST = "latest", "best"


class _Kept(NamedTuple):
    """A whole checkpoint. `serial` counts the saves of a run: a run that went back to an earlier step has later ones
    with smaller steps."""

    step: int
    serial: int
    ranks: int
    score: float | None
    path: Path


class Checkpoints:
    """The checkpoints in `folder`, which all ranks must see: the last `keep`, and the best by score.

    Every method is called by all ranks, and raises on all of them where it does on one.
    """

    def __init__(self, folder: Path, *, keep: int = 3) -> None:
        if keep < 1:
            raise UserError(f"keep {keep} checkpoints: give 1 or more")
        self.folder = folder
        self.keep = keep

    def save(
        self,
        step: int,
        objective: nn.Module,
        optimizer: Any,
        progress: Mapping[str, JSON],
        *,
        recipe: Recipe,
        score: float | None = None,
    ) -> Path:
        """Write the state after `step` steps; returns the folder.

        Saved are all weights, frozen ones too: a run must go on where the checkpoint it started from is gone. `score`:
        higher is better (give a loss with a minus), None or no number is not compared. RunFailed where it cannot be
        written; the checkpoints before it are then as they were, and so is what `latest` points at.
        """
        path = self.folder / f"step-{step:08d}"
        part = path.with_name(path.name + ".part")
        try:
            self._alone(lambda: self._clear(part), part)
            serial = 1 + max((kept.serial for kept in self._whole()), default=0)
            state = {**weights(objective), **optimizer_tensors(objective, optimizer)}
            self._together(lambda: write_tensors(part / _STATE, state), part)
            self._together(lambda: _write_json(part / _rng(_rank()), random_state()), part)
            options = optimizer_options(objective, optimizer)
            merged = {name: each for rank in gather(options) for name, each in rank.items()}
            texts = {_PROGRESS: dict(progress), _RECIPE: dict(recipe), _OPTIMIZER: merged}
            about = {"step": step, "serial": serial, "ranks": _ranks(), "score": _finite(score)}
            self._alone(lambda: self._finish(part, texts, about), part)
        finally:
            if _rank() == 0 and part.exists():
                shutil.rmtree(part, ignore_errors=True)
        self._alone(self._prune, path)
        return path

    def load(
        self, objective: nn.Module, optimizer: Any, *, recipe: Recipe, step: int | None = None
    ) -> dict[str, Any]:
        """Restore everything in place from the checkpoint of `step`, by default the latest; returns the progress.

        The random state comes back where as many ranks saved it; with another number it is made from
        `recipe["seed"]` and the step, with a warning. UserError without such a checkpoint, or for one made by another
        recipe (it names what differs); RunFailed for one that does not hold this state.
        """
        kept = self._find(step)
        self._together(lambda: _compare(kept.path, recipe), kept.path)
        index = self._read_weights(kept, objective)
        self._read_optimizer(kept, objective, optimizer, index)
        same = kept.ranks == _ranks()
        own = kept.path / _rng(_rank())
        state: Any = self._together(lambda: _read_json(own) if same else None, kept.path)
        if same:
            restore_random(state)
        else:
            log.warning(
                "%s was saved by %d ranks, not %d: random numbers go on otherwise than they would have",
                kept.path,
                kept.ranks,
                _ranks(),
            )
            reseed(recipe.get("seed"), kept.step, _rank())
        return dict(self._together(lambda: _read_json(kept.path / _PROGRESS), kept.path))

    def load_weights(self, objective: nn.Module, *, step: int | None = None) -> int:
        """Restore the weights alone, as the next stage or an export needs them; returns the step they are of.

        UserError without such a checkpoint, or where the objective has not exactly its parameters.
        """
        kept = self._find(step)
        self._read_weights(kept, objective)
        return kept.step

    # Below, what a rank does on its own stands apart from what all do at once, with a word among all between them: one
    # that fails must not leave the others in the middle of an exchange.

    def _read_weights(self, kept: _Kept, objective: nn.Module) -> Mapping[str, Any]:
        """Weights in place; returns the index of the tensors in the checkpoint."""
        index: Mapping[str, Any] = self._together(lambda: read_index(kept.path / _STATE), kept.path)
        state = weights(objective)
        names = {name for names in gather(list(state)) for name in names}
        self._together(lambda: check_weights(names, index), kept.path)
        self._together(lambda: read_tensors(kept.path / _STATE, state), kept.path)
        self._together(lambda: put_weights(objective, state), kept.path)
        return index

    def _read_optimizer(
        self, kept: _Kept, objective: nn.Module, optimizer: Any, index: Mapping[str, Any]
    ) -> None:
        options = self._together(lambda: _read_json(kept.path / _OPTIMIZER), kept.path)
        mine = self._together(lambda: list(named_parameters(objective, optimizer)), kept.path)
        names = {name for names in gather(mine) for name in names}
        self._together(lambda: check_optimizer(names, options), kept.path)
        state = self._together(lambda: optimizer_room(objective, optimizer, options, index), kept.path)
        self._together(lambda: read_tensors(kept.path / _STATE, state), kept.path)
        self._together(lambda: put_optimizer(objective, optimizer, options, state), kept.path)

    def latest(self) -> int | None:
        """The step of the checkpoint to go on from. One that is half written or damaged is passed over for the newest
        whole one, which is logged."""
        return gather(self._pointed(_LATEST) if _rank() == 0 else None)[0]

    def best(self) -> int | None:
        """The step of the checkpoint with the highest score, if there is one with a score."""
        return gather(self._pointed(_BEST) if _rank() == 0 else None)[0]

    def _pointed(self, pointer: str) -> int | None:
        whole = self._whole()
        file = self.folder / pointer
        named = file.read_text(errors="replace").strip() if file.is_file() else None
        for kept in whole:
            if kept.path.name == named:
                return kept.step
        if pointer == _BEST:
            highest = _highest(whole)
            return None if highest is None else highest.step
        found = whole[-1] if whole else None
        if named is not None or found is not None:
            instead = "no other is whole" if found is None else f"going on from {found.path.name}"
            log.warning("%s names %r, which is absent or damaged: %s", file, named, instead)
        return None if found is None else found.step

    def _whole(self) -> list[_Kept]:
        """All whole checkpoints, in the order in which they were saved."""
        folders = self.folder.glob("step-*") if self.folder.is_dir() else ()
        return sorted(filter(None, map(_inspect, folders)), key=lambda kept: kept.serial)

    def _find(self, step: int | None) -> _Kept:
        """The checkpoint to load, as rank 0 sees it. UserError where there is none."""
        wanted = self.latest() if step is None else step
        found = next((kept for kept in self._whole() if kept.step == wanted), None)
        failure = None
        if found is None:
            there = ", ".join(str(kept.step) for kept in self._whole()) or "none"
            which = "whole checkpoint" if wanted is None else f"whole checkpoint of step {wanted}"
            failure = UserError(f"{self.folder} holds no {which}; there are: {there}")
        raise_together(failure)
        assert found is not None
        return found

    def _clear(self, part: Path) -> None:
        """Make room: what a killed save left, and the folder to write into."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.folder.glob("step-*.part"):
            shutil.rmtree(stale)
        part.mkdir()

    def _finish(self, part: Path, texts: Mapping[str, JSON], about: Mapping[str, JSON]) -> None:
        """The JSON files, the manifest of everything, and the names that make it count."""
        for name, content in texts.items():
            _write_json(part / name, content)
        files = {
            str(file.relative_to(part)): file.stat().st_size for file in part.rglob("*") if file.is_file()
        }
        _write_json(part / _MANIFEST, {**about, "files": files})
        _sync(part / _STATE)
        _sync(part)
        path = part.with_suffix("")
        if path.exists():
            # Of the same step: damaged, or from a run that went back to an earlier one.
            os.rename(path, path.with_name(path.name + ".old.part"))
        os.rename(part, path)
        _sync(self.folder)
        self._point(_LATEST, path.name)
        highest = _highest(self._whole())
        if highest is not None:
            self._point(_BEST, highest.path.name)

    def _point(self, pointer: str, name: str) -> None:
        part = self.folder / f"{pointer}.part"
        try:
            _write(part, name + "\n")
            os.replace(part, self.folder / pointer)
        finally:
            part.unlink(missing_ok=True)
        _sync(self.folder)

    def _prune(self) -> None:
        """Remove what is neither among the last `keep` nor the best, and what a replaced one left."""
        whole = self._whole()
        highest = _highest(whole)
        try:
            for kept in whole[: -self.keep]:
                if highest is None or kept.step != highest.step:
                    # First out of sight under its own name, so that a kill leaves no damaged one behind.
                    os.rename(kept.path, kept.path.with_name(kept.path.name + ".old.part"))
            for stale in self.folder.glob("step-*.part"):
                shutil.rmtree(stale)
        except OSError as error:
            log.warning("checkpoints that are no longer needed cannot be removed: %s", error)

    def _alone(self, work: Callable[[], None], path: Path) -> None:
        """Rank 0 does it, and all raise where that fails."""
        self._together(work if _rank() == 0 else lambda: None, path)

    def _together(self, work: Callable[[], Result], path: Path) -> Result:
        """Every rank does it, and all raise where it fails on one, with the cause in one line."""
        failure: UserError | None = None
        try:
            result = work()
        except UserError as error:
            failure = error
        # DCP's own error is no Exception, and holds those of all ranks.
        except (OSError, RuntimeError, ValueError, CheckpointException) as error:
            failure = RunFailed(f"checkpoint {path}: {_cause(error)}. Other checkpoints are untouched")
        raise_together(failure)
        return result


def _inspect(path: Path) -> _Kept | None:
    """A checkpoint, None where it is not whole: no manifest, or a file that is absent or of another size."""
    if not _NAME.fullmatch(path.name):
        return None
    try:
        about = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        if all((path / name).stat().st_size == size for name, size in about["files"].items()):
            return _Kept(about["step"], about["serial"], about["ranks"], about["score"], path)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return None


def _highest(whole: list[_Kept]) -> _Kept | None:
    """The first of those with the highest score."""
    scored = [(kept.score, kept) for kept in whole if kept.score is not None]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def _compare(path: Path, recipe: Recipe) -> None:
    """UserError unless the checkpoint was made by this recipe."""
    saved = _flat(_read_json(path / _RECIPE))
    # Through JSON, as the saved one went: a tuple is a list there.
    given = _flat(json.loads(json.dumps(dict(recipe))))
    differing = [
        f"{key}: {saved.get(key, 'absent')} there, {given.get(key, 'absent')} now"
        for key in sorted(saved.keys() | given.keys())
        if saved.get(key, "absent") != given.get(key, "absent")
    ]
    if differing:
        raise UserError(
            f"{path} was made by another recipe ({'; '.join(differing)}): give it again, or another folder"
        )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots; a value is JSON's text of it, so that 1, 1.0 and true differ."""
    if isinstance(value, dict) and value:
        return {key: each for name in value for key, each in _flat(value[name], f"{prefix}{name}.").items()}
    return {prefix[:-1]: json.dumps(value, ensure_ascii=False)}


def _cause(error: BaseException) -> str:
    """What went wrong, in a line. What the user interrupted is no failure: it is raised on."""
    failures = (
        [each for each, _ in error.failures.values()] if isinstance(error, CheckpointException) else [error]
    )
    for each in failures:
        if isinstance(each, KeyboardInterrupt | SystemExit):
            raise each
    first = next((each for each in failures if isinstance(each, OSError)), failures[0])
    return (first.strerror if isinstance(first, OSError) else None) or first_line(first)


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _ranks() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def _rng(rank: int) -> str:
    return f"rng-{rank}.json"


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write_json(path: Path, content: JSON) -> None:
    _write(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """What was named in a folder is on disk, where the file system can say so."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
