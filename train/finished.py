"""`stage.json`: what a stage that is done was asked to do, from which weights, and what came out.

A finished stage is not run again. It stands for what is asked now only where that is the same as it was asked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.identity import of_folder
from kangaroo_eval.train.recipe import Recipe, plain

FILE = "stage.json"


def asked(  # noqa: PLR0913
    recipe: Recipe,
    name: str,
    steps: int | None,
    seed: int,
    data: Sequence[tuple[Path, float]],
    components: Mapping[str, str],
    source: Path | None = None,
) -> dict[str, Any]:
    """What decides a stage's result and can be told before any weights are read. UserError for a stage that the
    recipe does not have, DataError for a manifest that cannot be read."""
    start: dict[str, Any] = {"components": dict(components)} if components and source is None else {}
    if source is not None and weights_of(source) is None:
        # What is wrong with the folder is told by whoever reads it; a result stays one when its source is gone.
        with contextlib.suppress(UserError, OSError):
            start["weights"] = of_folder(source).hash
    part: Any = next((each for each in recipe.warmups if each.kind == name), None)
    return {
        "recipe": recipe.name,
        "dtype": recipe.dtype,
        "stage": name,
        "settings": plain(dataclasses.asdict(part or recipe.plan(name))),
        "steps": "the recipe's" if steps is None else steps,
        "seed": seed,
        "data": [[path.name, weight, _hash(path)] for path, weight in data] or "made lessons",
        **start,
    }


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise DataError(f"training manifest {path}: cannot be read ({error.strerror})") from None


def result(out: Path, now: Mapping[str, Any], source: Path | None) -> Path | None:
    """The result of a stage that is done, None of one that is not. UserError, which names the difference, where it was
    asked something else than `now`, or went on from other weights than those of `source`."""
    told = _read(out)
    if told is None:
        return None
    try:
        there, start, model = told["asked"], told["from"], out / str(told["model"])
    except LookupError:
        raise UserError(f"{out / FILE} is damaged: remove it, and the same command runs the stage") from None
    # Earlier versions did not tell what a stage began with.
    both = {key: value for key, value in now.items() if key not in ("components", "weights") or key in there}
    differing = list(_differing({key: value for key, value in there.items() if key in both}, both))
    begun = weights_of(source)
    if begun is not None and begun != start:
        differing.append(f"from: other weights there than those in {source}")
    if differing:
        raise UserError(
            f"{out} is done, but was asked something else ({'; '.join(differing)}): "
            "give the same again, or another folder"
        )
    # Without it, the last checkpoint makes the same again.
    return model if (model / "config.json").is_file() else None


def check(out: Path, now: Mapping[str, Any]) -> None:
    """UserError, which names the difference, where the stage that is done in `out` was asked something else than `now`: another
    recipe, other settings or steps. Weights, data and seed are the user's."""
    there = (_read(out) or {}).get("asked", {})
    keys = ("recipe", "dtype", "stage", "settings", "steps")
    differing = list(_differing({key: there.get(key) for key in keys}, {key: now.get(key) for key in keys}))
    if differing:
        raise UserError(f"{out} is not what the recipe asks for ({'; '.join(differing)}): run it as it is")


def _differing(there: Any, now: Any, name: str = "") -> Iterator[str]:
    """`steps: 12 there, 3 now` for each value that differs; nested names joined by dots."""
    if isinstance(there, dict) and isinstance(now, dict):
        for key in sorted(there.keys() | now.keys()):
            inner = f"{name}.{key}" if name else key
            yield from _differing(there.get(key, "absent"), now.get(key, "absent"), inner)
    elif json.dumps(there) != json.dumps(now):
        yield f"{name}: {there} there, {now} now"


def weights_of(source: Path | None) -> str | None:
    """The hash of the weights in `source`, where that is a stage's result; None elsewhere."""
    told = None if source is None else _read(source.parent)
    found = told.get("weights") if told else None
    return None if found is None else str(found)


def _read(out: Path) -> dict[str, Any] | None:
    """What a stage's folder says; None where it is not done, nothing where that cannot be read."""
    file = out / FILE
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(out: Path, told: Mapping[str, Any]) -> None:
    """From now on the stage is done."""
    part = out / f".{FILE}.part"
    part.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    part.replace(out / FILE)
