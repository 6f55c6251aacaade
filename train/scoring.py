"""A network's score on benchmarks while it trains: by the harness itself, as a finished checkpoint would be scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.model.adapter import KangarooModel
from kangaroo_eval.registry import get_task
from kangaroo_eval.runner import evaluate
from kangaroo_eval.train.grow import Learner


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """Runs `tasks` with `frames` frames and `limit` samples each (None: all) on the benchmarks in `data_root`; None: on
    the mini copies, which are made in `cache`.

    Each call leaves a run directory in the stage's folder, under eval. The score is the mean of the tasks' headline
    values, in their own metric. UserError for an unknown task and for no frames or samples.
    """

    tasks: Sequence[str]
    frames: int
    cache: Path
    limit: int | None = None
    data_root: Path | None = None

    def __post_init__(self) -> None:
        for task in self.tasks:
            get_task(task)
        if self.frames < 1 or (self.limit is not None and self.limit < 1):
            raise UserError(f"evaluation of {self.limit} samples with {self.frames} frames: give 1 or more")

    def __call__(self, learner: Learner, step: int, folder: Path) -> float:
        """The score after `step` steps of the stage in `folder`. RunFailed for a task without a value."""
        model = KangarooModel("training", learner.network, learner.processor)
        results = evaluate(
            self.tasks,
            model,
            self.frames,
            output=folder / "eval" / f"step-{step:08d}",
            data="mini" if self.data_root is None else "real",
            data_root=self.data_root,
            cache=self.cache,
            limit=self.limit,
            # After a resume a step may come again, with weights that a GPU made a little otherwise.
            fresh=True,
        )
        values = [results[task]["careful"]["value"] for task in results.data["tasks"]]
        if not values or None in values:
            raise RunFailed(f"step {step}: {', '.join(self.tasks)} gave no score: see {results.path}")
        return float(sum(values) / len(values))
