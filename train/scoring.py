"""A network's score on benchmarks while it trains: by the harness itself, as a finished checkpoint would be scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kangaroo_eval.errors import RunFailed
from kangaroo_eval.model.adapter import KangarooModel
from kangaroo_eval.runner import evaluate
from kangaroo_eval.train.grow import Learner


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """Runs `tasks` with `frames` frames and `limit` samples each (None: all); `data_root` None: the mini copies.

    Each call leaves a run directory under `out`/eval. The score is the mean of the tasks' headline values, in their
    own metric.
    """

    out: Path
    tasks: Sequence[str]
    frames: int
    limit: int | None = None
    data_root: Path | None = None

    def __call__(self, learner: Learner, step: int) -> float:
        """The score after `step` steps. RunFailed for a task without a value."""
        model = KangarooModel("training", learner.network, learner.processor)
        results = evaluate(
            self.tasks,
            model,
            self.frames,
            output=self.out / "eval" / f"step-{step:08d}",
            data_root=self.data_root,
            limit=self.limit,
        )
        values = [results[task]["careful"]["value"] for task in results.data["tasks"]]
        if not values or None in values:
            raise RunFailed(f"step {step}: {', '.join(self.tasks)} gave no score: see {results.path}")
        return float(sum(values) / len(values))
