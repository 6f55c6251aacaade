"""Lengths of time, times of day, and shares, whatever they are written in: "a minute and a half" is "90 seconds"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Amount(NamedTuple):
    """A quantity of one kind ("length", "clock", "share"), its value, and its place."""

    kind: str
    value: float
    start: int
    end: int


_NUMBERS = {
    word: float(i)
    for i, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
} | {"a": 1.0, "an": 1.0, "thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "ninety": 90.0}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_N = rf"(?:\d+(?:[.,]\d+)?|{'|'.join(_NUMBERS)})"
_U = r"(?:s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|days?|weeks?)\b"
_LENGTH = re.compile(
    rf"\b(?:(?P<half>half an? |a half )(?P<hu>{_U})|(?P<quarter>(?P<three>three )?(?:a )?quarters? of an )(?P<qu>hour)"
    rf"|(?P<n>{_N})[ -]?(?P<and>(?:and a half|and-a-half) )?(?P<u>{_U})(?P<more> and a half)?(?:,? (?:and )?(?P<n2>{_N})[ -]?(?P<u2>{_U}))?"
    r"|(?P<couple>a couple of )(?P<cu>seconds|minutes|hours|days|weeks))",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    rf"\b(?:(?P<rel>half|a? ?quarter|(?:five|ten|twenty|twenty-five)|{_N} minutes) (?P<way>past|to|after|before) (?P<to>{_N})(?! ?(?:second|minute|hour))|(?P<noon>noon|midday|mid-day)|(?P<night>midnight)"
    rf"|(?P<h>\d{{1,2}})[:.](?P<m>\d\d)(?: ?(?P<half>[ap])\.?m\b)?|(?P<h2>{_N}) ?(?P<half2>[ap])\.?m\b|(?P<h3>{_N}) o'clock)"
    r"(?P<day> in the (?:morning|afternoon|evening)| at night)?",
    re.IGNORECASE,
)
_SHARE = re.compile(
    r"(?P<p>\d+(?:[.,]\d+)?) ?(?:%|percent\b|per cent\b)|\b(?P<none>no one|nobody|not (?:a single one|a single|one of|any of)|none)\b|\b(?P<all>every(?: single one| single|one|body)?(?= (?:of |student|participant|person|member|player|one))|everyone|everybody|all of (?:them|the))\b"
    r"|\b(?P<f>(?:a|one) half|half|(?:a|one) third|two thirds|(?:a|one) (?:quarter|fourth)|three (?:quarters|fourths)|(?:a|one) fifth|(?:a|one) tenth)\b(?! (?:an?|past)\b)",
    re.IGNORECASE,
)
_FRACTIONS = {
    "half": 50.0,
    "third": 100 / 3,
    "thirds": 200 / 3,
    "quarter": 25.0,
    "fourth": 25.0,
    "quarters": 75.0,
    "fourths": 75.0,
    "fifth": 20.0,
    "tenth": 10.0,
}
_HINT = re.compile(
    r"\d|half|quarter|noon|mid-?day|midnight|o'clock|second|minute|hour|day|week|percent|third|past|every|nobody|no one|not|none|all",
    re.IGNORECASE,
)


def _number(text: str) -> float:
    return _NUMBERS[text.lower()] if text.lower() in _NUMBERS else float(text.replace(",", "."))


def _unit(text: str) -> float:
    return _UNITS[text[0].lower()]


def _length(found: re.Match[str]) -> float:
    if found["half"]:
        return _unit(found["hu"]) / 2
    if found["quarter"]:
        return 2700.0 if found["three"] else 900.0
    if found["couple"]:
        return 2 * _unit(found["cu"])
    unit = _unit(found["u"])
    value = (_number(found["n"]) + (0.5 if found["and"] or found["more"] else 0.0)) * unit
    return value + (_number(found["n2"]) * _unit(found["u2"]) if found["n2"] else 0.0)


def _clock(found: re.Match[str]) -> float | None:
    """Minutes since midnight, or, where morning and evening are not told apart, within half a day."""
    if found["noon"]:
        return 720.0
    if found["night"]:
        return 0.0
    minute, half = 0.0, (found["half"] or found["half2"] or "").lower()
    if found["rel"]:
        rel = found["rel"].lower().strip()
        minute = (
            30.0
            if rel == "half"
            else 15.0
            if "quarter" in rel
            else _number(rel.split()[0].partition("-")[0]) + (5.0 if "-" in rel else 0.0)
        )
        minute = -minute if found["way"].lower() in ("to", "before") else minute
        hour = _number(found["to"])
    else:
        hour = _number(found["h"] or found["h2"] or found["h3"])
        minute = float(found["m"] or 0)
    if hour > 24 or minute >= 60:
        return None
    day = (found["day"] or "").strip().lower()
    late = half == "p" or (day and "morning" not in day)
    if (half or day) and hour <= 12:
        hour = hour % 12 + (12 if late else 0)
    return hour * 60 + minute


def _share(found: re.Match[str]) -> float:
    if found["p"]:
        return float(found["p"].replace(",", "."))
    if found["none"] or found["all"]:
        return 100.0 if found["all"] else 0.0
    return _FRACTIONS[found["f"].lower().split()[-1]]


def amounts(text: str) -> list[Amount]:
    """The quantities of a text."""
    if not _HINT.search(text):
        return []
    made = [Amount("length", _length(found), *found.span()) for found in _LENGTH.finditer(text)]
    for found in _CLOCK.finditer(text):
        value = _clock(found)
        if value is not None:
            made.append(Amount("clock", value, *found.span()))
    made.extend(Amount("share", _share(found), *found.span()) for found in _SHARE.finditer(text))
    return made


class Amounts:
    """The options that are quantities of one kind; options of several kinds, or with several each, are none."""

    def __init__(self, texts: Sequence[str]) -> None:
        found = [amounts(text) for text in texts]
        self.kind = ""
        self.values: list[float | None] = [None for _ in texts]
        for kind in ("length", "clock", "share"):
            of_kind = [{one.value for one in made if one.kind == kind} for made in found]
            whole = sum(len(values) == 1 for values in of_kind)
            if whole >= 2 and whole >= len(texts) - 1 and all(len(values) < 2 for values in of_kind):
                self.kind = kind
                self.values = [min(values, default=None) for values in of_kind]
                return

    def named_in(self, text: str) -> tuple[frozenset[int], int, int] | None:
        """The one option whose quantity, and no other, a text gives."""
        said = [one for one in amounts(text) if one.kind == self.kind]
        which = [
            frozenset(
                i for i, value in enumerate(self.values) if value is not None and self._same(one.value, value)
            )
            for one in said
        ]
        hits = [(options, one) for options, one in zip(which, said, strict=True) if options]
        if not hits or len({options for options, _ in hits}) != 1 or len(hits[0][0]) != 1:
            return None
        return hits[0][0], hits[0][1].start, hits[-1][1].end

    def speaks_in(self, text: str) -> bool:
        """Whether a text gives a quantity of this kind, if only one that no option has."""
        return any(one.kind == self.kind for one in amounts(text))

    def _same(self, said: float, value: float) -> bool:
        if self.kind == "clock" and said != value:
            # "half past seven" is 7:30 of the morning or of the evening, whichever is an option.
            halves = [v for v in self.values if v is not None and (v - said) % 720 == 0]
            return len(halves) == 1 and (value - said) % 720 == 0 and min(said, value) < 780
        return abs(said - value) < 0.01 * max(1.0, value)
