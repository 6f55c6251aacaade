"""Readers of multiple-choice answers by name, and the scorers that tasks share.

An official rule (`official.py`) reproduces published numbers; the careful reader (`careful.py`) reads what a
person would read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from kangaroo_eval import official
from kangaroo_eval.careful import Reading, careful, letters_of, texts_of
from kangaroo_eval.errors import UserError
from kangaroo_eval.types import Sample, Score

__all__ = [
    "RULES",
    "Reading",
    "careful",
    "careful_choice",
    "letters_of",
    "official_choice",
    "official_mvbench",
    "official_ranking",
    "read",
]

Unreadable = Literal["wrong", "drop", "guess"]

RULES: dict[str, Callable[[str, Sequence[str]], Reading]] = {
    "careful": careful,
    "egoschema": official.egoschema,
    "longvideobench": official.longvideobench,
    "lvbench": official.lvbench,
    "mlvu": official.mlvu,
    "mvbench": official.mvbench,
    "seedbench": official.seedbench,
    "videomme": official.videomme,
    "videovista": official.videovista,
}


def read(rule: str, text: str, options: Sequence[str]) -> Reading:
    """Read `text` by the rule of that name; `UserError` lists the names."""
    return _rule(rule)(text, options)


def _rule(rule: str) -> Callable[[str, Sequence[str]], Reading]:
    if rule not in RULES:
        raise UserError(f"unknown reader {rule!r}. Known: {', '.join(sorted(RULES))}")
    return RULES[rule]


# --- scorers: None without a public label, and nothing is right where no option is ---------------------------

NO_OPTION = "@"
"""The target of an item whose answer is among no option, as MLVU's own script has it."""


def careful_choice(sample: Sample, text: str) -> Score:
    """1 when the option that was read is the right one or has its very text; unreadable is 0."""
    reading = careful(text, sample.choices)
    right = None if sample.target is None else float(_same_option(sample, reading.answer))
    return Score(right, reading.answer, reading.rule, reading.span)


def _same_option(sample: Sample, answer: str | None) -> bool:
    """Benchmarks have items with the same option twice; whoever picks either is right."""
    if answer is None or sample.target == NO_OPTION:
        return False
    letters = letters_of(sample.choices)
    if answer == sample.target or sample.target is None or sample.target not in letters:
        return answer == sample.target
    texts = texts_of(sample.choices)
    said, gold = (texts[letters.index(letter)] for letter in (answer, sample.target))
    return said == gold != ""


def official_choice(rule: str, *, unreadable: Unreadable = "wrong") -> Callable[[Sample, str], Score]:
    """A scorer by an official rule that extracts a letter.

    `unreadable` says what the rule makes of a reply that it cannot read: "wrong", "drop" (it leaves the
    denominator) or "guess" (a random guess among the options, scored at its expected value).
    """
    reader = _rule(rule)
    if rule == "mvbench":
        raise UserError("the rule 'mvbench' compares and extracts no letter: score by official_mvbench")
    if unreadable not in get_args(Unreadable):
        raise UserError(f"unreadable={unreadable!r} is not one of {', '.join(get_args(Unreadable))}")

    def score(sample: Sample, text: str) -> Score:
        answer = reader(text, sample.choices).answer
        # A first-character rule "reads" any character; one that is no option's letter has chosen nothing.
        chosen = answer if answer is not None and answer in letters_of(sample.choices) + NO_OPTION else None
        if sample.target is None or (answer is None and unreadable == "drop"):
            return Score(None, chosen, rule)
        if sample.target == NO_OPTION and rule != "mlvu":  # MLVU's own script takes "@)" for right there
            return Score(0.0, chosen, rule)
        if answer is None and unreadable == "guess":
            return Score(1 / len(sample.choices), None, rule)
        return Score(float(answer == sample.target), chosen, rule)

    return score


def official_mvbench(sample: Sample, text: str) -> Score:
    """MVBench's own comparison with the gold. The answer is the one letter that the rule would accept; "right"
    or "wrong" where it would accept several, as for an empty reply, or none: it knows no unreadable one."""
    answer = official.mvbench(text, sample.choices).answer
    if sample.target is None:
        return Score(None, answer, "mvbench")
    letters = letters_of(sample.choices)
    gold = sample.choices[letters.index(sample.target)] if sample.target in letters else ""
    right = sample.target != NO_OPTION and official.mvbench_correct(text, sample.target, gold)
    return Score(float(right), answer or ("right" if right else "wrong"), "mvbench")


def official_ranking(sample: Sample, losses: Sequence[float]) -> Score:
    """SEED-Bench's own metric: the choice with the lowest loss; the lowest letter among equals, NaN last.

    AILab-CVC/SEED-Bench: SEED-Bench-2/eval.py, 991e849 (`np.argsort`). Nothing is unreadable: losses that are
    all NaN give the first choice.
    """
    pairs = zip(letters_of(sample.choices), losses, strict=True)
    answer = min(pairs, key=lambda pair: (math.isnan(pair[1]), pair[1]))[0]
    right = None if sample.target is None else float(answer == sample.target)
    return Score(right, answer, "likelihood")
