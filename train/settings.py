"""How a stage is run: what the command line may say beside the recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kangaroo_eval.errors import UserError
from kangaroo_eval.train.grow import Learner
from kangaroo_eval.train.rows import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a stage is run, beside its recipe. Everything here may change between a run and its resumption, but for
    `data`, `steps` and `seed`, which are part of what is trained.

    `data`: manifests with their weights, in place of made lessons. `steps`: in place of the recipe's. `pipeline`:
    sections of the network, each on a process of its own, in the stages that pack. `score`: gives a network's score at a
    step, for the logs and the choice of the best checkpoint, and may leave files in the stage's folder.
    """

    data: tuple[tuple[Path, float], ...] = ()
    data_root: Path | None = None
    bad: Policy = "fail"
    components: Mapping[str, str] = field(default_factory=dict)
    steps: int | None = None
    seed: int | None = None
    device: str | None = None
    workers: int = 1
    attention: str | None = None
    pipeline: int = 1
    checkpoint_activations: bool = False
    log_every: int = 10
    log_to: tuple[str, ...] = ()
    save_seconds: float = 300.0
    keep: int = 2
    evaluate_every: int = 0
    score: Callable[[Learner, int, Path], float] | None = None
    any_order: bool = False

    def __post_init__(self) -> None:
        least = {"steps": 1, "workers": 0, "pipeline": 1, "log_every": 1, "save_seconds": 0, "keep": 1}
        for name, bound in {**least, "evaluate_every": 0}.items():
            value = getattr(self, name)
            if value is not None and not value >= bound:
                raise UserError(f"{name} {value}: give {bound} or more")
        if self.device not in (None, "cpu", "cuda"):
            raise UserError(
                f"device {self.device!r}: choose cpu or cuda (torchrun gives each process its own GPU)"
            )
