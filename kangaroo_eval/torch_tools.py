"""What every model on torch needs: its device and dtype, threads, and memory errors that the harness knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kangaroo_eval.errors import UserError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def torch_device(name: str | None) -> torch.device:
    """The device of --device, tried out; None and "auto" are the GPU where there is one. UserError."""
    if name is None or name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); try cpu"
        ) from error
    return device


def torch_dtype(name: str | None, device: torch.device) -> torch.dtype:
    """The dtype of --dtype; None and "auto" are float32 on CPU, bfloat16 elsewhere. UserError."""
    if name is None or name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if name not in DTYPES:
        raise UserError(f"dtype {name!r}: choose {', '.join(DTYPES)} or auto")
    return DTYPES[name]


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Compute with `count` CPU threads (None: as many as torch has), and leave torch's setting as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def told_as_memory_error() -> Iterator[None]:
    """What torch raises where memory is short, as the error that the harness knows."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error).splitlines()[0]) from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error):  # torch's allocator on CPU has no class of its own
            raise MemoryError(str(error).splitlines()[0]) from error
        raise
