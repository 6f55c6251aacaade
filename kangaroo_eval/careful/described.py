"""The option that a reply describes in words: in its conclusion, at its head, at its end, or throughout."""

from __future__ import annotations

import re

from kangaroo_eval.careful.clauses import CONCLUDES, Clause, Described, Words, is_secondary
from kangaroo_eval.careful.options import OptionSet
from kangaroo_eval.careful.reading import UNREADABLE, Reading, both_of, word

CUT_OFF = re.compile(
    r"(?:\w+\W+){3}(?:the|(?-i:an?)|at this (?:moment|point|time)|and|or|of|to|is|has|have|in|on|with|that|there|because|at|his|her|are|was|were|for|from|which|who|then|since|into|by|this|these|their|its|my|as)\s*$|然后,?\s*$",
    re.IGNORECASE,
)


_FINALLY = re.compile(
    r"\b(?:(?:correct |best |right |final )?answer is|in conclusion|therefore|hence|thus)\b|答案",
    re.IGNORECASE,
)


_EVIDENCE = re.compile(
    r"\s*(?:this|that|it|which|these|the) (?:\w+ ){0,2}(?:(?:can|could|may) be |is |are |was |were )(?:\w+ly )?"
    r"(?:(?:evident|apparent|clear|indicated|inferred|deduced|determined|observed|evidenced|supported|seen|shown|concluded)"
    r"(?: \w+ly)? (?:from|by|because|in the way|as|through|when|on the basis|since|based)\b|based on\b|because\b)"
    r"|\s*(?:we|you|i) can (?:\w+ly )?(?:tell|infer|determine|deduce)(?: \w+){0,2} (?:because|from|by)\b",
    re.IGNORECASE,
)
_ANSWERED = re.compile(
    r"\b(?:answer|(?:correct|right|best) (?:option|choice))(?: is|:)[\s\"'*(]*(?:the |an? )?[\s\"'*(]*$",
    re.IGNORECASE,
)
_SO = re.compile(r"\s*(?:so|thus|hence|therefore|in conclusion)\b", re.IGNORECASE)


def _order(words: Words, options: OptionSet) -> int | None:
    """The order in which things are told, in the last sentence that tells one."""
    for sentence in sorted({clause.sentence for clause in words.clauses}, reverse=True):
        own = [clause for clause in words.clauses if clause.sentence == sentence]
        place = options.order_in(words.within(own[0].start, own[-1].end))
        if place is not None:
            return place
    return options.order_in(words.said)


def described(words: Words, options: OptionSet, listing: bool) -> Reading:
    """The option that the words describe: in the conclusion, at the head, or throughout."""
    if CUT_OFF.search(words.text[-80:]):
        return UNREADABLE
    affirmed = [one for one in words.described if not one.denied and not one.clause.asks]
    if not affirmed and words.clauses and words.clauses[-1].asks:
        affirmed = [one for one in words.described if one.clause.sentence == words.clauses[-1].sentence]
    denied = frozenset(i for one in words.described if one.denied for i in one.named.options)
    if options.in_order and not any(one.named.exact for one in affirmed):
        place = _order(words, options)
        if place is not None:
            return word(options, frozenset({place}), None, "described")
    concluding = [one for one in affirmed if one.clause.concludes]
    lead = None if listing else _at_the_head(words, options, affirmed) or _stated(words, options, affirmed)
    if lead is not None and not (
        concluding and _FINALLY.search(words.text, _near(words, concluding[-1].clause))
    ):
        return lead
    concluding = [one for one in concluding if not _goes_on(words, one, affirmed)]
    if concluding:
        sentence = concluding[-1].clause.sentence
        drawn = [one for one in concluding if one.clause.sentence == sentence]
        for part in (drawn, [one for one in drawn if one.clause is drawn[-1].clause]):
            reading = _agreed(part, options, denied, "concluded")
            if reading is not None and reading.answer is not None:
                return reading
    if listing:
        return UNREADABLE
    return _throughout(words, options, affirmed, denied)


def _near(words: Words, clause: Clause) -> int:
    """Where to look for what makes a clause the conclusion: a little before it, in its own sentence where that is not the
    first."""
    own = next(each.start for each in words.clauses if each.sentence == clause.sentence)
    return max(clause.start - 60, own if clause.sentence else 0, 0)


_LOOSELY = re.compile(
    r"\b(?:suggest\w*|indicat\w*|overall|(?<=\w\s)finally|clearly|evidently|definitely|in the end|in fact)\b",
    re.IGNORECASE,
)


def _goes_on(words: Words, one: Described, affirmed: list[Described]) -> bool:
    """Whether only a word that may as well tell a story ("finally", "this indicates") makes a clause a conclusion, after
    another option's very text."""
    own = [each for each in words.clauses if each.sentence == one.clause.sentence]
    part = words.text[own[0].start : one.clause.end]
    if not _LOOSELY.search(part) or CONCLUDES.search(_LOOSELY.sub(" ", part)):
        return False
    return any(
        other.named.exact
        and other.clause.sentence < one.clause.sentence
        and not other.named.options & one.named.options
        for other in affirmed
    )


def _throughout(
    words: Words, options: OptionSet, affirmed: list[Described], denied: frozenset[int]
) -> Reading:
    """What all that is said agrees on; else what its main clauses do, or its last sentence."""
    reading = _agreed(affirmed, options, denied, "described") or UNREADABLE
    if reading.answer is None and len(affirmed) > 1:
        main = [one for one in affirmed if not is_secondary(words.text, one.clause)]
        reading = (len(main) < len(affirmed) and _agreed(main, options, denied, "described")) or reading
    if reading.answer is None and len(affirmed) > 1:
        reading = _at_the_end(words, options, affirmed, denied) or reading
    return reading


_ASKED_FOR = re.compile(
    r"\b(?:the )?question (?:asks|is about|was about|wants|asked)|\b(?:is|was|being) asked\b|\basked (?:about|for)\b|\bthe (?:one|person|thing|step|moment|place|part|man|woman|object) (?:who|that|which)\b[^.]*\b(?:is|was)\b|\boptions?:\s",
    re.IGNORECASE,
)


def _at_the_end(
    words: Words, options: OptionSet, affirmed: list[Described], denied: frozenset[int]
) -> Reading | None:
    """What the last sentence says, where it says that this is what was asked for."""
    last = words.clauses[-1].sentence
    own = [clause for clause in words.clauses if clause.sentence == last]
    if not last or not _ASKED_FOR.search(words.text[own[0].start : own[-1].end]):
        return None
    at_end = [one for one in affirmed if one.clause.sentence == last]
    return _agreed(
        at_end, options, denied - frozenset(i for one in at_end for i in one.named.options), "concluded"
    )


def _at_the_head(words: Words, options: OptionSet, affirmed: list[Described]) -> Reading | None:
    """A reply that begins with an option's very text as its own sentence or clause: "4. In the first shot ..."."""
    if not affirmed or not words.clauses:
        return None
    first = words.clauses[0]
    part = words.text[first.start : first.end].strip()
    equal = options.equal_to(part)
    if len(equal) != 1 or affirmed[0].clause is not first:
        return None
    # A list of options begins like that as well.
    same = [one for one in affirmed if one.clause.sentence == first.sentence and one.named.exact]
    if any(one.named.options != equal for one in same):
        return None
    return word(options, equal, (affirmed[0].named.start, affirmed[0].named.end), "head")


def _stated(words: Words, options: OptionSet, affirmed: list[Described]) -> Reading | None:
    """The option whose very text the first sentence has, where that calls it the answer or the second only gives reasons
    for it: "It is a time-lapse. This is evident from ...". Reasons name other options as well."""
    opening = [one for one in affirmed if one.clause.sentence == 0]
    exact = {one.named.options for one in opening if one.named.exact}
    if len(exact) != 1 or len(which := next(iter(exact))) != 1:
        return None
    if any(not one.named.options & which for one in opening):
        return None
    starts = {each.sentence: each.start for each in reversed(words.clauses)}
    if any(
        one.clause.concludes
        and not one.named.options & which
        and _SO.match(words.text, starts[one.clause.sentence])
        for one in affirmed
    ):
        return None
    named = next(one.named for one in opening if one.named.exact)
    second = next((clause for clause in words.clauses if clause.sentence == 1), None)
    reasons = second is not None and _EVIDENCE.match(words.text, second.start)
    if reasons or _ANSWERED.search(words.text[: named.start]):
        return word(options, which, (named.start, named.end), "head")
    return None


def _agreed(found: list[Described], options: OptionSet, denied: frozenset[int], rule: str) -> Reading | None:
    """The one option that all these descriptions fit, or the one that is named while others are only touched."""
    if not found:
        return None
    sets = [one.named.options - denied or one.named.options for one in found]
    together = frozenset.intersection(*sets)
    if len(together) == 1:
        return _place(options, together, found, rule)
    exact = frozenset(i for one, which in zip(found, sets, strict=True) if one.named.exact for i in which)
    if len(exact) == 1 and not _beside(found, exact, denied):
        return _place(options, exact, found, rule)
    if len(exact) > 1:
        both = both_of(options, frozenset(options.letters[i] for i in exact), None)
        return both or Reading(None, "several", None)
    single = frozenset(i for which in sets if len(which) == 1 for i in which)
    if len(single) == 1 and not any(len(which) > 1 and not which & single for which in sets):
        return _place(options, single, found, rule)
    both = both_of(options, frozenset(options.letters[i] for i in single), None) if len(single) > 1 else None
    return both or Reading(None, "several", None)


def _beside(found: list[Described], exact: frozenset[int], denied: frozenset[int]) -> bool:
    """Whether another option is described in the same sentence ("increases first and then decreases")."""
    own = {one.clause.sentence for one in found if one.named.exact}
    return any(
        len(one.named.options) == 1
        and not one.named.options & (exact | denied)
        and one.clause.sentence in own
        for one in found
        if not one.named.exact
    )


def _place(options: OptionSet, which: frozenset[int], found: list[Described], rule: str) -> Reading:
    own = [one for one in found if one.named.options >= which]
    last = min(own, key=lambda one: len(one.named.options)).named
    return word(options, which, (last.start, last.end), rule)
