"""The findings of the careful reader, weighed: letters, verdicts, words, and what is left over."""

from __future__ import annotations

import re
from typing import NamedTuple

from kangaroo_eval.careful.clauses import Described, Words
from kangaroo_eval.careful.letters import CHOSEN, NAMED, STATED, Mention, Said, mentions
from kangaroo_eval.careful.options import OptionSet
from kangaroo_eval.careful.roles import said_of
from kangaroo_eval.careful.walk import Unit, chosen_by_verdict, units, verdict, without_listing
from kangaroo_eval.careful.words import tokens


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


_REFUSES = re.compile(
    r"\b(?:(?:can(?:'t|not| not)|could(?:n't| not)|unable to|not able to|am not able|impossible to|not possible to|difficult to|hard to) (?:be )?(?:(?:really|clearly|confidently|definitively|accurately|reliably|actually|fully|possibly) )?(?:determin|answer|tell|say|see|view|watch|access|provide|identify|process|play|open|help|assist|analy|infer|know|decide|make out|verify|choose|assess|conclude|give|confirm|select|discern|comply|respond|establish|ascertain)\w*"
    r"|i (?:do not|don't|didn't|did not|don’t) (?:know|have|see|think i can|feel comfortable|receive)|i'm sorry|i am sorry|i apologi[sz]e|sorry, (?:but )?i|as an ai|unanswerable|insufficient|not enough|no (?:video|frames?|images?|answer|information|clear|evidence)\b"
    r"|(?:does|do|did|is|are) ?(?:not|n't) (?:\w+ )?(?:provide|contain|give|include|offer|enough|sufficient|reveal|specify|indicate|clear)|not (?:clear|sure|certain|specified|mentioned|shown|visible|provided|stated|given)\b|unclear|unknown|unsure|no idea|needs? more|need the|would need|please (?:provide|upload|share|send)|could you (?:please )?(?:clarify|provide|share|upload)|without (?:further|more|additional)|policy|policies|inappropriate|not comfortable"
    r"|cannot be (?:determined|known|inferred|answered|established)|can't be (?:determined|known|inferred|answered)|undetermined|indeterminate|isn't (?:clear|possible)|decline|refuse)"
    r"|无法|不能(?:确定|判断|回答|看)|不知道|不清楚|抱歉|对不起|请提供|不确定|没有提供|わかりません|分かりません|できません|申し訳|모르|알 수 없|죄송|no puedo|lo siento|no sé|je ne (?:peux|sais)|désolé|leider|kann (?:ich )?nicht|weiß (?:ich )?nicht|tut mir leid|não (?:posso|sei|consigo)|desculpe|не могу|не знаю|извините|к сожалению|mi dispiace|non (?:posso|so)|xin lỗi|không thể|maaf|tidak (?:dapat|bisa)",
    re.IGNORECASE,
)
_NO_OPTION = re.compile(
    r"\bnone of (?:the|these|them|those)\b|\bnone (?:is|are|fits?|match\w*|apply|applies)\b|\bneither (?:caption|option|answer|statement|of (?:the|these|them))\b|\bnot (?:listed|among|one of (?:the|these))|no (?:correct|matching|suitable|right|valid) (?:option|answer|choice)|no option\b|isn't (?:listed|among|one of)"
    r"|(?:all|both) (?:of )?(?:the |these )?(?:\w+ )?(?:options?|answers?|choices?|captions?|statements?)?\s?(?:are|is|seem) (?:\w+ )?(?:wrong|incorrect|false)|not in the (?:list|options)|以上都不|都不(?:是|对|正确|符合)|没有(?:一个)?(?:正确|合适)的?(?:选项|答案)|ninguna|aucune|keine der|nenhuma|nessuna|ни один",
    re.IGNORECASE,
)
_ALL_OF = re.compile(
    r"\ball (?:of )?(?:the )?(?:above|these|them|options|three|four)\b|以上(?:都|皆|全)(?:是|对)|\beverything (?:listed|above)",
    re.IGNORECASE,
)


def word(options: OptionSet, which: frozenset[int], span: tuple[int, int] | None, rule: str) -> Reading:
    """The letter of the one option that was found."""
    if len(which) != 1:
        return UNREADABLE
    return Reading(options.letters[next(iter(which))], rule, span)


_RANKED = re.compile(r"(?<![\w'])([A-Z])(?: ?> ?[A-Z]){2,}(?![\w'])")
_REPEATED = re.compile(r"[\W_]*([A-Z])(?:[\W_]+\1)*[\W_]*")


def weigh(text: str, options: OptionSet) -> Reading:
    """From the firmest to the faintest: the text itself, stated letters, verdicts, words, what is left over."""
    start = len(text) - len(text.lstrip())
    core = text.strip()
    labelled = re.match(r"[\W_]*A[\W_]*[.):]", core)
    equal = options.equal_to(core) if core and len(core) < 600 and not labelled else frozenset()
    if len(equal) == 1 and not re.fullmatch(r"[A-Za-z]", core):
        return word(options, equal, (start, start + len(core)), "option_text")
    if re.fullmatch(r"\W*([A-Za-z])\W*", core):
        letter = re.sub(r"[\W_]", "", core).upper()
        at = start + core.upper().find(letter)
        return Reading(letter, "whole", (at, at + 1)) if letter in options.letters else UNREADABLE
    repeated = _REPEATED.fullmatch(core[:400])
    if repeated and repeated[1] in options.letters:
        return Reading(repeated[1], "whole", (start + repeated.start(1), start + repeated.end(1)))
    ranked = _RANKED.search(text)
    if ranked and ranked[1] in options.letters:
        return Reading(ranked[1], "ranked", ranked.span(1))
    if options.yes_no or options.han_yes_no:
        reading = _yes_or_no(text, options)
        if reading is not None:
            return reading
    made = units(text, options)
    plainer = without_listing(text, options)
    said = said_of(plainer, _outside_phrases(plainer, mentions(plainer, options), options))
    said, listing = _without_labels(text, said, made)
    firm = _firm(text, said, options, made)
    if firm is not None:
        return firm
    if made:
        option = chosen_by_verdict(text, made, len(options.letters))
        if option is not None:
            spans = [(unit.start, unit.label_end) for unit in made if unit.option == option]
            return Reading(options.letters[option], "verdict", spans[-1] if spans else None)
    return _from_words(plainer, said, options, listing)


_YES = re.compile(r"\W*(?:是的?|对的?|有的?|はい|네|예|oui|sí|ja|да|sim|sì)(?=\W|$)", re.IGNORECASE)
_NO = re.compile(
    r"\W*(?:不是的?|否|没有|不对?|いいえ|아니[요오]?|non|nein|нет|não|nee)(?=\W|$)", re.IGNORECASE
)


def _yes_or_no(text: str, options: OptionSet) -> Reading | None:
    """A yes or no in another language than the options'."""
    for said, wanted in ((_YES, ("yes", "是", "对")), (_NO, ("no", "否", "不"))):
        found = said.match(text)
        if found:
            which = frozenset(i for i, core in enumerate(options.cores) if core and core[0] in wanted)
            return word(options, which, found.span(), "yes_no") if len(which) == 1 else None
    return None


def _outside_phrases(text: str, found: list[Mention], options: OptionSet) -> list[Mention]:
    """A letter within an option's very text ("Vitamin C", "The letter D") is a word of it."""
    if not any(
        len(stem) == 1 and stem.isalpha() and stem not in "ai" for stem in options.vocabulary
    ) and not any("letter" in raw or (len(raw) == 2 and "a" in raw[1:]) for raw in options.raw):
        return found
    spans = [
        (named.start, named.end)
        for named in options.phrases_in(tokens(text), text)
        if text[named.start : named.end].count(" ")
    ]
    return [mention for mention in found if not any(a <= mention.start < b for a, b in spans)]


def _without_labels(text: str, said: list[Said], made: list[Unit]) -> tuple[list[Said], bool]:
    """Letters that only head the parts of a walk through the options choose nothing.

    A first part that is set off by a blank line, or followed by its reasons, is the answer, not a heading."""
    if not made:
        return said, False
    distinct = {unit.option for unit in made}
    if len(distinct) < 2:
        return said, False
    headed = made[0] if not re.search(r"[^\W_]", text[: made[0].start]) else None
    others = [unit for unit in made if headed and unit.option != headed.option]
    if headed and verdict(text, headed) >= 0 and all(verdict(text, unit) < 0 for unit in others):
        return said, False
    labels = [(unit.start, unit.label_end) for unit in made]
    kept = [
        one
        for one in said
        if not any(a <= one.start < b for a, b in labels)
        or one.kind in ("rejected",)
        or one.strength >= STATED
    ]
    return kept, True


def _firm(text: str, said: list[Said], options: OptionSet, made: list[Unit]) -> Reading | None:
    """The last letter that is stated or chosen, unless it is taken back or has another option's text."""
    strong = [one for one in said if one.affirmed and one.strength >= CHOSEN]
    if not strong:
        return None
    if (
        made
        and strong[-1].start < made[-1].start
        and strong[-1].strength < STATED
        and strong[-1].kind != "leading"
    ):
        return None
    last = strong[-1]
    stated = [one for one in strong if one.strength >= STATED]
    if (
        stated
        and last.strength < STATED
        and last.kind in ("judged", "chosen", "asked")
        and not _concludes(text, last)
    ):
        last = stated[-1]
    if last.kind == "judged":
        judged = frozenset(
            letter for one in strong if one.kind in ("judged", "leading") for letter in one.letters
        )
        if len(judged) > 1 and not any(one.kind == "rejected" for one in said):
            return both_of(options, judged, (last.start, last.end)) or Reading(None, "several", None)
    if any(not one.affirmed and one.letters & last.letters and one.start > last.start for one in said):
        others = [one for one in strong if not one.letters & last.letters]
        return None if not others else Reading(None, "taken_back", None)
    if len(last.letters) > 1:
        return both_of(options, last.letters, (last.start, last.end)) or Reading(None, "several", None)
    letter = next(iter(last.letters))
    if letter not in options.letters:
        return Reading(None, "out_of_range", None)
    if _has_other_text(text, last, options):
        return Reading(None, "letter_against_text", None)
    return Reading(letter, last.kind, (last.start, last.end))


def _concludes(text: str, one: Said) -> bool:
    before = text[max(0, one.start - 40) : one.start].lower()
    return bool(
        re.search(
            r"\b(?:so|thus|hence|therefore|final\w*|conclu\w+|go with|pick|choose|say)\b[^.\n]*$", before
        )
    )


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


def _has_other_text(text: str, one: Said, options: OptionSet) -> bool:
    """Whether the letter is followed by exactly the text of another option ("B. Red", where red is A)."""
    rest = re.match(r"[\s\"'*)\].:,(–-]*(.{0,300})", text[one.end : one.end + 320])
    if not rest:
        return False
    own = options.letters.index(next(iter(one.letters)))
    for part in (rest[1], re.split(r"[.;)](?:\s|$)|,\s|\s-\s|\sbecause\s", rest[1])[0]):
        equal = options.equal_to(part) if part.strip() else frozenset()
        if equal:
            return own not in equal
    return False


def _from_words(text: str, said: list[Said], options: OptionSet, listing: bool) -> Reading:
    """No letter is chosen: what the words describe, what they refuse, and what they leave over."""
    refuses, none = bool(_REFUSES.search(text)), bool(_NO_OPTION.search(text))
    if refuses:
        rest = _after_all(text, options)
        if rest is not None:
            return rest
    if re.fullmatch(r"\W*\d{1,2}\W*", text) and not all(any(s.isdigit() for s in raw) for raw in options.raw):
        return UNREADABLE
    words = Words(text, options)
    meta = _about_all(text, options, refuses, none, words)
    if meta is not None:
        return meta
    by_words = _described(words, options, listing)
    named = frozenset(
        letter for one in said if one.affirmed and one.strength == NAMED for letter in one.letters
    )
    if by_words.rule == "described" and by_words.answer not in (None, *named) and len(named) == 1:
        by_words = UNREADABLE
    if (
        by_words.answer is not None
        and not (refuses and by_words.rule != "concluded")
        and not _contradicted(by_words, said)
    ):
        return by_words
    return _faint(said, words, options, refuses, by_words)


_ALL_THE_SAME = re.compile(
    r"\b(?:but|however|so|still|yet|though|nevertheless|my (?:best )?guess|if i had to)\b|但|不过",
    re.IGNORECASE,
)


def _after_all(text: str, options: OptionSet) -> Reading | None:
    """What a writer who is not sure chooses all the same: "I can't tell, but it looks like a robbery"."""
    refusal = _REFUSES.search(text)
    turn = _ALL_THE_SAME.search(text, refusal.end()) if refusal else None
    if turn is None or _REFUSES.search(text, turn.end()):
        return None
    reading = shifted(weigh(text[turn.end() :], options), turn.end())
    return reading if reading.answer is not None else None


def _contradicted(reading: Reading, said: list[Said]) -> bool:
    return any(not one.affirmed and reading.answer in one.letters for one in said)


def _about_all(text: str, options: OptionSet, refuses: bool, none: bool, words: Words) -> Reading | None:
    """ "None of them", "all of the above", "I cannot tell": an option that says so, or nothing."""
    exact = {i for one in words.described if one.named.exact and not one.denied for i in one.named.options}
    if none:
        if len(options.none) == 1:
            return word(options, frozenset(options.none), None, "none_of_them")
        return Reading(None, "none_of_them", None) if not exact else None
    if _ALL_OF.search(text) and len(options.all) == 1:
        return word(options, frozenset(options.all), None, "all_of_them")
    if refuses and len(options.unknown) == 1 and not exact - set(options.unknown):
        return word(options, frozenset(options.unknown), None, "unknown")
    if (
        refuses
        and not re.search(
            r"\b(?:but|however|so|still|guess|yet|though|nevertheless)\b|但|不过", text, re.IGNORECASE
        )
        and not exact
    ):
        return Reading(None, "refusal", None)
    return None


_CUT_OFF = re.compile(
    r"(?:\w+\W+){3}(?:the|(?-i:an?)|at this (?:moment|point|time)|and|or|of|to|is|has|have|in|on|with|that|there|because|at|his|her|are|was|were|for|from|which|who|then|since|into|by|this|these|their|its|my|as)\s*$|然后,?\s*$",
    re.IGNORECASE,
)


_FINALLY = re.compile(
    r"\b(?:(?:correct |best |right |final )?answer is|in conclusion|therefore|hence|thus)\b|答案",
    re.IGNORECASE,
)


def _order(words: Words, options: OptionSet) -> int | None:
    """The order in which things are told, in the last sentence that tells one."""
    for sentence in sorted({clause.sentence for clause in words.clauses}, reverse=True):
        own = [clause for clause in words.clauses if clause.sentence == sentence]
        place = options.order_in(words.within(own[0].start, own[-1].end))
        if place is not None:
            return place
    return options.order_in(words.said)


def _described(words: Words, options: OptionSet, listing: bool) -> Reading:
    """The option that the words describe: in the conclusion, at the head, or throughout."""
    if _CUT_OFF.search(words.text[-80:]):
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
    lead = None if listing else _at_the_head(words, options, affirmed)
    if lead is not None and not (
        concluding
        and _FINALLY.search(
            words.text, concluding[-1].clause.start - 60 if concluding[-1].clause.start > 60 else 0
        )
    ):
        return lead
    if concluding:
        sentence = concluding[-1].clause.sentence
        drawn = [one for one in concluding if one.clause.sentence == sentence]
        for part in (drawn, [one for one in drawn if one.clause is drawn[-1].clause]):
            reading = _agreed(part, options, denied, "concluded")
            if reading is not None and reading.answer is not None:
                return reading
    if listing:
        return UNREADABLE
    return _agreed(affirmed, options, denied, "described") or UNREADABLE


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


def _faint(said: list[Said], words: Words, options: OptionSet, refuses: bool, by_words: Reading) -> Reading:
    """A letter in passing, all others ruled out, or a slip of the pen."""
    rejected = frozenset(letter for one in said if not one.affirmed for letter in one.letters) | frozenset(
        options.letters[i]
        for one in words.described
        if one.denied and not one.clause.asks
        for i in one.named.options
    )
    if not refuses and not _CUT_OFF.search(words.text[-80:]):
        faint = [one for one in said if one.affirmed and not one.letters & rejected]
        named = [one for one in faint if one.strength >= NAMED] or faint
        letters = frozenset(letter for one in named for letter in one.letters)
        if len(letters) == 1 and all(letter in options.letters for letter in letters):
            if by_words.answer in (None, next(iter(letters))):
                return Reading(next(iter(letters)), "passing", (named[-1].start, named[-1].end))
        elif len(letters) > 1:
            both = both_of(options, letters, None)
            if both is not None:
                return both
    left = [letter for letter in options.letters if letter not in rejected]
    if len(left) == 1 and len(options.letters) > 1 and rejected and not refuses:
        return Reading(left[0], "eliminated", None)
    if not refuses and not said and len(words.said) <= 12:
        near = options.nearest_to(words.text)
        if near is not None and not words.described:
            return Reading(options.letters[near], "near_text", None)
    return UNREADABLE
