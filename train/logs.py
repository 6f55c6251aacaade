"""What a stage tells while it runs: JSON lines, and TensorBoard or W&B where they are asked for."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from kangaroo_eval.errors import UserError, cannot_import

log = logging.getLogger(__name__)

KINDS = ("tensorboard", "wandb")


class Writer(Protocol):
    """Takes the numbers of a step."""

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """`values` of step `step` (counted from 1)."""
        ...

    def close(self) -> None:
        """Nothing comes any more."""
        ...


class JsonLines:
    """`metrics.jsonl`: one object a line. After a resume, lines of steps that will be run again are dropped."""

    def __init__(self, path: Path, resumed_at: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read(path) if line["step"] <= resumed_at]
        part = path.with_name(f".{path.name}.part")
        part.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        part.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """One line, flushed."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a `metrics.jsonl`; a half one at the end, which a killed process leaves, is none."""
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        if isinstance(values, dict) and isinstance(values.get("step"), int):
            found.append(values)
        else:
            log.warning("%s: a broken line is left out: %.60s", path, line)
    return found


class _TensorBoard:
    def __init__(self, folder: Path, resumed_at: int) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise cannot_import("--log tensorboard", error, "pip install tensorboard") from None
        self._writer: Any = SummaryWriter(str(folder), purge_step=resumed_at + 1 if resumed_at else None)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, folder: Path, name: str) -> None:
        try:
            import wandb
        except ImportError as error:
            raise cannot_import("--log wandb", error, "pip install wandb") from None
        # By the folder, so that a resumed stage goes on with its own curve.
        own = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        self._run: Any = wandb.init(
            project="kangaroo-train", id=own, name=name, dir=str(folder), resume="allow"
        )

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


def writers(folder: Path, name: str, kinds: Sequence[str] = (), resumed_at: int = 0) -> list[Writer]:
    """JSON lines in `folder`, and the further kinds asked for. UserError for an unknown kind or one whose package is
    not installed."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UserError(f"--log {', '.join(unknown)}: choose among {', '.join(KINDS)}")
    found: list[Writer] = [JsonLines(folder / "metrics.jsonl", resumed_at)]
    if "tensorboard" in kinds:
        found.append(_TensorBoard(folder / "tensorboard", resumed_at))
    if "wandb" in kinds:
        found.append(_WandB(folder, name))
    return found
