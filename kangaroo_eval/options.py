"""Options of a model's loader: which are known, and what numbers, devices and dtypes they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kangaroo_eval.errors import UserError

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")
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


def torch_device(name: str | None) -> torch.device:
    """The device of --device, tried out; None and "auto" are the GPU where there is one. UserError."""
    import torch

    if name is None or name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); try cpu"
        ) from error
    return device


def torch_dtype(name: str | None, device: torch.device) -> torch.dtype:
    """The dtype of --dtype; None and "auto" are float32 on CPU, bfloat16 elsewhere. UserError."""
    import torch

    if name is None or name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if name not in DTYPES:
        raise UserError(f"dtype {name!r}: choose {', '.join(DTYPES)} or auto")
    found: torch.dtype = getattr(torch, name)
    return found
