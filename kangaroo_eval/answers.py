"""Readers of multiple-choice answers by name: each official rule, faults and all, and the careful one.

An official rule exists to reproduce published numbers, so it is written from the rule's text and never
improved. The careful reader (`careful.py`) reads what a person would read.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

from kangaroo_eval.careful import Reading, careful, letters_of, plain
from kangaroo_eval.errors import UserError
from kangaroo_eval.types import Sample, Score

__all__ = ["RULES", "Reading", "careful", "careful_choice", "letters_of", "official_choice", "read"]

# --- official rules -----------------------------------------------------------------------------------------

# thanku-all/parse_answer, eval_your_results.py at afd52cf. Two commas are missing there, so that two pairs of
# prefixes are one string each; removing them would change published numbers.
_VIDEOMME_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
    "Answer:",
    "Option:",
    "The correct answer",
    "The correct option",
)


def official_videomme(text: str, options: Sequence[str]) -> Reading:
    """Video-MME's `extract_characters_regex` (v2): drop ten prefixes anywhere, then the first of ABCD.

    The leaderboard's rule (thanku-all/parse_answer at afd52cf). An empty reading leaves the sample out of the
    official denominator. `options` is not used: the letters are always ABCD.
    """
    text = text.strip()
    for prefix in _VIDEOMME_PREFIXES:
        text = text.replace(prefix, "")
    found = re.search("[ABCD]", text)
    return Reading(found[0] if found else None, "videomme", None)


def official_mlvu(text: str, options: Sequence[str]) -> Reading:
    """MLVU's `check_ans` (evaluation/multiple_choice_evaluation/choice_bench.py): the one character before the
    first ")", or else the whole text, which must equal the gold letter exactly: no strip, no upper-casing.

    Anything but one capital letter can never equal a gold letter, so it is unreadable, and wrong.
    """
    if ")" in text:
        bracket = text.index(")")
        text = text[bracket - 1 : bracket]
    # "@" is the gold "letter" of items whose answer is among no candidate, so even "@)" is right there.
    readable = len(text) == 1 and text in string.ascii_uppercase + "@"
    return Reading(text if readable else None, "mlvu", None)


RULES: dict[str, Callable[[str, Sequence[str]], Reading]] = {
    "careful": careful,
    "mlvu": official_mlvu,
    "videomme": official_videomme,
}


def read(rule: str, text: str, options: Sequence[str]) -> Reading:
    """Read `text` by the rule of that name; `UserError` lists the names."""
    if rule not in RULES:
        raise UserError(f"unknown reader {rule!r}. Known: {', '.join(sorted(RULES))}")
    return RULES[rule](text, options)


# --- scorers that tasks share -------------------------------------------------------------------------------


def careful_choice(sample: Sample, text: str) -> Score:
    """1 when the option that was read is the right one or has its very text; unreadable is 0."""
    reading = careful(text, sample.choices)
    right = reading.answer is not None and _same_option(sample, reading.answer)
    return Score(float(right), reading.answer, reading.rule, reading.span)


def _same_option(sample: Sample, answer: str) -> bool:
    """Benchmarks have items with the same option twice; whoever picks either is right."""
    letters = letters_of(sample.choices)
    if answer == sample.target or sample.target is None or sample.target not in letters:
        return answer == sample.target
    said, gold = (sample.choices[letters.index(letter)] for letter in (answer, sample.target))
    return plain(said) == plain(gold) != ""


def official_choice(rule: str, *, drop_unreadable: bool = False) -> Callable[[Sample, str], Score]:
    """A scorer by an official rule. With `drop_unreadable` the unreadable leave the denominator."""

    def score(sample: Sample, text: str) -> Score:
        reading = read(rule, text, sample.choices)
        if reading.answer is None and drop_unreadable:
            return Score(None, None, rule)
        return Score(float(reading.answer == sample.target), reading.answer, rule)

    return score
