"""What the careful reader returns."""

from __future__ import annotations

from typing import NamedTuple

from kangaroo_eval.careful.options import OptionSet


class Reading(NamedTuple):
    """What a rule read: `answer` is a letter or None (unreadable), `rule` what fired, `span` where."""

    answer: str | None
    rule: str
    span: tuple[int, int] | None


UNREADABLE = Reading(None, "unreadable", None)


def shifted(reading: Reading, by: int) -> Reading:
    if reading.span is None:
        return reading
    return reading._replace(span=(reading.span[0] + by, reading.span[1] + by))


def word(options: OptionSet, which: frozenset[int], span: tuple[int, int] | None, rule: str) -> Reading:
    """The letter of the one option that was found."""
    if len(which) != 1:
        return UNREADABLE
    return Reading(options.letters[next(iter(which))], rule, span)


def both_of(options: OptionSet, letters: frozenset[str], span: tuple[int, int] | None) -> Reading | None:
    """The option that says just this: "Both A and B", "All of the above"."""
    which = frozenset(options.letters.find(letter.upper()) for letter in letters)
    if -1 in which:
        return None
    named = [i for i, pair in enumerate(options.pairs) if pair and pair == which]
    if not named and len(which) == 2 and len(options.both) == 1 and not options.pairs[options.both[0]]:
        named = options.both
    everything = options.all and which == frozenset(range(len(options.letters))) - {
        *options.all,
        *options.none,
    }
    if not named and everything:
        named = options.all
    return Reading(options.letters[named[0]], "both", span) if len(named) == 1 else None
