"""The loop of one stage: packs in, steps out, and nothing lost when it stops.

A step is a pure function of the recipe, the seed and its number, so a run that was killed goes on from its last
checkpoint to the same weights, bit for bit.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kangaroo_eval.errors import RunFailed, UserError, first_line
from kangaroo_eval.train.checkpoint import Checkpoints
from kangaroo_eval.train.logs import Writer
from kangaroo_eval.train.optim import Schedule, set_rate
from kangaroo_eval.train.parallel import World, add_up_gradients, any_rank, clip_norm, sum_over_ranks
from kangaroo_eval.train.pipeline import Pipeline

log = logging.getLogger(__name__)


class MicroBatch(Protocol):
    """What one forward pass reads; `Pack` is one."""

    @property
    def labelled(self) -> int:
        """Targets in it."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Where its documents come from."""
        ...

    def to(self, device: Any) -> Any:
        """The same on another device."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a stage runs: `steps` in all, `accumulate` micro-batches a step on each rank, the largest gradient norm
    `clip`; a line in the logs every `log_every` steps, a checkpoint every `save_seconds` and at the end, and the
    evaluation every `evaluate_every` steps (0: never)."""

    steps: int
    schedule: Schedule
    accumulate: int = 1
    clip: float = 1.0
    log_every: int = 10
    save_seconds: float = 300.0
    evaluate_every: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "log_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)}: give 1 or more")


@dataclass(slots=True)
class Tally:
    """What was counted since the stage began; a part of each checkpoint. Times in seconds."""

    step: int = 0
    documents: int = 0
    tokens: int = 0
    labelled: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(kw_only=True)
class Loop:
    """One stage. `objective(micro_batch)` gives a summed loss; `batches(start)` the micro-batches of this rank in
    order from number `start`; `recipe` is what a resumed run must agree with; `evaluate(step)` gives a score, higher
    is better, and `flops(micro_batches)` the operations of a step on them. `pipeline`: what runs the packs where `objective` is
    one section of a pipeline, whose ranks all read the same batches. `replicated`: each rank holds all parameters.
    """

    objective: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Callable[[int], Iterator[Any]]
    plan: Plan
    world: World
    checkpoints: Checkpoints
    recipe: Mapping[str, Any]
    writers: Sequence[Writer] = ()
    evaluate: Callable[[int], float] | None = None
    flops: Callable[[list[Any]], float] | None = None
    peak: float | None = None
    pipeline: Pipeline | None = None
    replicated: bool = False
    tally: Tally = field(default_factory=Tally)
    _since: Tally = field(default_factory=Tally)
    _work: float = 0.0
    _losses: list[float] = field(default_factory=list)

    def resume(self) -> int:
        """Go on from the newest checkpoint, if there is one; the step that it was made at, 0 without one."""
        if self.checkpoints.latest() is None:
            return 0
        progress = self.checkpoints.load(self.objective, self.optimizer, recipe=self.recipe)
        self.tally = Tally(**progress)
        return self.tally.step

    def run(self) -> Tally:
        """All steps that are left. RunFailed where the loss is not a number; what was saved stays."""
        if self.tally.step >= self.plan.steps:
            return self.tally
        stream = self.batches(self.tally.step * self.plan.accumulate)
        saved = time.monotonic()
        self._since, self._losses, self._work = Tally(**self.tally.as_json()), [], 0.0
        while self.tally.step < self.plan.steps:
            started = time.monotonic()
            packs = [next(stream) for _ in range(self.plan.accumulate)]
            loss, norm = self._step(packs)
            self._count(packs, loss, time.monotonic() - started)
            step = self.tally.step
            if step % self.plan.log_every == 0 or step == self.plan.steps:
                self._log(norm)
            score = self._score(step)
            due = time.monotonic() - saved > self.plan.save_seconds
            if step == self.plan.steps or score is not None or any_rank(due):
                self._save(score)
                saved = time.monotonic()
        return self.tally

    def _step(self, packs: list[Any]) -> tuple[float, float]:
        """One optimizer step; the mean loss over all ranks' targets, and the gradient norm before clipping."""
        count = sum_over_ranks(sum(pack.labelled for pack in packs)) // self._sharing
        if not count:
            raise RunFailed(
                f"step {self.tally.step + 1}: no target in {_named(packs)}; nothing to learn from"
            )
        set_rate(self.optimizer, self.plan.schedule.rate(self.tally.step))
        self.optimizer.zero_grad(set_to_none=True)
        total = self._backward(packs, count)
        stages = None if self.pipeline is None else self.pipeline.stages
        norm = clip_norm(self.objective.parameters(), self.plan.clip, stages)
        mean = sum_over_ranks(total) / self._sharing
        if any_rank(not (math.isfinite(total) and math.isfinite(norm))):
            self._stop_at(packs, mean, norm)
        self.optimizer.step()
        return mean, norm

    @property
    def _sharing(self) -> int:
        """How many ranks read the same batches."""
        return 1 if self.pipeline is None else self.pipeline.sections

    def _backward(self, packs: list[Any], count: int) -> float:
        """Gradients of the summed loss / `count`, which is that of all ranks, since gradients are added up over them;
        returns this rank's part of the mean loss."""
        moved = [pack.to(self.world.device) for pack in packs]
        if self.pipeline is not None:
            return self.pipeline.step(moved, count)
        total = 0.0
        for pack in moved:
            loss: Tensor = self.objective(pack) / count
            loss.backward()
            total += float(loss.detach())
        if self.replicated:
            add_up_gradients(self.objective.parameters())
        return total

    def _stop_at(self, packs: list[Any], loss: float, norm: float) -> None:
        """Leave this rank's part of the batch for a look at it, and stop before it reaches the weights."""
        path = self._folder / f"bad-batch-step{self.tally.step + 1}-rank{self.world.rank}.pt"
        kept = f"is in {path}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"packs": packs, "loss": loss, "norm": norm}, path)
        except (OSError, RuntimeError) as error:
            # torch calls a full disk a RuntimeError; the reason to stop is another.
            kept = f"cannot be kept: {first_line(error)}"
        raise RunFailed(
            f"step {self.tally.step + 1}: loss {loss}, gradient norm {norm}; the batch ({_named(packs)}) {kept}. "
            "The last checkpoint is untouched: lower the learning rate, or mend the data, and resume"
        )

    @property
    def _folder(self) -> Path:
        return self.checkpoints.folder

    def _count(self, packs: list[Any], loss: float, seconds: float) -> None:
        self.tally.step += 1
        self.tally.documents += sum(len(pack.names) for pack in packs)
        self.tally.tokens += sum(pack.tokens for pack in packs)
        self.tally.labelled += sum(pack.labelled for pack in packs)
        self.tally.seconds += seconds
        self._losses.append(loss)
        # A section of a pipeline does a part of the work on its packs.
        self._work += self.flops(packs) / self._sharing if self.flops else 0.0

    def _log(self, norm: float) -> None:
        now, before = self.tally, self._since
        seconds = max(1e-9, now.seconds - before.seconds)
        rates = {
            f"{name}_per_second": round(
                sum_over_ranks(getattr(now, name) - getattr(before, name)) / self._sharing / seconds, 2
            )
            for name in ("documents", "tokens", "labelled")
        }
        values: dict[str, Any] = {
            "loss": sum(self._losses) / len(self._losses),
            "lr": self.plan.schedule.rate(now.step - 1),
            "grad_norm": norm,
            "seconds": round(now.seconds, 3),
            **rates,
            "memory_gb": round(_memory(self.world.device) / 1e9, 3),
        }
        if self.flops:
            values["tflops"] = self._work / seconds / 1e12
            values["mfu"] = self._work / seconds / self.peak if self.peak else None
        if self.world.rank == 0:
            for writer in self.writers:
                writer.write(now.step, values)
            log.info("step %d of %d: loss %.4f", now.step, self.plan.steps, values["loss"])
        self._since, self._losses, self._work = Tally(**now.as_json()), [], 0.0

    def _score(self, step: int) -> float | None:
        every = self.plan.evaluate_every
        if self.evaluate is None or not every or (step % every and step != self.plan.steps):
            return None
        training = self.objective.training
        self.objective.eval()
        try:
            score = self.evaluate(step)
        finally:
            self.objective.train(training)
        if self.world.rank == 0:
            for writer in self.writers:
                writer.write(step, {"score": score})
        return score

    def _save(self, score: float | None) -> None:
        self.checkpoints.save(
            self.tally.step,
            self.objective,
            self.optimizer,
            self.tally.as_json(),
            recipe=self.recipe,
            score=score,
        )


def _named(packs: Sequence[MicroBatch]) -> str:
    names = [name for pack in packs for name in pack.names]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _memory(device: torch.device) -> int:
    """Peak bytes: of the allocator on CUDA, resident memory of the process elsewhere."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
