"""The regression gate: whether a run is worse than its baseline, by a rule that other programs rely on.

With d the difference in points, paired and clustered by video, and [lo, hi] its two-sided interval at 1 - 2 alpha: a task
passes where lo > -margin (Piaggio et al. 2012: non-inferiority), has regressed where hi < 0 and d < -margin / 2, and is
undecided else. So does the mean over tasks. Over the tasks and their mean together a false alarm has a chance of at most
alpha (Holm).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kangaroo_eval.compare import Comparison, TaskComparison, shared_ids
from kangaroo_eval.errors import UserError
from kangaroo_eval.paired import Difference, holm
from kangaroo_eval.results import COMPARABLE_COVERAGE

MARGIN = 2.0
"""Points that a score may fall before it counts."""
ALPHA = 0.05
LEAST_VIDEOS = 30
"""Videos below which nothing is decided."""
PASS, REGRESSION, INCONCLUSIVE = 0, 4, 5
OVERALL = "overall"

Outcome = Literal["pass", "regression", "inconclusive"]
_EXITS: dict[Outcome, int] = {"pass": PASS, "regression": REGRESSION, "inconclusive": INCONCLUSIVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`margin` in points, `alpha` the chance of a false alarm; `least_coverage` (a fraction) and `most_slower` (a factor on
    the seconds an answer takes) gate too where they are given; `undecided` is what the gate says where a task is
    undecided. UserError for what makes no sense."""

    margin: float = MARGIN
    alpha: float = ALPHA
    least_coverage: float | None = None
    most_slower: float | None = None
    undecided: Outcome = "inconclusive"

    def __post_init__(self) -> None:
        if not 0 < self.margin <= 100:
            raise UserError(f"--margin {self.margin:g}: give points, more than 0 and at most 100")
        if not 0 < self.alpha < 0.5:
            raise UserError(f"--alpha {self.alpha:g}: give a probability, more than 0 and less than 0.5")
        if self.least_coverage is not None and not 0 < self.least_coverage <= 1:
            raise UserError(
                f"--least-coverage {self.least_coverage:g}: give a fraction, more than 0 and at most 1"
            )
        if self.most_slower is not None and not self.most_slower >= 1:
            raise UserError(f"--most-slower {self.most_slower:g}: give a factor of 1 or more")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was gated, and why it came out as it did. `points` and `interval` are those of the difference (None
    for checks of coverage and speed), `detectable` the drop that would be found four times of five."""

    name: str
    outcome: Outcome
    why: str
    points: float | None = None
    interval: tuple[float, float] | None = None
    detectable: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks of a gate."""

    checks: tuple[Check, ...]
    rule: Rule

    @property
    def outcome(self) -> Outcome:
        """A regression anywhere is one; else what is undecided anywhere is undecided."""
        found = {check.outcome for check in self.checks}
        if "regression" in found:
            return "regression"
        return self.rule.undecided if "inconclusive" in found else "pass"

    @property
    def exit_code(self) -> int:
        """0 passed, 4 regression, 5 undecided."""
        return _EXITS[self.outcome]


def gate(comparison: Comparison, rule: Rule) -> Verdict:
    """Every task, their mean where there are several, and what else the rule asks for."""
    differences = {task.name: task.careful for task in comparison.tasks}
    if len(differences) > 1:
        differences[OVERALL] = comparison.overall
    corrected = holm({name: found.p_lower() for name, found in differences.items()})
    checks = [_score(name, found, corrected[name], rule) for name, found in differences.items()]
    for name in comparison.only_old:
        checks.append(Check(name, "inconclusive", f"the baseline has {name} and the run has not"))
    for name in comparison.unscored:
        checks.append(Check(name, "inconclusive", f"no sample of {name} has a score in both"))
    checks += [found for task in comparison.tasks if (found := _shared(task, rule.least_coverage))]
    checks += [found for task in comparison.tasks if (found := _coverage(task, rule.least_coverage))]
    if rule.most_slower is not None:
        checks += [_speed(task, rule.most_slower) for task in comparison.tasks]
    return Verdict(tuple(checks), rule)


def _score(name: str, found: Difference, corrected: float, rule: Rule) -> Check:
    points = 100 * found.value
    low, high = (100 * bound for bound in found.interval(2 * rule.alpha))
    detectable = found.detectable(rule.alpha)
    told = (points, (low, high), None if detectable is None else 100 * detectable)
    if found.clusters < LEAST_VIDEOS:
        why = f"{found.clusters} videos: fewer than {LEAST_VIDEOS} decide nothing; run more samples"
        return Check(name, "inconclusive", why, *told)
    if high < 0 and points < -rule.margin / 2 and corrected < rule.alpha:
        return Check(name, "regression", f"{points:+.1f} points, surely below 0", *told)
    if low > -rule.margin:
        return Check(name, "pass", f"{points:+.1f} points, surely above -{rule.margin:g}", *told)
    return Check(
        name,
        "inconclusive",
        f"{points:+.1f} points, and anything from {low:+.1f} to {high:+.1f} may be",
        *told,
    )


def _coverage(task: TaskComparison, least: float | None) -> Check | None:
    """Samples without an answer are left out of the difference, and they may be those that the run gets wrong: without a
    threshold of the user's, too many of them leave the gate undecided."""
    why = f"{len(task.new.samples)} of {task.new.asked} answered"
    if least is not None:
        return Check(f"{task.name}: coverage", "pass" if task.new.coverage >= least else "regression", why)
    if task.new.coverage >= COMPARABLE_COVERAGE:
        return None
    why += f": fewer than {100 * COMPARABLE_COVERAGE:g} % decide nothing, unless --least-coverage says how many do"
    return Check(f"{task.name}: coverage", "inconclusive", why)


def _shared(task: TaskComparison, least: float | None) -> Check | None:
    """A run of a part of the baseline's samples (a forgotten --limit), or a baseline of a part of its own, says nothing of
    the others: it does not pass."""
    both, asked = len(shared_ids(task)), task.old.asked
    if both >= (COMPARABLE_COVERAGE if least is None else least) * asked:
        return None
    why = f"{both} of the {asked} samples that the baseline was asked have an answer in both: the others may be worse"
    return Check(f"{task.name}: samples", "inconclusive", why)


def _speed(task: TaskComparison, most: float) -> Check:
    new, old = task.new.seconds, task.old.seconds
    if not new or not old:
        return Check(f"{task.name}: speed", "inconclusive", "how long the answers took is not known of both")
    why = f"an answer takes {new / old:.2f} times as long"
    return Check(f"{task.name}: speed", "pass" if new / old <= most else "regression", why)
