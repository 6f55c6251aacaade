"""Options of a model's loader: which are known, and what numbers they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kangaroo_eval.errors import UserError

STANDARD = frozenset({"device", "dtype", "seed", "batch_size", "full_hash", "trust_remote_code"})
"""What the harness hands to every loader; the rest are --model-args."""


def refuse_unknown(given: Iterable[str], known: Mapping[str, str]) -> None:
    """UserError that names the --model-args which are not among `known` (name -> what it is), and those that are."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        listed = "; ".join(f"{name}: {what}" for name, what in known.items()) or "none: it takes no arguments"
        raise UserError(f"unknown --model-args {', '.join(unknown)}; known are {listed}")


def positive(name: str, value: object) -> int:
    """`value` as a whole number of at least 1, else a UserError."""
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise UserError(f"{name} {value!r} must be a whole number of at least 1")
    return number


def flag(name: str, value: object) -> bool:
    """A switch of --model-args: 1 or 0 (also true or false), else a UserError."""
    found = {"1": True, "true": True, "0": False, "false": False}.get(str(value).lower())
    if found is None:
        raise UserError(f"--model-args {name}={value}: give 1 or 0")
    return found
