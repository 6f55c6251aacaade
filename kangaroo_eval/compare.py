"""Two runs side by side, and the regression gate: pure functions of what `sides` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.paired import Difference, Pair, difference, holm, mcnemar
from kangaroo_eval.sides import Scored, Side, SideTask, differing, value


class Flip(NamedTuple):
    """A sample that one run has right and the other has not, or scores higher: what each read."""

    id: str
    old: str | None
    new: str | None
    target: str | None


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """One task in both runs. `official` is None where no sample has an official score in both; `only_new` and `only_old`
    count answered samples that the other lacks. `p` is McNemar's over samples; `p_holm` that of the interval's
    two-sided test, corrected over all tasks."""

    name: str
    careful: Difference
    official: Difference | None
    new: SideTask
    old: SideTask
    gained: tuple[Flip, ...]
    lost: tuple[Flip, ...]
    only_new: int
    only_old: int
    p: float
    p_holm: float = 1.0

    def scores(self, reader: str) -> tuple[float | None, float | None]:
        """The scores of old and new over all their answers, in points."""
        return value(self.old, reader), value(self.new, reader)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs: the tasks that both have, the mean over them, what differs in their protocols, which tasks only one has,
    and in which no sample has a score in both."""

    new: Side
    old: Side
    tasks: tuple[TaskComparison, ...]
    overall: Difference
    differing: tuple[str, ...]
    only_new: tuple[str, ...]
    only_old: tuple[str, ...]
    unscored: tuple[str, ...] = ()


def compare(new: Side, old: Side, *, force: bool = False) -> Comparison:
    """Both sides on the samples that both answered. UserError where they have no task or no sample in common, or
    differ in protocol, unless `force`."""
    shared = [name for name in new.tasks if name in old.tasks]
    if not shared:
        raise UserError(
            f"nothing to compare: {new.name} has {', '.join(new.tasks) or 'no task'}, "
            f"{old.name} has {', '.join(old.tasks) or 'no task'}"
        )
    found = tuple(differing(new, old))
    if found and not force:
        raise NotComparable(
            f"{old.name} and {new.name} were not asked the same: {'; '.join(found)}; --force compares them all the same"
        )
    scored = [name for name in shared if _common(new.tasks[name], old.tasks[name])]
    if not scored:
        raise UserError(f"{', '.join(shared)}: {new.name} and {old.name} answered no sample in common")
    tasks = [_task(name, new.tasks[name], old.tasks[name]) for name in scored]
    corrected = holm({task.name: _two_sided(task.careful) for task in tasks})
    return Comparison(
        new=new,
        old=old,
        tasks=tuple(replace(task, p_holm=corrected[task.name]) for task in tasks),
        overall=difference(*(_pairs(task.new, task.old, shared_ids(task), "careful") for task in tasks)),
        differing=found,
        only_new=tuple(name for name in new.tasks if name not in old.tasks),
        only_old=tuple(name for name in old.tasks if name not in new.tasks),
        unscored=tuple(name for name in shared if name not in scored),
    )


class NotComparable(UserError):
    """Two runs of different protocols. Exit code 5."""

    exit_code = 5


def _common(new: SideTask, old: SideTask) -> list[str]:
    return [key for key in new.samples if key in old.samples]


def _task(name: str, new: SideTask, old: SideTask) -> TaskComparison:
    shared = _common(new, old)
    careful = difference(_pairs(new, old, shared, "careful"))
    official = _pairs(new, old, shared, "official")
    flips = [
        (Flip(key, old.samples[key].read, new.samples[key].read, new.samples[key].target), change)
        for key in shared
        if (change := new.samples[key].careful - old.samples[key].careful)
    ]
    return TaskComparison(
        name=name,
        careful=careful,
        official=difference(official) if official else None,
        new=new,
        old=old,
        gained=tuple(flip for flip, change in flips if change > 0),
        lost=tuple(flip for flip, change in flips if change < 0),
        only_new=len(new.samples) - len(shared),
        only_old=len(old.samples) - len(shared),
        p=mcnemar(careful.gained, careful.lost),
    )


def shared_ids(task: TaskComparison) -> list[str]:
    """The samples that both runs answered."""
    return _common(task.new, task.old)


def _pairs(new: SideTask, old: SideTask, ids: Sequence[str], reader: str) -> list[Pair]:
    out = []
    for key in ids:
        now, then = new.samples[key], old.samples[key]
        ours, theirs = _score(now, reader), _score(then, reader)
        if ours is not None and theirs is not None:
            out.append(Pair(ours, theirs, now.video, now.group))
    return out


def _score(scored: Scored, reader: str) -> float | None:
    found: float | None = getattr(scored, reader)
    return found


def _two_sided(found: Difference) -> float:
    if found.identical or found.stderr is None or (found.stderr == 0 and found.value == 0):
        return 1.0
    lower = found.p_lower()
    return min(1.0, 2 * min(lower, 1 - lower))
