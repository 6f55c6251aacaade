"""The way through a reply: what is looked at first, and what a reading of it rests on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from kangaroo_eval.careful.languages import into_english, language_of
from kangaroo_eval.careful.option_texts import letters_of, plain
from kangaroo_eval.careful.options import OptionSet, option_set
from kangaroo_eval.careful.reading import UNREADABLE, Reading, both_of, shifted, word
from kangaroo_eval.careful.tags import best_scored, tagged
from kangaroo_eval.careful.text import (
    Compact,
    answer_after_thought,
    fold,
    head_before_next,
    is_failure,
    without_markup,
    without_tokens,
)
from kangaroo_eval.careful.weigh import refuses, weigh

_SHORT = re.compile(r"\s{0,8}[\"'*(\[]{0,3}([A-Za-z])[\"'*)\].,:]{0,3}\s{0,8}")
_SHORT_STATED = re.compile(
    r"\s{0,8}(?:[Tt]he )?(?:(?:[Bb]est|[Cc]orrect|[Ff]inal) )?(?:[Aa]nswer|[Oo]ption)(?: is)?:?\s{1,2}\(?([A-Z])\)?\.?\s{0,8}"
)
_SHORT_WITH_TEXT = re.compile(r"\s{0,8}\(?([A-Z])[).:]{1,2}\s{1,4}([^\n]{1,300})\s{0,8}")


def careful(text: str, options: Sequence[str]) -> Reading:
    """Read what a person would read, or None: refusals, ambiguity, and error texts are unreadable.

    `options` are the option texts (a leading "A. " in them does not matter). The span points into `text`.
    """
    quick = _at_once(text, options)
    if quick is not None:
        return quick
    if not text.strip() or not options:
        return UNREADABLE
    return _read_reply(text, option_set(tuple(options)))


def _at_once(text: str, options: Sequence[str]) -> Reading | None:
    """Nothing but a letter, or a letter and its option's own text: what most replies are."""
    short = _SHORT.fullmatch(text)
    letters = letters_of(options)
    if short:
        letter = short[1].upper()
        if letter in letters:
            return Reading(letter, "whole", short.span(1))
        return UNREADABLE
    stated = _SHORT_STATED.fullmatch(text) if len(text) < 60 else None
    if stated and stated[1] in letters:
        return Reading(stated[1], "stated", stated.span(1))
    echo = _SHORT_WITH_TEXT.fullmatch(text)
    if echo and echo[1] in letters and plain(echo[2]) == plain(options[letters.index(echo[1])]):
        return Reading(echo[1], "whole", echo.span(1))
    return None


def _read_reply(text: str, options: OptionSet) -> Reading:
    if is_failure(text, options.texts):
        equal = options.equal_to(text)
        return (
            word(options, equal, None, "option_text")
            if len(equal) == 1
            else Reading(None, "failure_text", None)
        )
    reply, thought = answer_after_thought(fold(text))
    compact = Compact(without_tokens(reply))
    reading = _in_any_language(compact.text, options, thought)
    if reading.span is None:
        return reading
    start, end = reading.span
    return reading._replace(span=(compact.place(start), compact.place(end - 1) + 1))


def _in_any_language(text: str, options: OptionSet, thought: str) -> Reading:
    """The reply in English as far as it frames an answer; as it stands where that says nothing."""
    language = language_of(text)
    if language is not None:
        english = into_english(text, language)
        own = option_set(tuple(into_english(option, language).text for option in options.texts))
        reading = _read_thought(english.text, own, thought) if thought else _read_turn(english.text, own)
        if reading.answer is not None and (reading.rule in _FIRM or not refuses(text)):
            if reading.span is None:
                return reading
            start, end = reading.span
            return reading._replace(span=(english.place(start), english.place(end - 1) + 1))
        if reading.rule in ("taken_back", "several"):
            return reading
    return _read_thought(text, options, thought) if thought else _read_turn(text, options)


_FIRM = frozenset(
    ("stated", "chosen", "judged", "tagged", "whole", "concluded", "corrected", "verdict", "leading", "alone")
)


def _read_turn(reply: str, options: OptionSet) -> Reading:
    """The reply to this question, not what the writer goes on with."""
    head = head_before_next(reply)
    if head is not None and head.strip():
        reading = _read(head, options)
        if reading.answer is not None and reading.rule not in ("passing", "described", "eliminated"):
            return reading
    return _read(reply, options)


def _read_thought(reply: str, options: OptionSet, thought: str) -> Reading:
    """A reply that is nothing but a thought: only what it plainly concludes; an open one may have been cut off."""
    reading = _read(reply, options)
    if reading.rule not in ("tagged", "stated", "chosen", "concluded", "whole"):
        return UNREADABLE
    if thought == "open" and not (
        reply.rstrip().endswith((".", "!", "}", "\n", ">"))
        and reading.span
        and (reading.rule == "tagged" or len(reply.rstrip()) - reading.span[1] < 120)
    ):
        return UNREADABLE
    return reading


def _read(text: str, options: OptionSet, depth: int = 0) -> Reading:
    value = tagged(text)
    if value is not None and depth < 2:
        return _read_value(value.text, value.start, text, options, depth)
    scored = best_scored(text)
    if scored is not None and scored[0] in options.letters:
        return Reading(scored[0], "tagged", (scored[1], scored[1] + 1))
    return _read_prose(without_markup(text), options, depth)


def _read_value(value: str, start: int, text: str, options: OptionSet, depth: int) -> Reading:
    """What stands where a machine expects the answer is the answer, or there is none."""
    value = without_markup(value)
    inner = value.strip(" \n\t\"'()[]{}.,:*$")
    at = start + value.find(inner)
    if len(inner) == 1 and inner.upper() in options.letters and not (inner.isdigit()):
        return Reading(inner.upper(), "tagged", (at, at + 1))
    parts = [part.strip(" \"'") for part in inner.split(",")]
    if len(parts) > 1 and all(len(part) == 1 and part.isalpha() for part in parts):
        return both_of(options, frozenset(parts), None) or UNREADABLE
    equal = options.equal_to(inner) if inner else frozenset()
    if len(equal) == 1:
        return word(options, equal, (at, at + len(inner)), "tagged")
    if not inner:
        return UNREADABLE
    reading = shifted(_read(inner, options, depth + 1), at)
    return reading._replace(rule="tagged") if reading.answer else UNREADABLE


_RETRACTS = re.compile(
    r"(?P<lead>[.!?;,:)>\n–-]\s{0,3}|\.{2,}\s?|^)[\"'(*]{0,2}(?P<mark>(?:oh |hmm+,? |oops,? |ah,? |well,? |but |no,? |ok,? |um,? |uh,? |and |or |edit: )*(?:wait|hold on|actually|scratch that|correction|on second thou?ghts?|on reflection|come to think of it|thinking about it|make (?:that|it)|i(?:'ve| have) changed my mind|let me (?:reconsider|re-?check|check again|rethink|re-?think|re-?examine|think again|correct)"
    r"|oops|sorry|i (?:made a mistake|misread|mean|meant|was wrong|take (?:that|it) back|stand corrected)|my (?:mistake|bad|apologies)|apologies|rather|more (?:precisely|exactly|accurately)|no|nope|edit|strike that|not quite"
    r"|i take that back|upon (?:closer|further|second) \w+|on (?:closer|further) \w+|looking (?:closer|again|more closely)|after (?:re-?\w+|further|another|a second)|hmm+|however, (?:after|upon|on|looking)[^,.\n]{0,50}|等等|不对|哦不|更正|抱歉|不,|再想想|我错了|应该说|perdón|pardon|moment|halt|nein|non)\b|(?:等等|不对|哦不|更正|再想想|我错了|不,))(?=(?P<tail>[\s,.:;!?–-]{0,4}))(?![^\s,.:;!?–-])",
    re.IGNORECASE,
)
_CONFIRMS = re.compile(
    r"\b(?:yes|still|indeed|confirm\w*|stands?|remains?|stick|correct|right|fine|agree|same|no change)\b|没错|仍然|还是",
    re.IGNORECASE,
)


def _read_prose(text: str, options: OptionSet, depth: int) -> Reading:
    """Prose: after a change of mind only what follows it counts."""
    last = None
    for found in islice(_RETRACTS.finditer(text), 60):
        if _takes_back(found, text, options):
            last = found
    if last is None or depth > 3:
        return weigh(text, options)
    before = text[: last.start("mark")]
    after = shifted(weigh(text[last.end() :], options), last.end())
    if after.answer is not None:
        return after._replace(rule="corrected") if after.rule != "stated" else after
    rest = text[last.end() :]
    if not re.search(r"[^\W_]", before):
        return weigh(text, options)
    hard = re.match(r"\W*(?:no\b|nope|scratch|strike|i was wrong|不)", last["mark"], re.IGNORECASE)
    whole = weigh(text, options)
    earlier = weigh(before, options)
    if _CONFIRMS.search(rest) and not hard:
        return earlier
    # Nothing is put in its place: what was said before does not stand, unless the mark took nothing back.
    return whole if earlier.answer is None else UNREADABLE


def _takes_back(found: re.Match[str], text: str, options: OptionSet) -> bool:
    mark = re.sub(r"^(?:but|and|oh|well|ok)\s+", "", found["mark"].lower())
    before = text[: found.start("mark")]
    if not re.search(r"[^\W_]", before):
        return False
    if re.search(
        r"\b(?:so|yes|and|or|is|not|say|says|said|am|i'm|i am|be)\s*[,:]?\s*$", before[-24:], re.IGNORECASE
    ) and mark in ("no", "sorry", "actually", "wait"):
        return False
    if mark == "no" and (found["lead"][:1] == ":" or not _plain_no(found, text)):
        return False
    if mark == "rather" and re.match(r"\s*than", text[found.end("mark") :]):
        return False
    return mark != "no" or not options.yes_no


def _plain_no(found: re.Match[str], text: str) -> bool:
    """ "A? No, B": not the verdict "A. ... - No" that ends a line."""
    rest = text[found.end() :]
    if found["tail"].strip() == "" and found["tail"] != "":
        return bool(re.match(r"[\"'(*]{0,2}[A-Z]\b[^a-z]", rest))
    before = text[: found.start("mark")]
    return "\n" not in before.strip() and bool(rest.strip())
