"""What a score cannot tell by itself: signs that a model did not answer the questions it was asked.

Each finding is one line that stands beside the score in every report. None of them changes a score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kangaroo_eval.metrics import Point, estimate
from kangaroo_eval.types import Estimate, ScoredSample

LETTERS = "ABCDEFGHIJ"
LEAST = 20
"""Samples below which nothing is said of distributions."""
COLLAPSED = 0.25
"""By how much a letter's share may exceed its share among the keys."""
SAME = 0.9
"""The share of samples from which one text for all is told."""
RARE = 0.02
"""The share of samples from which empty and repeating texts are told."""
UNREADABLE = 0.05
REPEATS = 5
"""How often a piece of a text comes in a row where it is stuck."""
NORMAL_95 = 1.959964


class Observed(NamedTuple):
    """An answered sample: its text, what the careful reader read and the key (None: nothing), how many options it had (0:
    none), and how many lines its subtitle file has (None: the task has no subtitles)."""

    text: str
    read: str | None
    target: str | None
    options: int = 0
    cues: int | None = None


class Finding(NamedTuple):
    """A kind for machines and a line for people."""

    kind: str
    text: str


def looked_at(
    scored: Iterable[ScoredSample], answers: Mapping[str, Mapping[str, Any]], blind: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What is suspicious in the answers, whatever their score, and how often each letter was said. A guess is no answer to
    look at."""
    kept = [each for each in scored if not answers[each.id].get("guess")]
    seen = [
        Observed(
            text=answers[each.id]["text"],
            read=each.careful.answer if each.careful else None,
            target=each.target,
            options=each.options,
            cues=answers[each.id].get("subtitle_cues"),
        )
        for each in kept
        if each.careful is not None
    ]
    points = [
        Point(each.careful.value, each.video, "", readable=True) for each in kept if each.careful is not None
    ]
    score = estimate(points, macro=False) if points else None
    found = [*(findings(seen, score) if score else []), *beside_blind(blind)]
    shares = letters(seen)
    return {"findings": [each._asdict() for each in found], **({"letters": shares} if shares else {})}


def findings(seen: Sequence[Observed], score: Estimate) -> list[Finding]:
    """All that is suspicious in a task's answers. `score` is the careful one, as a fraction."""
    if not seen:
        return []
    found = [
        _collapse(seen),
        _same(seen),
        _share("empty", [not each.text.strip() for each in seen], RARE, "answers are empty"),
        _share(
            "repeating", [repeats(each.text) for each in seen], RARE, "answers repeat themselves without end"
        ),
        _share("unreadable", [each.read is None for each in seen], UNREADABLE, "answers cannot be read"),
        _chance(seen, score),
        _subtitles(seen),
    ]
    return [each for each in found if each is not None]


def letters(seen: Sequence[Observed]) -> dict[str, dict[str, float]] | None:
    """How often each letter was the answer ("said") and is right ("key"), as shares of the questions with options; what
    could not be read has no letter. None where no question has options."""
    lettered = [each for each in seen if each.options > 1]
    if not lettered:
        return None
    named = LETTERS[: max(each.options for each in lettered)]
    told = {"said": [each.read for each in lettered], "key": [each.target for each in lettered]}
    counts = {name: Counter(found) for name, found in told.items()}
    return {
        name: {letter: count[letter] / len(lettered) for letter in named} for name, count in counts.items()
    }


def _collapse(seen: Sequence[Observed]) -> Finding | None:
    """One letter far oftener than it is right."""
    lettered = [each for each in seen if each.read and each.read in LETTERS and each.target in tuple(LETTERS)]
    if len(lettered) < LEAST:
        return None
    letter, count = Counter(each.read for each in lettered).most_common(1)[0]
    key = sum(each.target == letter for each in lettered) / len(lettered)
    share = count / len(lettered)
    if share - key < COLLAPSED:
        return None
    return Finding(
        "letter_collapse",
        f"{letter} is the answer to {share:.0%} of {len(lettered)} samples, and the key to {key:.0%}",
    )


def _same(seen: Sequence[Observed]) -> Finding | None:
    if len(seen) < LEAST or len({each.target for each in seen}) < 2:
        return None
    text, count = Counter(each.text.strip() for each in seen).most_common(1)[0]
    if not text or count / len(seen) < SAME:
        return None
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    return Finding("identical", f"{count} of {len(seen)} answers are the same: {shown!r}")


def _share(kind: str, marked: Sequence[bool], least: float, what: str) -> Finding | None:
    count = sum(marked)
    return (
        Finding(kind, f"{count} of {len(marked)} {what}") if count and count / len(marked) >= least else None
    )


def repeats(text: str) -> bool:
    """Whether a piece of up to eight words comes `REPEATS` times in a row and makes up half of the text or more."""
    words = text.split()
    for size in range(1, 9):
        run = size
        for i in range(size, len(words)):
            run = run + 1 if words[i] == words[i - size] else size
            if run >= REPEATS * size and 2 * run >= len(words):
                return True
    return False


def _chance(seen: Sequence[Observed], score: Estimate) -> Finding | None:
    """The score cannot be told from guessing."""
    options = [each.options for each in seen if each.options > 1]
    if score.value is None or score.stderr is None or len(options) < max(LEAST, len(seen)):
        return None
    chance = sum(1 / each for each in options) / len(options)
    if score.value - NORMAL_95 * score.stderr > chance:
        return None
    if score.value + NORMAL_95 * score.stderr < chance:
        return Finding(
            "below_chance",
            f"{100 * score.value:.1f} % is surely less than guessing gives, {100 * chance:.1f} %",
        )
    return Finding("chance", f"{100 * score.value:.1f} % cannot be told from guessing, {100 * chance:.1f} %")


def beside_blind(blind: Mapping[str, Any] | None) -> list[Finding]:
    """What the run's control without the video (None: there is none) says of its score; `blind` as `controls.found` has
    it."""
    lost = blind["lost"]["careful"] if blind and blind["status"] == "ok" else None
    if lost is None or lost["low"] is None or lost["n"] < LEAST:
        return []
    value, low, high = (100 * lost[name] for name in ("value", "low", "high"))
    told = f"{abs(value):.1f} points [{low:.1f}, {high:.1f}]"
    if high < 0:
        return [Finding("below_blind", f"the score is {told} below that without the video")]
    if low <= 0:
        return [Finding("no_gain", f"the score cannot be told from that without the video, {told}")]
    return []


def _subtitles(seen: Sequence[Observed]) -> Finding | None:
    without = sum(each.cues == 0 for each in seen)
    asked = sum(each.cues is not None for each in seen)
    return (
        Finding("no_subtitles", f"{without} of {asked} videos with subtitles had no line")
        if without
        else None
    )
